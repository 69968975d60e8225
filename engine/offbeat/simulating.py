"""Drives a session in simulated time: one signal after the other, with the loop looked after by the clock on the wall.

Signals come from a call, not from a queue, and what follows from one (a decision, a free slot, the next proposal) is done
before the next is taken. The loop gets its turn after some hundredths of a second of work, and events leave in batches:
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
from offbeat.protocols import SimulatedSession
from offbeat.signals import BackendBroken, Command, Ended, Reported, Signal

YIELD_AFTER: Final = 0.01
"""Seconds of work after which the loop gets its turn, however much more there is to do."""

SIGNALS: Final = 64
"""Signals between two looks at the wall clock; their events leave together."""

STANDSTILL: Final = 100_000
"""Trials beyond the number of workers that begin at one time: a limit by time will not be reached any more."""


class SimulatedTime:
    """The experiment's clock in simulated time, and the one who moves it.

    Args:
        base: time at which the session begins.
        submit: carries a command to the backend; flush: sends the turn's events and commands on their ways.

    Attributes:
        now: seconds on the experiment's clock.
        broken: why the backend cannot be relied upon any more.
    """

    def __init__(
        self,
        conductor: Conductor,
        committer: Committer,
        base: float,
        submit: Callable[[Command], None],
        flush: Callable[[], None],
    ) -> None:
        self.now = base
        self.broken: BackendBroken | None = None
        self._moment, self._before = base, len(conductor.ledger)
        self._conductor = conductor
        self._committer = committer
        self._submit = submit
        self._flush = flush

    async def run(self, session: SimulatedSession, asking: Asking) -> None:
        """Until the session is closed; it fails if trials run of which nothing will ever be heard, or time stands still."""
        conductor, committer, loop_time = self._conductor, self._committer, asyncio.get_running_loop().time
        burst = self._signal if committer.waits else self._signals
        breath = loop_time()
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
            else:
                burst(session, asking)
            self._flush()
            if loop_time() - breath > YIELD_AFTER:
                await asyncio.sleep(0)
                breath = loop_time()

    def _signal(self, session: SimulatedSession, asking: Asking) -> None:
        """One signal and what follows from it; the commands are left to the committer."""
        self._take_in(session)
        self._fill(asking)

    def _signals(self, session: SimulatedSession, asking: Asking) -> None:
        """So many signals, each with what follows from it."""
        conductor, submit = self._conductor, self._submit
        slots, n_workers, commands = conductor.ledger.slots, conductor.state.limits.n_workers, conductor.commands
        next_signal, signalled, watch = session.next_signal, conductor.signal, conductor.limits
        plain_result, plain_end = conductor.plain.result, conductor.plain.end
        for _ in range(SIGNALS):
            # As in `_take_in`, without a call for each.
            signal = next_signal(watch.until)
            if type(signal) is Reported and signal.plain and signal.at is not None:
                at = signal.at
                if at > self.now:  # noqa: PLR1730 - `max` takes twice the time
                    self.now = at
                if not plain_result(signal, self.now):
                    signalled(signal, self.now)
            elif type(signal) is Ended and signal.at is not None:
                at = signal.at
                if at > self.now:  # noqa: PLR1730 - see above
                    self.now = at
                if not plain_end(signal, self.now):
                    signalled(signal, self.now)
            elif signal is None:
                self._end_of_time(watch.until)
            else:
                self._tell(signal)
            if len(slots) < n_workers:
                self._fill(asking)
                if asking.open:
                    n_workers = 0
            if commands:
                for command in commands:
                    submit(command)
                commands.clear()
                if self.broken is not None:
                    return
            if not n_workers or conductor.closing is not None:
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

    def _take_in(self, session: SimulatedSession) -> None:
        until = self._conductor.limits.until
        signal = session.next_signal(until)
        if signal is None:
            self._end_of_time(until)
            return
        self._tell(signal)

    def _tell(self, signal: Signal) -> None:
        at = getattr(signal, "at", None)
        if at is not None and at > self.now:
            self.now = at
        self._conductor.signal(signal, self.now)

    def _end_of_time(self, until: float) -> None:
        """Nothing comes before the limit by time, or ever."""
        if until == inf:
            self._fail("simulated time has come to its end while trials were still running")
            return
        self.now = max(self.now, until)
        self._conductor.tick(self.now)
