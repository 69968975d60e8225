"""Comparisons of one hyperparameter with values, in the few forms that other libraries know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from offbeat.errors import InvalidSpace
from offbeat.space.domain import Domain
from offbeat.space.expressions.logic import MIRRORED
from offbeat.space.expressions.nodes import Comparison, Name, Node, Relation, Value, compiled, plain
from offbeat.space.listing import values_of
from offbeat.space.numeric import Float, Integer


@final
@dataclass(frozen=True)
class OneOf:
    """It is one of these values; all of them: it is active."""

    name: str
    values: tuple[Any, ...]


@final
@dataclass(frozen=True)
class Other:
    """A number that is another one than this."""

    name: str
    value: float


@final
@dataclass(frozen=True)
class Bound:
    """A number with `sign` <, <=, > or >= to a value within its bounds."""

    name: str
    sign: Relation
    value: float


@final
@dataclass(frozen=True)
class Related:
    """Two numbers compared."""

    left: str
    sign: Relation
    right: str


Fact: TypeAlias = OneOf | Other | Bound | Related | bool
"""True and False: whatever the value, as long as the hyperparameter is active."""


def fact(node: Node, domains: Mapping[str, Domain], constants: Mapping[str, Any]) -> Fact:
    """What a comparison says. Raises InvalidSpace for one that these forms cannot say."""
    if isinstance(node, Value):
        return bool(node.value)
    if isinstance(node, Comparison):
        left, sign, right = _filled(node.left, constants), node.sign, _filled(node.right, constants)
        if isinstance(left, Value) and isinstance(right, Name) and sign in MIRRORED:
            left, sign, right = right, MIRRORED[sign], left
        if isinstance(left, Name) and isinstance(right, Value):
            return _with_value(left.name, domains[left.name], sign, right.value)
        if isinstance(left, Name) and isinstance(right, Name) and left != right and sign in MIRRORED:
            if all(isinstance(domains[one.name], Float | Integer) for one in (left, right)):
                return Related(left.name, sign, right.name)
            raise InvalidSpace(f"{node} compares what is not two ranges of numbers, which has no counterpart there.")
    raise InvalidSpace(f"{node} has no counterpart there: only single hyperparameters can be compared.")


def active(name: str, domain: Domain) -> Fact:
    """That a hyperparameter is active, said by all that it can be."""
    if isinstance(domain, Float | Integer):
        return Bound(name, ">=", domain.lower)
    return OneOf(name, tuple(values_of(domain)))


def _filled(node: Node, constants: Mapping[str, Any]) -> Node:
    return Value(plain(constants[node.name])) if isinstance(node, Name) and node.name in constants else node


def _with_value(name: str, domain: Domain, sign: Relation, value: Any) -> Fact:
    node = Comparison(Name(name), sign, Value(value))
    if not isinstance(domain, Float | Integer):
        holds = compiled(node, {})
        known = values_of(domain)
        within = tuple(one for one in known if holds({name: one}) is True)
        return OneOf(name, within) if 0 < len(within) < len(known) else bool(within)
    lower, upper = domain.lower, domain.upper
    if sign in ("==", "in"):
        within = tuple(one for one in (value if sign == "in" else (value,)) if domain.contains(one))
        return OneOf(name, within) if within else False
    if sign == "!=":
        return Other(name, value) if domain.contains(value) else True
    if isinstance(domain, Integer):
        sign, value = _whole(sign, value)
    below = sign in ("<", "<=")
    if (value > upper if below else value < lower) or (value == (upper if below else lower) and sign in ("<=", ">=")):
        return True
    if (value < lower if below else value > upper) or (value == (lower if below else upper) and sign in ("<", ">")):
        return False
    return Bound(name, sign, value)


def _whole(sign: Relation, value: float) -> tuple[Relation, int]:
    """The same bound for whole numbers, as "<=" or ">=" a whole one."""
    if sign in ("<", "<="):
        floor = math.floor(value)
        return "<=", floor - (sign == "<" and floor == value)
    ceiling = math.ceil(value)
    return ">=", ceiling + (sign == ">" and ceiling == value)
