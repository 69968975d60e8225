"""What domains that list their values share: reading the list, finding a member, drawing and encoding by index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from offbeat.errors import InvalidSpace
from offbeat.space.checks import as_bool, as_number, as_whole, shown, text_fault
from offbeat.space.domain import Domain, Scalar, parsed

T = TypeVar("T")


def listed(values: Sequence[object]) -> str:
    """Values for a message: the first eight."""
    if len(values) == 1:
        return f"{values[0]!r}, the only value"
    rest = f" ... ({len(values)} values)" if len(values) > 8 else ""
    return f"one of {', '.join(map(shown, values[:8]))}{rest}"


def given_values(where: str, values: object) -> list[Any]:
    """The values that a domain was given, one at least. Raises InvalidSpace."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidSpace(f"{where}: {shown(values)} is not a list of values; write {where}([...]).")
    given = list(values)
    if not given:
        raise InvalidSpace(f"{where}: the list of values is empty; give one value at least.")
    return given


def plain_values(where: str, values: object, *, optional: bool = False) -> tuple[Any, ...]:
    """The values of a domain in one plain type: all bool, int, float or str, with `optional` None beside them.

    Raises InvalidSpace.
    """
    given = given_values(where, values)
    plain: tuple[Any, ...] = tuple(
        None if value is None and optional else _plain_value(where, value) for value in given
    )
    kinds = {type(value) for value in plain if value is not None}
    if kinds == {int, float}:
        plain, kinds = tuple(None if value is None else float(value) for value in plain), {float}
    if len(kinds) > 1:
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise InvalidSpace(f"{where}: {shown(given)} mixes {names}; give values of one type, for example all as text.")
    if len(set(plain)) < len(plain):
        double = next(value for value in plain if plain.count(value) > 1)
        raise InvalidSpace(
            f"{where}: the value {shown(double)} stands in the list twice; list each once (all have the same chance)."
        )
    return plain


def _plain_value(where: str, value: object) -> Scalar:
    if isinstance(value, str):
        if fault := text_fault(value):
            raise InvalidSpace(f"{where}: the text {shown(value)} {fault}; no script can be handed that.")
        return str(value)
    if (truth := as_bool(value)) is not None:
        return truth
    number = as_number(value) if isinstance(value, float) else as_whole(value)
    if number is None:
        number = as_number(value)
    if number is None:
        hint = "values are finite numbers, text or booleans"
        if value is None:
            hint = "None has no place in an order: write optional(...) around the domain"
        elif isinstance(value, list | tuple):
            hint = "lists stand in choice([[...], [...]])"
        raise InvalidSpace(f"{where}: {shown(value)} cannot be a value; {hint}.")
    return number


def is_rising(values: Sequence[Scalar]) -> bool:
    """Whether these are numbers, each larger than the one before."""
    if type(values[0]) not in (int, float):
        return False
    return all(float(low) < float(high) for low, high in pairwise(values))


def is_member(domain: Domain, value: object, index: Collection[Any]) -> bool:
    """Whether a value of the domain's own type (NumPy's counts, text for a number does not) is in the index."""
    kind = domain.value_type
    if kind is str or value is None:
        return (value is None or isinstance(value, str)) and value in index
    own: object = {bool: as_bool, int: as_whole, float: as_number}.get(kind, _nothing)(value)
    return own is not None and own in index


def _nothing(_value: object) -> None:
    """No value but None itself is in a domain that has nothing else."""


def member_checker(domain: Domain, values: Sequence[Any]) -> Callable[[object], bool]:
    """Whether a value is a member and of the domain's very type."""
    kind, index = domain.value_type, frozenset(values)
    if None in index:
        return lambda value: value is None or (type(value) is kind and value in index)
    return lambda value: type(value) is kind and value in index


def matched(domain: Domain, value: object, values: Sequence[T]) -> T:
    """The member that is meant: equal, the same written as text, or for floats the nearest within 1 %.

    Raises InvalidConfig.
    """
    kind = domain.value_type
    meant: object = value
    if value is None and None in values:
        return value  # type: ignore[return-value]
    if kind is bool:
        meant = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else as_bool(value)
    elif kind is str:
        meant = value if isinstance(value, str) else None
    else:
        meant = parsed(value)
        number = as_number(meant) if kind is float else None
        if number is not None:
            near: Any = min((v for v in values if v is not None), key=lambda member: abs(member - number))  # type: ignore[operator]
            meant = near if abs(near - number) <= 0.01 * abs(near) else None
    for member in values:
        if meant is not None and member == meant:
            return member
    raise domain.refusal(value)


def equal_sampler(values: Sequence[T]) -> Callable[[float], T]:
    """Each value with the same chance, in the order given."""
    n = len(values)
    last = n - 1

    def draw(u: float) -> T:
        i = int(n * u)
        return values[i if i <= last else last]  # noqa: FURB136 - a third of the time of min

    return draw


def equal_codes(n: int) -> list[tuple[float]]:
    """Mid-points of n cells of equal width."""
    return [((i + 0.5) / n,) for i in range(n)]


def category_codes(n: int) -> list[tuple[float, ...]]:
    """Codes of n categories: one-hot, but 0.25 and 0.75 for two, 0.5 for one."""
    if n <= 2:
        return [*equal_codes(n)]
    return [tuple(float(j == i) for j in range(n)) for i in range(n)]


def category_place(n: int) -> Callable[[Sequence[float]], int]:
    """The category that a code means: that of the largest coordinate, the first of equals."""
    if n <= 2:
        return lambda code: min(int(n * max(code[0], 0.0)), n - 1)
    return lambda code: max(range(n), key=code.__getitem__)


def table_encoder(domain: Domain, codes: Mapping[Any, tuple[float, ...]]) -> Callable[[Any], tuple[float, ...]]:
    """Looks a value up; one that is a member only after a cast is cast first. Raises InvalidConfig."""

    def encode(value: Any) -> tuple[float, ...]:
        try:
            return codes[value]
        except (KeyError, TypeError):
            return codes[domain.cast(value)]

    return encode
