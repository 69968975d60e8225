"""From journal to tables: what an experiment found, read without an engine, while it runs too."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, overload

import msgspec

from offbeat.errors import InvalidArgument, JournalError, nearest
from offbeat.events import (
    ASK_TELL,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    Limits,
    LimitsChanged,
    MetricSpec,
    TrialResult,
)
from offbeat.home import ExperimentFolder, find
from offbeat.journal import Holder, holder, read_journal
from offbeat.trial import IllegalMove, Ledger, TrialId, TrialRecord

COLUMNS: Final = ("seq", "at", "trial", "attempt", "resource", "verdict")
"""Columns of every row of results, before the metrics and the configuration."""

COUNTED: Final = frozenset({"continue", "stop", "pause"})
"""Verdicts of results that count; `late` and `repeat` are recorded only."""


class Session(msgspec.Struct, kw_only=True):
    """One run of an engine on the experiment.

    Attributes:
        opened, closed: seconds on the experiment's clock; closed is None while it runs and after a crash.
        started: wall time of its beginning in seconds since 1970.
        outcome, reason: as in `experiment-closed`; "" as long as there is none.
    """

    number: int
    opened: float
    started: float = 0.0
    closed: float | None = None
    outcome: str = ""
    reason: str = ""


class Point(NamedTuple):
    """A result on a learning curve."""

    resource: int
    value: float
    at: float
    attempt: int


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """A trial and the best value that it reported.

    Attributes:
        resource, at: where on its curve, and when on the experiment's clock.
        checkpoints: the folder of the trial's checkpoints, None if there is none (any more).
    """

    trial: TrialRecord
    metric: str
    value: float
    resource: int
    at: float
    config: dict[str, Any]
    checkpoints: Path | None


class Experiment:
    """An experiment as its journal told it when it was loaded.

    Attributes:
        folder, spec: where it lies and what it is.
        limits: as last changed.
        ledger: all trials.
        sessions: oldest first.
        events: how many the journal had; elapsed: time of the last one in seconds of the experiment's clock.
        n_results: counted results, as in `Usage.results`; n_late: late and repeated ones, which are recorded only.
        running: the engine that is writing to it, or None.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self.folder = folder
        self.running: Holder | None = holder(folder)
        self.sessions: list[Session] = []
        self.events = 0
        self.elapsed = 0.0
        self.n_results = 0
        self.n_late = 0
        self._best: dict[str, dict[TrialId, tuple[float, int, float]]] = {}
        records = read_journal(folder)
        first = next(records, None)
        if first is None or not isinstance(first.event, ExperimentOpened) or first.event.spec is None:
            raise JournalError(f"{folder.path} holds no experiment: its journal does not begin with one.")
        self.spec: ExperimentSpec = first.event.spec
        self.limits: Limits = self.spec.limits
        objective = self.spec.metrics[0] if self.spec.metrics else MetricSpec("")
        self.ledger = Ledger(objective.name or None, minimise=objective.mode == "min")
        self._best = {metric.name: {} for metric in self.spec.metrics}
        self._signs = [(metric.name, 1 if metric.mode == "min" else -1) for metric in self.spec.metrics]
        try:
            self._fold(first.event)
            for record in records:
                self._fold(record.event)
        except (IllegalMove, KeyError, TypeError) as error:
            raise JournalError(f"{folder.path}: event {self.events} does not fit those before it: {error}.") from error

    @property
    def name(self) -> str:
        """The folder's name: an experiment may have been copied or moved."""
        return self.folder.name

    @property
    def status(self) -> str:
        """`running`, what the last session ended with, or `crashed` if it ended without saying so."""
        if self.running is not None:
            return "running"
        return self.sessions[-1].outcome or "crashed"

    @property
    def goes_on_with(self) -> str:
        """The command, or for an experiment of ask and tell the call, that resumes it."""
        if self.spec.backend.name == ASK_TELL:
            return f"offbeat.AskTell(experiment={self.name!r})"
        return f"offbeat resume {self.name}"

    def counts(self) -> dict[str, int]:
        """Trials by status, those that occur."""
        return dict(Counter(record.status.value for record in self.ledger))

    def results(self) -> Iterator[dict[str, Any]]:
        """One row for each result, late and repeated ones too, oldest first; columns as in `result_row`."""
        for record in islice(read_journal(self.folder), self.events):
            if isinstance(record.event, TrialResult):
                yield result_row(record.seq, record.event, self.ledger[record.event.trial].config)

    def curve(self, trial: int, metric: str | None = None) -> list[Point]:
        """The trial's counted results that have the metric (default: the first objective), oldest first.

        Raises:
            InvalidArgument: there is no such trial.
        """
        if TrialId(trial) not in self.ledger.trials:
            raise InvalidArgument(f"{self.name} has no trial {trial}; it has {len(self.ledger)}, counted from 0.")
        name = metric or self.spec.metrics[0].name
        points = []
        for record in islice(read_journal(self.folder), self.events):
            event = record.event
            if isinstance(event, TrialResult) and event.trial == trial and event.verdict in COUNTED:
                value = event.metrics.get(name)
                if value is not None:
                    points.append(Point(event.resource, value, event.at, event.attempt))
        return points

    @overload
    def best(self, metric: str | None = None) -> Best | None: ...
    @overload
    def best(self, metric: str | None = None, *, n: int) -> list[Best]: ...
    def best(self, metric: str | None = None, *, n: int | None = None) -> Best | list[Best] | None:
        """The trial with the best counted value of a metric, None if there is no result.

        Args:
            metric: one of the objectives, by whose mode trials rank; the first one if not given. Of equal trials the
                one that was first to report the value is better.
            n: answer a list of the n best trials, fewer if there are fewer.

        Raises:
            InvalidArgument: the metric is no objective.
        """
        name = metric or self.spec.metrics[0].name
        if name not in self._best:
            raise InvalidArgument(f"metric={name!r} is not an objective of {self.name}. {nearest(name, self._best)}")
        sign = dict(self._signs)[name]
        ranked = sorted(self._best[name].items(), key=lambda item: (sign * item[1][0], item[1][2], item[0]))
        found = [self._as_best(trial, name, *where) for trial, where in ranked[: 1 if n is None else n]]
        if n is not None:
            return found
        return found[0] if found else None

    def summary(self) -> dict[str, Any]:
        """What `offbeat ls` and `show` print, as JSON."""
        best = self.best() if self.spec.metrics else None
        objective = self.spec.metrics[0] if self.spec.metrics else None
        return {
            "name": self.name,
            "path": str(self.folder.path),
            "status": self.status,
            "reason": self.sessions[-1].reason,
            "holder": msgspec.to_builtins(self.running),
            "started": self.sessions[0].started,
            "sessions": len(self.sessions),
            "elapsed": self.elapsed,
            "events": self.events,
            "scheduler": self.spec.scheduler.name,
            "backend": self.spec.backend.name,
            "seed": self.spec.seed,
            "n_workers": self.limits.n_workers,
            "metric": objective.name if objective else None,
            "mode": objective.mode if objective else None,
            "trials": len(self.ledger),
            "counts": self.counts(),
            "results": self.n_results,
            "late": self.n_late,
            "best": best
            and {
                "trial": int(best.trial.id),
                "value": best.value,
                "resource": best.resource,
                "at": best.at,
                "config": best.config,
                "checkpoints": str(best.checkpoints) if best.checkpoints else None,
            },
        }

    def _fold(self, event: Any) -> None:
        if type(event) is TrialResult:
            self.ledger.apply(event)
            if event.verdict in COUNTED:
                self.n_results += 1
                self._rank(event)
            else:
                self.n_late += 1
        else:
            self.ledger.apply(event)
            if isinstance(event, ExperimentOpened):
                self.sessions.append(Session(number=event.session, opened=event.at, started=event.host.wall_time))
            elif isinstance(event, ExperimentClosed):
                session = self.sessions[-1]
                session.closed, session.outcome, session.reason = event.at, event.outcome, event.reason
            elif isinstance(event, LimitsChanged):
                self.limits = event.limits
        self.events += 1
        self.elapsed = event.at

    def _rank(self, event: TrialResult) -> None:
        metrics = event.metrics
        for name, sign in self._signs:
            value = metrics.get(name)
            if value is not None:
                best = self._best[name]
                before = best.get(event.trial)
                if before is None or sign * value < sign * before[0]:
                    best[event.trial] = (value, event.resource, event.at)

    def _as_best(self, trial: TrialId, metric: str, value: float, resource: int, at: float) -> Best:
        record = self.ledger[trial]
        checkpoints = self.folder.checkpoints(trial)
        return Best(
            trial=record,
            metric=metric,
            value=value,
            resource=resource,
            at=at,
            config=record.config,
            checkpoints=checkpoints if checkpoints.is_dir() else None,
        )


