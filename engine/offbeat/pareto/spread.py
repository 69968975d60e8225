"""How points of one front are told apart: by how far each is from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from offbeat.pareto.dominance import points_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def epsilon_net(points: ArrayLike, count: int | None = None) -> NDArray[np.intp]:
    """Places of the points in the order of an epsilon-net: each as far as possible from all before it (greedy k-centre).

    It begins with the point that is lowest in the first coordinate. Distances are Euclidean, each coordinate counted in
    units of its range over the points, so that no unit has more say than another. Ties go to the point that is lower in
    the first coordinate that differs: the order of the points given changes nothing, unless some are equal, which follow
    each other as given. Gonzalez 1985; as the order within a front: Schmucker et al. 2021, arXiv:2106.12639.

    Args:
        points: (n, k).
        count: end after so many.

    Raises ValueError, see `points_of`.
    """
    rows = points_of(points)
    if not len(rows):
        return np.empty(0, dtype=np.intp)
    canonical = np.lexsort(rows.T[::-1])
    columns = scaled(rows[canonical]).T.copy()
    wanted = len(rows) if count is None else min(count, len(rows))
    picked = np.empty(wanted, dtype=np.intp)
    far = np.full(len(rows), np.inf)
    chosen = 0
    for place in range(wanted):
        picked[place] = chosen
        # One column after the other: the same rounding on every machine.
        distance = np.zeros(len(rows))
        for column in columns:
            distance += (column - column[chosen]) ** 2
        np.minimum(far, distance, out=far)
        far[chosen] = -1.0
        chosen = int(far.argmax())
    return canonical[picked]


def crowding(points: ArrayLike) -> NDArray[np.float64]:
    """(n,): crowding distance of points of one front, larger is lonelier (Deb et al. 2002, NSGA-II, section III-B).

    The sum over the coordinates of the gap between a point's neighbours, in units of the range; infinite for the lowest and
    the highest one. Of equal points all but one have 0: they add nothing. Raises ValueError, see `points_of`.
    """
    rows = points_of(points)
    found = np.zeros(len(rows))
    if not len(rows):
        return found
    unique, first = np.unique(rows, axis=0, return_index=True)
    gaps = np.zeros(len(unique))
    for column in scaled(unique).T:
        order = np.argsort(column, kind="stable")
        gaps[order[1:-1]] += column[order[2:]] - column[order[:-2]]
        if column[order[0]] < column[order[-1]] or len(unique) == 1:
            gaps[[order[0], order[-1]]] = np.inf
    found[first] = gaps
    return found


def scaled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column of (n, k) from 0 at its lowest to 1 at its highest; zeros where they are equal."""
    low = rows.min(axis=0)
    # Halves first: the range of the largest numbers there are would be infinite.
    span = 0.5 * rows.max(axis=0) - 0.5 * low
    found: NDArray[np.float64] = (0.5 * rows - 0.5 * low) / np.where(span > 0.0, span, 1.0)
    return found
