"""An experiment's state as the fold of its journal: the same function for a live event and for one that is read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from offbeat import events as ev
from offbeat.budget import Usage
from offbeat.checkpoints import Kept
from offbeat.contained import told
from offbeat.errors import PluginFailed
from offbeat.intake import Intake
from offbeat.protocols import Scheduler
from offbeat.stopping import Stopper
from offbeat.trial import Ledger, Status, TrialId

OBSERVED: Final[frozenset[type[ev.Event]]] = frozenset((
    ev.Suggested, ev.TrialStarted, ev.TrialResumed, ev.TrialResult, ev.TrialPaused, ev.TrialStopped, ev.TrialFinished,
    ev.TrialFailed, ev.TrialLost, ev.LimitsChanged, ev.ModelFitted,
))  # fmt: skip
"""What schedulers are shown (of results those that count); the rest is between engine and observers."""


_WAITS: Final = frozenset((Status.QUEUED, Status.INTERRUPTED))


class State:
    """Everything that the events so far say.

    Args:
        spec: what the experiment is.
        scheduler: in its initial state; folding brings it up to date.
        stopper: whose watched metrics `usage` keeps.

    Attributes:
        ledger, usage, intake, kept: their folds; limits: those in force.
        queue: trials that wait for their next attempt, in the order in which they came to wait.
        failing: attempts that a metric's policy ends as failed, and the report that did it.
        points: configurations from outside that were not tried yet; held: new trials that wait for approval.
        request: the proposal that was asked for and not answered yet; next_number: of the next one.
        waiting: the scheduler had nothing to propose, and nothing has happened since; waiting_for: why, if it said so.
        filling: with synchronous scheduling, whether the current batch still takes trials in.
        session: number of the current session, -1 before the first; count: events so far.
        observed: types of the events that the scheduler is shown; due: level from which on it is shown a trial's results.
    """

    def __init__(self, spec: ev.ExperimentSpec, scheduler: Scheduler, stopper: Stopper | None) -> None:
        first = scheduler.objective.metrics[0]
        self.spec = spec
        self.scheduler = scheduler
        self.ledger = Ledger(first.name, minimise=first.mode == "min", constraints=scheduler.objective.constraints)
        self.usage = Usage(stopper.watched_metrics if stopper is not None else ())
        self.intake = Intake(scheduler.objective)
        self.kept = Kept(self.ledger)
        self.limits = spec.limits
        self.queue: dict[TrialId, None] = {}
        self.failing: dict[TrialId, ev.ReportRejected] = {}
        self.points: list[dict[str, Any]] = []
        self.held: dict[TrialId, None] = {}
        self.request: ev.ProposalRequested | None = None
        self.next_number = 0
        self.waiting = False
        self.waiting_for = ""
        self.filling = True
        self.session = -1
        self.count = 0
        wanted = getattr(scheduler, "observes", None)
        self.due: Mapping[TrialId, int] = getattr(scheduler, "due", {})
        self.observed = OBSERVED if wanted is None else OBSERVED & frozenset(wanted)
        own: dict[type[ev.Event], Callable[[Any], None]] = {
            ev.ExperimentOpened: self._opened,
            ev.ProposalRequested: self._requested,
            ev.Suggested: self._suggested,
            ev.TrialStarted: self._started,
            ev.TrialResumed: self._started,
            ev.TrialPaused: self._ended,
            ev.TrialStopped: self._ended,
            ev.TrialFinished: self._ended,
            ev.TrialFailed: self._ended,
            ev.TrialLost: self._ended,
            ev.ReportRejected: self._rejected,
            ev.LimitsChanged: self._limited,
            ev.Instructed: self._instructed,
        }
        # By type and not by `match`, which would try one class after the other for each of a million events; the three
        # folds of one type beside each other, for the same reason.
        folds = (self.ledger.handlers, self.usage.handlers, self.kept.handlers, own)
        self._folds = {
            kind: tuple(handlers[kind] for handlers in folds if kind in handlers) for kind in set().union(*folds)
        }

    def fold(self, event: ev.Event) -> None:
        """Takes in an event of an earlier session, scheduler included. Raises PluginFailed for what that raises."""
        self.count += 1
        self.kept.read_again(event)
        if isinstance(event, ev.TrialResult):
            self.ledger.count(event)
            if event.verdict not in ("late", "repeat"):
                self.waiting = False
                self.intake.learn(event.metrics)
                if ev.TrialResult in self.observed and event.resource >= self.due.get(event.trial, 0):
                    self._observe(_undecided(event))
            self.ledger.decide(event)
            self.usage.apply(event)
            return
        self.apply(event)
        if type(event) in self.observed:
            self._observe(event)

    def _observe(self, event: ev.Event) -> None:
        try:
            self.scheduler.observe(event, self.ledger)
        except BaseException as error:  # SystemExit and the like are no reason to end the host
            where = f"observe({ev.wire_name(event)}), event {self.count - 1} of the journal read again"
            raise PluginFailed("scheduler", self.spec.scheduler.name, where, told(error)[0]) from error

    def apply(self, event: ev.Event) -> None:
        """The engine's own part of the fold."""
        usage = self.usage
        if event.at > usage.elapsed:  # noqa: PLR1730 - `max` takes twice the time
            usage.elapsed = event.at
        for fold in self._folds.get(type(event), ()):
            fold(event)

    def _opened(self, event: ev.ExperimentOpened) -> None:
        self.session = event.session

    def _requested(self, event: ev.ProposalRequested) -> None:
        self.next_number = event.number + 1
        self.request = event

    def _suggested(self, event: ev.Suggested) -> None:
        self.request = None
        self.waiting = event.kind == "nothing"
        if self.waiting:
            self.waiting_for = event.why
            self.filling = False
        else:
            self.queue[event.trial] = None
            if event.kind == "start":
                if "enqueued" in event.tags:
                    self.points.pop(0)
                if self.limits.approval:
                    self.held[event.trial] = None

    def _instructed(self, event: ev.Instructed) -> None:
        if event.what == "enqueue":
            self.points.append(event.config or {})
            self.waiting = False
        elif event.what == "approve":
            self.held.pop(event.trial, None)

    def _started(self, event: ev.TrialStarted | ev.TrialResumed) -> None:
        self.queue.pop(event.trial, None)
        self.filling = self.filling and len(self.ledger.slots) < self.limits.n_workers

    def _ended(self, event: Any) -> None:
        trial: TrialId = event.trial
        self.waiting = False
        self.failing.pop(trial, None)
        self.held.pop(trial, None)
        self.filling = self.filling or not self.ledger.slots
        status = self.ledger[trial].status
        if status in _WAITS:
            self.queue[trial] = None
        else:
            self.queue.pop(trial, None)

    def _rejected(self, event: ev.ReportRejected) -> None:
        if event.ends_trial:
            self.failing[event.trial] = event

    def _limited(self, event: ev.LimitsChanged) -> None:
        self.limits = event.limits
        self.waiting = False
        if not event.limits.approval:
            self.held.clear()
        # An open request says what the old limits allowed; another is made.
        self.request = None


def _undecided(event: ev.TrialResult) -> ev.TrialResult:
    """The result as the scheduler saw it when it was asked: a recorded decision must not leak into its own making."""
    if event.verdict == "continue" and not event.why and not event.others:
        return event
    return ev.TrialResult(event.at, event.trial, event.attempt, event.seq, event.resource, event.metrics, raw=event.raw)
