"""What a journal says of earlier sessions that a simulated backend has to know: checkpoints, and the order of equal times.

Signals of equal time come in the order in which they were put into the heap, and they were put there when something
happened: an attempt was started, reported, or was told to end. The place of that event in the journal is therefore the
tie-break, and a session that is opened again finds it there.
"""

from __future__ import annotations

from typing import NamedTuple

from offbeat.events import (
    CheckpointDeleted,
    CheckpointSaved,
    Instructed,
    ReportRejected,
    Suggested,
    TrialResult,
    TrialResumed,
    TrialStarted,
)
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.trial import TrialId
from offbeat_plugins.backends.simulation.thinking import Thinking


class Told(NamedTuple):
    """Place of the event by which an attempt was told to end; `order` counts the attempts that one event ended."""

    seq: int
    order: int = 0


class PastAttempt:
    """The last attempt of a trial.

    Attributes:
        base: curve points behind the checkpoint from which it began.
        at: when it began.
        begun, heard: places in the journal of its start, and of its last report (or its start); told: of its end's cause.
    """

    __slots__ = ("at", "attempt", "base", "begun", "heard", "told")

    def __init__(self, attempt: int, base: int, seq: int, at: float) -> None:
        self.attempt, self.base, self.at = attempt, base, at
        self.begun = self.heard = seq
        self.told: Told | None = None


class Past:
    """The fold of a journal.

    Attributes:
        attempts: the last one of each trial; points: curve points that each trial's checkpoint holds; measured: trials
            whose checkpoint's size is known.
    """

    def __init__(self) -> None:
        self.attempts: dict[TrialId, PastAttempt] = {}
        self.points: dict[TrialId, int] = {}
        self.measured: set[TrialId] = set()
        self._donors: dict[TrialId, TrialId] = {}

    @staticmethod
    def read(folder: ExperimentFolder, *, checkpoints: bool, thinking: Thinking | None) -> Past:
        """What the journal in a folder says, nothing if there is none yet; `thinking` is brought up to date."""
        past = Past()
        if not folder.journal.is_dir():
            return past
        for seq, event in ((recorded.seq, recorded.event) for recorded in read_journal(folder)):
            if isinstance(event, TrialResult):
                past._heard(event.trial, event.attempt, event.seq, seq)
                if event.verdict in ("stop", "pause"):
                    past.attempts[event.trial].told = Told(seq)
                for order, (other, _, _) in enumerate(event.others, 1):
                    past.attempts[other].told = Told(seq, order)
            elif isinstance(event, ReportRejected):
                if event.seq >= 0:
                    past._heard(event.trial, event.attempt, event.seq, seq)
                if event.ends_trial:
                    past.attempts[event.trial].told = Told(seq)
            elif isinstance(event, TrialStarted | TrialResumed):
                origin = event.trial if event.attempt > 0 else past._donors.get(event.trial)
                base = past.points.get(origin, 0) if checkpoints and origin is not None else 0
                at = event.at if thinking is None else thinking.past(event.at)
                past.attempts[event.trial] = PastAttempt(event.attempt, base, seq, at)
                past.points[event.trial] = base
            elif isinstance(event, Instructed):
                if event.what == "stop":
                    past.attempts[event.trial].told = Told(seq)
            elif isinstance(event, CheckpointSaved):
                past.measured.add(event.trial)
            elif isinstance(event, CheckpointDeleted):
                past.measured.discard(event.trial)
                past.points.pop(event.trial, None)
            elif isinstance(event, Suggested) and event.donor is not None:
                past._donors[event.trial] = event.donor
        return past

    def _heard(self, trial: TrialId, attempt: int, number: int, seq: int) -> None:
        known = self.attempts.get(trial)
        if known is not None and known.attempt == attempt:
            self.points[trial] = known.base + number + 1
            known.heard = seq
