"""What a scheduler's computing costs in simulated time: it thinks about one start after the other, never about two at once."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import Any, Literal, TypeAlias, cast

from offbeat.errors import InvalidArgument, nearest

ThinkingTime: TypeAlias = Literal["free", "measured"] | float | Callable[[int], float]


class Thinking:
    """Delays starts by a cost each, one behind the other. A fold of the starts, so that a journal read again gives it back.

    Args:
        cost: seconds; a function of how many starts there were before; or None for what is measured: the real seconds since
            the last signal.
    """

    def __init__(self, cost: float | Callable[[int], float] | None) -> None:
        self._cost = cost
        self._count = 0
        self._busy = -inf
        self._heard = perf_counter() if cost is None else 0.0

    @staticmethod
    def of(thinking_time: ThinkingTime) -> Thinking | None:
        """From the argument of `SimulatedBackend`; None if thinking is free."""
        if thinking_time == "free":
            return None
        return Thinking(None if isinstance(thinking_time, str) else thinking_time)

    @property
    def measures(self) -> bool:
        """Whether real time counts."""
        return self._cost is None

    def heard(self) -> None:
        """A signal was given: from now on the scheduler thinks."""
        self._heard = perf_counter()

    def begin(self, now: float) -> float:
        """When an attempt begins that was asked for at a time. Raises InvalidArgument for a cost that is none."""
        cost = self._cost
        if cost is None:
            seconds, self._heard = perf_counter() - self._heard, perf_counter()
        else:
            seconds = cost(self._count) if callable(cost) else cost
        if not isinstance(seconds, int | float) or not 0 <= seconds < inf:
            raise InvalidArgument(f"thinking_time({self._count}) gave {seconds!r}; give seconds, 0 or more.")
        self._count += 1
        self._busy = max(self._busy, now) + seconds
        return self._busy

    def past(self, at: float) -> float:
        """The same for a start of an earlier session; what was measured then is not known any more."""
        return at if self._cost is None else self.begin(at)


def checked(thinking_time: Any) -> ThinkingTime:
    """The argument of `SimulatedBackend` as it is. Raises InvalidArgument."""
    if isinstance(thinking_time, str) and thinking_time not in ("free", "measured"):
        hint = nearest(thinking_time, ("free", "measured"))
        raise InvalidArgument(f"thinking_time={thinking_time!r} is not valid. {hint}")
    if isinstance(thinking_time, str) or callable(thinking_time):
        return cast(ThinkingTime, thinking_time)
    if isinstance(thinking_time, bool) or not isinstance(thinking_time, int | float) or not 0 <= thinking_time < inf:
        raise InvalidArgument(f"thinking_time={thinking_time!r}: give a number, 0 or more.")
    return float(thinking_time)
