"""How vectors of objectives are ranked where one number is needed (Schmucker et al. 2021, arXiv:2106.12639, section 4).

By non-dominated sorting, within a front by an epsilon-net; by a weighted sum; or by one objective alone. Every rank belongs
to its own vector: the order in which vectors are given never changes which of them is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from offbeat.errors import InvalidArgument, nearest
from offbeat.events import MetricSpec
from offbeat.pareto import epsilon_net, fronts

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIORITIES: Final = ("non-dominated", "linear")

Priority: TypeAlias = str | Mapping[str, float]
"""What schedulers take: "non-dominated"; "linear", the mean of all objectives; weights by objective; or an objective's name.
Weights are for the values as they are reported (of "max" with the sign turned), so that they carry the units."""

Weights: TypeAlias = tuple[float, ...] | None
"""One for each objective, or None for non-dominated sorting."""


def weights_of(priority: Priority, specs: Sequence[MetricSpec]) -> Weights:
    """What a priority says of these objectives. Raises InvalidArgument."""
    names = [spec.name for spec in specs]
    if isinstance(priority, Mapping):
        return weights_by_name("priority", priority, names)
    if priority in names:
        return tuple(float(name == priority) for name in names)
    if priority == "linear":
        return tuple(1.0 / len(names) for _ in names)
    if priority == "non-dominated":
        return None
    raise InvalidArgument(
        f"priority={priority!r} is not valid. {nearest(str(priority), (*PRIORITIES, *names))} Or give weights by objective: "
        f"priority={{{names[0]!r}: 1.0, ...}}."
    )


def weights_by_name(argument: str, weights: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    """Weights in the order of the objectives, 0 where none is given. Raises InvalidArgument."""
    for name, weight in weights.items():
        if name not in names:
            raise InvalidArgument(f"{argument} names {name!r}, which is no objective. {nearest(str(name), names)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not isfinite(weight) or weight < 0:
            raise InvalidArgument(f"{argument}[{name!r}]={weight!r}: give a finite number from 0 up.")
    found = tuple(float(weights.get(name, 0.0)) for name in names)
    if not any(found):
        raise InvalidArgument(f"{argument}={dict(weights)!r}: at least one weight has to be above 0.")
    return found


def weighted(values: Sequence[float], weights: Sequence[float]) -> float:
    """Their weighted sum, added up in the order of the objectives: the same on every machine."""
    total = 0.0
    for value, weight in zip(values, weights, strict=True):
        if weight:
            total += weight * value
    return total


def better(points: NDArray[np.float64], weights: Weights) -> NDArray[np.intp]:
    """(n,): how many of the points (n, k), lower is better, rank strictly before each; equal vectors share their rank.

    Raises ValueError for points that are not finite.
    """
    if weights is not None:
        sums = np.array([weighted(row, weights) for row in points.tolist()])
        return np.searchsorted(np.sort(sums), sums)
    distinct, where, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    front = fronts(distinct)
    found = np.empty(len(distinct), dtype=np.intp)
    before = 0
    for number in range(int(front.max(initial=-1)) + 1):
        members = np.flatnonzero(front == number)
        for place in members[epsilon_net(distinct[members])].tolist():
            found[place] = before
            before += int(counts[place])
    return found[where.reshape(-1)]
