"""Whether an expression makes sense over a space: names that exist, values that can occur, signs that fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from offbeat.errors import InvalidSpace, nearest
from offbeat.space.checks import shown
from offbeat.space.domain import Domain
from offbeat.space.expressions.nodes import (
    Arithmetic,
    Comparison,
    Junction,
    Name,
    Negative,
    Node,
    Not,
    Value,
)
from offbeat.space.expressions.tokens import quoted

_KINDS: Final = {
    bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", tuple: "a list",
    type(None): "None", dict: "an object",
}  # fmt: skip
_NUMBER, _TEXT, _TRUTH, _NONE = "a number", "a text", "true or false", "None"


class Meaning:
    """The names that expressions of a space may read.

    Args:
        domains, constants: of the space.
        other: names of entries that are neither.
    """

    def __init__(self, domains: Mapping[str, Domain], constants: Mapping[str, Any], other: frozenset[str]) -> None:
        self._domains = domains
        self._constants = constants
        self._other = other

    def check(self, node: Node) -> None:
        """Raises InvalidSpace unless the whole is true or false, and every part can be what it is used for."""
        kind = self._kind(node)
        if kind != _TRUTH:
            raise InvalidSpace(f"{node} is {kind}, neither true nor false; compare it, as in {node} == ...")

    def _kind(self, node: Node) -> str:
        """What a node gives, in words; checks its parts."""
        match node:
            case Value(value):
                return _KINDS[type(value)]
            case Name(name):
                return self._kind_of_name(name)
            case Negative(part):
                self._need(part, _NUMBER, "-")
                return _NUMBER
            case Arithmetic(left, sign, right):
                self._need(left, _NUMBER, sign)
                self._need(right, _NUMBER, sign)
                return _NUMBER
            case Not(part):
                self._need(part, _TRUTH, "not")
                return _TRUTH
            case Junction(sign, parts):
                for part in parts:
                    self._need(part, _TRUTH, sign)
                return _TRUTH
            case Comparison():
                self._check_comparison(node)
                return _TRUTH

    def _kind_of_name(self, name: str) -> str:
        if name in self._domains:
            return _KINDS[self._domains[name].value_type]
        if name in self._constants:
            return _KINDS[type(self._constants[name])]
        if name in self._other:
            raise InvalidSpace(f"{name!r} is a constraint, it has no value; name the hyperparameters that it is about.")
        if any(domain.contains(name) for domain in self._domains.values()):
            raise InvalidSpace(f"{name!r} is no name in this space; if the text is meant, write {quoted(name)}.")
        raise InvalidSpace(f"The space has no {name!r}. {nearest(name, [*self._domains, *self._constants])}")

    def _need(self, node: Node, kind: str, sign: str) -> None:
        found = self._kind(node)
        if found != kind:
            raise InvalidSpace(f"{node} is {found}; {sign!r} needs {kind}.")

    def _check_comparison(self, node: Comparison) -> None:
        left, sign, right = node.left, node.sign, node.right
        kind, other = self._kind(left), self._kind(right)
        if sign in ("in", "not in"):
            self._check_list(left, right, other)
        elif sign in ("==", "!="):
            if kind != other and _NONE not in (kind, other):
                raise InvalidSpace(f"{left} is {kind} and {right} is {other}: they are never equal.")
            for name, value in ((left, right), (right, left)):
                if isinstance(value, Value):
                    self._check_value(name, value.value)
        elif kind != other or kind not in (_NUMBER, _TEXT):
            raise InvalidSpace(f"{left} is {kind} and {right} is {other}; {sign!r} needs two numbers, or two texts.")

    def _check_list(self, left: Node, right: Node, other: str) -> None:
        if other != "a list":
            raise InvalidSpace(f"{right} is {other}; 'in' needs a list, as in {left} in [1, 2].")
        values = right.value if isinstance(right, Value) else self._value_of(right)
        if values is None:
            raise InvalidSpace(f"{right} is a hyperparameter; 'in' needs a list that is written out, or a constant.")
        if not values:
            raise InvalidSpace(f"{right} holds nothing: {left} is never in it.")
        if isinstance(right, Value):
            for value in values:
                self._check_value(left, value)

    def _value_of(self, node: Node) -> Any:
        return self._constants.get(node.name) if isinstance(node, Name) else None

    def _check_value(self, node: Node, value: Any) -> None:
        """A value that its hyperparameter never has is a slip of the pen."""
        if not isinstance(node, Name) or node.name not in self._domains:
            return
        domain = self._domains[node.name]
        value = _listed(value)
        if domain.contains(value):
            return
        values = getattr(domain, "values", ())
        hint = nearest(value, values) if isinstance(value, str) and domain.value_type is str and values else ""
        raise InvalidSpace(f"{node} is never {shown(value)}; it is {domain.valid}. {hint}".rstrip())


def _listed(value: Any) -> Any:
    """A value of an expression as it stands in configurations."""
    return list(map(_listed, value)) if isinstance(value, tuple) else value
