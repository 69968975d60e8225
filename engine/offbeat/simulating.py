"""Drives a session in simulated time: one signal after the other, with the loop looked after by the clock on the wall.

Signals come from a call, not from a queue, and what follows from one (a decision, a free slot, the next proposal) is done
before the next is taken. The loop gets its turn after some thousandths of a second of work, and events leave in batches:
neither changes what happens when in simulated time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

from offbeat.asking import Asking
from offbeat.commits import Committer
from offbeat.conductor import Conductor
from offbeat.plain import TAKEN, PassOn
from offbeat.protocols import SimulatedSession
from offbeat.signals import BackendBroken, Command, Signal

YIELD_AFTER: Final = 0.005
"""Seconds of work after which the loop gets its turn, however much more there is to do."""

EVENTS: Final = 128
"""Events that leave together."""

STANDSTILL: Final = 100_000
"""Trials beyond the number of workers that begin at one time: a limit by time will not be reached any more."""


class SimulatedTime:
    """The experiment's clock in simulated time, and the one who moves it.

    Args:
        base: time at which the session begins.
        submit: carries a command to the backend, False if that is broken.
        flush: sends the turn's events and commands on their ways.

    Attributes:
        broken: why the backend cannot be relied upon any more.
    """

    def __init__(
        self,
        conductor: Conductor,
        committer: Committer,
        base: float,
        submit: Callable[[Command], bool],
        flush: Callable[[], None],
    ) -> None:
        self._plain = conductor.plain
        self._plain.now = base
        self._deadline = inf
        self.broken: BackendBroken | None = None
        self._moment, self._before = base, len(conductor.ledger)
        self._conductor = conductor
        self._committer = committer
        self._submit = submit
        self._flush = flush

    @property
    def now(self) -> float:
        """Seconds on the experiment's clock."""
        return self._plain.now

    async def run(self, session: SimulatedSession, asking: Asking) -> None:
        """Until the session is closed; it fails if trials run of which nothing will ever be heard, or time stands still."""
        conductor, committer, loop_time = self._conductor, self._committer, asyncio.get_running_loop().time
        self._deadline = loop_time() + YIELD_AFTER
        while not conductor.closed:
            if self.broken is not None:
                conductor.signal(self.broken, self.now)
            elif asking.open:
                # The clock stands still meanwhile.
                await asking.wait()
                continue
            elif committer.holding:
                # Simulated time must not pass a command by: where commands wait for the disk, the clock does too.
                await committer.settled()
                continue
            elif committer.waits:
                self._signal(session, asking)
            else:
                self._signals(session, asking)
            self._flush()
            if loop_time() > self._deadline:
                await asyncio.sleep(0)
                self._deadline = loop_time() + YIELD_AFTER

    def _signal(self, session: SimulatedSession, asking: Asking) -> None:
        """One signal and what follows from it; the commands are left to the committer."""
        self._tell(session.next_signal(self._conductor.limits.until))
        self._fill(asking)

    def _signals(self, session: SimulatedSession, asking: Asking) -> None:
        """As many signals as make some thousandths of a second or a batch of events, each with what follows from it."""
        conductor, plain, submit = self._conductor, self._plain, self._submit
        commands, loop_time = conductor.commands, asyncio.get_running_loop().time
        pass_on: PassOn = getattr(session, "pass_on", None) or (lambda until, _passing: session.next_signal(until))

        def fill() -> bool:
            self._fill(asking)
            for command in commands:
                if not submit(command):
                    return False
            commands.clear()
            return not asking.open and conductor.closing is None and loop_time() < self._deadline

        while len(conductor.events) < EVENTS:
            signal = plain.take(pass_on, submit, fill)
            if signal is not TAKEN:
                self._tell(signal)
            if not fill():
                return

    def _fill(self, asking: Asking) -> None:
        """Fills free slots. Where trials take no time at all, a limit by time has no effect, and is not waited for."""
        asking.fill()
        conductor = self._conductor
        trials = len(conductor.ledger.trials)
        if self.now > self._moment:
            self._moment, self._before = self.now, trials
        elif trials - self._before > STANDSTILL and conductor.limits.until < inf:
            begun = trials - self._before - conductor.state.limits.n_workers
            if begun > STANDSTILL:
                self._fail(
                    f"simulated time stands still: more than {STANDSTILL} trials began at {self.now:g} s, so that the limit "
                    f"at {conductor.limits.until:g} s is never reached. Give curves that take time, or limit the number of "
                    "trials (max_num_trials_started=...)"
                )

    def _fail(self, reason: str) -> None:
        self._conductor.signal(BackendBroken(reason), self.now)

    def _tell(self, signal: Signal | None) -> None:
        """Has a signal taken in, or the end of time."""
        if signal is None:
            self._end_of_time(self._conductor.limits.until)
            return
        at = getattr(signal, "at", None)
        if at is not None and at > self.now:
            self._plain.now = at
        self._conductor.signal(signal, self.now)

    def _end_of_time(self, until: float) -> None:
        """Nothing comes before the limit by time, or ever."""
        if until == inf:
            self._fail("simulated time has come to its end while trials were still running")
            return
        self._plain.now = max(self.now, until)
        self._conductor.tick(self.now)
