"""The asynchronous half of the engine: carries signals to the conductor, events to the disk, commands to the backend.

One session of one experiment. Every turn is a plain function on the loop's thread: signals in, events to the committer and
onto the bus, commands behind them. Around the turns live a few tasks, all owned here: the pump (backend to conductor), the
committer, the proposer, and the observers' lanes. Order of shutting down: trials, last group, observers.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final, NamedTuple, cast

import anyio
from msgspec import structs

from offbeat import events as ev
from offbeat.asking import Asking
from offbeat.bus import Bus
from offbeat.clock import Clock
from offbeat.commits import Committer, Durability
from offbeat.conductor import Conductor
from offbeat.contained import told
from offbeat.errors import EngineBlocked, InvalidArgument
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.log import get_logger
from offbeat.protocols import Backend, BackendContext, BackendSession, LedgerView, SimulatedSession
from offbeat.readback import ReadBack
from offbeat.signals import BackendBroken, Command, Signal
from offbeat.simulating import YIELD_AFTER, SimulatedTime
from offbeat.watchdog import Watchdog

FAREWELL: Final = 10.0
"""Seconds that observers have to catch up with at the end; in a hurry, HASTE."""

HASTE: Final = 0.2

CLOSING: Final = 60.0
"""Seconds beyond the grace that a backend has to close in."""


class Options(NamedTuple):
    """How a session runs; nothing here changes what is decided.

    Attributes:
        grace: seconds between asking trials to end and making them end.
        proposal_deadline: seconds after which an asynchronous proposal is cancelled and counts as failed.
        blocked_after: seconds of a stuck event loop after which the watchdog ends the trials; None: never.
    """

    durability: Durability = "commit"
    grace: float = 10.0
    proposal_deadline: float = 600.0
    blocked_after: float | None = 30.0


DEFAULTS: Final = Options()


class Driver:
    """Runs one session to its end.

    Args:
        conductor: folded up to the journal's end.
        journal: open for writing; closed by whoever opened it.
        base: experiment time at which the session begins, in seconds.
        limits: other limits, to be recorded at the session's start.
    """

    def __init__(
        self,
        conductor: Conductor,
        journal: Journal,
        backend: Backend,
        *,
        folder: ExperimentFolder,
        clock: Clock,
        base: float,
        host: ev.Host,
        observers: Sequence[tuple[str, Any]] = (),
        limits: ev.Limits | None = None,
        options: Options = DEFAULTS,
    ) -> None:
        self.conductor = conductor
        self.folder = folder
        self.blocked: EngineBlocked | None = None
        self._journal = journal
        self._backend = backend
        self._clock = clock
        self._base = base
        self._began = clock.monotonic()
        self._host = host
        self._observers = tuple(observers)
        self._limits = limits
        self._options = options
        self._committer = Committer(journal, options.durability, self._submit)
        self._simulated = (
            SimulatedTime(conductor, self._committer, base, self._submit, self._flush)
            if backend.time == "simulated"
            else None
        )
        self._read_back = ReadBack(folder, self._committer)
        self.bus = Bus(self._read_back, self._observer_failed)
        self._session: BackendSession | None = None
        self._watchdog = Watchdog(options.blocked_after, self._loop_blocked)
        simulated = self._simulated
        self._asking = Asking(
            conductor,
            self._watchdog,
            options.proposal_deadline,
            (lambda: self.elapsed) if simulated is None else (lambda: conductor.plain.now),
            self._after_turn,
        )
        self._timer: tuple[float, asyncio.TimerHandle] | None = None
        self._early_failures: list[ev.PluginFailed] = []
        self._stopping: str | None = None
        self._hurry = False
        self._broken: BackendBroken | None = None
        self._opened = self._over = False
        self._known = asyncio.Event()
        self._lanes: anyio.CancelScope | None = None

    # --- what observers and embedding code may read

    @property
    def spec(self) -> ev.ExperimentSpec:
        """What the experiment is."""
        return self.conductor.state.spec

    @property
    def limits(self) -> ev.Limits:
        """The limits in force."""
        return self.conductor.state.limits

    @property
    def ledger(self) -> LedgerView:
        """All trials, live."""
        return self.conductor.ledger

    @property
    def elapsed(self) -> float:
        """Seconds on the experiment's clock."""
        if self._simulated is not None:
            return self._simulated.now
        return self._base + self._clock.monotonic() - self._began

    # --- the session's life

    async def run(self) -> None:
        """Runs until the session is closed, one way or another.

        Raises:
            JournalUnwritable: the disk refused a group; trials were ended, the journal holds what was acknowledged.
            OffbeatError: what the session failed with (`MetricMismatch`, `TooManyFailures`, `PluginFailed` ...).
        """
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._began = self._clock.monotonic()
        self.bus.begin(self._journal.next_seq)
        try:
            async with anyio.create_task_group() as lanes:
                self.bus.open(self._observers)
                for lane in self.bus.lanes:
                    lanes.start_soon(self.bus.drain, lane, self)
                try:
                    await self._journaled()
                finally:
                    self.bus.close()
                    self._lanes = lanes.cancel_scope
                    self._lanes.deadline = anyio.current_time() + (HASTE if self._hurry else FAREWELL)
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.bus.close()
            self._read_back.close()
        if self.conductor.error is not None:
            raise self.conductor.error

    async def _journaled(self) -> None:
        """The part of the session in which events are written down."""
        context = BackendContext(
            experiment=self.spec.name,
            folder=self.folder,
            n_workers=self.conductor.state.limits.n_workers,
            grace=self._options.grace,
            resource_attr=self.spec.resource_attr,
            now=self._base,
            checkpoint_sizes=(self._limits or self.conductor.state.limits).checkpoint_budget is not None,
        )
        async with anyio.create_task_group() as committing:
            committing.start_soon(self._committer.run)
            try:
                async with self._asking.running(self._backend.time):
                    opened = self._backend.open(context)
                    self._session = await opened.__aenter__()
                    try:
                        await self._conduct()
                    finally:
                        self._watchdog.stop()
                        self._set_timer(inf)
                        self._asking.close()
                        # Trials are ended in good order also where this task was cancelled.
                        with anyio.move_on_after(self._options.grace + CLOSING, shield=True):
                            await opened.__aexit__(*sys.exc_info())
            finally:
                self._session = None
                if self._opened:
                    self.conductor.abandon(self.elapsed, "the backend was closed while it ran")
                    self._flush()
                self._over = True
                self._known.set()
                self._committer.finish()

    async def _conduct(self) -> None:
        if self._simulated is not None:
            self._begin()
            await self._simulated.run(cast(SimulatedSession, self._session), self._asking)
            return
        self._watchdog.start(self._loop)
        async with anyio.create_task_group() as group:
            self._begin()
            group.start_soon(self._pump)
            group.start_soon(self._asking.in_background)
            await self._done.wait()
            group.cancel_scope.cancel()

    def _begin(self) -> None:
        """The session's first turn: what the last one left behind, other limits, the first starts."""
        conductor, session, at = self.conductor, self._session, self.elapsed
        assert session is not None
        self._opened = True
        self._known.set()
        conductor.open(at, self._host)
        for failure in self._early_failures:
            conductor.note(structs.replace(failure, at=at))
        if self._limits is not None:
            conductor.change_limits(at, self._limits)
        if alive := conductor.alive():
            conductor.adopted(at, session.adopt(alive))
        if self._stopping is not None:
            conductor.close(at, "interrupted", self._stopping)
            if self._hurry:
                session.interrupt()
        conductor.tick(at)
        self._after_turn()

    def stop(self, reason: str, *, hurry: bool = False) -> None:
        """Begins the end of the session from outside; with `hurry` trials get no grace. On the loop's thread only.

        Asked for before the session has begun, it ends with its first turn.
        """
        self._stopping = self._stopping or reason
        if hurry:
            self._hurry = True
            if self._lanes is not None:
                self._lanes.deadline = min(self._lanes.deadline, anyio.current_time() + HASTE)
        if not self._opened or self._session is None:
            return
        at = self.elapsed
        self.conductor.close(at, "interrupted", reason)
        if hurry:
            self._session.interrupt()
        self._after_turn()

    async def instruct(self, instruction: Callable[[Conductor, float], None]) -> None:
        """Has the conductor told something from outside; returns when what was said is in the journal.

        Raises InvalidArgument where no session runs, and what the instruction raises, which has changed nothing then.
        """
        conductor = self.conductor
        await self._known.wait()
        if self._session is None or conductor.closing is not None:
            raise InvalidArgument("The session does not run (any more): nothing can be told to it.")
        instruction(conductor, self.elapsed)
        resize = getattr(self._session, "resize", None)
        if resize is not None:
            resize(conductor.state.limits.n_workers)
        self._after_turn()
        await self._committer.written()

    def interrupt(self) -> None:
        """Ends all trials at once; from any thread, for a loop that does not come back."""
        session = self._session
        if session is not None:
            session.interrupt()

    # --- turns

    async def _pump(self) -> None:
        """Signals of a real backend, as they come."""
        session, take_in, time = self._session, self.conductor.signal, self._loop.time
        assert session is not None
        breath = time()
        signals: Sequence[Signal]
        while self._broken is None:
            if self._committer.congested:
                await self._committer.relief()
            if time() - breath > YIELD_AFTER:
                await asyncio.sleep(0)
                breath = time()
            try:
                signals = session.receive_nowait()
                if not signals:
                    signals = await session.receive()
                    breath = time()
            except Exception as error:  # a backend may be anybody's
                self._broken = BackendBroken(f"receiving its signals failed with {told(error)[0]}")
                signals = [self._broken]
            at = self.elapsed
            self._watchdog.where = f"observe of scheduler {self.spec.scheduler.name!r}"
            for signal in signals:
                take_in(signal, at)
            self._watchdog.where = ""
            self._after_turn()

    def _after_turn(self) -> None:
        """Free slots are filled; then the turn's events and commands go their ways."""
        conductor = self.conductor
        self._asking.fill()
        self._flush()
        if conductor.closed:
            self._done.set()
        elif self._simulated is None:
            self._set_timer(conductor.limits.until)

    def _flush(self) -> None:
        conductor = self.conductor
        events, conductor.events = conductor.events, []
        commands, conductor.commands = conductor.commands, []
        plain, conductor.only_plain = conductor.only_plain, True
        if events:
            self.bus.publish(events)
        if commands:
            self._announce(commands)
        self._committer.add(events, commands, plain=plain)

    def _announce(self, commands: Sequence[Command]) -> None:
        """Tells a backend that asks for it what will be submitted once it is on the disk."""
        announce = getattr(self._session, "announce", None)
        if announce is None or self._broken is not None:
            return
        try:
            announce(commands)
        except Exception as error:  # a backend may be anybody's
            self._break("announce", error)

    def _submit(self, command: Command) -> bool:
        """Carries a command to the backend; False if that is gone or broken."""
        if self._session is None or self._broken is not None:
            return False
        try:
            self._session.submit(command)
        except Exception as error:  # a backend may be anybody's
            self._break(f"{type(command).__name__} for trial {command.trial}", error)
        return self._broken is None

    def _break(self, what: str, error: Exception) -> None:
        """The backend cannot be relied upon any more."""
        text = f"{what} failed with {told(error)[0]}"
        get_logger().error("the backend does not take a command", error=text, exc_info=error)
        self._broken = BackendBroken(text)
        # Not here: this may be the middle of a turn.
        if self._simulated is not None:
            self._simulated.broken = self._broken
        else:
            self._loop.call_soon(self._backend_broke)

    def _backend_broke(self) -> None:
        if self._broken is not None and self._session is not None:
            self.conductor.signal(self._broken, self.elapsed)
            self._after_turn()

    # --- time

    def _set_timer(self, when: float) -> None:
        """One timer, for the limit that can fire by time alone; inf: none."""
        if self._timer is not None:
            if self._timer[0] == when:
                return
            self._timer[1].cancel()
            self._timer = None
        if when < inf:
            handle = self._loop.call_later(max(0.0, when - self.elapsed), self._time_is_up)
            self._timer = (when, handle)

    def _time_is_up(self) -> None:
        self._timer = None
        at = self.elapsed
        self.conductor.tick(at)
        self._after_turn()

    # --- what goes wrong outside the decisions

    def _observer_failed(self, event: ev.PluginFailed) -> None:
        get_logger().error("observer switched off", observer=event.name, where=event.where, error=event.error)
        event = ev.PluginFailed(self.elapsed, event.group, event.name, event.where, event.error, event.traceback)
        if not self._opened:
            self._early_failures.append(event)
        elif not (self.conductor.closed or self._over):
            self.conductor.note(event)
            self._flush()

    def _loop_blocked(self, error: EngineBlocked) -> None:
        """In the watchdog's thread: trials end at their checkpoints; the session fails when the loop is free again."""
        self.blocked = error
        self.interrupt()
        get_logger().error("the event loop is blocked", where=error.where, seconds=error.seconds, stack=error.stack)
        try:
            (self.folder.path / "blocked.txt").write_text(str(error))
            self._loop.call_soon_threadsafe(self._unblocked, error)
        except (OSError, RuntimeError):
            return

    def _unblocked(self, error: EngineBlocked) -> None:
        if self._session is None:
            return
        at = self.elapsed
        self.conductor.fail(at, error)
        self._after_turn()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that brought the others about: the first leaf that is not a cancellation."""
    for error in group.exceptions:
        leaf = _first(error) if isinstance(error, BaseExceptionGroup) else error
        if not isinstance(leaf, asyncio.CancelledError):
            return leaf
    return group.exceptions[0]
