"""A choice among lists: hidden layer sizes, milestones of a schedule, blocks of a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from offbeat.errors import InvalidConfig, InvalidSpace
from offbeat.space.checks import as_bool, as_number, as_whole, shown, text_fault
from offbeat.space.domain import Domain
from offbeat.space.members import category_codes, category_place, equal_sampler, given_values, listed

_DEEPEST = 20


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ListChoice(Domain):
    """One of several lists without an order, or None. Drawn and encoded like `Choice`.

    Lists hold what JSON does: numbers, texts, booleans, None, lists; tuples become lists. Each configuration has a list
    of its own, so that changing one changes no other.

    Attributes:
        texts: the values as JSON.
    """

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        plain = [None if value is None else _plain_list(value) for value in given_values("choice", self.texts)]
        texts = tuple(json.dumps(value, ensure_ascii=False) for value in plain)
        known: set[object] = set()
        for value in plain:
            if _meaning(value) in known:
                raise InvalidSpace(f"choice: the value {shown(value)} stands in the list twice; list each once.")
            known.add(_meaning(value))
        object.__setattr__(self, "texts", texts)

    @property
    def values(self) -> tuple[list[Any] | None, ...]:
        """The lists, made anew."""
        return tuple(map(json.loads, self.texts))

    @property
    def value_type(self) -> type[list[Any]]:
        """List."""
        return list

    @property
    def size(self) -> int:
        """How many lists."""
        return len(self.texts)

    @property
    def default(self) -> list[Any] | None:
        """The first one."""
        return self.values[0]

    @property
    def valid(self) -> str:
        """The lists in words."""
        return listed(self.values)

    @property
    def written(self) -> tuple[str, dict[str, Any]]:
        """See `Domain`."""
        return "choice", {"values": self.values}

    @property
    def key_format(self) -> str:
        """The list."""
        return "%r"

    def cast(self, value: object) -> list[Any] | None:
        """The list that is meant: equal, with numbers of another type, as a tuple, or written as JSON."""
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                raise self.refusal(value) from None
        meant = _meaning(value)
        for member in self.values:
            if _meaning(member) == meant:
                return member
        raise self.refusal(value)

    def contains(self, value: object) -> bool:
        """Whether the value is one of the lists, with the same types inside."""
        return (value is None or type(value) is list) and repr(value) in set(map(repr, self.values))

    def checker(self) -> Callable[[object], bool]:
        """See `Domain`."""
        known = frozenset(map(repr, self.values))
        return lambda value: (value is None or type(value) is list) and repr(value) in known

    def checked(self, value: object) -> list[Any] | None:
        """See `Domain`; a list of its own."""
        return self.cast(value)

    def sampler(self) -> Callable[[float], list[Any] | None]:
        """See `Domain`; all lists have the same chance."""
        draw = equal_sampler(self.texts)
        return lambda u: json.loads(draw(u))

    def encoder(self) -> Callable[[Any], tuple[float, ...]]:
        """One-hot, or 0.25 and 0.75 for two lists."""
        codes = dict(zip(map(repr, self.values), category_codes(len(self.texts)), strict=True))

        def encode(value: Any) -> tuple[float, ...]:
            code = codes.get(repr(value))
            return codes[repr(self.cast(value))] if code is None else code

        return encode

    def decoder(self) -> Callable[[Sequence[float]], list[Any] | None]:
        """The list with the largest coordinate."""
        texts, place = self.texts, category_place(len(self.texts))
        return lambda code: json.loads(texts[place(code)])


def has_lists(values: object) -> bool:
    """Whether a choice is one among lists."""
    return isinstance(values, list | tuple) and any(isinstance(value, list | tuple) for value in values)


def _plain_list(value: object, depth: int = 0) -> list[Any]:
    if not isinstance(value, list | tuple) or depth > _DEEPEST:
        why = "is no list; give lists only" if depth <= _DEEPEST else f"is nested more than {_DEEPEST} levels deep"
        raise InvalidSpace(f"choice: {shown(value)} {why} (or None).")
    return [_plain_entry(entry, depth) for entry in value]


def _plain_entry(entry: object, depth: int) -> Any:
    if entry is None:
        return None
    if isinstance(entry, list | tuple):
        return _plain_list(entry, depth + 1)
    if isinstance(entry, str):
        if fault := text_fault(entry):
            raise InvalidSpace(f"choice: the text {shown(entry)} {fault}; no script can be handed that.")
        return str(entry)
    if (truth := as_bool(entry)) is not None:
        return truth
    number = as_number(entry) if isinstance(entry, float) else as_whole(entry)
    if number is None:
        raise InvalidSpace(
            f"choice: {shown(entry)} cannot stand in a list; lists hold finite numbers, text, booleans, None and lists."
        )
    return number


def _meaning(value: object) -> object:
    """A form in which 1 and 1.0 are equal, but True and 1 are not."""
    if isinstance(value, list | tuple):
        return tuple(map(_meaning, value))
    if isinstance(value, bool):
        return (bool, value)
    try:
        hash(value)
    except TypeError:
        raise InvalidConfig(
            f"{shown(value)} cannot stand in a list of this space; give numbers, texts or lists."
        ) from None
    return value
