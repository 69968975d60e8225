"""The domains as users write them, and as they stand in JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from offbeat.errors import InvalidSpace, nearest
from offbeat.space.checks import shown
from offbeat.space.domain import Domain, Scalar, Value
from offbeat.space.finite import Choice, FiniteRange, Ordinal, OrdinalKind
from offbeat.space.lists import ListChoice, has_lists
from offbeat.space.nullable import Nullable
from offbeat.space.numeric import Float, Integer
from offbeat.space.quantized import Quantized


def uniform(lower: float, upper: float) -> Float:
    """Numbers from lower to upper, all equally likely."""
    return Float(lower, upper)


def loguniform(lower: float, upper: float) -> Float:
    """Numbers whose logarithm is uniform; lower > 0."""
    return Float(lower, upper, "log")


def reverseloguniform(lower: float, upper: float) -> Float:
    """Numbers for which log(1 - x) is uniform, e.g. momentum from 0.9 to 0.999; 0 <= lower, upper < 1."""
    return Float(lower, upper, "reverse-log")


def randint(lower: int, upper: int) -> Integer:
    """Whole numbers from lower to upper, both included."""
    return Integer(lower, upper)


def lograndint(lower: int, upper: int) -> Integer:
    """Whole numbers from lower to upper, both included, uniform in their logarithm; lower > 0."""
    return Integer(lower, upper, "log")


def choice(values: Sequence[Value]) -> Choice | ListChoice:
    """One of the values, without an order: numbers, texts, booleans or lists, all of one type, and None."""
    if has_lists(values):
        return ListChoice(values)  # type: ignore[arg-type]
    return Choice(tuple(values) if isinstance(values, list) else values)  # type: ignore[arg-type]


def ordinal(values: Sequence[Scalar], kind: OrdinalKind | None = None) -> Ordinal:
    """One of the values, which have an order. `kind`: "equal", "nn", "nn-log"; None: "nn" for increasing numbers."""
    return Ordinal(tuple(values) if isinstance(values, list) else values, kind)  # type: ignore[arg-type]


def logordinal(values: Sequence[float]) -> Ordinal:
    """One of increasing numbers above 0, at the distances of their logarithms."""
    return ordinal(values, "nn-log")


def finrange(lower: float, upper: float, size: int, cast_int: bool = False) -> FiniteRange:
    """`size` numbers at equal distances from lower to upper; with `cast_int` rounded to whole ones."""
    return FiniteRange(lower, upper, size, "linear", cast_int)


def logfinrange(lower: float, upper: float, size: int, cast_int: bool = False) -> FiniteRange:
    """`size` numbers at equal ratios from lower to upper; with `cast_int` rounded to whole ones."""
    return FiniteRange(lower, upper, size, "log", cast_int)


def quniform(lower: float, upper: float, q: float) -> Quantized:
    """Multiples of q from lower to upper."""
    return Quantized(lower, upper, q)


def qloguniform(lower: float, upper: float, q: float) -> Quantized:
    """Multiples of q from lower to upper, uniform in their logarithm; lower > 0."""
    return Quantized(lower, upper, q, "log")


def qrandint(lower: int, upper: int, q: int) -> Quantized:
    """Whole multiples of q from lower to upper."""
    return Quantized(lower, upper, q, "linear", whole=True)


def qlograndint(lower: int, upper: int, q: int) -> Quantized:
    """Whole multiples of q from lower to upper, uniform in their logarithm; lower > 0."""
    return Quantized(lower, upper, q, "log", whole=True)


def optional(of: Domain, none: float = 0.5) -> Nullable:
    """None, or a value of a domain; `none`: share of the draws that are None. As a flag, None is written `null`."""
    return Nullable(of, none)


CONSTRUCTORS: Final[Mapping[str, Callable[..., Domain]]] = {
    make.__name__: make
    for make in (
        uniform, loguniform, reverseloguniform, randint, lograndint, choice, ordinal, logordinal, finrange, logfinrange,
        quniform, qloguniform, qrandint, qlograndint, optional,
    )
}  # fmt: skip


def domain_from_json(data: object) -> Domain:
    """The domain that `{"domain": constructor, argument: value, ...}` describes. Raises InvalidSpace."""
    if not isinstance(data, Mapping) or "domain" not in data:
        raise InvalidSpace(f'{shown(data)} describes no domain; write {{"domain": "uniform", "lower": 0, "upper": 1}}.')
    name = data["domain"]
    make = CONSTRUCTORS.get(name) if isinstance(name, str) else None
    if make is None:
        raise InvalidSpace(f"No domain is called {shown(name)}. {nearest(str(name), CONSTRUCTORS)}")
    arguments: dict[str, Any] = {key: value for key, value in data.items() if key != "domain"}
    parameters = inspect.signature(make).parameters
    for key in arguments:
        if key not in parameters:
            raise InvalidSpace(f"{name} has no argument {shown(key)}. {nearest(str(key), parameters)}")
    missing = [
        key for key, one in parameters.items() if one.default is inspect.Parameter.empty and key not in arguments
    ]
    if missing:
        raise InvalidSpace(f"{name} lacks {' and '.join(map(repr, missing))}; add it.")
    if isinstance(arguments.get("of"), Mapping):
        arguments["of"] = domain_from_json(arguments["of"])
    return make(**arguments)
