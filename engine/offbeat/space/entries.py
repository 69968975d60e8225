"""What stands in a space: domains and constants, hyperparameters with a condition, constraints; and their JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, final

from offbeat.errors import InvalidSpace
from offbeat.space.checks import checked_constant, checked_name, shown
from offbeat.space.constructors import domain_from_json
from offbeat.space.domain import Domain
from offbeat.space.expressions import Expression


class _Entry:
    """Equal if written equally."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))


@final
class Conditional(_Entry):
    """A hyperparameter that a configuration has only where a condition holds; see `when`."""

    __slots__ = ("condition", "domain")

    def __init__(self, domain: Domain, condition: Expression) -> None:
        self.domain = domain
        self.condition = condition

    def to_json(self) -> dict[str, Any]:
        """That of the domain, with the condition as "when"."""
        return self.domain.to_json() | {"when": self.condition.text}

    def __repr__(self) -> str:
        return f"when({self.domain!r}, {self.condition.text!r})"

    def __reduce__(self) -> tuple[type[Conditional], tuple[Domain, Expression]]:
        return Conditional, (self.domain, self.condition)


@final
class Constraint(_Entry):
    """What every configuration has to fulfil; see `require`."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    def to_json(self) -> dict[str, Any]:
        """The expression as "require"."""
        return {"require": self.expression.text}

    def __repr__(self) -> str:
        return f"require({self.expression.text!r})"

    def __reduce__(self) -> tuple[type[Constraint], tuple[Expression]]:
        return Constraint, (self.expression,)


def when(child: Domain, condition: str) -> Conditional:
    """A hyperparameter that is active where the condition holds, and absent from the configuration elsewhere.

        {"optimizer": choice(["adam", "sgd"]), "momentum": when(uniform(0, 1), "optimizer == 'sgd'")}

    The condition may name any hyperparameter and constant of the space, also one that has a condition itself. Where a
    name that decides is inactive, or None in arithmetic or an order, the child is inactive too. See `Expression` for
    what can be written. Raises InvalidSpace.
    """
    given: object = child
    if isinstance(given, Conditional):
        raise InvalidSpace(f"{given!r} has a condition already; join the two by 'and'.")
    if not isinstance(given, Domain):
        raise InvalidSpace(f"when: {shown(child)} is no domain; write when(uniform(0, 1), {shown(condition)}).")
    return Conditional(given, Expression(condition))


def require(expression: str) -> Constraint:
    """A constraint, as an entry of a space under a name of its own, which messages use.

        {"batch": lograndint(8, 512), "layers": randint(1, 20), "memory": require("batch * layers <= 512")}

    A constraint that names an inactive hyperparameter counts as fulfilled, and so does one whose answer depends on
    arithmetic or an order with None. See `Expression` for what can be written. Raises InvalidSpace.
    """
    return Constraint(Expression(expression))


def entry_from_json(data: object) -> Domain | Conditional | Constraint:
    """The entry that `to_json` of a domain, a `Conditional` or a `Constraint` wrote. Raises InvalidSpace."""
    if not isinstance(data, Mapping):
        return domain_from_json(data)
    if "require" in data:
        if len(data) > 1:
            raise InvalidSpace(f"{shown(dict(data))}: a constraint has nothing beside 'require'.")
        return require(data["require"])
    if "when" not in data:
        return domain_from_json(data)
    return when(domain_from_json({key: value for key, value in data.items() if key != "when"}), data["when"])


def checked_entries(config_space: object) -> dict[str, Any]:
    """The entries of a space, constants copied. Raises InvalidSpace."""
    if not isinstance(config_space, Mapping):
        raise InvalidSpace(f"A space is a mapping from names to domains and constants, not {shown(config_space)}.")
    return {checked_name(name): _checked_entry(name, entry) for name, entry in config_space.items()}


def _checked_entry(name: str, entry: object) -> Any:
    return entry if isinstance(entry, Domain | Conditional | Constraint) else checked_constant(name, entry)


def sorted_out(
    entries: Mapping[str, Any],
) -> tuple[dict[str, Domain], dict[str, Expression], dict[str, Expression], dict[str, Any]]:
    """Domains and conditions sorted by name, constraints and constants as given."""
    domains: dict[str, Domain] = {}
    conditions: dict[str, Expression] = {}
    for name, entry in sorted(entries.items(), key=lambda item: item[0]):
        if isinstance(entry, Conditional):
            domains[name], conditions[name] = entry.domain, entry.condition
        elif isinstance(entry, Domain):
            domains[name] = entry
    constraints = {name: entry.expression for name, entry in entries.items() if isinstance(entry, Constraint)}
    constants = {name: entry for name, entry in entries.items() if name not in domains and name not in constraints}
    return domains, conditions, constraints, constants


def entry_to_json(entry: Any) -> dict[str, Any]:
    """An entry in JSON types; a constant as {"constant": value}."""
    if isinstance(entry, Domain | Conditional | Constraint):
        return entry.to_json()
    return {"constant": deepcopy(entry)}


def entries_from_json(data: object) -> dict[str, Any]:
    """The entries of which `entry_to_json` wrote each. Raises InvalidSpace that names the entry."""
    if not isinstance(data, Mapping):
        raise InvalidSpace(f"{shown(data)} describes no space; give an object with an entry per name.")
    entries: dict[str, Any] = {}
    for name, entry in data.items():
        if isinstance(entry, Mapping) and set(entry) == {"constant"}:
            entries[name] = entry["constant"]
            continue
        try:
            entries[name] = entry_from_json(entry)
        except InvalidSpace as error:
            raise InvalidSpace(f"{shown(name)}: {error}") from None
    return entries


def exact(value: object) -> str:
    """A text that is equal for equal JSON values only; Python's == takes 1, 1.0 and True for equal."""
    return json.dumps(value, sort_keys=True, default=shown)
