"""How an event reaches those who watch: one bus, a lane for each observer.

The bus keeps a tail of recent events in memory. A lane is a cursor on it, drained in batches by its own task; one that
lags behind the tail reads on from the journal, so that memory stays bounded and a recorder misses nothing. Publishing costs
an append and one wake-up a turn, however slow the observers are.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import anyio
import pluggy

from offbeat.errors import BrokenPlugin, nearest
from offbeat.events import Event, PluginFailed
from offbeat.hookspecs import ObserverHooks
from offbeat.protocols import ExperimentView, Recorded

TAIL: Final = 65_536
"""Events kept in memory for lanes and streams that lag."""

BATCH: Final = 4_096
"""Most events handed to an observer at once."""

ReadBack = Callable[[int, int], Awaitable[Sequence[Recorded]]]
"""(first, count) -> at least one event of the journal from `first` on, for what has left the tail."""


class _Manager(pluggy.PluginManager):
    """pluggy with methods found by name alone: a plugin author needs no decorator."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        if not hasattr(ObserverHooks, name) or name.startswith("_"):
            return None
        return {
            "wrapper": False, "hookwrapper": False, "optionalhook": False, "tryfirst": False, "trylast": False,
            "specname": None,
        }  # fmt: skip


def validate_observer(observer: object, name: str) -> None:
    """Checks an observer against the hook page. Raises BrokenPlugin that names the method and the surplus arguments."""
    manager = _Manager("offbeat")
    manager.add_hookspecs(ObserverHooks)
    try:
        manager.register(observer, name)
    except pluggy.PluginValidationError as error:
        raise BrokenPlugin("offbeat.reporters", name, " ".join(str(error).split())) from None
    if not callable(getattr(observer, "handle", None)):
        public = [attribute for attribute in dir(observer) if not attribute.startswith("_")]
        raise BrokenPlugin("offbeat.reporters", name, f"it has no method `handle(events)`. {nearest('handle', public)}")


class Lane:
    """One observer and its cursor."""

    def __init__(self, name: str, observer: Any) -> None:
        validate_observer(observer, name)
        self.name = name
        self.observer = observer
        self.latest_only = bool(getattr(observer, "latest_only", False))
        self.cursor = 0
        self.wake = asyncio.Event()
        self.off = False
        self.skipped = 0

    async def call(self, method: str, *arguments: Any) -> Any:
        """Calls a hook where the observer has it: coroutine methods here, plain ones in a worker thread."""
        function = getattr(self.observer, method, None)
        if function is None:
            return None
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)


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
            tail.append(Recorded(seq, event))
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
            count = min(BATCH, self._first - cursor)
            return await self._read_back(cursor, count)
        offset = cursor - self._first
        return self._tail[offset : offset + BATCH]

    # --- lanes

    async def open(self, observers: Iterable[tuple[str, Any]], experiment: ExperimentView) -> None:
        """Starts each observer and sets its cursor."""
        lanes = []
        for name, observer in observers:
            lane = Lane(name, observer)
            lanes.append(lane)
            try:
                wanted = await lane.call("start", experiment)
            except Exception as error:  # noqa: BLE001 - whatever an observer raises switches it off and harms nobody
                self._switch_off(lane, "start", error)
                continue
            lane.cursor = self._next if wanted is None else min(max(int(wanted), 0), self._next)
            lane.wake.set()
        self.lanes = tuple(lane for lane in lanes if not lane.off)

    async def drain(self, lane: Lane) -> None:
        """The lane's task: hands batches on until the bus is closed and everything was handled, or the observer raised."""
        while True:
            batch = await self.since(lane.cursor)
            if not batch:
                if self.closed:
                    break
                lane.wake.clear()
                if lane.cursor >= self._next and not self.closed:
                    await lane.wake.wait()
                continue
            if lane.latest_only and self._next - lane.cursor > BATCH:
                target = max(self._next - BATCH, self._first)
                lane.skipped += target - lane.cursor
                lane.cursor = target
                continue
            try:
                await lane.call("handle", batch)
            except Exception as error:  # noqa: BLE001 - see open
                self._switch_off(lane, "handle", error)
                return
            lane.cursor = batch[-1].seq + 1
        try:
            await lane.call("finish")
        except Exception as error:  # noqa: BLE001 - see open
            self._switch_off(lane, "finish", error)

    def _switch_off(self, lane: Lane, where: str, error: Exception) -> None:
        lane.off = True
        self.lanes = tuple(other for other in self.lanes if other is not lane)
        trace = "".join(traceback.format_exception(error))[-8000:]
        self._failed(
            PluginFailed(0.0, "offbeat.reporters", lane.name, where, f"{type(error).__name__}: {error}", trace)
        )

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
        cursor = self._next if start is None else start
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

