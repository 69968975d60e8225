"""Domains of numbers: continuous and whole, each on its scale."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, final

from offbeat.errors import InvalidSpace
from offbeat.space.checks import as_number, as_whole, check_order, check_positive, number_of, whole_of
from offbeat.space.domain import Domain, parsed
from offbeat.space.scales import Scale, axis, exponential, log

PREFIX: Final = {"linear": "", "log": "log", "reverse-log": "reverselog"}
_LINEAR_LIMIT: Final = 2**50
_LOG_LIMIT: Final = 2**40
"""Above these, neighbouring whole numbers can no longer be told apart by their codes."""


def _exponent(x: float) -> int:
    """Decimal exponent of x > 0."""
    return int(f"{x:e}".rpartition("e")[2])


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Float(Domain):
    """All numbers from lower to upper.

    Drawn ones are rounded to 12 significant digits, on a linear scale of the larger bound. Where 12 digits would leave
    less than a million values in the range, as many digits as needed, at most 14.
    """

    lower: float
    upper: float
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        where = self.written[0]
        lower, upper = number_of(where, "lower", self.lower), number_of(where, "upper", self.upper)
        check_order(where, lower, upper)
        if self.scale == "log":
            check_positive(where, lower, "uniform")
        elif self.scale == "reverse-log" and not 0.0 <= lower <= upper < 1.0:
            raise InvalidSpace(
                f"{where}: bounds {lower!r} and {upper!r} have to lie in 0 <= x < 1; the scale is log(1 - x)."
            )
        elif math.isinf(upper - lower):
            raise InvalidSpace(
                f"{where}: {lower!r} and {upper!r} are too far apart; use loguniform or narrower bounds."
            )
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def value_type(self) -> type[float]:
        """Float."""
        return float

    @property
    def size(self) -> int | None:
        """None, or 1 if the bounds are equal."""
        return 1 if self.lower == self.upper else None

    @property
    def default(self) -> float:
        """Arithmetic mean of the bounds, or the geometric one (of 1 - x on the reverse scale)."""
        return self.sampler()(0.5)

    @property
    def valid(self) -> str:
        """The bounds in words."""
        return f"a number from {self.lower!r} to {self.upper!r}"

    @property
    def written(self) -> tuple[str, dict[str, Any]]:
        """See `Domain`."""
        return f"{PREFIX[self.scale]}uniform", {"lower": self.lower, "upper": self.upper}

    @property
    def decimals(self) -> int:
        """Decimal places that drawn values are rounded to; not used on the log scale."""
        if self.scale == "reverse-log":
            return 12 if self.upper <= 1.0 - 1e-6 else 14
        largest, span = max(abs(self.lower), abs(self.upper)), self.upper - self.lower
        if span == 0.0:
            return 0
        return min(max(11 - _exponent(largest), 6 - _exponent(span)), 13 - _exponent(largest))

    @property
    def key_format(self) -> str:
        """12 significant digits; more where drawn values have more."""
        if self.scale == "log" or self.lower == self.upper:
            return "%.12g"
        return f"%.{max(12, self.decimals + _exponent(max(abs(self.lower), abs(self.upper))) + 1)}g"

    def cast(self, value: object) -> float:
        """See `Domain`."""
        number = as_number(parsed(value))
        if number is None:
            raise self.refusal(value)
        return number

    def contains(self, value: object) -> bool:
        """Whether the value is a number (not text) within the bounds."""
        number = value if type(value) is float else as_number(value)
        return number is not None and self.lower <= number <= self.upper

    def checker(self) -> Callable[[object], bool]:
        """See `Domain`."""
        lower, upper = self.lower, self.upper
        return lambda value: type(value) is float and lower <= value <= upper

    def sampler(self) -> Callable[[float], float]:
        """See `Domain`."""
        lower, upper = self.lower, self.upper
        if lower == upper:
            return lambda _u: lower
        _, inverse = axis(lower, upper, self.scale)
        if self.scale == "log":
            return _significant(inverse, lower, upper)
        if self.scale == "linear" and 0 <= self.decimals <= EXACT_POWER:
            return _even(lower, upper, float(10**self.decimals))
        return _fixed(inverse, self.decimals, lower, upper)

    def encoder(self) -> Callable[[Any], tuple[float, ...]]:
        """The value's place between the bounds, on the scale."""
        forward, _ = axis(self.lower, self.upper, self.scale)
        # At a bound, the logarithm of the C library may miss the one of the axis by its last bit.
        return lambda value: (min(max(forward(value), 0.0), 1.0),)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Integer(Domain):
    """All whole numbers from lower to upper, both included, each with its fair share of [lower - 0.5, upper + 0.5]."""

    lower: int
    upper: int
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        where = self.written[0]
        lower, upper = whole_of(where, "lower", self.lower), whole_of(where, "upper", self.upper)
        check_order(where, lower, upper)
        if self.scale == "log":
            check_positive(where, lower, "randint")
        check_reach(where, lower, upper, self.scale)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def value_type(self) -> type[int]:
        """Int."""
        return int

    @property
    def size(self) -> int:
        """How many whole numbers."""
        return self.upper - self.lower + 1

    @property
    def default(self) -> int:
        """Arithmetic or geometric mean of the bounds; of two in the middle the lower."""
        return middle(self.lower, self.upper, self.scale)

    @property
    def valid(self) -> str:
        """The bounds in words."""
        return f"a whole number from {self.lower!r} to {self.upper!r}"

    @property
    def written(self) -> tuple[str, dict[str, Any]]:
        """See `Domain`."""
        return f"{PREFIX[self.scale]}randint", {"lower": self.lower, "upper": self.upper}

    @property
    def key_format(self) -> str:
        """The number."""
        return "%d"

    def cast(self, value: object) -> int:
        """See `Domain`; a fraction is refused, never cut."""
        number = parsed(value)
        if not isinstance(number, int):
            raise self.refusal(value)
        return number

    def contains(self, value: object) -> bool:
        """Whether the value is a whole number (not text) within the bounds."""
        whole = value if type(value) is int else as_whole(value)
        return whole is not None and self.lower <= whole <= self.upper

    def checker(self) -> Callable[[object], bool]:
        """See `Domain`."""
        lower, upper = self.lower, self.upper
        return lambda value: type(value) is int and lower <= value <= upper

    def sampler(self) -> Callable[[float], int]:
        """See `Domain`."""
        return whole_sampler(self.lower, self.upper, self.scale)

    def encoder(self) -> Callable[[Any], tuple[float, ...]]:
        """The value's place in [lower - 0.5, upper + 0.5], on the scale."""
        forward, _ = axis(self.lower - 0.5, self.upper + 0.5, self.scale)
        return lambda value: (forward(value),)


