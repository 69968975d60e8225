"""What a criterion of several objectives is made of, from observations: ranks, weights, and the region still to be gained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from offbeat_plugins.acquisition.boxes import boxes, nadir_reference
from offbeat_plugins.acquisition.hypervolume import Boxes, Scalarisation

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST: Final = 2048
"""Boxes at most: each candidate is compared with each of them. Beyond, every other point of the front is left out."""


def beaten_by(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(n,): how many of the points (n, k) are lower in one coordinate and higher in none; equal counts in random order."""
    found = rng.random(len(points))
    for place, point in enumerate(points):
        found[place] += np.count_nonzero((points <= point).all(axis=1) & (points < point).any(axis=1))
    return found


def scalarisation(points: NDArray[np.float64], rng: np.random.Generator) -> Scalarisation:
    """Weights drawn evenly from the simplex, and the lowest value of each coordinate of the points (n, k)."""
    return Scalarisation(rng.dirichlet(np.ones(points.shape[1])), points.min(axis=0))


def region(points: NDArray[np.float64], spread: NDArray[np.float64], reference: Sequence[float]) -> Boxes:
    """What the points (n, k) do not dominate below a reference, or below the one of their front if () is given.

    spread: see `nadir_reference`.
    """
    front = np.unique(points, axis=0)
    beaten = np.array([np.any((front <= point).all(axis=1) & (front < point).any(axis=1)) for point in front])
    front = front[~beaten]
    corner = np.asarray(reference) if len(reference) else nadir_reference(front, spread)
    lower, upper = boxes(front, corner)
    while len(lower) > MOST:
        front = front[::2]
        lower, upper = boxes(front, corner)
    return Boxes(lower, upper, np.zeros(len(lower)))


def carried_over(values: NDArray[np.float64], to: NDArray[np.float64], value: float) -> float:
    """What a value becomes when `values` (n,) become `to` (n,), order kept: between neighbours, and beyond the ends, linearly."""
    order = np.argsort(values, kind="stable")
    xs, ys = values[order], to[order]
    if xs[0] <= value <= xs[-1]:
        return float(np.interp(value, xs, ys))
    span = xs[-1] - xs[0]
    slope = (ys[-1] - ys[0]) / span if span > 0.0 else 1.0 / max(1.0, abs(float(xs[0])))
    end = 0 if value < xs[0] else -1
    return float(ys[end] + slope * (value - xs[end]))
