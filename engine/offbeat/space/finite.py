"""Domains that list their values: unordered, ordered, and regular grids."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, TypeAlias, final

from offbeat.errors import InvalidSpace, nearest
from offbeat.space.checks import check_order, check_positive, number_of, shown, whole_of
from offbeat.space.domain import Domain, Scalar
from offbeat.space.members import (
    category_codes,
    category_place,
    equal_codes,
    equal_sampler,
    is_member,
    is_rising,
    listed,
    matched,
    member_checker,
    plain_values,
    table_encoder,
)
from offbeat.space.scales import Scale, axis, log

OrdinalKind: TypeAlias = Literal["equal", "nn", "nn-log"]
_LARGEST = 1_000_000


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Choice(Domain):
    """One of several values without an order, all of one type or None; whole numbers beside floats become floats.

    Encoded one-hot, decoded by the largest coordinate (the first of equals); one or two values take one coordinate.
    """

    values: tuple[Scalar | None, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", plain_values("choice", self.values, optional=True))

    @property
    def value_type(self) -> type[Scalar | None]:
        """Bool, int, float or str; that of None if there is nothing else."""
        return next((type(value) for value in self.values if value is not None), type(None))

    @property
    def size(self) -> int:
        """How many values."""
        return len(self.values)

    @property
    def default(self) -> Scalar | None:
        """The first value."""
        return self.values[0]

    @property
    def valid(self) -> str:
        """The values in words."""
        return listed(self.values)

    @property
    def written(self) -> tuple[str, dict[str, Any]]:
        """See `Domain`."""
        return "choice", {"values": self.values}

    @property
    def key_format(self) -> str:
        """The value."""
        return "%r"

    def cast(self, value: object) -> Scalar | None:
        """The member that is meant, see `matched`."""
        return matched(self, value, self.values)

    def contains(self, value: object) -> bool:
        """Whether the value is a member."""
        return is_member(self, value, self.values)

    def checker(self) -> Callable[[object], bool]:
        """See `Domain`."""
        return member_checker(self, self.values)

    def sampler(self) -> Callable[[float], Scalar | None]:
        """See `Domain`; all values have the same chance."""
        return equal_sampler(self.values)

    def encoder(self) -> Callable[[Any], tuple[float, ...]]:
        """One-hot, or 0.25 and 0.75 for two values."""
        return table_encoder(self, dict(zip(self.values, category_codes(len(self.values)), strict=True)))

    def decoder(self) -> Callable[[Sequence[float]], Scalar | None]:
        """See class."""
        values, place = self.values, category_place(len(self.values))
        return lambda code: values[place(code)]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ordinal(Domain):
    """One of several values in the order given.

    Attributes:
        kind: "equal": steps of equal width. "nn": values are increasing numbers and keep their distances; the axis is
            padded by half the mean gap on both sides and a code means its nearest value, so a value beside a wide gap
            has more chance. "nn-log": the same for their logarithms.
    """

    values: tuple[Scalar, ...]
    kind: OrdinalKind | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", plain_values("ordinal", self.values))
        kinds = ("equal", "nn", "nn-log")
        rising = is_rising(self.values)
        if self.kind is None:
            object.__setattr__(self, "kind", "nn" if rising else "equal")
        elif self.kind not in kinds:
            raise InvalidSpace(f"ordinal: kind={shown(self.kind)} is not valid. {nearest(str(self.kind), kinds)}")
        elif self.kind != "equal" and not rising:
            raise InvalidSpace(
                f"ordinal: kind={self.kind!r} needs increasing numbers; sort {listed(self.values)} or use kind='equal'."
            )
        if self.kind == "nn-log":
            check_positive("ordinal with kind='nn-log'", float(self.values[0]), "kind='nn'")

    @property
    def value_type(self) -> type[Scalar]:
        """Bool, int, float or str."""
        return type(self.values[0])

    @property
    def size(self) -> int:
        """How many values."""
        return len(self.values)

    @property
    def default(self) -> Scalar:
        """The value in the middle; of two the upper."""
        return self.values[len(self.values) // 2]

    @property
    def valid(self) -> str:
        """The values in words."""
        return listed(self.values)

    @property
    def written(self) -> tuple[str, dict[str, Any]]:
        """See `Domain`."""
        return "ordinal", {"values": self.values, "kind": self.kind}

    @property
    def key_format(self) -> str:
        """The value."""
        return "%r"

    def cast(self, value: object) -> Scalar:
        """The member that is meant, see `matched`."""
        return matched(self, value, self.values)

    def contains(self, value: object) -> bool:
        """Whether the value is a member."""
        return is_member(self, value, self.values)

    def checker(self) -> Callable[[object], bool]:
        """See `Domain`."""
        return member_checker(self, self.values)

    def _axis(self) -> tuple[list[float], float, float]:
        """Places of the values and the ends of their axis."""
        places = [log(float(v)) if self.kind == "nn-log" else float(v) for v in self.values]
        pad = (places[-1] - places[0]) / (len(places) - 1) / 2
        return places, places[0] - pad, places[-1] + pad

    def sampler(self) -> Callable[[float], Scalar]:
        """See `Domain`."""
        values = self.values
        if self.kind == "equal" or len(values) == 1:
            return equal_sampler(values)
        places, low, high = self._axis()
        borders = [(a + b) / 2 for a, b in pairwise(places)]
        span = high - low
        return lambda u: values[bisect_right(borders, low + span * u)]

    def encoder(self) -> Callable[[Any], tuple[float, ...]]:
        """The value's place on the axis of its kind."""
        if self.kind == "equal" or len(self.values) == 1:
            return table_encoder(self, dict(zip(self.values, equal_codes(len(self.values)), strict=True)))
        places, low, high = self._axis()
        return table_encoder(self, {v: ((p - low) / (high - low),) for v, p in zip(self.values, places, strict=True)})


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FiniteRange(Domain):
    """A regular grid of `size` numbers from lower to upper, on the linear or log scale; drawn and encoded by index.

    Numbers are rounded to 12 digits or, with `cast_int`, to whole ones; the ends are as given.
    """

    lower: float
    upper: float
    points: int
    scale: Literal["linear", "log"] = "linear"
    cast_int: bool = False
    values: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        where = self.written[0]
        lower, upper = number_of(where, "lower", self.lower), number_of(where, "upper", self.upper)
        n = whole_of(where, "size", self.points)
        check_order(where, lower, upper)
        if self.scale == "log":
            check_positive(where, lower, "finrange")
        if type(self.cast_int) is not bool:
            raise InvalidSpace(f"{where}: cast_int={shown(self.cast_int)} is not valid; give True or False.")
        if not 1 <= n <= _LARGEST:
            raise InvalidSpace(
                f"{where}: size={n} is not valid; give 1 to {_LARGEST} values, or use a domain without a grid."
            )
        if (n == 1) != (lower == upper):
            raise InvalidSpace(
                f"{where}: size={n} does not fit bounds {lower!r} and {upper!r}; equal bounds go with size=1."
            )
        values: tuple[float, ...] = tuple(_grid(lower, upper, n, self.scale))
        if self.cast_int:
            values = tuple(round(value) for value in values)
        different = len(set(values))
        if different < n:
            raise InvalidSpace(
                f"{where}: rounding leaves {different} different values of {n}; use a smaller size or wider bounds."
            )
        for name, own in (("lower", lower), ("upper", upper), ("points", n), ("values", values)):
            object.__setattr__(self, name, own)

    @property
    def value_type(self) -> type[int] | type[float]:
        """Float, or int with `cast_int`."""
        return int if self.cast_int else float

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.points

    @property
    def default(self) -> float:
        """The number in the middle; of two the lower."""
        return self.values[(self.points - 1) // 2]

    @property
    def valid(self) -> str:
        """The numbers in words."""
        return listed(self.values)

    @property
    def written(self) -> tuple[str, dict[str, Any]]:
        """See `Domain`."""
        arguments = {"lower": self.lower, "upper": self.upper, "size": self.points, "cast_int": self.cast_int}
        return ("logfinrange" if self.scale == "log" else "finrange"), arguments

    @property
    def key_format(self) -> str:
        """The number."""
        return "%r"

    def cast(self, value: object) -> float:
        """The number of the grid that is meant, see `matched`."""
        return matched(self, value, self.values)

    def contains(self, value: object) -> bool:
        """Whether the value is on the grid, to the last digit."""
        return is_member(self, value, self.values)

    def checker(self) -> Callable[[object], bool]:
        """See `Domain`."""
        return member_checker(self, self.values)

    def sampler(self) -> Callable[[float], float]:
        """See `Domain`; all values have the same chance."""
        return equal_sampler(self.values)

    def encoder(self) -> Callable[[Any], tuple[float, ...]]:
        """The place of the index in [-0.5, size - 0.5]."""
        return table_encoder(self, dict(zip(self.values, equal_codes(len(self.values)), strict=True)))


def _grid(lower: float, upper: float, n: int, scale: Scale) -> list[float]:
    if n == 1:
        return [lower]
    _, inverse = axis(lower, upper, scale)
    inner = [float(f"{inverse(i / (n - 1)):.12g}") for i in range(1, n - 1)]
    return [lower, *(min(max(x, lower), upper) for x in inner), upper]
