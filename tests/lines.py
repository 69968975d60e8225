"""Backends in simulated time over a line that changes what passes: doubles, shuffles, delays, renames.

Only the public protocol of a simulated session is used, so that a line goes before any backend in simulated time.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import msgspec

from offbeat.protocols import Attempt, Backend, BackendContext
from offbeat.signals import Command, Ended, Reported, Signal, StartTrial
from offbeat.trial import TrialId

FALSE = -1e12
"""What a copy says in a loss's place: counted by mistake, it would be the best trial of all."""


class Line:
    """A simulated session; subclasses say what comes of a signal."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def next_signal(self, until: float = inf) -> Signal | None:
        signal: Signal | None = self.inner.next_signal(until)
        return signal

    def receive_nowait(self) -> Sequence[Signal]:
        signal = self.next_signal()
        return () if signal is None else (signal,)

    async def receive(self) -> Sequence[Signal]:
        raise RuntimeError("simulated time does not wait")

    def adopt(self, attempts: Sequence[Attempt]) -> Collection[TrialId]:
        kept: Collection[TrialId] = self.inner.adopt(attempts)
        return kept

    def submit(self, command: Command) -> None:
        self.inner.submit(command)

    def interrupt(self) -> None:
        self.inner.interrupt()


class Bursts(Line):
    """What a trial reports at one moment arrives as one burst: in order, or with `dice` shuffled and among false copies
    of it and of anything that came before, of earlier attempts too."""

    def __init__(self, inner: Any, dice: random.Random | None) -> None:
        super().__init__(inner)
        self._dice = dice
        self._ready: deque[Signal] = deque()
        self._sent: list[Reported] = []

    def next_signal(self, until: float = inf) -> Signal | None:
        if self._ready:
            return self._ready.popleft()
        first = self.inner.next_signal(until)
        if not isinstance(first, Reported):
            return self._and_copies(first)
        burst, rest = [first], list[Signal]()
        assert first.at is not None
        while not rest and (other := self.inner.next_signal(first.at)) is not None:
            (burst if isinstance(other, Reported) and other.trial == first.trial else rest).append(other)
        self._ready += [*(burst if self._dice is None else self._disturbed(burst, self._dice)), *rest]
        self._sent += burst
        return self._ready.popleft()

    def _disturbed(self, burst: list[Reported], dice: random.Random) -> list[Signal]:
        mixed: list[Signal] = list(burst)
        dice.shuffle(mixed)
        for _ in range(dice.randrange(4)):
            copied = dice.choice(self._sent + burst)
            first = mixed.index(copied) + 1 if copied in burst else 0
            mixed.insert(dice.randrange(first, len(mixed) + 1), self._copy(copied, burst[0].at))
        return mixed

    def _and_copies(self, signal: Signal | None) -> Signal | None:
        """Behind a trial's end too there may be copies."""
        if self._dice is not None and signal is not None and self._sent and self._dice.random() < 0.5:
            self._ready.append(self._copy(self._dice.choice(self._sent), signal.at))  # type: ignore[union-attr]
        return signal

    def _copy(self, report: Reported, at: float | None) -> Reported:
        return msgspec.structs.replace(report, metrics={**report.metrics, "loss": FALSE}, at=at)


class Delays(Line):
    """Some signals take long, and later ones overtake them; some reports come twice.

    Args:
        ends_last: an attempt's end waits for its reports, as backends have to see to; otherwise it may overtake them too.
    """

    def __init__(self, inner: Any, dice: random.Random, *, ends_last: bool) -> None:
        super().__init__(inner)
        self._dice, self._ends_last = dice, ends_last
        self._late: list[tuple[float, int, Signal]] = []
        self._due: dict[tuple[int, int], float] = {}
        self._count = 0

    def next_signal(self, until: float = inf) -> Signal | None:
        dice, late = self._dice, self._late
        while True:
            signal: Any = self.inner.next_signal(min(until, late[0][0]) if late else until)
            if signal is None:
                return heapq.heappop(late)[2] if late and late[0][0] <= until else None
            if isinstance(signal, Reported) and dice.random() < 0.2:
                self._later(signal)
            waits = isinstance(signal, Ended) and self._ends_last and (signal.trial, signal.attempt) in self._due
            if dice.random() > 0.3 and not waits:
                return signal  # type: ignore[no-any-return]
            self._later(signal)

    def _later(self, signal: Any) -> None:
        attempt = (signal.trial, signal.attempt)
        at = signal.at + self._dice.choice([0.0, 1.0, 1.0, 2.5, 20.0])
        due = max(at, self._due.get(attempt, at))
        self._due[attempt] = due
        if isinstance(signal, Ended) and self._ends_last:
            at = due
        self._count += 1
        heapq.heappush(self._late, (at, self._count, msgspec.structs.replace(signal, at=at)))


class Renamed(Line):
    """Behind the line trials and workers go by other numbers; those that the mappings lack keep theirs."""

    def __init__(self, inner: Any, trials: Mapping[int, int], slots: Mapping[int, int]) -> None:
        super().__init__(inner)
        self._trials, self._slots = trials, slots
        self._back = {other: trial for trial, other in trials.items()}

    def next_signal(self, until: float = inf) -> Signal | None:
        signal: Any = self.inner.next_signal(until)
        return signal and msgspec.structs.replace(signal, trial=self._back.get(signal.trial, signal.trial))

    def submit(self, command: Command) -> None:
        command = msgspec.structs.replace(command, trial=self._trials.get(command.trial, command.trial))
        if isinstance(command, StartTrial):
            command = msgspec.structs.replace(command, slot=self._slots.get(command.slot, command.slot))
        self.inner.submit(command)


class Over:
    """A backend whose sessions are reached over `line(session)`."""

    time = "simulated"

    def __init__(self, inner: Backend, line: Callable[[Any], Line]) -> None:
        self._inner, self._line = inner, line

    @asynccontextmanager
    async def open(self, context: BackendContext) -> AsyncIterator[Line]:
        async with self._inner.open(context) as session:
            yield self._line(session)
