"""Expressions as trees: how they are written, which names they read, and what they say about a configuration.

Three answers: true, false, `UNKNOWN`. Whatever is computed from a hyperparameter that the configuration lacks is
unknown, and so are arithmetic and order with None; `and`, `or` and `not` follow Kleene (Introduction to
Metamathematics, 1952, section 64): false and unknown is false, true or unknown is true.

Arithmetic is that of IEEE 754 floats, so that the answer is the same on every machine and nothing ever fails: 1 / 0 is
infinite, 0 / 0 equals nothing.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, final

from offbeat.space.expressions.tokens import quoted, written_name

Evaluate: TypeAlias = Callable[[Mapping[str, Any]], Any]


@final
class _Unknown:
    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""Neither true nor false; also what a name stands for that a configuration lacks."""

OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, ATOM = range(8)
"""How firmly the parts of an expression hold together."""


@final
@dataclass(frozen=True, slots=True)
class Value:
    """A number, a text, true, false, None, or a list of these."""

    value: Any
    firmness = ATOM

    def __str__(self) -> str:
        return _written(self.value)


@final
@dataclass(frozen=True, slots=True)
class Name:
    """A hyperparameter or a constant."""

    name: str
    firmness = ATOM

    def __str__(self) -> str:
        return written_name(self.name)


@final
@dataclass(frozen=True, slots=True)
class Negative:
    """A number with its sign changed."""

    part: Node
    firmness = SIGN

    def __str__(self) -> str:
        return f"-{_held(self.part, SIGN)}"


@final
@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers put together."""

    left: Node
    sign: Literal["+", "-", "*", "/"]
    right: Node

    @property
    def firmness(self) -> int:
        """That of its sign."""
        return SUM if self.sign in "+-" else PRODUCT

    def __str__(self) -> str:
        return f"{_held(self.left, self.firmness)} {self.sign} {_held(self.right, self.firmness + 1)}"


Relation: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values compared."""

    left: Node
    sign: Relation
    right: Node
    firmness = COMPARISON

    def __str__(self) -> str:
        return f"{_held(self.left, SUM)} {self.sign} {_held(self.right, SUM)}"


@final
@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    part: Node
    firmness = NOT

    def __str__(self) -> str:
        return f"not {_held(self.part, NOT)}"


@final
@dataclass(frozen=True, slots=True)
class Junction:
    """All of several, or any of them."""

    sign: Literal["and", "or"]
    parts: tuple[Node, ...]

    @property
    def firmness(self) -> int:
        """That of its sign."""
        return AND if self.sign == "and" else OR

    def __str__(self) -> str:
        return f" {self.sign} ".join(_held(part, self.firmness + 1) for part in self.parts)


Node: TypeAlias = Value | Name | Negative | Arithmetic | Comparison | Not | Junction


def joined(sign: Literal["and", "or"], parts: list[Node]) -> Node:
    """One node for parts that hold together by the same sign."""
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, Junction) and part.sign == sign else (part,)
    return flat[0] if len(flat) == 1 else Junction(sign, tuple(flat))


def _held(node: Node, firmness: int) -> str:
    return str(node) if node.firmness >= firmness else f"({node})"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    return repr(value)


def names_in(node: Node) -> Iterator[str]:
    """Every name that is read, maybe more than once."""
    match node:
        case Name(name):
            yield name
        case Negative(part) | Not(part):
            yield from names_in(part)
        case Arithmetic(left, _, right) | Comparison(left, _, right):
            yield from names_in(left)
            yield from names_in(right)
        case Junction(_, parts):
            for part in parts:
                yield from names_in(part)
        case Value():
            pass


def plain(value: Any) -> Any:
    """A value in the form in which values are compared: lists as tuples."""
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def compiled(node: Node, constants: Mapping[str, Any]) -> Evaluate:
    """The expression as a function of a configuration: a value, true, false, or `UNKNOWN`."""
    match node:
        case Value(value):
            return lambda _config: value
        case Name(name) if name in constants:
            constant = plain(constants[name])
            return lambda _config: constant
        case Name(name):
            return lambda config: config.get(name, UNKNOWN)
        case Negative(part):
            return _arithmetic(lambda _zero, b: -b, compiled(Value(0.0), {}), compiled(part, constants))
        case Arithmetic(left, sign, right):
            return _arithmetic(_OPERATIONS[sign], compiled(left, constants), compiled(right, constants))
        case Comparison(left, sign, right):
            return _comparison(sign, compiled(left, constants), compiled(right, constants))
        case Not(part):
            return _contrary(compiled(part, constants))
        case Junction(sign, parts):
            return _junction(sign == "or", tuple(compiled(part, constants) for part in parts))


def _divided(a: float, b: float) -> float:
    if b != 0.0:
        return a / b
    return math.nan if a == 0.0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


_OPERATIONS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divided,
}  # fmt: skip
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _arithmetic(operate: Callable[[float, float], float], left: Evaluate, right: Evaluate) -> Evaluate:
    def result(config: Mapping[str, Any]) -> Any:
        a, b = left(config), right(config)
        if a is None or b is None or a is UNKNOWN or b is UNKNOWN:
            return UNKNOWN
        return operate(float(a), float(b))

    return result


def _comparison(sign: Relation, left: Evaluate, right: Evaluate) -> Evaluate:
    if sign in _ORDERS:
        compare = _ORDERS[sign]

        def ordered(config: Mapping[str, Any]) -> Any:
            a, b = left(config), right(config)
            if a is None or b is None or a is UNKNOWN or b is UNKNOWN:
                return UNKNOWN
            return compare(a, b)

        return ordered
    wanted = sign in ("==", "in")
    one_of = sign.endswith("in")

    def equal(config: Mapping[str, Any]) -> Any:
        a, b = left(config), right(config)
        if a is UNKNOWN or b is UNKNOWN:
            return UNKNOWN
        a = plain(a)
        return (a in b if one_of else a == plain(b)) is wanted

    return equal


def _contrary(part: Evaluate) -> Evaluate:
    def result(config: Mapping[str, Any]) -> Any:
        answer = part(config)
        return UNKNOWN if answer is None or answer is UNKNOWN else not answer

    return result


def _junction(decides: bool, parts: tuple[Evaluate, ...]) -> Evaluate:
    """`decides`: the answer of one part that is the answer of the whole."""

    def result(config: Mapping[str, Any]) -> Any:
        whole: Any = not decides
        for part in parts:
            answer = part(config)
            if answer is decides:
                return decides
            if answer is not whole:
                whole = UNKNOWN
        return whole

    return result
