"""Trials: ids, states, legal moves, and the ledger, which is the fold of all events over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final, Literal, NewType, TypeAlias

import msgspec

if TYPE_CHECKING:
    from offbeat.events import (
        Event,
        Instructed,
        MetricSpec,
        ReportRejected,
        Suggested,
        TrialFailed,
        TrialFinished,
        TrialLost,
        TrialPaused,
        TrialResult,
        TrialResumed,
        TrialStarted,
        TrialStopped,
    )

StoppedBy: TypeAlias = Literal["scheduler", "experiment", "user"]

TrialId = NewType("TrialId", int)
"""Counts trials from 0 in the order of their suggestion."""


class Status(Enum):
    """Where a trial stands.

    `QUEUED` waits for its next attempt; `STOPPING` and `PAUSING` wait for their process to end; `INTERRUPTED` was cut
    off by the end of a session and goes on when the experiment is resumed.
    """

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    # Identity hash: the members are dictionary keys in the hot path, and Enum's own hash is a Python call.
    __hash__ = object.__hash__

    @property
    def occupies_slot(self) -> bool:
        """Whether an attempt is alive, so that its worker is not free."""
        return self in _ALIVE

    @property
    def ended(self) -> bool:
        """Whether no further attempt will follow, in this session at least."""
        return self in _ENDED


# Asking an Enum for its member takes as long as ten look-ups of a name.
_RUNNING: Final = Status.RUNNING
_ALIVE: Final = frozenset({Status.RUNNING, Status.STOPPING, Status.PAUSING})
_ENDED: Final = frozenset({Status.STOPPED, Status.FINISHED, Status.FAILED})

LEGAL_MOVES: Final[Mapping[tuple[Status, str], Status]] = {
    (Status.QUEUED, "started"): Status.RUNNING,
    (Status.QUEUED, "resumed"): Status.RUNNING,
    (Status.QUEUED, "stopped"): Status.STOPPED,
    (Status.INTERRUPTED, "started"): Status.RUNNING,
    (Status.INTERRUPTED, "stopped"): Status.STOPPED,
    (Status.RUNNING, "stop"): Status.STOPPING,
    (Status.RUNNING, "pause"): Status.PAUSING,
    (Status.RUNNING, "finished"): Status.FINISHED,
    (Status.RUNNING, "failed"): Status.FAILED,
    (Status.RUNNING, "retry"): Status.QUEUED,
    (Status.RUNNING, "lost"): Status.QUEUED,
    (Status.RUNNING, "stopped"): Status.STOPPED,
    (Status.RUNNING, "interrupted"): Status.INTERRUPTED,
    (Status.STOPPING, "stopped"): Status.STOPPED,
    (Status.PAUSING, "paused"): Status.PAUSED,
    (Status.PAUSING, "stop"): Status.STOPPING,
    (Status.PAUSING, "stopped"): Status.STOPPED,
    (Status.PAUSED, "suggested"): Status.QUEUED,
    (Status.PAUSED, "stop"): Status.STOPPED,
    (Status.PAUSED, "stopped"): Status.STOPPED,
}
"""(status, move) -> next status. What is missing here is a defect of the engine or a damaged journal, never a user's."""


class IllegalMove(RuntimeError):
    """An event does not fit the trial's status: a defect of the engine or a journal of another origin."""

    def __init__(self, trial: int, status: Status, move: str) -> None:
        super().__init__(f"trial {trial} is {status.value} and cannot be {move!r}")


