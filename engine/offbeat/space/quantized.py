"""Domains of multiples of a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

from offbeat.errors import InvalidSpace
from offbeat.space.checks import as_number, as_whole, check_order, check_positive, number_of, whole_of
from offbeat.space.domain import Domain, parsed
from offbeat.space.numeric import PREFIX, check_reach, middle, whole_sampler
from offbeat.space.scales import axis


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Quantized(Domain):
    """All multiples of a step between lower and upper: k q with k drawn and encoded as by `Integer`.

    Values of type float are rounded to 12 digits, so that 3 x 0.1 is 0.3.
    """

    lower: float
    upper: float
    q: float
    scale: Literal["linear", "log"] = "linear"
    whole: bool = False

    def __post_init__(self) -> None:
        where = self.written[0]
        read = whole_of if self.whole else number_of
        lower, upper, q = (read(where, name, getattr(self, name)) for name in ("lower", "upper", "q"))
        check_order(where, lower, upper)
        if q <= 0:
            raise InvalidSpace(f"{where}: q={q!r} is not a step; give a number above 0.")
        if self.scale == "log":
            check_positive(where, lower, where.replace("log", ""))
        if math.isinf(lower / q) or math.isinf(upper / q):
            raise InvalidSpace(f"{where}: q={q!r} is too small for these bounds; use a larger step, or none.")
        for name, number in (("lower", lower), ("upper", upper), ("q", q)):
            object.__setattr__(self, name, number)
        first, last = self._steps
        if first > last or (self.scale == "log" and last < 1):
            raise InvalidSpace(
                f"{where}: no multiple of q={q!r} lies from {lower!r} to {upper!r}; widen the bounds or change q."
            )
        check_reach(where, first, last, self.scale)

    @property
    def _steps(self) -> tuple[int, int]:
        """Lowest and highest k; a bound that misses a multiple by rounding only counts as one."""
        if self.whole:
            first, last = int(-(-self.lower // self.q)), int(self.upper // self.q)
        else:
            first, last = math.ceil(self.lower / self.q - 1e-9), math.floor(self.upper / self.q + 1e-9)
        return (max(first, 1) if self.scale == "log" else first), last

    @property
    def value_type(self) -> type[int] | type[float]:
        """Int if bounds and step are whole by intent (`qrandint`), else float."""
        return int if self.whole else float

    @property
    def size(self) -> int:
        """How many multiples."""
        first, last = self._steps
        return last - first + 1

    @property
    def default(self) -> float | int:
        """The multiple in the middle, arithmetic or geometric; of two the lower."""
        return self._multiple()(middle(*self._steps, self.scale))

    @property
    def valid(self) -> str:
        """The multiples in words."""
        return f"a multiple of {self.q!r} from {self.lower!r} to {self.upper!r}"

    @property
    def written(self) -> tuple[str, dict[str, Any]]:
        """See `Domain`."""
        kind = "randint" if self.whole else "uniform"
        return f"q{PREFIX[self.scale]}{kind}", {"lower": self.lower, "upper": self.upper, "q": self.q}

    @property
    def key_format(self) -> str:
        """The number."""
        return "%d" if self.whole else "%r"

    def _multiple(self) -> Callable[[int], float | int]:
        q = self.q
        if self.whole:
            return lambda k: k * int(q)
        lower, upper = self.lower, self.upper
        return lambda k: min(max(float(f"{k * q:.12g}"), lower), upper) + 0.0

    def cast(self, value: object) -> float | int:
        """The multiple that the value is, up to a millionth of a step. Raises InvalidConfig."""
        number = as_number(parsed(value))
        if number is not None and math.isfinite(number / self.q):
            first, last = self._steps
            k = round(number / self.q)
            if abs(number - k * self.q) <= 1e-6 * self.q:
                return self._multiple()(k) if first <= k <= last else self.value_type(number)
        raise self.refusal(value)

    def contains(self, value: object) -> bool:
        """Whether the value is one of the multiples, to the last digit."""
        number = as_whole(value) if self.whole else as_number(value)
        if number is None or not self.lower <= number <= self.upper:
            return False
        k = round(number / self.q)
        return self._steps[0] <= k <= self._steps[1] and self._multiple()(k) == number

    def sampler(self) -> Callable[[float], float | int]:
        """See `Domain`."""
        draw, multiple = whole_sampler(*self._steps, self.scale), self._multiple()
        return lambda u: multiple(draw(u))

    def encoder(self) -> Callable[[Any], tuple[float, ...]]:
        """The place of k in [lowest - 0.5, highest + 0.5], on the scale."""
        first, last = self._steps
        forward, _ = axis(first - 0.5, last + 0.5, self.scale)
        q = self.q
        return lambda value: (forward(round(value / q)),)