def check_reach(where: str, lower: int, upper: int, scale: Scale) -> None:
    """Raises InvalidSpace where a float code could not tell neighbouring whole numbers apart."""
    limit = _LOG_LIMIT if scale == "log" else _LINEAR_LIMIT
    if max(abs(lower), abs(upper)) > limit:
        raise InvalidSpace(
            f"{where}: bounds are limited to {limit} (2^{limit.bit_length() - 1}) here; scale the value in the script."
        )


def middle(lower: int, upper: int, scale: Scale) -> int:
    """Arithmetic or geometric mean of whole numbers, rounded; of two in the middle the lower."""
    return round(math.sqrt(lower * upper)) if scale == "log" else (lower + upper) // 2


def whole_sampler(lower: int, upper: int, scale: Scale) -> Callable[[float], int]:
    """A whole number from a uniform one: uniform on [lower - 0.5, upper + 0.5] of the scale, then rounded."""
    if scale == "log":
        start = log(lower - 0.5)
        grow = exponential(start, log(upper + 0.5) - start)

        def draw_log(u: float) -> int:
            k = int(grow(u) + 0.5)
            return lower if k < lower else upper if k > upper else k  # noqa: FURB136 - a third of the time of min

        return draw_log
    size = upper - lower + 1

    def draw(u: float) -> int:
        k = lower + int(size * u)
        return k if k <= upper else upper  # noqa: FURB136 - a third of the time of min

    return draw


# Powers of ten up to 10^22 are exact floats, so that one multiplication and one division give the float nearest to a
# decimal number, in a fifth of the time that round(x, digits) or a format string takes.
EXACT_POWER: Final = 22


def _fixed(inverse: Callable[[float], float], decimals: int, lower: float, upper: float) -> Callable[[float], float]:
    """Values rounded to decimal places and clipped."""
    if not 0 <= decimals <= EXACT_POWER:
        return lambda u: min(max(round(inverse(u), decimals) + 0.0, lower), upper)
    ten = float(10**decimals)

    def draw(u: float) -> float:
        x = round(inverse(u) * ten) / ten
        return lower if x < lower else upper if x > upper else x  # noqa: FURB136 - a third of the time of min

    return draw


def _even(lower: float, upper: float, ten: float) -> Callable[[float], float]:
    """`_fixed` for the linear scale, without a call between."""
    width = upper - lower

    def draw(u: float) -> float:
        x = round((lower + width * u) * ten) / ten
        return lower if x < lower else upper if x > upper else x  # noqa: FURB136 - a third of the time of min

    return draw


def decades_of(lower: float, upper: float) -> tuple[list[float], list[float]] | None:
    """Powers of ten between the bounds, and by what to multiply 12 digits before, between and after them; None if inexact."""
    first, last = _exponent(lower), _exponent(upper)
    if first < 11 - EXACT_POWER or last > 11:
        return None
    decades = [float(f"1e{exponent}") for exponent in range(first + 1, last + 1)]
    return decades, [float(10 ** (11 - exponent)) for exponent in range(first, last + 1)]


def _significant(inverse: Callable[[float], float], lower: float, upper: float) -> Callable[[float], float]:
    """Values > 0 rounded to 12 significant digits and clipped."""
    table = decades_of(lower, upper)
    if table is None:
        return lambda u: min(max(float(f"{inverse(u):.12g}"), lower), upper)
    decades, tens = table

    def draw(u: float) -> float:
        x = inverse(u)
        ten = tens[bisect_right(decades, x)]
        x = round(x * ten) / ten
        return lower if x < lower else upper if x > upper else x  # noqa: FURB136 - a third of the time of min

    return draw
