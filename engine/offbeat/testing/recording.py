"""An observer that keeps everything it is told, for tests of the engine and of whatever feeds observers."""

from __future__ import annotations

from collections.abc import Sequence

from offbeat.events import Event
from offbeat.protocols import ExperimentView, Recorded


class RecordingObserver:
    """Keeps events in memory.

    Args:
        start_at: first sequence number wanted, as an observer may answer at the start; None: this session's events.

    Attributes:
        recorded: all events with their sequence numbers; batches: how many came at once, each time.
        experiment: what `start` was given; finished: whether `finish` was called.
    """

    def __init__(self, start_at: int | None = None) -> None:
        self.start_at = start_at
        self.recorded: list[Recorded] = []
        self.batches: list[int] = []
        self.experiment: ExperimentView | None = None
        self.finished = False

    @property
    def events(self) -> list[Event]:
        """The events alone."""
        return [one.event for one in self.recorded]

    @property
    def seqs(self) -> list[int]:
        """The sequence numbers alone."""
        return [one.seq for one in self.recorded]

    async def start(self, experiment: ExperimentView) -> int | None:
        """A session begins."""
        self.experiment = experiment
        return self.start_at

    async def handle(self, events: Sequence[Recorded]) -> None:
        """Keeps a batch."""
        self.batches.append(len(events))
        self.recorded += events

    async def finish(self) -> None:
        """The session is over."""
        self.finished = True


class LatestRecordingObserver(RecordingObserver):
    """The same, but it may be spared events when it lags behind."""

    latest_only = True
