"""A backend that does what a script says, in simulated time: for tests of schedulers, observers and the engine.

It starts no process and never waits. A script is a function of the start command that yields steps; each step comes
some simulated seconds after the one before it. An attempt that it is told to adopt goes on where its script had come
to, so scripts have to depend on nothing but the start command. One that raises is a trial that failed.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any, Literal, TypeAlias

import msgspec

from offbeat.protocols import Attempt, BackendContext, BackendSession
from offbeat.signals import (
    Command,
    DeleteCheckpoints,
    Ended,
    Garbled,
    PauseTrial,
    Reported,
    Signal,
    StartTrial,
    StopTrial,
)
from offbeat.trial import TrialId


class Report(msgspec.Struct, frozen=True):
    """After `seconds` the trial reports `metrics`.

    Attributes:
        seq: stands in for the number that the report would have (duplicates, gaps, stragglers).
        attempt: stands in for the attempt that it would come from (a report that an earlier one left on the way).
    """

    metrics: dict[str, Any]
    seconds: float = 1.0
    seq: int | None = None
    attempt: int | None = None


class Garbage(msgspec.Struct, frozen=True):
    """After `seconds` the trial sends something unusable."""

    reason: str = "not JSON"
    seconds: float = 1.0


class End(msgspec.Struct, frozen=True):
    """After `seconds` the attempt ends; a script that runs out ends as "finished" at once."""

    how: Literal["finished", "failed", "lost"] = "finished"
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0


class Hang(msgspec.Struct, frozen=True):
    """The attempt says nothing more until it is ended from outside."""


Step: TypeAlias = Report | Garbage | End | Hang
Script: TypeAlias = Callable[[StartTrial], Iterable[Step]]


def curve(function: Callable[[dict[str, Any], int], dict[str, Any]], epochs: int | str) -> Script:
    """A script that reports `function(config, epoch)` for epochs 1 to `epochs` (or to the config's value of that name).

    Every attempt begins at epoch 1; a backend made with `checkpoints=True` lets resumed ones go on where they were.
    """

    def script(start: StartTrial) -> Iterator[Step]:
        last = int(start.config[epochs]) if isinstance(epochs, str) else epochs
        for epoch in range(1, last + 1):
            yield Report({"epoch": epoch, **function(start.config, epoch)})

    return script


class _Running:
    __slots__ = ("attempt", "seq", "steps", "taken", "trial")

    def __init__(self, start: StartTrial, steps: Iterator[Step], taken: int) -> None:
        self.trial, self.attempt, self.steps, self.seq = start.trial, start.attempt, steps, 0
        self.taken = taken


def _guarded(script: Script, start: StartTrial) -> Iterator[Step]:
    """The steps of a script, its exception as its end."""
    try:
        yield from script(start)
    except Exception as error:  # what a script raises is its own failure, as in a process
        yield End("failed", f"{type(error).__name__}: {error}")


def _without_reports(steps: Iterator[Step], count: int) -> Iterator[Step]:
    """The steps behind the first `count` reports."""
    for step in steps:
        if count <= 0:
            yield step
        elif isinstance(step, Report):
            count -= 1


class ScriptedSession:
    """See `offbeat.protocols.BackendSession`.

    Attributes:
        commands: every command that was submitted, in order.
        alive: trials with a live attempt.
    """

    def __init__(self, backend: ScriptedBackend, now: float) -> None:
        self.commands: list[Command] = []
        self.alive: dict[TrialId, _Running] = {}
        self.now = now
        self._backend = backend
        # Ties are broken by trial and place in its script, so that an adopted attempt keeps its place among the others.
        self._heap: list[tuple[float, int, int, int, Signal]] = []

    def adopt(self, attempts: Sequence[Attempt]) -> Collection[TrialId]:
        """Takes up every attempt, or none if the backend was made with `adopts=False`."""
        if not self._backend.adopts:
            return ()
        for attempt in attempts:
            running = self._begin(attempt.start)
            self._advance(running, attempt.started_at, skip=attempt.next_seq)
            if attempt.command:
                self._end(attempt.start.trial, attempt.start.attempt, attempt.command_at)
        return [attempt.start.trial for attempt in attempts]

    def submit(self, command: Command) -> None:
        """Carries out a command at the current simulated time."""
        self.commands.append(command)
        if isinstance(command, StartTrial):
            self._advance(self._begin(command), self.now)
        elif isinstance(command, StopTrial | PauseTrial):
            self._end(command.trial, command.attempt, self.now)
        elif isinstance(command, DeleteCheckpoints):
            self._backend.saved.pop(command.trial, None)

    def receive_nowait(self) -> Sequence[Signal]:
        """The next signal; simulated time advances to it."""
        signal = self.next_signal()
        return () if signal is None else (signal,)

    def next_signal(self, until: float = inf) -> Signal | None:
        """See `offbeat.protocols.SimulatedSession`."""
        while self._heap and self._heap[0][0] <= until:
            at, trial, attempt, _, signal = heapq.heappop(self._heap)
            running = self.alive.get(TrialId(trial))
            if running is None or running.attempt != attempt:
                continue
            self.now = at
            if isinstance(signal, Ended):
                del self.alive[running.trial]
            else:
                self._backend.saved[running.trial] = running.taken
                self._advance(running, at)
            return signal
        if until < inf:
            self.now = max(self.now, until)
        return None

    async def receive(self) -> Sequence[Signal]:
        """Never called in simulated time."""
        raise RuntimeError("simulated time does not wait")

    def interrupt(self) -> None:
        """Ends all attempts now."""
        for running in list(self.alive.values()):
            self._end(running.trial, running.attempt, self.now)

    def _begin(self, start: StartTrial) -> _Running:
        saved, place = self._backend.saved, (start.trial, start.attempt)
        if place not in self._backend.began:
            origin = start.trial if start.resume else start.donor
            self._backend.began[place] = saved.get(origin, 0) if origin is not None and self._backend.checkpoints else 0
        taken = self._backend.began[place]
        steps = _without_reports(_guarded(self._backend.script, start), taken)
        running = self.alive[start.trial] = _Running(start, steps, taken)
        return running

    def _advance(self, running: _Running, now: float, skip: int = 0) -> None:
        """Puts the next step of a trial onto the heap; only that one, since a stop may follow."""
        while True:
            step = next(running.steps, None) or End()
            if isinstance(step, Hang):
                return
            now += step.seconds
            trial, attempt = running.trial, running.attempt
            signal: Signal
            if isinstance(step, Report):
                seq = running.seq if step.seq is None else step.seq
                running.seq = max(running.seq, seq + 1)
                running.taken += 1
                if seq < skip:
                    continue
                sender = attempt if step.attempt is None else step.attempt
                signal = Reported(trial, sender, seq, step.metrics, now)
            elif isinstance(step, Garbage):
                if running.seq < skip:
                    continue
                signal = Garbled(trial, attempt, step.reason, at=now)
            else:
                signal = Ended(trial, attempt, step.how, step.reason, step.detail, now)
            heapq.heappush(self._heap, (now, trial, attempt, running.seq, signal))
            return

    def _end(self, trial: TrialId, attempt: int, at: float) -> None:
        running = self.alive.get(trial)
        if running is not None and running.attempt == attempt:
            running.steps = iter([Hang()])
            self._heap = [entry for entry in self._heap if (entry[1], entry[2]) != (trial, attempt)]
            heapq.heapify(self._heap)
            heapq.heappush(self._heap, (at, trial, attempt, -1, Ended(trial, attempt, "ended", at=at)))


class ScriptedBackend:
    """Executes scripts instead of processes.

    Args:
        script: see `Script`.
        adopts: whether attempts of an earlier session are taken up again.
        checkpoints: each report is saved, and the trial's next attempt (or one that has it as donor) goes on behind
            it. They are kept in this object: a new one, after a crash, has none.

    Attributes:
        session: the last one opened; saved: reports behind each trial's checkpoint; began: where each attempt began.
    """

    time: Literal["real", "simulated"] = "simulated"

    def __init__(self, script: Script, *, adopts: bool = True, checkpoints: bool = False) -> None:
        self.script = script
        self.adopts = adopts
        self.checkpoints = checkpoints
        self.session: ScriptedSession | None = None
        self.saved: dict[TrialId, int] = {}
        self.began: dict[tuple[TrialId, int], int] = {}

    @asynccontextmanager
    async def open(self, context: BackendContext) -> AsyncIterator[BackendSession]:
        """A fresh session at `context.now`."""
        self.session = ScriptedSession(self, context.now)
        yield self.session
        self.session.alive.clear()