class TrialRecord(msgspec.Struct, eq=False, gc=False):
    """One trial as the events so far tell it. Plugins read it and never write to it.

    Attributes:
        until: resource level up to which the current attempt was asked to run; donor: trial whose checkpoint it began with.
        attempt: number of the current or last attempt, -1 before the first; slot: its worker, -1 while it has none.
        resuming: queued to go on after a pause.
        resource: highest resource level reported by any attempt (0: none yet).
        reports: results counted (neither late nor repeated); late: those that came after the trial was told to end;
            rejected: unusable reports; failures: failed attempts.
        next_seq: number of the attempt's next report.
        last, best: clean metrics of the last counted result, and of the best one by the first objective, of those
            in which all constraints hold.
        started_at, ended_at: seconds on the experiment's clock, of the first attempt and of the trial's end, -1 before.
        attempt_at: when the current attempt began, -1 if none is alive.
        told_at: when the trial was last told to stop or pause; told_by: "scheduler" or "user"; reason: why it is where it is.
        active: seconds spent in attempts that are over; cost: sum of the attempts' reported `st_worker_cost`.
    """

    id: TrialId
    config: dict[str, Any]
    until: int | None = None
    donor: TrialId | None = None
    tags: dict[str, Any] = {}
    status: Status = Status.QUEUED
    attempt: int = -1
    slot: int = -1
    resuming: bool = False
    resource: int = 0
    reports: int = 0
    late: int = 0
    rejected: int = 0
    failures: int = 0
    next_seq: int = 0
    last: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    started_at: float = -1.0
    attempt_at: float = -1.0
    ended_at: float = -1.0
    told_at: float = -1.0
    told_by: StoppedBy = "scheduler"
    reason: str = ""
    active: float = 0.0
    cost: float = 0.0
    past_cost: float = 0.0
    attempt_cost: float = 0.0

    def move(self, move: str) -> None:
        """Takes one step in `LEGAL_MOVES`; raises IllegalMove."""
        try:
            self.status = LEGAL_MOVES[self.status, move]
        except KeyError:
            raise IllegalMove(self.id, self.status, move) from None

    def __repr__(self) -> str:
        return f"<trial {self.id} {self.status.value} attempt={self.attempt} resource={self.resource}>"


