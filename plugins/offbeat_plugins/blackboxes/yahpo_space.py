"""Search spaces as YAHPO Gym writes them (ConfigSpace's JSON): hyperparameters, and conditions as expressions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from offbeat.errors import InvalidArgument
from offbeat.space.constructors import choice, lograndint, loguniform, ordinal, randint, uniform
from offbeat.space.domain import Domain
from offbeat.space.entries import require, when
from offbeat.space.expressions.tokens import quoted, written_name

_SIGNS: Final = {"EQ": "==", "NEQ": "!=", "GT": ">", "LT": "<"}


def entries_of(described: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The entries of a space for those names, in the order of the file.

    Raises InvalidArgument for a type of hyperparameter, condition or clause that has no counterpart.
    """
    conditions: dict[str, list[str]] = {}
    for condition in described.get("conditions") or ():
        conditions.setdefault(_child(condition), []).append(_expression(condition))
    entries: dict[str, Any] = {}
    for entry in described["hyperparameters"]:
        name = entry["name"]
        if name in names:
            domain = _domain(entry)
            texts = conditions.get(name)
            entries[name] = domain if texts is None else when(domain, " and ".join(texts))
    for i, clause in enumerate(described.get("forbiddens") or ()):
        entries[f"forbidden_{i + 1}"] = require(f"not {_expression(clause)}")
    return entries


def _domain(entry: Mapping[str, Any]) -> Domain:
    kind = entry["type"]
    if kind == "categorical":
        return choice(entry["choices"])
    if kind == "ordinal":
        return ordinal(entry["sequence"], kind="equal")
    if kind == "constant":
        return choice([entry["value"]])
    log = bool(entry.get("log"))
    if kind == "uniform_int":
        return (lograndint if log else randint)(int(entry["lower"]), int(entry["upper"]))
    if kind == "uniform_float":
        return (loguniform if log else uniform)(float(entry["lower"]), float(entry["upper"]))
    raise InvalidArgument(
        f"{entry['name']!r} is of type {kind!r}; categorical, ordinal, constant, uniform_int and uniform_float are read."
    )


def _child(condition: Mapping[str, Any]) -> str:
    return str(condition["child"])


def _expression(condition: Mapping[str, Any]) -> str:
    kind = condition["type"]
    if kind in ("AND", "OR"):
        parts: Sequence[Any] = condition.get("conditions") or condition.get("clauses") or ()
        return f"({f' {kind.lower()} '.join(map(_expression, parts))})"
    name = written_name(str(condition.get("parent") or condition.get("name")))
    if kind == "IN":
        return f"({name} in [{', '.join(map(_value, condition['values']))}])"
    if kind not in _SIGNS:
        raise InvalidArgument(
            f"A condition of type {kind!r} has no counterpart here; EQ, NEQ, IN, GT, LT, AND, OR have."
        )
    return f"({name} {_SIGNS[kind]} {_value(condition['value'])})"


def _value(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else repr(value)
