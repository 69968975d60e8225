"""Children of two configurations: simulated binary crossover and polynomial mutation on the codes of a space.

Deb and Agrawal 1995, "Simulated Binary Crossover for Continuous Search Space"; Deb and Goyal 1996, "A Combined Genetic
Adaptive Search (GeneAS) for Engineering Design": both in the form that keeps within bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from offbeat.space import FiniteRange, Float, Integer, Ordinal, Quantized, Space

if TYPE_CHECKING:
    from numpy.random import Generator

ORDERED: Final = (Float, Integer, FiniteRange, Ordinal, Quantized)
"""Domains whose values have an order: they are blended. Of all others a child has one parent's value."""

CROSSOVER_INDEX: Final = 15.0
"""Larger: children lie closer to their parents."""

MUTATION_INDEX: Final = 20.0
"""Larger: mutants lie closer to where they were."""

SAME: Final = 1e-12
"""Codes that are closer than this are not blended."""


def child(
    space: Space,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    rng: Generator,
    *,
    crossover_probability: float,
    mutation_probability: float,
) -> dict[str, Any]:
    """A configuration made of two others.

    With `crossover_probability` each hyperparameter is, by equal chance, blended (one of the two children of simulated
    binary crossover), or the first parent's; else all are the first's. Then each is mutated with `mutation_probability`:
    polynomially where it has an order, else drawn again. The space's conditions and constraints hold: of a child that
    breaks one, the nearest configuration that does not is taken.
    """
    codes = space.encode([first, second])
    crossed = rng.random() < crossover_probability
    row = codes[0].copy()
    for name, domain in space.domains.items():
        columns = space.columns[name]
        # As many numbers for each, whatever comes of them: hyperparameters do not depend on each other's draws.
        mixes, side, spread, mutates, place = rng.random(5).tolist()
        if crossed and mixes < 0.5:
            if isinstance(domain, ORDERED):
                a, b = float(codes[0, columns][0]), float(codes[1, columns][0])
                row[columns] = blended(a, b, spread, lower=side < 0.5)
            elif side < 0.5:
                row[columns] = codes[1, columns]
        if mutates < mutation_probability:
            if isinstance(domain, ORDERED):
                row[columns] = mutated(float(row[columns][0]), place)
            else:
                row[columns] = domain.encode(domain.from_unit(place))
    (config,) = space.decode([row.tolist()])
    return config


def blended(a: float, b: float, u: float, *, lower: bool) -> float:
    """One of the two children of codes in [0, 1] by simulated binary crossover, by a number u in [0, 1)."""
    low, high = min(a, b), max(a, b)
    gap = high - low
    if gap < SAME:
        return a
    room = low if lower else 1.0 - high
    power = 1.0 / (CROSSOVER_INDEX + 1.0)
    alpha: float = 2.0 - (1.0 + 2.0 * room / gap) ** -(CROSSOVER_INDEX + 1.0)
    beta: float = (u * alpha) ** power if u <= 1.0 / alpha else (1.0 / (2.0 - u * alpha)) ** power
    middle = 0.5 * (low + high)
    found = middle - 0.5 * beta * gap if lower else middle + 0.5 * beta * gap
    return min(max(found, 0.0), 1.0)


def mutated(code: float, u: float) -> float:
    """A code in [0, 1] after polynomial mutation, by a number u in [0, 1)."""
    exponent = MUTATION_INDEX + 1.0
    if u < 0.5:
        base: float = 2.0 * u + (1.0 - 2.0 * u) * (1.0 - code) ** exponent
        step: float = base ** (1.0 / exponent) - 1.0
    else:
        base = 2.0 * (1.0 - u) + 2.0 * (u - 0.5) * code**exponent
        step = 1.0 - base ** (1.0 / exponent)
    return min(max(code + step, 0.0), 1.0)
