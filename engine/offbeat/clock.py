"""The only place that reads time. Engine code takes a `Clock`; nothing else calls `time` or `datetime`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings: one to measure with, one to show to people."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back, stands still while the machine is suspended."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, for display only: it may jump."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()


class ManualClock:
    """A clock that only moves when told to, for tests and for simulated time."""

    def __init__(self, start: float = 0.0, wall: float = 0.0) -> None:
        self.now = start
        self.wall_time = wall

    def monotonic(self) -> float:
        """Seconds as last set."""
        return self.now

    def wall(self) -> float:
        """Seconds since 1970 as last set."""
        return self.wall_time

    def advance(self, seconds: float) -> None:
        """Moves the monotonic reading on."""
        self.now += seconds


def process_cpu() -> float:
    """CPU seconds that this process has used; to tell what is paid for, never to decide by."""
    return time.process_time()
