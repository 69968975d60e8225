"""What may stand in a space: numbers, texts, names, constants. Checks return the value in its plain Python type."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Final

from offbeat.errors import InvalidSpace

RESERVED_PREFIX: Final = "st_"

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_short.maxlist = _short.maxtuple = 8


def shown(value: object) -> str:
    """`repr` of a value, cut to what fits into a message."""
    return _short.repr(value)


def as_bool(value: object) -> bool | None:
    """A truth value (also NumPy's, which is no bool), else None."""
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    return None


def as_number(value: object) -> float | None:
    """A finite number as float (also NumPy's), else None; booleans and text are not numbers."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number + 0.0 if math.isfinite(number) else None


def as_whole(value: object) -> int | None:
    """A whole number as int (also 1e6 and NumPy's), else None; booleans and text are not numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Integral):
        return operator.index(value)
    number = as_number(value)
    return int(number) if number is not None and number.is_integer() else None


def number_of(where: str, field: str, value: object) -> float:
    """A finite bound. Raises InvalidSpace."""
    number = as_number(value)
    if number is None:
        raise InvalidSpace(f"{where}: {field}={shown(value)} is not usable; give a finite number.")
    return number


def whole_of(where: str, field: str, value: object) -> int:
    """A whole bound. Raises InvalidSpace."""
    whole = as_whole(value)
    if whole is None:
        raise InvalidSpace(f"{where}: {field}={shown(value)} is not usable; give a whole number.")
    return whole


def check_order(where: str, lower: float, upper: float) -> None:
    """Raises InvalidSpace unless lower <= upper."""
    if lower > upper:
        raise InvalidSpace(f"{where}: lower={lower!r} is above upper={upper!r}; swap them.")


def check_positive(where: str, lower: float, instead: str) -> None:
    """A log scale starts above 0. Raises InvalidSpace."""
    if lower <= 0:
        raise InvalidSpace(f"{where}: lower={lower!r} has no logarithm; raise lower above 0 or use {instead}.")


def text_fault(text: str) -> str:
    """Why a text cannot be handed to a process as an argument; empty if it can."""
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair"
    return ""


def checked_name(name: object) -> str:
    """A name that can become a flag, an environment entry and a column as it stands. Raises InvalidSpace."""
    if not isinstance(name, str) or not name:
        raise InvalidSpace(
            f"The name {shown(name)} is not usable; name each entry of a space with a text of one character or more."
        )
    if name.startswith(RESERVED_PREFIX):
        raise InvalidSpace(
            f"The name {shown(name)} is not usable: names that start with {RESERVED_PREFIX!r} are reserved; rename it."
        )
    faults = (
        (not name.isprintable(), "a character that cannot be printed"),
        (name != name.strip(), "a blank at an end"),
        (name.startswith("-"), "a '-' in front"),
        ("=" in name, "a '='"),
        ("/" in name or "\\" in name, "a path separator"),
        (".." in name, "'..'"),
    )
    for found, fault in faults:
        if found:
            raise InvalidSpace(
                f"The name {shown(name)} is not usable: no script can be handed {fault} safely; rename it."
            )
    return str(name)


def checked_constant(name: str, value: object, depth: int = 0) -> Any:
    """A deep copy of a constant of JSON type. Raises InvalidSpace that names the entry."""
    if depth > 50:
        raise InvalidSpace(f"{name!r}: the constant is nested more than 50 levels deep, or holds itself.")
    if value is None or type(value) in (bool, int):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is str:
        if fault := text_fault(value):
            raise InvalidSpace(f"{name!r}: the text {shown(value)} {fault}; no script can be handed that.")
        return value
    if type(value) is list:
        return [checked_constant(name, entry, depth + 1) for entry in value]
    if type(value) is dict and all(type(key) is str for key in value):
        return {checked_constant(name, key): checked_constant(name, entry, depth + 1) for key, entry in value.items()}
    raise InvalidSpace(f"{name!r}: {shown(value)} is neither a domain nor a constant. {_advice(value)}")


def _advice(value: object) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "sample"):
        return f"A domain of another library ({kind}) is not understood; build it with offbeat.config_space."
    if isinstance(value, float):
        return "A constant number has to be finite."
    if callable(value):
        return "Call it with its bounds, as in loguniform(1e-6, 1e-1)."
    if hasattr(value, "item"):
        return "Write value.item() to make a plain number of it."
    if isinstance(value, (tuple, set, frozenset, range)):
        return "Write choice([...]) to have one of them chosen, or a list to hand over all of them."
    if isinstance(value, Mapping):
        return "A constant mapping has to be a dict with text as keys."
    return f"Use a domain (uniform, loguniform, randint, choice ...) or a constant of JSON type, not {kind}."
