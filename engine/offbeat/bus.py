"""How an event reaches those who watch: one bus, a lane for each observer.

The bus keeps a tail of recent events in memory. A lane is a cursor on it, drained in batches by its own task; one that
lags behind the tail reads on from the journal, so that memory stays bounded and a recorder misses nothing. Publishing
costs an append and one wake-up a turn, however slow the observers are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from operator import index
from typing import Any, Final

from offbeat.contained import Raised, told
from offbeat.events import Event, PluginFailed, TrialResult
from offbeat.lane import Lane
from offbeat.protocols import ExperimentView, Recorded

TAIL: Final = 16_384
"""Events kept in memory for lanes and streams that lag."""

BATCH: Final = 4_096
"""Most events handed to an observer at once."""

ReadBack = Callable[[int, int], Awaitable[Sequence[Recorded]]]
"""(first, wanted) -> the first batch of so many events of the journal, which have left the tail; none if they never got there."""


def _detached(event: Event) -> Event:
    """An event whose values an observer may change without changing the run's (those of results alone are at hand)."""
    if type(event) is not TrialResult:
        return event
    return TrialResult(
        event.at, event.trial, event.attempt, event.seq, event.resource, dict(event.metrics), event.verdict, event.why,
        event.others, event.raw,
    )  # fmt: skip


class Bus:
    """Carries recorded events to lanes and streams.

    Args:
        read_back: reads events from the journal that have left the tail.
        failed: told once about an observer that raised, with a `plugin-failed` event to record.
    """

    def __init__(self, read_back: ReadBack, failed: Callable[[PluginFailed], None]) -> None:
        self.lanes: tuple[Lane, ...] = ()
        self.closed = False
        self._tail: list[Recorded] = []
        self._first = 0
        self._next = 0
        self._read_back = read_back
        self._failed = failed
        self._streams: list[asyncio.Event] = []

    def begin(self, seq: int) -> None:
        """States the sequence number of the next event."""
        self._first = self._next = seq

    def publish(self, events: Sequence[Event]) -> None:
        """Offers events to everybody; never waits, never raises for an observer's sake."""
        seq = self._next
        self._next = seq + len(events)
        if not self.lanes and not self._streams:
            self._first = self._next
            self._tail.clear()
            return
        tail = self._tail
        for event in events:
            tail.append(Recorded(seq, _detached(event)))
            seq += 1
        if len(tail) > 2 * TAIL:
            del tail[:-TAIL]
            self._first = self._next - TAIL
        for lane in self.lanes:
            lane.wake.set()
        for wake in self._streams:
            wake.set()

    async def since(self, cursor: int) -> Sequence[Recorded]:
        """Up to `BATCH` events from `cursor` on: from the tail, or from the journal where that lies too far back."""
        if cursor >= self._next:
            return ()
        if cursor < self._first:
            return await self._read_back(cursor, self._first - cursor)
        offset = cursor - self._first
        return self._tail[offset : offset + BATCH]

    # --- lanes

    def open(self, observers: Iterable[tuple[str, Any]]) -> None:
        """A lane for each observer. Raises BrokenPlugin for one that has not the hooks' shape."""
        self.lanes = tuple(Lane(name, observer, self._next) for name, observer in observers)

    async def drain(self, lane: Lane, experiment: ExperimentView) -> None:
        """The lane's task, from `start` to `finish`: ends once the bus is closed and everything was handled, or it raised."""
        try:
            await self._drain(lane, experiment)
        finally:
            lane.close()

    async def _drain(self, lane: Lane, experiment: ExperimentView) -> None:
        answer = await lane.call("start", experiment)
        try:
            if answer is not None and not isinstance(answer, Raised):
                lane.cursor = min(max(index(answer), 0), self._next)
        except TypeError as error:
            answer = Raised(error)
        if isinstance(answer, Raised):
            self._switch_off(lane, "start", answer.error)
            return
        while True:
            lane.wake.clear()
            try:
                batch = await self.since(lane.cursor)
            except Exception as error:  # a journal that cannot be read harms the run when it is resumed
                self._switch_off(lane, "reading the journal", error)
                return
            if not batch:
                if self.closed:
                    break
                await lane.wake.wait()
                continue
            if lane.latest_only and self._next - lane.cursor > BATCH:
                target = max(self._next - BATCH, self._first)
                lane.skipped += target - lane.cursor
                lane.cursor = target
                continue
            answer = await lane.call("handle", batch)
            if isinstance(answer, Raised):
                self._switch_off(lane, "handle", answer.error)
                return
            lane.cursor = batch[-1].seq + 1
        answer = await lane.call("finish")
        if isinstance(answer, Raised):
            self._switch_off(lane, "finish", answer.error)

    def _switch_off(self, lane: Lane, where: str, error: BaseException) -> None:
        lane.off = True
        self.lanes = tuple(other for other in self.lanes if other is not lane)
        self._failed(PluginFailed(0.0, "offbeat.reporters", lane.name, where, *told(error)))

    def close(self) -> None:
        """No further events: lanes and streams end once they have caught up."""
        self.closed = True
        for lane in self.lanes:
            lane.wake.set()
        for wake in self._streams:
            wake.set()

    # --- streams

    async def stream(self, start: int | None = None) -> AsyncIterator[Recorded]:
        """Events from a sequence number on (None: from now), until the session ends. Slowness harms nobody."""
        cursor = self._next if start is None else max(start, 0)
        wake = asyncio.Event()
        self._streams.append(wake)
        try:
            while True:
                wake.clear()
                batch = await self.since(cursor)
                for recorded in batch:
                    cursor = recorded.seq + 1
                    yield recorded
                if not batch:
                    if self.closed:
                        return
                    await wake.wait()
        finally:
            self._streams.remove(wake)
