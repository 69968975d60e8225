"""Listing what is finite: the values of a domain, the combinations of a space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from offbeat.errors import InvalidArgument
from offbeat.space.domain import Domain, shown_domain

Test = Callable[[Mapping[str, Any]], bool]


def values_of(domain: Domain) -> list[Any]:
    """All values of a finite domain, in its order. Raises InvalidArgument for an infinite one.

    A sampler maps [0, 1) to the values in order, each to one interval: they are found by halving, so that a domain has
    to know nothing about being listed.
    """
    if domain.size is None:
        raise InvalidArgument(f"{shown_domain(domain)} has infinitely many values; they cannot be listed.")
    draw = domain.sampler()
    top = 1.0 - 2.0**-53
    found = [draw(0.0)]
    pending = [(0.0, found[0], top, draw(top))]
    while pending:
        low, first, high, last = pending.pop()
        if first == last:
            continue
        middle = low + (high - low) / 2
        if not low < middle < high:
            found.append(last)
            continue
        between = draw(middle)
        # The lower half is looked at first: values come out in order.
        pending += [(middle, between, high, last), (low, first, middle, between)]
    return found


def combinations(
    values: Mapping[str, Sequence[Any]], conditions: Mapping[str, Test], constraints: Mapping[str, Sequence[Test]]
) -> Iterator[dict[str, Any]]:
    """Every combination of the values, in order, the last name varying fastest; no two are equal.

    Args:
        values: by name, parents before children.
        conditions: a name that has one is left out of the combination unless it holds.
        constraints: what has to hold once a name is decided; those names that it reads have to be decided by then.
    """
    names = list(values)
    absent: Sequence[Any] = (None,)
    config: dict[str, Any] = {}
    # For each name that is decided: the values that are still to come, and whether it is active.
    stack: list[tuple[Iterator[Any], bool]] = []
    while True:
        if len(stack) == len(names):
            yield dict(config)
        else:
            name = names[len(stack)]
            condition = conditions.get(name)
            active = condition is None or condition(config)
            stack.append((iter(values[name] if active else absent), active))
        while stack:
            name = names[len(stack) - 1]
            left, active = stack[-1]
            for value in left:
                if active:
                    config[name] = value
                if all(test(config) for test in constraints.get(name, ())):
                    break
            else:
                config.pop(name, None)
                stack.pop()
                continue
            break
        else:
            return
