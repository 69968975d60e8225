"""From ConfigSpace (Lindauer et al. 2019, arXiv:1908.06756): hyperparameters, conditions, forbidden clauses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Final

from offbeat.errors import InvalidArgument, InvalidSpace
from offbeat.space.checks import as_bool, as_number, as_whole, shown
from offbeat.space.constructors import choice, lograndint, loguniform, ordinal, randint, uniform
from offbeat.space.entries import require, when
from offbeat.space.expressions.logic import alternatives
from offbeat.space.expressions.nodes import Comparison, Name, Node, Not, Relation, Value, joined
from offbeat.space.foreign.packages import entry, package
from offbeat.space.space import Space

_CONDITIONS: Final[Mapping[str, Relation]] = {
    "EqualsCondition": "==", "NotEqualsCondition": "!=", "LessThanCondition": "<", "GreaterThanCondition": ">",
}  # fmt: skip
_CLAUSES: Final[Mapping[str, Relation]] = {
    "ForbiddenEqualsClause": "==", "ForbiddenLessThanClause": "<", "ForbiddenLessThanEqualsClause": "<=",
    "ForbiddenGreaterThanClause": ">", "ForbiddenGreaterThanEqualsClause": ">=",
}  # fmt: skip
_RELATIONS: Final[Mapping[str, Relation]] = {
    "ForbiddenEqualsRelation": "==", "ForbiddenLessThanRelation": "<", "ForbiddenLessThanEqualsRelation": "<=",
    "ForbiddenGreaterThanRelation": ">", "ForbiddenGreaterThanEqualsRelation": ">=",
}  # fmt: skip


def from_configspace(space: Any) -> Space:
    """The Space that draws what a `ConfigSpace.ConfigurationSpace` draws.

    Uniform floats and integers (also log), categorical ones without weights, ordinal ones, constants; conditions as
    `when`, forbidden clauses as `require`. A constant with a condition becomes a choice of one value; defaults and meta
    data are left behind.

    Raises MissingExtra, InvalidArgument for another object, InvalidSpace that names the entry which has no counterpart.
    """
    library = package("ConfigSpace")
    if not isinstance(space, library.ConfigurationSpace):
        raise InvalidArgument(f"{shown(space)} is no ConfigSpace.ConfigurationSpace.")
    conditional = {condition.child.name for condition in space.conditions}
    entries: dict[str, Any] = {}
    for name, hyperparameter in space.items():
        with entry(name):
            entries[name] = _entry(hyperparameter, name in conditional)
    for condition in space.conditions:
        name = condition.child.name
        with entry(name):
            entries[name] = when(entries[name], str(_condition(condition)))
    numbers = count(1)
    for clause in space.forbidden_clauses:
        with entry(clause):
            ways = [together for together in alternatives(_forbidden(clause)) if Value(False) not in together]
            forbidden = [joined("and", list(together)) for together in ways]
        for node in forbidden:
            name = next(name for i in numbers if (name := f"forbidden {i}") not in entries)
            entries[name] = require(str(Not(node)))
    return Space(entries)


def _entry(hyperparameter: Any, conditional: bool) -> Any:
    match type(hyperparameter).__name__:
        case "UniformFloatHyperparameter":
            make: Any = loguniform if hyperparameter.log else uniform
            return make(float(hyperparameter.lower), float(hyperparameter.upper))
        case "UniformIntegerHyperparameter":
            make = lograndint if hyperparameter.log else randint
            return make(int(hyperparameter.lower), int(hyperparameter.upper))
        case "CategoricalHyperparameter":
            weights = hyperparameter.weights
            if weights is not None and len(set(map(float, weights))) > 1:
                raise InvalidSpace("categories with different weights have no counterpart here; leave the weights out.")
            return choice([_plain(value) for value in hyperparameter.choices])
        case "OrdinalHyperparameter":
            return ordinal([_plain(value) for value in hyperparameter.sequence], kind="equal")
        case "Constant" | "UnParametrizedHyperparameter":
            value = _plain(hyperparameter.value)
            return choice([value]) if conditional else value
        case kind:
            raise InvalidSpace(f"{kind} has no counterpart here; use a uniform one.")


def _plain(value: Any) -> Any:
    """A value in Python's own type; ConfigSpace gives NumPy's for some."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return str(value)
    if (truth := as_bool(value)) is not None:
        return truth
    number = as_number(value) if isinstance(value, float) else as_whole(value)
    return value if number is None else number


def _value(value: Any) -> Value:
    return Value(_tuples(_plain(value)))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _compared(hyperparameter: Any, sign: Relation, value: Any) -> Node:
    """A comparison with a value; that of ordinal ones goes by their order."""
    name = Name(hyperparameter.name)
    if sign in ("==", "!=") or type(hyperparameter).__name__ != "OrdinalHyperparameter":
        return Comparison(name, sign, _value(value))
    sequence = list(hyperparameter.sequence)
    place = sequence.index(value)
    within = {
        "<": sequence[:place], "<=": sequence[: place + 1], ">": sequence[place + 1 :], ">=": sequence[place:],
    }[sign]  # fmt: skip
    return _one_of(name, within)


def _one_of(name: Name, values: Iterable[Any]) -> Node:
    within = tuple(_tuples(_plain(value)) for value in values)
    return Comparison(name, "in", Value(within)) if within else Value(False)


def _condition(condition: Any) -> Node:
    kind = type(condition).__name__
    if kind in _CONDITIONS:
        return _compared(condition.parent, _CONDITIONS[kind], condition.value)
    if kind == "InCondition":
        return _one_of(Name(condition.parent.name), condition.values)
    if kind in ("AndConjunction", "OrConjunction"):
        return joined("and" if kind == "AndConjunction" else "or", [_condition(part) for part in condition.components])
    raise InvalidSpace(f"a condition of type {kind} has no counterpart here.")


def _forbidden(clause: Any) -> Node:
    kind = type(clause).__name__
    if kind in _CLAUSES:
        return _compared(clause.hyperparameter, _CLAUSES[kind], clause.value)
    if kind == "ForbiddenInClause":
        return _one_of(Name(clause.hyperparameter.name), clause.values)
    if kind in _RELATIONS:
        for one in (clause.left, clause.right):
            if type(one).__name__ in ("OrdinalHyperparameter", "CategoricalHyperparameter"):
                raise InvalidSpace(f"a relation with {one.name!r}, which is no number, has no counterpart here.")
        return Comparison(Name(clause.left.name), _RELATIONS[kind], Name(clause.right.name))
    if kind in ("ForbiddenAndConjunction", "ForbiddenOrConjunction"):
        parts = [_forbidden(part) for part in clause.components]
        return joined("and" if kind == "ForbiddenAndConjunction" else "or", parts)
    raise InvalidSpace(f"a forbidden clause of type {kind} has no counterpart here.")
