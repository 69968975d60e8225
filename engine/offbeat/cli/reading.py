"""An experiment as its journal tells it, for commands that only look: takes no lock, works while an engine writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from offbeat import home as homes
from offbeat.clock import Clock, SystemClock
from offbeat.errors import OffbeatError
from offbeat.events import (
    Event,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    Host,
    Limits,
    LimitsChanged,
    TrialResult,
)
from offbeat.home import ExperimentFolder
from offbeat.journal import JournalFollower, holder, read_journal
from offbeat.protocols import Recorded
from offbeat.trial import Ledger, TrialId, TrialRecord


@dataclass(slots=True)
class Session:
    """One run of the engine over the experiment; `outcome` is empty while it is open, or if it died."""

    number: int
    host: Host
    began: float
    ended: float = -1.0
    outcome: str = ""
    reason: str = ""


class Reading:
    """The fold of a journal up to the last `refresh`; fits where an observer expects the running experiment.

    Attributes:
        sessions: oldest first; events: how many events were folded.

    Raises ExperimentNotFound, JournalError, and OffbeatError where nothing was recorded yet.
    """

    def __init__(self, name: str, home: str | os.PathLike[str] | None = None, *, clock: Clock | None = None) -> None:
        self.folder: ExperimentFolder = homes.find(name, home)
        self.sessions: list[Session] = []
        self.events = 0
        self._follower = JournalFollower(self.folder)
        self._clock = clock or SystemClock()
        self._spec: ExperimentSpec | None = None
        self._at = self._looked = 0.0
        self.refresh()

    def refresh(self) -> list[Recorded]:
        """Folds what has come since, and gives it."""
        new = self._follower.poll()
        for recorded in new:
            self._fold(recorded.event)
        self.events += len(new)
        if new:
            self._looked = self._clock.monotonic()
        return new

    def _fold(self, event: Event) -> None:
        self._at = event.at
        match event:
            case ExperimentOpened():
                if event.spec is not None:
                    self._spec = event.spec
                    self.limits: Limits = event.spec.limits
                    objective = event.spec.metrics[0]
                    self.ledger = Ledger(objective.name, minimise=objective.mode == "min")
                self.sessions.append(Session(event.session, event.host, event.at))
            case ExperimentClosed():
                session = self.sessions[-1]
                session.ended, session.outcome, session.reason = event.at, event.outcome, event.reason
            case LimitsChanged():
                self.limits = event.limits
            case _:
                self.ledger.apply(event)

    @property
    def spec(self) -> ExperimentSpec:
        """What the experiment is."""
        if self._spec is None:
            raise OffbeatError(f"Experiment {self.folder.name!r} has recorded nothing yet; look again in a moment.")
        return self._spec

    @property
    def elapsed(self) -> float:
        """Seconds on the experiment's clock; goes on between two events while an engine runs."""
        return self._at + (self._clock.monotonic() - self._looked if self.live else 0.0)

    @property
    def live(self) -> bool:
        """Whether a session is open and its engine alive."""
        return bool(self.sessions) and not self.sessions[-1].outcome and holder(self.folder) is not None

    @property
    def state(self) -> str:
        """`running`, how the last session ended, or `crashed`."""
        if not self.sessions:
            return "empty"
        return self.sessions[-1].outcome or ("running" if self.live else "crashed")

    @property
    def engine(self) -> str:
        """The engine that writes now, for people; empty if there is none."""
        found = holder(self.folder)
        return found.describe(self._clock.wall()) if found is not None else ""

    def ranking(self) -> list[tuple[float, TrialRecord]]:
        """(best value, trial) of all trials that reported, best first, equal ones by number."""
        metric = self.spec.metrics[0]
        sign = 1.0 if metric.mode == "min" else -1.0
        found = [(trial.best[metric.name], trial) for trial in self.ledger if trial.best is not None]
        return sorted(found, key=lambda pair: (sign * pair[0], pair[1].id))

    def trial(self, number: int) -> TrialRecord:
        """A trial by its number. Raises OffbeatError that says which there are."""
        if 0 <= number < len(self.ledger):
            return self.ledger[TrialId(number)]
        there = f"0 to {len(self.ledger) - 1}" if len(self.ledger) else "none yet"
        raise OffbeatError(f"Experiment {self.folder.name!r} has no trial {number}; there are {there}.")

    def results(self, number: int) -> list[TrialResult]:
        """The trial's counted results, by reading the journal again."""
        return [
            event
            for event in self.replay()
            if isinstance(event, TrialResult) and event.trial == number and event.verdict not in ("late", "repeat")
        ]

    def curve(self, number: int) -> list[tuple[float, float]]:
        """(resource, first metric) of the trial's counted results; the report's number where no resource is counted."""
        metric = self.spec.metrics[0].name
        return [
            (float(result.resource or index), float(result.metrics[metric]))
            for index, result in enumerate(self.results(number), 1)
        ]

    def replay(self) -> Iterator[Event]:
        """All events that were folded, from the first."""
        return (recorded.event for recorded in islice(read_journal(self.folder), self.events))


def constants(space: dict[str, Any]) -> set[str]:
    """Names in a recorded space whose value is fixed."""
    return {name for name, entry in space.items() if isinstance(entry, dict) and "constant" in entry}
