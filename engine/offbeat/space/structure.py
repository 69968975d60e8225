"""Conditions and constraints of a space: which hyperparameters are active, and whether a configuration is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, final

from offbeat.errors import InvalidConfig, InvalidSpace
from offbeat.space.checks import shown
from offbeat.space.domain import Domain
from offbeat.space.expressions import Expression
from offbeat.space.expressions.meaning import Meaning
from offbeat.space.listing import Test, combinations, values_of

LISTABLE: Final = 100_000
"""Up to so many combinations of the hyperparameters that expressions read are listed, to count and to prove."""


@final
class Structure:
    """The expressions of a space, checked and compiled.

    Args:
        domains, constants: of the space, by name.
        conditions: by the name of the child.
        constraints: by their own names.

    Attributes:
        order: all hyperparameters, parents before children, else as given.
        decisive: those that an expression reads, in this order; whatever holds is decided by them.
        listable: whether their combinations are finite and few.

    Raises InvalidSpace that names the entry: an unknown name, an expression without a sense, a cycle.
    """

    def __init__(
        self,
        domains: Mapping[str, Domain],
        constants: Mapping[str, Any],
        conditions: Mapping[str, Expression],
        constraints: Mapping[str, Expression],
    ) -> None:
        meaning = Meaning(domains, constants, frozenset(constraints))
        for name, expression in (*conditions.items(), *constraints.items()):
            try:
                meaning.check(expression.node)
            except InvalidSpace as error:
                raise InvalidSpace(f"{name!r}: {shown(expression.text)}: {error}") from None
        self._domains = domains
        self._expressions = {**conditions, **constraints}
        self.order = _ordered(domains, conditions)
        read = {name for expression in self._expressions.values() for name in expression.names}
        self.decisive = tuple(name for name in self.order if name in read)
        sizes = [domains[name].size for name in self.decisive]
        self.listable = None not in sizes and math.prod(size or 0 for size in sizes) <= LISTABLE
        self._answers = {name: conditions[name].evaluator(constants) for name in self.order if name in conditions}
        self._conditions = {name: _is_true(answer) for name, answer in self._answers.items()}
        self._constraints = {
            name: _is_not_false(expression.evaluator(constants), tuple(n for n in expression.names if n in conditions))
            for name, expression in constraints.items()
        }
        self._due: dict[str, list[Test]] = {}
        for name, test in self._constraints.items():
            places = [self.order.index(one) for one in constraints[name].names if one in domains]
            if not places:
                raise InvalidSpace(f"{name!r}: {constraints[name].text} names no hyperparameter; leave it out.")
            self._due.setdefault(self.order[max(places)], []).append(test)

    def settle(self, values: dict[str, Any]) -> bool:
        """Takes what is inactive out of a value for every hyperparameter; whether every constraint is fulfilled."""
        for name, active in self._conditions.items():
            if not active(values):
                values.pop(name, None)
        return self.broken(values) is None

    def broken(self, config: Mapping[str, Any]) -> str | None:
        """The first constraint that a configuration does not fulfil."""
        for name, fulfilled in self._constraints.items():
            if not fulfilled(config):
                return name
        return None

    def fits(self, config: Mapping[str, Any]) -> bool:
        """Whether exactly the active ones have values, and every constraint is fulfilled."""
        inactive = 0
        for name, active in self._conditions.items():
            if active(config) is not (name in config):
                return False
            inactive += name not in config
        return len(config) + inactive == len(self._domains) and self.broken(config) is None

    def check(self, config: Mapping[str, Any]) -> None:
        """Raises InvalidConfig, with the reason, unless it `fits`."""
        for name in self._domains:
            if name not in config and self._is_active(name, config):
                raise InvalidConfig(f"Hyperparameter {name!r} has no value; give {self._domains[name].valid}.")
        self.check_given(config)

    def check_given(self, partial: Mapping[str, Any]) -> None:
        """Raises InvalidConfig if the values contradict conditions or constraints, whatever the missing ones are."""
        for name in self._conditions:
            if name in partial and self._is_ruled_out(name, partial):
                raise InvalidConfig(
                    f"Hyperparameter {name!r} is inactive here, as {self._expressions[name].text} does not hold "
                    f"({self._values(name, partial)}); leave it out."
                )
        if (broken := self.broken(partial)) is not None:
            raise InvalidConfig(f"Constraint {self.told(broken)} is not fulfilled by {self._values(broken, partial)}.")

    def _is_active(self, name: str, config: Mapping[str, Any]) -> bool:
        active = self._conditions.get(name)
        return active is None or active(config)

    def _is_ruled_out(self, name: str, partial: Mapping[str, Any]) -> bool:
        """Whether no values of other hyperparameters can make this one active."""
        if name not in self._answers:
            return False
        answer = self._answers[name](partial)
        if answer is True or answer is False:
            return not answer
        names = [one for one in self._expressions[name].names if one in self._domains and one not in partial]
        return all(self._is_ruled_out(one, partial) for one in names)

    def told(self, name: str) -> str:
        """A constraint for messages."""
        return f"{name!r} ({self._expressions[name].text})"

    def told_all(self) -> str:
        """All constraints for messages, conditions if there are none."""
        return " and ".join(map(self.told, self._constraints or self._conditions))

    def _values(self, name: str, config: Mapping[str, Any]) -> str:
        names = [one for one in self._expressions[name].names if one in self._domains]
        return ", ".join(f"{one}={shown(config[one])}" if one in config else f"{one} is absent" for one in names)

    def combinations(self, values: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Every allowed combination of values of these names, which include the decisive ones; see `listing`."""
        return combinations({name: values[name] for name in names}, self._conditions, self._due)

    def decisions(self) -> Iterator[dict[str, Any]]:
        """Every allowed combination of the decisive hyperparameters; only if `listable`."""
        return self.combinations({name: values_of(self._domains[name]) for name in self.decisive}, self.decisive)

    def count(self) -> int | None:
        """How many configurations there are; None if they are infinitely many, or too many to be counted."""
        if not self.listable:
            return None
        others = [name for name in self.order if name not in self.decisive]
        total = 0
        for decided in self.decisions():
            sizes = [self._domains[name].size for name in others if self._is_active(name, decided)]
            if None in sizes:
                return None
            total += math.prod(size or 0 for size in sizes)
        return total


def _is_true(evaluate: Callable[[Mapping[str, Any]], Any]) -> Test:
    return lambda config: evaluate(config) is True


def _is_not_false(evaluate: Callable[[Mapping[str, Any]], Any], conditional: tuple[str, ...]) -> Test:
    """`conditional`: names that it reads and that may be inactive; then it counts as fulfilled."""
    if not conditional:
        return lambda config: evaluate(config) is not False
    return lambda config: any(name not in config for name in conditional) or evaluate(config) is not False


def _ordered(domains: Mapping[str, Domain], conditions: Mapping[str, Expression]) -> tuple[str, ...]:
    """Names with parents before children, else in the order given. Raises InvalidSpace for a cycle."""
    ordered: dict[str, None] = {}
    for root in domains:
        path = [root]
        while path:
            name = path[-1]
            parents = conditions[name].names if name in conditions else ()
            waiting = next((one for one in parents if one in domains and one not in ordered), None)
            if waiting is None:
                ordered.setdefault(name)
                path.pop()
            elif waiting in path:
                cycle = [*path[path.index(waiting) :], waiting]
                raise InvalidSpace(f"Conditions run in a circle: {' needs '.join(map(repr, cycle))}; take one out.")
            else:
                path.append(waiting)
    return tuple(ordered)
