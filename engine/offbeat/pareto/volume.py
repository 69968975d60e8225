"""The volume that a set of points dominates: the one number that measures a Pareto front as a whole."""

from __future__ import annotations

from bisect import bisect_left
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from offbeat.pareto.dominance import non_dominated, points_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """The volume between the points and a reference point (k,), exact; 0 where no point is better than it in everything.

    Zitzler and Thiele 1998. Two objectives by a sweep, three by a sweep over staircases; more by moocore where it is
    installed (extra `pareto`), else by adding up what each point adds to those that are lower in the last coordinate
    (While et al. 2012, "A Fast Way of Calculating Exact Hypervolumes"), which is some hundred times slower. Raises
    ValueError for a reference of another width or that is not finite, and see `points_of`.
    """
    rows = points_of(points)
    corner = np.asarray(reference, dtype=np.float64)
    if corner.shape != rows.shape[1:] or not np.isfinite(corner).all():
        raise ValueError(f"reference={reference!r}: give {rows.shape[1]} finite numbers, one for each objective.")
    rows = rows[(rows < corner).all(axis=1)]
    if not len(rows):
        return 0.0
    if rows.shape[1] > 3 and find_spec("moocore") is not None:
        from moocore import hypervolume as compiled

        return float(compiled(rows, ref=corner))
    # From the reference: its corner is 0, and everything lies below.
    return _volume(rows - corner)


def reference_point(points: ArrayLike, margin: float = 0.1) -> NDArray[np.float64]:
    """(k,): a little worse than the worst of the points, by `margin` of their range, in every coordinate.

    Where a coordinate is the same for all points, by `margin` of its size, or by `margin` where it is 0: a reference at
    the points themselves would leave them without volume. Raises ValueError without points, and see `points_of`.
    """
    rows = points_of(points)
    if not len(rows):
        raise ValueError("A reference point needs at least one point.")
    worst = rows.max(axis=0)
    span = worst - rows.min(axis=0)
    span = np.where(span > 0.0, span, np.abs(worst))
    found: NDArray[np.float64] = worst + margin * np.where(span > 0.0, span, 1.0)
    return found


def _volume(rows: NDArray[np.float64]) -> float:
    """Of points (n, k) below 0."""
    width = rows.shape[1]
    if len(rows) == 1:
        return float(np.prod(-rows[0]))
    if width == 1:
        return float(-rows.min())
    if width == 3:
        return _swept(rows[np.argsort(rows[:, 2], kind="stable")].tolist())
    rows = rows[non_dominated(rows)]
    if width == 2:
        ordered = rows[np.argsort(rows[:, 0])]
        above = np.concatenate([[0.0], ordered[:-1, 1]])
        return float((-ordered[:, 0] * (above - ordered[:, 1])).sum())
    ordered = rows[np.argsort(rows[:, -1], kind="stable")]
    flat = ordered[:, :-1]
    total = 0.0
    for place, point in enumerate(flat):
        # What this point adds, in the other coordinates, to those that are as low in the last one.
        added = float(np.prod(-point)) - (_volume(np.maximum(flat[:place], point)) if place else 0.0)
        total -= added * float(ordered[place, -1])
    return total


def _swept(rows: list[list[float]]) -> float:
    """Of points with three coordinates by the rising third one: the area below the staircase grows as it is swept up."""
    # Steps of the staircase: first coordinate rising, second falling, between two ends that are never reached.
    firsts, seconds = [-np.inf, 0.0], [0.0, -np.inf]
    total = area = 0.0
    height = rows[0][2]
    for first, second, third in rows:
        total += area * (third - height)
        height = third
        begin = bisect_left(firsts, first)
        if seconds[begin - 1] <= second:
            continue
        end, left, top = begin, first, seconds[begin - 1]
        while seconds[end] >= second:
            area += (firsts[end] - left) * (top - second)
            left, top = firsts[end], seconds[end]
            end += 1
        area += (firsts[end] - left) * (top - second)
        firsts[begin:end] = [first]
        seconds[begin:end] = [second]
    return total - area * height
