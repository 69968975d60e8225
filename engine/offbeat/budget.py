"""What a run has used up so far: the fold of all events over time, trials, results, money and watched metrics.

Stopping criteria and `offbeat status` read it. Like the ledger it is rebuilt by reading the journal again, so that
limits hold across sessions and crashes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from offbeat.events import (
    Event,
    TrialFailed,
    TrialFinished,
    TrialPaused,
    TrialResult,
    TrialResumed,
    TrialStarted,
    TrialStopped,
)
from offbeat.trial import TrialId


class MetricUsage:
    """One watched metric over all trials; values that are no finite numbers are passed over.

    Attributes:
        lowest, highest: over every counted result, None before the first.
        history: (lowest, highest) of all results so far, at each end or pause of a trial that has reported the metric.
    """

    __slots__ = ("_reporting", "highest", "history", "lowest")

    def __init__(self) -> None:
        self.lowest: float | None = None
        self.highest: float | None = None
        self.history: list[tuple[float, float]] = []
        self._reporting: set[TrialId] = set()

    def add(self, trial: TrialId, value: Any) -> None:
        """Takes in one reported value."""
        kind = type(value)
        # The difference is 0 for finite numbers only.
        if (kind is not float and kind is not int) or value - value != 0:
            return
        if self.lowest is None or self.highest is None:
            self.lowest = self.highest = value
        elif value < self.lowest:
            self.lowest = value
        elif value > self.highest:
            self.highest = value
        self._reporting.add(trial)

    def end(self, trial: TrialId) -> None:
        """The trial ended or was paused."""
        if trial in self._reporting and self.lowest is not None and self.highest is not None:
            self._reporting.discard(trial)
            self.history.append((self.lowest, self.highest))


class Usage:
    """The fold of an experiment's events that limits are about.

    Args:
        watched: names of the metrics to keep in `metrics`; see `Stopper.watched_metrics`.

    Attributes:
        elapsed: seconds on the experiment's clock; the last event's, or later if the engine says so.
        started: trials that were started, each counted once however many attempts it took.
        completed, stopped, failed: trials that ended by themselves and well, were stopped, failed for good. A trial cut
            off by the end of a session has not ended, and a failure that is retried does not count.
        finished: the sum of these three.
        results: counted results (neither late nor repeated).
        cost: sum of `st_worker_cost` over all attempts of all trials, in the reports' currency.
        metrics: watched metrics by name.
        handlers: what folds an event in, by its type, time apart.
    """

    __slots__ = (
        "_costs", "_watched", "completed", "cost", "elapsed", "failed", "finished", "handlers", "metrics", "results",
        "started", "stopped",
    )  # fmt: skip

    def __init__(self, watched: Iterable[str] = ()) -> None:
        self.elapsed = 0.0
        self.started = 0
        self.completed = 0
        self.stopped = 0
        self.failed = 0
        self.finished = 0
        self.results = 0
        self.cost = 0.0
        self.metrics: dict[str, MetricUsage] = {}
        self._costs: dict[TrialId, float] = {}
        self._watched: tuple[tuple[str, MetricUsage], ...] = ()
        self.handlers: Mapping[type[Event], Callable[[Any], None]] = {
            TrialStarted: self._begun,
            TrialResumed: self._begun,
            TrialResult: self._result,
            TrialFinished: self._completed,
            TrialFailed: self._failed,
            TrialStopped: self._stopped,
            TrialPaused: self._paused,
        }
        self.watch(watched)

    def watch(self, names: Iterable[str]) -> None:
        """Keeps these metrics too, from the next event on: call it before the journal is read."""
        for name in names:
            self.metrics.setdefault(name, MetricUsage())
        self._watched = tuple(self.metrics.items())

    def apply(self, event: Event) -> None:
        """Folds one event in; those that nobody limits pass."""
        if event.at > self.elapsed:  # noqa: PLR1730 - `max` takes twice the time
            self.elapsed = event.at
        handler = self.handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _begun(self, event: TrialStarted | TrialResumed) -> None:
        self._costs.pop(event.trial, None)
        # A retry or a resumption is another attempt at a trial that was counted.
        if event.attempt == 0:
            self.started += 1

    def _result(self, event: TrialResult) -> None:
        verdict = event.verdict
        if verdict == "late":
            return
        metrics = event.metrics
        if "st_worker_cost" in metrics:
            self._spent(event.trial, metrics["st_worker_cost"])
        if verdict == "repeat":
            return
        self.results += 1
        for name, watched in self._watched:
            watched.add(event.trial, metrics.get(name))

    def _spent(self, trial: TrialId, cost: Any) -> None:
        """Scripts report what their attempt has cost so far: the difference to the report before is new."""
        if isinstance(cost, int | float) and cost - cost == 0:
            self.cost += cost - self._costs.get(trial, 0.0)
            self._costs[trial] = cost

    def _completed(self, event: TrialFinished) -> None:
        self.completed += 1
        self._ended(event.trial)

    def _failed(self, event: TrialFailed) -> None:
        if not event.retry:
            self.failed += 1
            self._ended(event.trial)

    def _stopped(self, event: TrialStopped) -> None:
        if event.by != "experiment":
            self.stopped += 1
            self._ended(event.trial)

    def _paused(self, event: TrialPaused) -> None:
        self._ended(event.trial)

    def _ended(self, trial: TrialId) -> None:
        self.finished = self.completed + self.stopped + self.failed
        for _, watched in self._watched:
            watched.end(trial)
