"""How a member of a population tries something near to what it copied (Jaderberg et al. 2017, section 3.2, "explore")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from offbeat.space import Domain, FiniteRange, Float, Integer, Nullable, Ordinal, Quantized, Space, values_of

if TYPE_CHECKING:
    from numpy.random import Generator

FACTORS: Final = (1.2, 0.8)
"""What numbers are multiplied by, as in the paper."""


def explored(
    space: Space, config: Mapping[str, Any], rng: Generator, resample_probability: float
) -> tuple[dict[str, Any], list[str]]:
    """A configuration near to another one, and in words what became of each hyperparameter that is different.

    Each hyperparameter is drawn again from its own distribution with the probability `resample_probability`. Else a number
    is multiplied by 1.2 or 0.8, by equal chance, and kept within its bounds (on a reverse logarithmic scale its distance
    to 1 is); a whole or quantised one moves by one step at least; one of an ordered list moves by one place; a value
    without an order, and None, stay. A hyperparameter that only now becomes active is drawn. Where a constraint would be
    broken, the nearest configuration that fulfils it is taken. If nothing were different then, as at the ends of ranges, all
    steps are taken in the other direction: two equal trainings tell no more than one.
    """
    # As many numbers for each, whatever comes of them: hyperparameters do not depend on each other's draws.
    draws = {name: rng.random(3).tolist() for name in space.domains}

    def stepped(*, turned: bool) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, domain in space.domains.items():
            chance, direction, place = draws[name]
            if name not in config or chance < resample_probability:
                values[name] = domain.from_unit(place)
            else:
                values[name] = perturbed(domain, config[name], up=(direction < 0.5) != turned)
        return consistent(space, values)

    near = stepped(turned=False)
    if near == config:
        near = stepped(turned=True)
    return near, told(config, near)


def consistent(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of these values: without those that are inactive, the nearest one where a constraint is broken.

    A hyperparameter that `values` lacks and that is active takes the middle of its range.
    """
    if not (space.conditions or space.constraints):
        return dict(values)
    row = [
        code
        for name, domain in space.domains.items()
        for code in domain.encode(values[name] if name in values else domain.from_unit(0.5))
    ]
    (near,) = space.decode([row])
    return near


def told(config: Mapping[str, Any], near: Mapping[str, Any]) -> list[str]:
    """In words what became of each hyperparameter that is different."""
    return [
        f"{name} {_shown(config[name])} -> {_shown(value)}" if name in config else f"{name} = {_shown(value)}"
        for name, value in near.items()
        if name not in config or value != config[name]
    ]


def perturbed(domain: Domain, value: Any, *, up: bool) -> Any:
    """The value multiplied by 1.2 (`up`) or 0.8, or the next one of an ordered list; itself where there is no order."""
    factor = FACTORS[0] if up else FACTORS[1]
    if isinstance(domain, Nullable):
        return None if value is None else perturbed(domain.of, value, up=up)
    if isinstance(domain, Float):
        moved = 1.0 - (1.0 - value) * factor if domain.scale == "reverse-log" else value * factor
        # 12 digits: the same text, and so the same configuration, on every machine.
        return min(max(float(f"{moved:.12g}"), domain.lower), domain.upper)
    if isinstance(domain, Integer):
        return min(max(_step(value, value * factor, up), domain.lower), domain.upper)
    if isinstance(domain, Quantized):
        lowest, highest = (round(domain.from_unit(u) / domain.q) for u in (0.0, 1.0 - 2.0**-53))
        count = min(max(_step(round(value / domain.q), value * factor / domain.q, up), lowest), highest)
        return domain.cast(float(f"{count * domain.q:.12g}"))
    if isinstance(domain, FiniteRange | Ordinal):
        listed = values_of(domain)
        index = listed.index(value) + (1 if up else -1)
        return listed[min(max(index, 0), len(listed) - 1)]
    return value


def _step(whole: int, moved: float, up: bool) -> int:
    """The whole number nearest to where a number has moved, one further at least: 2 x 1.2 is 3."""
    rounded = math.floor(moved + 0.5)
    if rounded != whole:
        return rounded
    # Away from 0 is up for the factor 1.2, as it is for fractions.
    outward = 1 if whole >= 0 else -1
    return whole + (outward if up else -outward)


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
