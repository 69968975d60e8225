"""The engine's view of one running attempt: its report pipe, its garbage, its limits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Final

from offbeat.signals import Garbled, Reported, StartTrial
from offbeat_plugins.backends.processes.options import Options
from offbeat_plugins.backends.wire import Garbage, LineReader, Rejection

CHUNK: Final = 1 << 16
LAST_CHUNKS: Final = 64
"""Most chunks read from the pipe of an attempt that has ended: a pipe holds fewer."""
GARBAGE_INTERVAL: Final = 1.0
"""Seconds between two showings of garbage."""


class Running:
    """One attempt between its order and its end.

    Args:
        key: names the attempt in orders and messages.
        fd: read end of the report pipe, owned from here on.
        deliver: takes what a read brought.
        end: called when a limit is exceeded, with the seconds of grace that it leaves.

    Attributes:
        commanded: the engine has asked for its end.
        over_limit: which limit it exceeded, one clause.
        heard_at: the loop's time of its last report.
    """

    def __init__(  # noqa: PLR0917 - one caller, in this package
        self,
        key: int,
        start: StartTrial,
        fd: int,
        gpus: Sequence[str],
        deliver: Callable[[Running, Sequence[Reported | Rejection]], None],
        end: Callable[[Running, float], None],
        options: Options,
    ) -> None:
        self.key = key
        self.start = start
        self.gpus = gpus
        self.commanded = False
        self.over_limit = ""
        self.garbage = Garbage(start.trial, start.attempt)
        self._fd = fd
        self._open = True
        self._lines = LineReader(start.trial, start.attempt)
        self._deliver = deliver
        self._end = end
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.heard_at = 0.0
        self._garbage_at = float("-inf")

    @property
    def reports(self) -> int:
        """How many usable reports have come."""
        return self._lines.seq

    def listen(self) -> None:
        """Reads reports as they come."""
        if self._open:
            self._loop.add_reader(self._fd, self._read)

    def ignore(self) -> None:
        """Leaves reports in the pipe, which fills up and makes the script wait."""
        self._loop.remove_reader(self._fd)

    def started(self) -> None:
        """Its process runs: limits count from here."""
        self.heard_at = self._loop.time()
        if (limit := self._options.max_trial_time) is not None:
            self._timers["time"] = self._loop.call_later(limit, self._too_long, limit)
        if (limit := self._options.max_silence) is not None:
            self._timers["silence"] = self._loop.call_later(limit, self._check_silence, limit)

    def show_garbage(self) -> list[Garbled]:
        """What is to be said about garbage now; the rest is said within a second."""
        wait = self._garbage_at + GARBAGE_INTERVAL - self._loop.time()
        if wait <= 0:
            self._garbage_at = self._loop.time()
            return self.garbage.flush()
        if "garbage" not in self._timers:
            self._timers["garbage"] = self._loop.call_later(wait, self._show_later)
        return []

    def close(self) -> None:
        """Its processes are gone: delivers what is left in the pipe and closes it."""
        self._loop.remove_reader(self._fd)
        for timer in self._timers.values():
            timer.cancel()
        for _ in range(LAST_CHUNKS):
            if not self._open or not self._read():
                break
        self._garbage_at = float("-inf")
        self._deliver(self, self._lines.finish())
        os.close(self._fd)
        self._open = False

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._fd)
            return False
        self._deliver(self, self._lines.feed(data))
        return True

    def _show_later(self) -> None:
        self._timers.pop("garbage", None)
        self._deliver(self, ())

    def _too_long(self, limit: float) -> None:
        self._exceeded(f"ran longer than {limit:g} s", limit)

    def _check_silence(self, limit: float) -> None:
        # A report may lie in the pipe because the engine was busy: that is not the trial's silence.
        self._read()
        wait = self.heard_at + limit - self._loop.time()
        if wait > 0:
            self._timers["silence"] = self._loop.call_later(wait, self._check_silence, limit)
        else:
            self._exceeded(f"silent for {limit:g} s", limit)

    def _exceeded(self, reason: str, limit: float) -> None:
        if not self.over_limit:
            self.over_limit = reason
            # The whole end takes at most 1 s + 5 % beyond the limit, SIGKILL included.
            self._end(self, 0.5 + 0.05 * limit)
