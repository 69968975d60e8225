"""Group commit: decisions are made at once, commands leave when the events behind them are on disk.

A group is written as soon as the one before it is done, so it holds whatever gathered meanwhile; nothing waits for a
timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Final, Literal, cast

import anyio

from offbeat.events import Event
from offbeat.journal import Journal
from offbeat.journal.format import GROUP_BYTES, Encoded, encoded_plain
from offbeat.signals import Command

Durability = Literal["commit", "batch", "end"]

BACKLOG: Final = 50_000
"""Uncommitted events at which the engine stops taking reports in until the disk has caught up."""

GROUP: Final = 5_000
"""Events that make a group where commands do not wait.

They are encoded turn by turn where they can be: a group of them at once would hold the interpreter for some milliseconds,
and the events themselves would have left the processor's caches by then.
"""


class Committer:
    """Takes events and commands, writes the former, then submits the latter.

    Args:
        durability: "commit": commands wait for an fdatasync of their events; "batch": groups are written as they fill
            up, without fdatasync, and commands do not wait; "end": everything is written at the end.
        submit: carries a command to the backend; called on the loop's thread.

    Attributes:
        durable: events handed to the disk (and, for "commit", known to be on it).
        over: nothing is written any more.
    """

    def __init__(self, journal: Journal, durability: Durability, submit: Callable[[Command], object]) -> None:
        self._journal = journal
        self._durability = durability
        self._submit = submit
        self._pending: list[Event | Encoded] = []
        self._waiting = 0
        self._taken = self.durable = journal.next_seq
        self._held: deque[tuple[int, Command]] = deque()
        self._dirty = asyncio.Event()
        self._progress = asyncio.Event()
        self._finishing = False
        self.over = False

    @property
    def congested(self) -> bool:
        """Whether the disk lags so far behind that nothing more should be taken in."""
        return self._waiting > BACKLOG

    @property
    def waits(self) -> bool:
        """Whether commands wait for the disk at all."""
        return self._durability == "commit"

    @property
    def holding(self) -> bool:
        """Whether a command waits for the disk."""
        return bool(self._held)

    def add(self, events: Sequence[Event], commands: Sequence[Command], *, plain: bool = False) -> None:
        """A turn's events and the commands that follow from them; `plain`: see `offbeat.conductor.Conductor`."""
        if events:
            encoded = encoded_plain(events) if plain and self._durability != "commit" else None
            if encoded is None:
                self._pending.extend(events)
            else:
                self._pending.append(encoded)
            self._taken += len(events)
            self._waiting += len(events)
            if self._durability == "commit" or (self._durability == "batch" and self._waiting >= GROUP):
                self._dirty.set()
        if self._durability == "commit":
            self._held.extend((self._taken, command) for command in commands)
            self._release()
        else:
            for command in commands:
                self._submit(command)

    def finish(self) -> None:
        """No more events: `run` returns once all are written. Commands that are still held are dropped."""
        self._finishing = True
        self._held.clear()
        self._dirty.set()

    async def progress(self, seq: int) -> bool:
        """Waits until the event with this sequence number is in the journal, writing it now if need be.

        False if it will never be there.
        """
        while self.durable <= seq < self._taken and not self.over:
            self._progress.clear()
            self._dirty.set()
            await self._progress.wait()
        return seq < self.durable

    async def written(self) -> None:
        """Waits until everything taken so far is in the journal, or never will be."""
        await self.progress(self._taken - 1)

    async def settled(self) -> None:
        """Waits until everything taken so far is in the journal and no command is held."""
        if not await self.progress(self._taken - 1):
            await anyio.sleep_forever()  # the failure is on its way, as the cancellation of who waits here

    async def relief(self) -> None:
        """Waits until the journal is no longer congested."""
        while self.congested:
            if self.over:
                await anyio.sleep_forever()  # see settled
            self._progress.clear()
            self._dirty.set()
            await self._progress.wait()

    async def run(self) -> None:
        """Writes groups until `finish`. Raises JournalUnwritable, after which nothing is written any more.

        Shielded: a session that is torn down still writes down what it had decided.
        """
        loop = asyncio.get_running_loop()
        sync = self._durability == "commit"
        # One thread of its own: groups keep their order and never wait for somebody else's blocking call.
        writer = ThreadPoolExecutor(1, thread_name_prefix="offbeat-journal")
        try:
            with anyio.CancelScope(shield=True):
                while True:
                    if not self._dirty.is_set():
                        await self._dirty.wait()
                    self._dirty.clear()
                    while self._pending:
                        pending, self._pending = self._pending, []
                        n, self._waiting = self._waiting, 0
                        await loop.run_in_executor(writer, self._write, pending, sync)
                        self.durable += n
                        self._release()
                        self._progress.set()
                        if self._durability != "commit" and not self._finishing:
                            break
                    if self._finishing and not self._pending:
                        return
        finally:
            # Also after a good end: whoever waits for an event that came too late must not wait for ever.
            self.over = True
            self._progress.set()
            writer.shutdown(wait=True)

    def _write(self, pending: Sequence[Event | Encoded], sync: bool) -> None:
        if sync:
            self._journal.commit(cast(Sequence[Event], pending), sync=True)
            return
        for encoded, some in groupby(pending, lambda one: type(one) is Encoded):
            if encoded:
                for pieces in _portions(cast(Iterable[Encoded], some)):
                    self._journal.commit_encoded(pieces)
            else:
                events = cast(list[Event], list(some))
                for first in range(0, len(events), GROUP):
                    self._journal.commit(events[first : first + GROUP], sync=False)

    def _release(self) -> None:
        held, durable = self._held, self.durable
        while held and held[0][0] <= durable:
            self._submit(held.popleft()[1])


def _portions(pieces: Iterable[Encoded]) -> Iterator[list[Encoded]]:
    """Pieces that make a group together."""
    portion: list[Encoded] = []
    events = size = 0
    for piece in pieces:
        if portion and (events + piece.n > GROUP or size + len(piece.text) > GROUP_BYTES):
            yield portion
            portion, events, size = [], 0, 0
        portion.append(piece)
        events += piece.n
        size += len(piece.text)
    if portion:
        yield portion
