"""Which points no other one dominates, and non-dominated sorting."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def points_of(points: ArrayLike) -> NDArray[np.float64]:
    """The points as (n, k) floats. Raises ValueError for another shape or numbers that are not finite."""
    found = np.asarray(points, dtype=np.float64)
    if found.ndim != 2 or not found.shape[1]:
        raise ValueError(f"points have the shape {found.shape}; they have to be (n, k), a row for each point.")
    if not np.isfinite(found).all():
        raise ValueError("points hold numbers that are not finite; leave such rows out.")
    return found


def distinct(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The points in lexicographic order, each once, and for every given one its place among them."""
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    new = np.ones(len(points), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    place = np.empty(len(points), dtype=np.intp)
    place[order] = np.cumsum(new) - 1
    return ordered[new], place


def non_dominated(points: ArrayLike) -> NDArray[np.bool_]:
    """(n,): whether no other point dominates this one; of equal points all or none. Raises ValueError, see `points_of`."""
    rows, place = distinct(points_of(points))
    keep = np.zeros(len(rows), dtype=bool)
    if rows.shape[1] == 1:
        keep[:1] = True
    elif rows.shape[1] == 2:
        # In this order a point is dominated exactly if one before it is as low in the second coordinate.
        lowest = np.minimum.accumulate(rows[:, 1])
        keep[:1] = True
        keep[1:] = rows[1:, 1] < lowest[:-1]
    else:
        # A point with the lowest sum of what is left is dominated by nothing, and takes out all that it dominates.
        # Rounding keeps it so: of equal sums the point that comes first in lexicographic order may dominate the other.
        left = np.argsort(rows.sum(axis=1), kind="stable")
        while len(left):
            first, left = left[0], left[1:]
            keep[first] = True
            left = left[(rows[left] < rows[first]).any(axis=1)]
    return keep[place]


def fronts(points: ArrayLike) -> NDArray[np.intp]:
    """Non-dominated sorting: (n,) the front of each point, from 0; equal points share one.

    Front 0 is what nothing dominates, front i what nothing but earlier fronts does (Goldberg 1989; Deb et al. 2002).
    Points are taken in lexicographic order, so that only earlier ones can dominate, and the front of each is found by
    bisection (Zhang et al. 2015, "An Efficient Approach to Nondominated Sorting"). For two objectives a front is known by
    what is lowest so far in the second, for three by the staircase of what is lowest so far in the other two. Raises
    ValueError, see `points_of`.
    """
    rows, place = distinct(points_of(points))
    if rows.shape[1] == 1:
        return place
    found = {2: _lasts, 3: _stairs}.get(rows.shape[1], _searched)(rows)
    return found[place]


def _lasts(rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """For two objectives; distinct rows in lexicographic order."""
    found = []
    lowest: list[float] = []
    for second in rows[:, 1].tolist():
        front = bisect_right(lowest, second)
        found.append(front)
        lowest[front : front + 1] = [second]
    return np.array(found, dtype=np.intp)


def _stairs(rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """For three objectives; distinct rows in lexicographic order."""
    found = []
    # Of each front the steps: second coordinate rising, third falling.
    seconds: list[list[float]] = []
    thirds: list[list[float]] = []
    for second, third in rows[:, 1:].tolist():
        low, high = 0, len(seconds)
        while low < high:
            middle = (low + high) // 2
            step = bisect_right(seconds[middle], second) - 1
            if step >= 0 and thirds[middle][step] <= third:
                low = middle + 1
            else:
                high = middle
        found.append(low)
        if low == len(seconds):
            seconds.append([second])
            thirds.append([third])
            continue
        up, down = seconds[low], thirds[low]
        begin = bisect_right(up, second)
        if begin and up[begin - 1] == second:
            begin -= 1
        end = begin
        while end < len(down) and down[end] >= third:
            end += 1
        up[begin:end] = [second]
        down[begin:end] = [third]
    return np.array(found, dtype=np.intp)


def _searched(rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """For any number of objectives; distinct rows in lexicographic order."""
    found = np.empty(len(rows), dtype=np.intp)
    members: list[NDArray[np.float64]] = []
    sizes: list[int] = []
    for number, row in enumerate(rows):
        low, high = 0, len(members)
        while low < high:
            middle = (low + high) // 2
            if _beaten(row, members[middle][: sizes[middle]]):
                low = middle + 1
            else:
                high = middle
        found[number] = low
        if low == len(members):
            members.append(np.empty((8, rows.shape[1])))
            sizes.append(0)
        elif sizes[low] == len(members[low]):
            members[low] = np.concatenate([members[low], np.empty_like(members[low])])
        members[low][sizes[low]] = row
        sizes[low] += 1
    return found


def _beaten(row: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether one of the others, all of them different, is as low in every coordinate."""
    return bool((others <= row).all(axis=1).any())