class Ledger:
    """All trials, as the fold of the journal. The engine applies events; plugins only read.

    Attributes:
        trials: by id; slots: trial of each busy worker; paused: trials that a proposal may resume.
        handlers: what folds an event in, by its type.

    Args:
        objective: name of the first objective, by which `TrialRecord.best` is kept; None before it is known.
        minimise: its sense.
        constraints: a result in which one of them does not hold is no best one.
    """

    def __init__(
        self, objective: str | None = None, *, minimise: bool = True, constraints: Sequence[MetricSpec] = ()
    ) -> None:
        from offbeat import events as ev  # which need TrialId

        self.trials: dict[TrialId, TrialRecord] = {}
        self.slots: dict[int, TrialId] = {}
        self.paused: set[TrialId] = set()
        self._objective = objective
        self._minimise = minimise
        self._constraints = constraints
        #: Workers below `_unused` that were free once, the lowest first; busy ones are passed over when met.
        self._freed: list[int] = []
        self._unused = 0
        self.handlers: Mapping[type[Event], Callable[[Any], None]] = {
            ev.Suggested: self._suggested,
            ev.TrialStarted: self._started,
            ev.TrialResumed: self._resumed,
            ev.TrialResult: self._result,
            ev.TrialPaused: self._paused,
            ev.TrialStopped: self._stopped,
            ev.TrialFinished: self._finished,
            ev.TrialFailed: self._failed,
            ev.TrialLost: self._lost,
            ev.ReportRejected: self._rejected,
            ev.Instructed: self._instructed,
        }

    def __getitem__(self, trial: TrialId) -> TrialRecord:
        return self.trials[trial]

    def __len__(self) -> int:
        return len(self.trials)

    def __iter__(self) -> Iterator[TrialRecord]:
        return iter(self.trials.values())

    def having(self, *statuses: Status) -> list[TrialRecord]:
        """Trials in one of the statuses, by id."""
        return [record for record in self.trials.values() if record.status in statuses]

    def free_slot(self) -> int:
        """The lowest worker that has nothing to do, counted from 0."""
        freed, slots = self._freed, self.slots
        while freed and freed[0] in slots:
            heappop(freed)
        return freed[0] if freed else self._unused

    def apply(self, event: Event) -> None:
        """Folds one event in; events that concern no trial pass. Raises IllegalMove, KeyError for an unknown trial."""
        handler = self.handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _suggested(self, event: Suggested) -> None:
        trial = event.trial
        if event.kind == "start":
            self.trials[trial] = TrialRecord(trial, event.config or {}, event.until, event.donor, event.tags)
        elif event.kind == "resume":
            record = self.trials[trial]
            record.move("suggested")
            self.paused.discard(trial)
            record.until = event.until
            record.tags = event.tags or record.tags
            record.resuming = True

    def _started(self, event: TrialStarted) -> None:
        self._begin(event, "started")

    def _resumed(self, event: TrialResumed) -> None:
        self._begin(event, "resumed")

    def _begin(self, event: TrialStarted | TrialResumed, move: str) -> None:
        record = self.trials[event.trial]
        record.move(move)
        record.resuming = False
        record.attempt = event.attempt
        record.slot = slot = event.slot
        record.next_seq = 0
        record.attempt_at = at = event.at
        record.past_cost += record.attempt_cost
        record.attempt_cost = 0.0
        record.ended_at = -1.0
        if record.started_at < 0:
            record.started_at = at
        self.occupy(slot, record.id)

    def occupy(self, slot: int, trial: TrialId) -> None:
        """A worker has something to do."""
        self.slots[slot] = trial
        while self._unused <= slot:
            heappush(self._freed, self._unused)
            self._unused += 1

    def _result(self, event: TrialResult) -> None:
        self.count(event)
        self.decide(event)

    def count(self, event: TrialResult) -> None:
        """First half of a result: what was reported. The scheduler is asked between the halves."""
        record = self.trials[event.trial]
        if event.attempt == record.attempt:
            record.next_seq = event.seq + 1
        verdict = event.verdict
        if verdict == "late":
            record.late += 1
            return
        if record.status is not _RUNNING:
            raise IllegalMove(record.id, record.status, verdict)
        metrics = event.metrics
        if "st_worker_cost" in metrics:
            cost = metrics["st_worker_cost"]
            if (type(cost) is float or type(cost) is int) and cost - cost == 0:
                record.attempt_cost = cost
                record.cost = record.past_cost + cost
        if verdict == "repeat":
            return
        record.reports += 1
        resource = event.resource
        if resource > record.resource:  # noqa: PLR1730 - `max` takes twice the time
            record.resource = resource
        record.last = metrics
        objective = self._objective
        if objective is not None and not (
            self._constraints and not all(spec.holds(metrics) for spec in self._constraints)
        ):
            best = record.best
            if best is None or (
                metrics[objective] < best[objective] if self._minimise else metrics[objective] > best[objective]
            ):
                record.best = metrics

    def decide(self, event: TrialResult) -> None:
        """Second half of a result: what was decided on it."""
        verdict = event.verdict
        if verdict == "stop" or verdict == "pause":  # noqa: PLR1714 - a tuple is slower
            record = self.trials[event.trial]
            record.move(verdict)
            record.reason = event.why
            record.told_at = event.at
        for other, what, why in event.others:
            other_record = self.trials[other]
            other_record.move(what)
            self.paused.discard(other)
            other_record.reason = why
            other_record.told_at = event.at

    def _stopped(self, event: TrialStopped) -> None:
        record = self.trials[event.trial]
        cut_off = event.by == "experiment" and record.status is _RUNNING
        record.move("interrupted" if cut_off else "stopped")
        self.vacate(record, event.at, event.why or record.reason)

    def _paused(self, event: TrialPaused) -> None:
        record = self.trials[event.trial]
        record.move("paused")
        self.paused.add(record.id)
        self.vacate(record, event.at, record.reason)

    def _finished(self, event: TrialFinished) -> None:
        record = self.trials[event.trial]
        record.move("finished")
        self.vacate(record, event.at, "ran to its end")

    def _failed(self, event: TrialFailed) -> None:
        record = self.trials[event.trial]
        record.move("retry" if event.retry else "failed")
        record.failures += 1
        self.vacate(record, event.at, event.reason)

    def _lost(self, event: TrialLost) -> None:
        record = self.trials[event.trial]
        record.move("lost")
        self.vacate(record, event.at, event.reason)

    def vacate(self, record: TrialRecord, at: float, reason: str) -> None:
        """The attempt is over, if there was one: a queued trial can be stopped too."""
        record.reason = reason
        slot = record.slot
        if slot >= 0 and self.slots.get(slot) == record.id:
            del self.slots[slot]
            heappush(self._freed, slot)
        began = record.attempt_at
        if began >= 0:
            if at > began:
                record.active += at - began
            record.attempt_at = -1.0
        record.slot = -1
        record.ended_at = at

    def _instructed(self, event: Instructed) -> None:
        if event.what == "stop":
            record = self.trials[event.trial]
            record.move("stop")
            record.told_at, record.told_by = event.at, "user"
            record.reason = event.why

    def _rejected(self, event: ReportRejected) -> None:
        record = self.trials[event.trial]
        record.rejected += event.count
        if event.seq >= 0 and event.attempt == record.attempt:
            record.next_seq = event.seq + 1
