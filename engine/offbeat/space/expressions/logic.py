"""Expressions brought into the forms that other libraries have: negations inside, alternatives outside."""

from __future__ import annotations

from itertools import product
from typing import Final

from offbeat.errors import InvalidSpace
from offbeat.space.expressions.nodes import Comparison, Junction, Name, Node, Not, Relation, Value, joined

MOST_ALTERNATIVES: Final = 1000

_CONTRARY: Final[dict[Relation, Relation]] = {
    "==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "in": "not in", "not in": "in",
}  # fmt: skip
MIRRORED: Final[dict[Relation, Relation]] = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def inward(node: Node, negate: bool = False) -> Node:
    """The expression, or its contrary, of comparisons, true, false, `and` and `or` alone.

    True for the same configurations, false for the same, unknown for the same.
    """
    match node:
        case Not(part):
            return inward(part, not negate)
        case Junction(sign, parts):
            other = "or" if (sign == "and") is negate else "and"
            return joined("or" if other == "or" else "and", [inward(part, negate) for part in parts])
        case Comparison(left, sign, right):
            sign = _CONTRARY[sign] if negate else sign
            if sign == "not in" and isinstance(right, Value):
                return joined("and", [Comparison(left, "!=", Value(value)) for value in right.value])
            return Comparison(left, sign, right)
        case Name():
            return Comparison(node, "!=" if negate else "==", Value(True))
        case Value(value):
            return Value(bool(value) is not negate)
        case _:
            raise InvalidSpace(f"{node} is neither true nor false.")


def alternatives(node: Node) -> list[tuple[Node, ...]]:
    """Of an expression that went `inward`: what has to hold together, once for each way in which it can be true.

    Raises InvalidSpace if there are more than 1000 ways.
    """
    match node:
        case Junction("or", parts):
            found = [together for part in parts for together in alternatives(part)]
        case Junction("and", parts):
            found = [()]
            for part in parts:
                found = [(*left, *right) for left, right in product(found, alternatives(part))]
                _check(node, found)
        case _:
            found = [(node,)]
    _check(node, found)
    return found


def _check(node: Node, found: list[tuple[Node, ...]]) -> None:
    if len(found) > MOST_ALTERNATIVES:
        raise InvalidSpace(
            f"An expression of {len(str(node))} characters has more than {MOST_ALTERNATIVES} ways to be true."
        )
