"""From text to tree, by recursive descent.

    whole      = junction
    junction   = both { "or" both }                      both = contrary { "and" contrary }
    contrary   = "not" contrary | comparison
    comparison = sum { ("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not" "in") sum }
    sum        = product { ("+" | "-") product }         product = signed { ("*" | "/") signed }
    signed     = "-" signed | atom
    atom       = number | text | name | "true" | "false" | "null" | "(" junction ")" | "[" junction { "," junction } "]"

`a < b < c` means `a < b and b < c`. Lists hold values only.
"""

from __future__ import annotations

from typing import Any, Final, Literal, cast

from offbeat.errors import InvalidSpace
from offbeat.space.expressions.nodes import (
    Arithmetic,
    Comparison,
    Name,
    Negative,
    Node,
    Not,
    Relation,
    Value,
    joined,
)
from offbeat.space.expressions.tokens import VALUES, Token, fault, tokens

MOST_BRACKETS: Final = 50
MOST_SIGNS: Final = 100
"""Brackets inside each other, and signs of arithmetic and 'not' altogether: what is made of a tree may then recurse."""

_RELATIONS: Final = ("==", "!=", "<", "<=", ">", ">=", "in", "not")


def parsed(text: object) -> Node:
    """The tree of an expression. Raises InvalidSpace that names the place."""
    if not isinstance(text, str):
        raise InvalidSpace(
            f"An expression is a text, such as \"optimizer == 'sgd'\", not {type(text).__name__}: put it in quotes."
        )
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._next = 0
        self._depth = 0
        self._signs = 0

    def whole(self) -> Node:
        node = self._junction()
        if self._token.kind != "end":
            raise self._surprise("an operator such as == or 'and', or the end")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *signs: str) -> str | None:
        """The next word if it is one of these signs, and goes on."""
        token = self._token
        if token.kind != "sign" or token.value not in signs:
            return None
        self._next += 1
        return str(token.value)

    def _sign(self, *signs: str) -> str | None:
        """`_take` for signs that make the tree deeper."""
        place = self._token.place
        sign = self._take(*signs)
        self._signs += sign is not None
        if self._signs > MOST_SIGNS:
            raise fault(self._text, place, f"more than {MOST_SIGNS} signs of arithmetic and 'not'; say it in parts.")
        return sign

    def _surprise(self, expected: str) -> InvalidSpace:
        token = self._token
        if token.value == "=":
            return fault(self._text, token.place, "write == to compare.")
        found = "it ends" if token.kind == "end" else f"{token.value!r} stands"
        hint = (
            " A name with a blank or a sign in it is written in backticks: `a-b` > 1." if token.kind == "name" else ""
        )
        return fault(self._text, token.place, f"{found} where {expected} is expected.{hint}")

    def _junction(self) -> Node:
        self._depth += 1
        if self._depth > MOST_BRACKETS:
            raise fault(self._text, self._token.place, f"more than {MOST_BRACKETS} brackets inside each other.")
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        self._depth -= 1
        return joined("or", parts)

    def _both(self) -> Node:
        parts = [self._contrary()]
        while self._take("and"):
            parts.append(self._contrary())
        return joined("and", parts)

    def _contrary(self) -> Node:
        contraries = 0
        while self._sign("not"):
            contraries += 1
        node = self._comparison()
        for _ in range(contraries):
            node = Not(node)
        return node

    def _comparison(self) -> Node:
        left = self._sum()
        found: list[Node] = []
        while sign := self._take(*_RELATIONS):
            if sign == "not":
                if not self._take("in"):
                    raise self._surprise("'in' after 'not'")
                sign = "not in"
            right = self._sum()
            found.append(Comparison(left, cast("Relation", sign), right))
            left = right
        return joined("and", found) if found else left

    def _sum(self) -> Node:
        node = self._product()
        while sign := self._sign("+", "-"):
            node = Arithmetic(node, cast('Literal["+", "-"]', sign), self._product())
        return node

    def _product(self) -> Node:
        node = self._signed()
        while sign := self._sign("*", "/"):
            node = Arithmetic(node, cast('Literal["*", "/"]', sign), self._signed())
        return node

    def _signed(self) -> Node:
        signs = 0
        while self._sign("-"):
            signs += 1
        node = self._atom()
        for _ in range(signs):
            number = isinstance(node, Value) and type(node.value) in (int, float)
            node = Value(-cast("Value", node).value) if number else Negative(node)
        return node

    def _atom(self) -> Node:
        token = self._token
        if token.kind in ("number", "text"):
            self._next += 1
            return Value(token.value)
        if token.kind == "name":
            self._next += 1
            return Name(token.value)
        if sign := self._take("(", "[", *VALUES):
            if sign == "(":
                node = self._junction()
                self._close(")")
                return node
            return Value(self._list()) if sign == "[" else Value(VALUES[sign])
        raise self._surprise("a name, a number, a text or '('")

    def _list(self) -> tuple[Any, ...]:
        found: list[Any] = []
        while not self._take("]"):
            if found and not self._take(","):
                raise self._surprise("',' or ']'")
            place = self._token.place
            node = self._junction()
            if not isinstance(node, Value):
                raise fault(self._text, place, "a list holds numbers and texts only; a text stands in quotes.")
            found.append(node.value)
        return tuple(found)

    def _close(self, sign: str) -> None:
        if not self._take(sign):
            raise self._surprise(f"an operator or {sign!r}")
