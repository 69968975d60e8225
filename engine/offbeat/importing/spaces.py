"""The space of another tool's trials, where the tool does not record it whole: domains from values, conditions from absence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from offbeat.errors import InvalidArgument, InvalidSpace
from offbeat.space import Space, choice, lograndint, loguniform, optional, randint, uniform, when
from offbeat.space.checks import shown
from offbeat.space.domain import Domain
from offbeat.space.expressions.tokens import written_name

WIDE: Final = 100.0
"""Positive numbers that differ by this factor are taken to lie on a log scale."""

MOST_CHOICES: Final = 100
"""Texts of which there are more are no choice, but names."""


def inferred(configs: Sequence[Mapping[str, Any]]) -> tuple[Space, list[str]]:
    """A space in which all configurations lie, and what was assumed, a sentence for each hyperparameter.

    Numbers become the range of the values seen, on a log scale where they are positive and span a factor of 100; other
    values a choice of those seen; what never differs a constant. Raises InvalidArgument where that is impossible.
    """
    entries: dict[str, Any] = {}
    notes: list[str] = []
    for name in _names(configs):
        values = _distinct(config[name] for config in configs if name in config)
        if len(values) == 1 and all(name in config for config in configs):
            entries[name] = values[0]
            continue
        entries[name] = _domain(name, values)
        notes.append(f"the domain of {name!r} was guessed from {len(values)} values: {entries[name]!r}")
    return conditional(entries, configs, notes), notes


def conditional(entries: Mapping[str, Any], configs: Sequence[Mapping[str, Any]], notes: list[str]) -> Space:
    """The space of entries by name, of which some may be absent from some configurations.

    What is absent has to depend on one hyperparameter that has few values, and that is always there or, for a
    hyperparameter further down, depends on another one itself. That condition is assumed, and noted. Raises
    InvalidArgument where there is none.
    """
    searched = {name: entry for name, entry in entries.items() if isinstance(entry, Domain)}
    if not searched:
        raise InvalidArgument("No hyperparameter differs between the trials: there was nothing to search. Say space=.")
    always = [name for name in entries if all(name in config for config in configs)]
    made = dict(entries)
    parents = [name for name in always if name in searched]
    left = [name for name in searched if name not in always]
    while left:
        # Level by level, so that two that are only ever there together do not become each other's condition.
        found = {name: said for name in left if (said := _condition(name, parents, configs)) is not None}
        if not found:
            with_it = sum(left[0] in config for config in configs)
            raise InvalidArgument(
                f"Hyperparameter {left[0]!r} is in {with_it} of {len(configs)} trials, and no other one says in which: "
                "say space=, with a condition for it."
            )
        for name, condition in found.items():
            made[name] = when(searched[name], condition)
            notes.append(f"{name!r} was assumed to be there when {condition}")
        parents += found
        left = [name for name in left if name not in found]
    return Space(made)


def within(space: Space, configs: Iterable[Mapping[str, Any]], notes: list[str]) -> list[dict[str, Any]]:
    """The part of each configuration that the space names; what is left out and differs is noted."""
    kept: list[dict[str, Any]] = []
    others: dict[str, set[str]] = {}
    for config in configs:
        kept.append({name: value for name, value in config.items() if name in space.domains})
        for name, value in config.items():
            if name not in space.domains and name not in space.constants:
                others.setdefault(name, set()).add(repr(value))
    varied = sorted(name for name, values in others.items() if len(values) > 1)
    if varied:
        notes.append(f"not in the space, and therefore left out though they differ: {', '.join(varied)}")
    return kept


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots, signs that no hyperparameter may have in its name replaced by one."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        whole = prefix + re.sub(r"[/\\=]|\.\.+", ".", str(name)).lstrip("-").strip()
        found |= flat(value, f"{whole}.") if isinstance(value, Mapping) and value else {whole: value}
    return found


def _names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for config in configs for name in config))


def _distinct(values: Iterable[Any]) -> list[Any]:
    """In the order in which they were seen; 1 and 1.0 are the same number, True is none."""
    found: dict[tuple[bool, str], Any] = {}
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        found.setdefault((number, repr(float(value)) if number else repr(value)), value)
    return list(found.values())


def _domain(name: str, values: Sequence[Any]) -> Domain:
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    absent = None in values
    if len(numbers) == len(values) - absent and len(numbers) > 1:
        low, high = min(numbers), max(numbers)
        wide = low > 0 and high / low >= WIDE
        if all(isinstance(one, int) for one in numbers):
            domain: Domain = (lograndint if wide else randint)(int(low), int(high))
        else:
            domain = (loguniform if wide else uniform)(float(low), float(high))
        return optional(domain) if absent else domain
    if len(values) > MOST_CHOICES:
        raise InvalidArgument(
            f"Hyperparameter {name!r} has {len(values)} different values that are no numbers, such as "
            f"{shown(values[0])}: say space=, with the hyperparameters that were searched."
        )
    try:
        return choice(sorted(values, key=lambda one: (one is None, repr(one))))
    except InvalidSpace as error:
        raise InvalidArgument(f"Hyperparameter {name!r}: {error} Say space=.") from None


def _condition(name: str, parents: Sequence[str], configs: Sequence[Mapping[str, Any]]) -> str | None:
    """The condition on one hyperparameter that tells exactly the configurations that have the name."""
    for parent in parents:
        sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        for config in configs:
            if parent not in config and name not in config:
                continue  # no condition holds on what is absent
            value = config.get(parent, ...)
            if not isinstance(value, str | bool | int | None) or len(sides[0]) + len(sides[1]) > MOST_CHOICES:
                break
            sides[name in config][repr(value)] = value
        else:
            if not sides[0].keys() & sides[1].keys():
                values = [json.dumps(value) for value in sides[True].values()]
                said = written_name(parent)
                return f"{said} == {values[0]}" if len(values) == 1 else f"{said} in [{', '.join(values)}]"
    return None