def load(
    experiment: ExperimentFolder | str | os.PathLike[str], home: str | os.PathLike[str] | None = None
) -> Experiment:
    """An experiment by name, path or folder, as its journal is now; takes no lock.

    Raises:
        ExperimentNotFound: there is none of this name.
        JournalError: the folder holds no experiment (yet), or its journal is damaged or too new; a listing skips it.
    """
    if isinstance(experiment, ExperimentFolder):
        return Experiment(experiment)
    path = os.fspath(experiment)
    if not isinstance(experiment, str) and os.sep not in path:
        path = os.path.join(os.curdir, path)  # noqa: PTH118 - Path would drop the "./" that makes it a path
    return Experiment(find(path, home))


def result_row(seq: int, event: TrialResult, config: Mapping[str, Any]) -> dict[str, Any]:
    """A result as a flat row: COLUMNS, each metric under its name, each hyperparameter as `config_<name>`.

    `seq` is the result's place in the journal. A metric whose name is taken by another column becomes `metric_<name>`.
    """
    row: dict[str, Any] = dict(
        zip(COLUMNS, (seq, float(event.at), event.trial, event.attempt, event.resource, event.verdict), strict=True)
    )
    for name, value in event.metrics.items():
        row[f"metric_{name}" if name in COLUMNS or name.startswith("config_") else name] = value
    for name, value in config.items():
        row[f"config_{name}"] = value
    return row
