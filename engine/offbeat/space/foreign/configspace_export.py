"""To ConfigSpace (Lindauer et al. 2019, arXiv:1908.06756)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, Final

from offbeat.errors import InvalidSpace
from offbeat.space.domain import Domain, shown_domain
from offbeat.space.expressions import Expression
from offbeat.space.expressions.logic import alternatives, inward
from offbeat.space.expressions.nodes import Junction, Node
from offbeat.space.finite import Choice, FiniteRange, Ordinal
from offbeat.space.foreign.facts import Bound, Fact, OneOf, Other, Related, active, fact
from offbeat.space.foreign.packages import entry, package
from offbeat.space.listing import values_of
from offbeat.space.lists import ListChoice
from offbeat.space.nullable import Nullable
from offbeat.space.numeric import Float, Integer
from offbeat.space.quantized import Quantized
from offbeat.space.space import Space

_CLAUSES: Final = {
    "<": "ForbiddenLessThanClause", "<=": "ForbiddenLessThanEqualsClause", ">": "ForbiddenGreaterThanClause",
    ">=": "ForbiddenGreaterThanEqualsClause",
}  # fmt: skip
_RELATIONS: Final = {
    "==": "ForbiddenEqualsRelation", "<": "ForbiddenLessThanRelation", "<=": "ForbiddenLessThanEqualsRelation",
    ">": "ForbiddenGreaterThanRelation", ">=": "ForbiddenGreaterThanEqualsRelation",
}  # fmt: skip


def to_configspace(space: Space) -> Any:
    """A `ConfigSpace.ConfigurationSpace` with the same configurations; constants are in them there.

    Its samples are taken by `space.validate`; lists are tuples there. What ConfigSpace cannot say: reversed log scales,
    steps on a log scale, distances of ordinals, `optional`, constants that are lists or objects, arithmetic in
    expressions, and comparisons of two hyperparameters in conditions.

    Raises MissingExtra, InvalidSpace that names the entry which has no counterpart.
    """
    library = package("ConfigSpace")
    made = library.ConfigurationSpace()
    found: dict[str, Any] = {}
    # ConfigSpace takes no clause that its default configuration breaks.
    default = space.default()
    for name, domain in space.domains.items():
        with entry(name):
            found[name] = _hyperparameter(library, name, domain, _tuples(default.get(name, domain.default)))
    for name, value in space.constants.items():
        with entry(name):
            if not isinstance(value, str | int | float):
                raise InvalidSpace(
                    f"{value!r} has no counterpart in ConfigSpace; constants are numbers or texts there."
                )
            found[name] = library.Constant(name, value)
    made.add(list(found.values()))
    exporter = _Exporter(library, space, found)
    for name, condition in space.conditions.items():
        with entry(name), entry(condition.text):
            made.add(exporter.condition(name, condition))
    for name, constraint in space.constraints.items():
        with entry(name), entry(constraint.text):
            for clause in exporter.forbidden(constraint):
                made.add(clause)
    return made


def _hyperparameter(library: Any, name: str, domain: Domain, default: Any) -> Any:
    match domain:
        case Float() | Integer() if domain.lower == domain.upper:
            return library.CategoricalHyperparameter(name, [domain.lower])
        case Float(lower, upper, "linear" | "log"):
            return library.UniformFloatHyperparameter(name, lower, upper, default, log=domain.scale == "log")
        case Integer(lower, upper):
            return library.UniformIntegerHyperparameter(name, lower, upper, default, log=domain.scale == "log")
        case Choice() | ListChoice():
            return library.CategoricalHyperparameter(name, list(map(_tuples, domain.values)), default)
        case Ordinal(values, "equal") | FiniteRange(values=values):
            return library.OrdinalHyperparameter(name, list(values), default)
        case Quantized(scale="linear"):
            return library.OrdinalHyperparameter(name, values_of(domain), default)
        case Ordinal():
            hint = "its values are not equally likely; write kind='equal'"
        case Nullable():
            hint = "write a choice of whether there is a value, and a condition"
        case _:
            hint = "use another scale"
    raise InvalidSpace(f"{shown_domain(domain)} has no counterpart in ConfigSpace; {hint}.")


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class _Exporter:
    """Makes conditions and forbidden clauses over hyperparameters that exist already."""

    def __init__(self, library: Any, space: Space, made: Mapping[str, Any]) -> None:
        self._library = library
        self._space = space
        self._made = made

    def _fact(self, node: Node) -> Fact:
        """As `fact`, but one that only says that a conditional hyperparameter is active says that."""
        found = fact(node, self._space.domains, self._space.constants)
        names = Expression(str(node)).names
        conditional = [name for name in names if name in self._space.conditions]
        if found is True and conditional:
            return active(conditional[0], self._space.domains[conditional[0]])
        return found

    def condition(self, child: str, expression: Expression) -> Any:
        found = self._condition(child, inward(expression.node))
        if isinstance(found, bool):
            always = "always" if found else "never"
            raise InvalidSpace(
                f"{expression} holds {always}, which ConfigSpace cannot say; leave the entry or its condition out."
            )
        return found

    def _condition(self, child: str, node: Node) -> Any:
        """A condition of theirs, or True or False."""
        if isinstance(node, Junction):
            decides = node.sign == "or"
            parts = [self._condition(child, part) for part in node.parts]
            if decides in [part for part in parts if isinstance(part, bool)]:
                return decides
            left = [part for part in parts if not isinstance(part, bool)]
            if len(left) < 2:
                return left[0] if left else not decides
            kind = self._library.OrConjunction if decides else self._library.AndConjunction
            return kind(*left)
        return self._single(child, self._fact(node))

    def _single(self, child: str, found: Fact) -> Any:
        library, made = self._library, self._made
        match found:
            case OneOf(name, (value,)):
                return library.EqualsCondition(made[child], made[name], _tuples(value))
            case OneOf(name, values):
                return library.InCondition(made[child], made[name], list(map(_tuples, values)))
            case Other(name, value):
                return library.NotEqualsCondition(made[child], made[name], value)
            case Bound(name, "<" | ">" as sign, value):
                kind = library.LessThanCondition if sign == "<" else library.GreaterThanCondition
                return kind(made[child], made[name], value)
            case Bound(name, sign, value):
                strict: Fact = Bound(name, "<" if sign == "<=" else ">", value)
                equal = self._single(child, OneOf(name, (value,)))
                return library.OrConjunction(self._single(child, strict), equal)
            case Related():
                raise InvalidSpace("a condition that compares two hyperparameters has no counterpart in ConfigSpace.")
            case _:
                return found

    def forbidden(self, constraint: Expression) -> list[Any]:
        """A clause for each way in which the constraint can be broken."""
        conditional = [name for name in constraint.names if name in self._space.conditions]
        clauses = []
        for together in alternatives(inward(constraint.node, negate=True)):
            facts = list(map(self._fact, together))
            if False in facts:
                continue
            # A constraint on what is inactive counts as fulfilled, whichever part of it that is.
            said = {name for one in facts for name in _names(one)}
            facts += [active(name, self._space.domains[name]) for name in conditional if name not in said]
            for parts in product(*[self._clauses(one) for one in facts if one is not True]):
                clauses.append(parts[0] if len(parts) == 1 else self._library.ForbiddenAndConjunction(*parts))
        return clauses

    def _clauses(self, found: Fact) -> list[Any]:
        """The clauses of which one is hit where the fact holds."""
        library, made = self._library, self._made
        match found:
            case OneOf(name, (value,)):
                return [library.ForbiddenEqualsClause(made[name], _tuples(value))]
            case OneOf(name, values):
                return [library.ForbiddenInClause(made[name], list(map(_tuples, values)))]
            case Other(name, value):
                return [self._bound(name, sign, value) for sign in ("<", ">")]
            case Bound(name, sign, value):
                return [self._bound(name, sign, value)]
            case Related(left, "!=", right):
                return [getattr(library, _RELATIONS[sign])(made[left], made[right]) for sign in ("<", ">")]
            case Related(left, sign, right):
                return [getattr(library, _RELATIONS[sign])(made[left], made[right])]
            case _:
                raise AssertionError(found)

    def _bound(self, name: str, sign: str, value: float) -> Any:
        return getattr(self._library, _CLAUSES[sign])(self._made[name], value)


def _names(found: Fact) -> tuple[str, ...]:
    if isinstance(found, Related):
        return found.left, found.right
    return () if isinstance(found, bool) else (found.name,)
