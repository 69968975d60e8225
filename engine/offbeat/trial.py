"""Trials: ids, states, legal moves, and the ledger, which is the fold of all events over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NewType

if TYPE_CHECKING:
    from offbeat.events import Event, Suggested, TrialResult

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


class TrialRecord:
    """One trial as the events so far tell it. Plugins read it and never write to it.

    Attributes:
        attempt: number of the current or last attempt, -1 before the first.
        until: resource level up to which the current attempt was asked to run.
        resource: highest resource level reported by any attempt (0: none yet).
        reports: results counted (neither late nor repeated); rejected: unusable reports.
        last, best: clean metrics of the last counted result, and of the best one by the first objective.
        started_at, ended_at: seconds on the experiment's clock, of the first attempt and of the trial's end.
        told_at: when the trial was last told to stop or pause.
        active: seconds spent in attempts that are over; cost: sum of the attempts' reported `st_worker_cost`.
    """

    __slots__ = (
        "active", "attempt", "attempt_at", "attempt_cost", "attempt_reports", "best", "config", "cost", "donor",
        "ended_at", "failures", "id", "last", "next_seq", "past_cost", "reason", "rejected", "reports", "resource",
        "resuming", "slot", "started_at", "status", "tags", "told_at", "until",
    )  # fmt: skip

    def __init__(self, event: Suggested) -> None:
        self.id = event.trial
        self.config: dict[str, Any] = event.config or {}
        self.status = Status.QUEUED
        self.attempt = -1
        self.slot = -1
        self.until = event.until
        self.donor = event.donor
        self.tags = event.tags
        self.resuming = False
        self.resource = 0
        self.reports = 0
        self.attempt_reports = 0
        self.rejected = 0
        self.failures = 0
        self.next_seq = 0
        self.last: dict[str, Any] | None = None
        self.best: dict[str, Any] | None = None
        self.started_at = -1.0
        self.attempt_at = -1.0
        self.ended_at = -1.0
        self.active = 0.0
        self.past_cost = 0.0
        self.attempt_cost = 0.0
        self.cost = 0.0
        self.told_at = -1.0
        self.reason = ""

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

    Args:
        objective: name of the first objective, by which `TrialRecord.best` is kept; None before it is known.
        minimise: its sense.
    """

    def __init__(self, objective: str | None = None, *, minimise: bool = True) -> None:
        self.trials: dict[TrialId, TrialRecord] = {}
        self.slots: dict[int, TrialId] = {}
        self.paused: set[TrialId] = set()
        self._objective = objective
        self._minimise = minimise
        self._apply = {
            "suggested": self._suggested,
            "trial-started": self._begun,
            "trial-resumed": self._begun,
            "trial-result": self._result,
            "trial-paused": self._ended,
            "trial-stopped": self._ended,
            "trial-finished": self._ended,
            "trial-failed": self._ended,
            "trial-lost": self._ended,
            "report-rejected": self._rejected,
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

    def apply(self, event: Event) -> None:
        """Folds one event in; events that concern no trial pass. Raises IllegalMove, KeyError for an unknown trial."""
        handler = self._apply.get(event.__struct_config__.tag)  # type: ignore[arg-type]
        if handler is not None:
            handler(event)

    def _suggested(self, event: Suggested) -> None:
        if event.kind == "start":
            self.trials[event.trial] = TrialRecord(event)
        elif event.kind == "resume":
            record = self.trials[event.trial]
            record.move("suggested")
            self.paused.discard(record.id)
            record.until = event.until
            record.tags = event.tags or record.tags
            record.resuming = True

    def _begun(self, event: Any) -> None:
        record = self.trials[event.trial]
        record.move("resumed" if event.__struct_config__.tag == "trial-resumed" else "started")
        record.resuming = False
        record.attempt = event.attempt
        record.slot = event.slot
        record.next_seq = 0
        record.attempt_reports = 0
        record.attempt_at = event.at
        record.past_cost += record.attempt_cost
        record.attempt_cost = 0.0
        record.ended_at = -1.0
        if record.started_at < 0:
            record.started_at = event.at
        self.slots[event.slot] = record.id

    def _result(self, event: TrialResult) -> None:
        self.count(event)
        self.decide(event)

    def count(self, event: TrialResult) -> None:
        """First half of a result: what was reported. The scheduler is asked between the halves."""
        record = self.trials[event.trial]
        if event.attempt == record.attempt:
            record.next_seq = event.seq + 1
        if event.verdict == "late":
            return
        if record.status is not Status.RUNNING:
            raise IllegalMove(record.id, record.status, event.verdict)
        record.attempt_reports += 1
        metrics = event.metrics
        cost = metrics.get("st_worker_cost")
        if (type(cost) is float or type(cost) is int) and cost - cost == 0:
            record.attempt_cost = cost
            record.cost = record.past_cost + cost
        if event.verdict == "repeat":
            return
        record.reports += 1
        if event.resource > record.resource:  # noqa: PLR1730 - `max` takes twice the time
            record.resource = event.resource
        record.last = metrics
        objective = self._objective
        if objective is not None:
            best = record.best
            if best is None or (
                metrics[objective] < best[objective] if self._minimise else metrics[objective] > best[objective]
            ):
                record.best = metrics

    def decide(self, event: TrialResult) -> None:
        """Second half of a result: what was decided on it."""
        verdict = event.verdict
        if verdict in ("stop", "pause"):
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

    def _ended(self, event: Any) -> None:
        record = self.trials[event.trial]
        match event.__struct_config__.tag:
            case "trial-stopped":
                cut_off = event.by == "experiment" and record.status is Status.RUNNING
                record.move("interrupted" if cut_off else "stopped")
                record.reason = event.why or record.reason
            case "trial-failed":
                record.move("retry" if event.retry else "failed")
                record.failures += 1
                record.reason = event.reason
            case "trial-lost":
                record.move("lost")
                record.reason = event.reason
            case "trial-paused":
                record.move("paused")
                self.paused.add(record.id)
            case _:
                record.move("finished")
                record.reason = "ran to its end"
        if self.slots.get(record.slot) == record.id:
            del self.slots[record.slot]
        if record.attempt_at >= 0:
            record.active += max(0.0, event.at - record.attempt_at)
            record.attempt_at = -1.0
        record.slot = -1
        record.ended_at = event.at

    def _rejected(self, event: Any) -> None:
        record = self.trials[event.trial]
        record.rejected += event.count
        if event.seq >= 0 and event.attempt == record.attempt:
            record.next_seq = event.seq + 1
