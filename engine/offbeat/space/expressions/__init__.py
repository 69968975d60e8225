"""Expressions about a configuration: `optimizer == 'sgd' and layers * batch <= 512`. Never evaluated as code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from offbeat.space.expressions.nodes import UNKNOWN, Evaluate, Node, compiled, names_in
from offbeat.space.expressions.parser import parsed

__all__ = ["UNKNOWN", "Expression"]


@final
class Expression:
    """A condition or a constraint, read from text.

    Comparisons (==, !=, <, <=, >, >=, in, not in), + - * /, and, or, not, numbers, texts in quotes, true, false, None,
    lists, names of hyperparameters and constants; a name with odd characters stands in backticks. Immutable, hashable,
    pickles; equal if written equally but for blanks, quotes and brackets that change nothing.

    Attributes:
        text: the expression as it is usually written; reads as an equal one.
        names: what it reads, sorted.
        node: the tree.

    Raises InvalidSpace that names the place where the text cannot be read.
    """

    __slots__ = ("names", "node", "text")

    text: str
    names: tuple[str, ...]
    node: Node

    def __init__(self, text: str) -> None:
        self.node = parsed(text)
        self.text = str(self.node)
        self.names = tuple(sorted(set(names_in(self.node))))

    def evaluator(self, constants: Mapping[str, Any]) -> Evaluate:
        """A function of a configuration that answers True, False or `UNKNOWN`; see `nodes`."""
        return compiled(self.node, constants)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Expression) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[type[Expression], tuple[str]]:
        return Expression, (self.text,)
