"""The region that a set of points does not dominate yet, cut into boxes: what expected hypervolume improvement adds up over.

Lacour, Klamroth and Fonseca 2017, "A Box Decomposition Algorithm to Compute the Hypervolume Indicator": by the local upper
bounds of the region. Lower is better in every coordinate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEYOND = -1e6
"""Lower end of boxes without one, in standardised units: nothing is ever predicted below."""


def boxes(
    points: NDArray[np.float64], reference: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper corners, (c, k) each, of disjoint boxes that fill what lies below the reference and is not dominated.

    Args:
        points: (n, k), in any order; what another one dominates, or the reference does not exceed, changes nothing.
        reference: (k,).
    """
    k = len(reference)
    # Each local upper bound with, for each coordinate, the point that holds it there (dummies beyond all points at first).
    bounds = reference[None].copy()
    holders = np.full((1, k, k), BEYOND)
    holders[0, np.arange(k), np.arange(k)] = reference
    for point in points[np.lexsort(points.T[::-1])]:
        cut = (point < bounds).all(axis=1)
        if not cut.any():
            continue
        old, held = bounds[cut], holders[cut]
        new_bounds, new_holders = [bounds[~cut]], [holders[~cut]]
        for j in range(k):
            others = [i for i in range(k) if i != j]
            # The new bound touches the point in coordinate j, if no other holder does so earlier.
            room = point[j] >= held[:, others, j].max(axis=1) if others else np.ones(len(old), dtype=bool)
            bound, holder = old[room].copy(), held[room].copy()
            bound[:, j] = point[j]
            holder[:, j] = point
            new_bounds.append(bound)
            new_holders.append(holder)
        bounds, holders = np.concatenate(new_bounds), np.concatenate(new_holders)
    lower = np.full(bounds.shape, BEYOND)
    for j in range(1, k):
        lower[:, j] = holders[:, :j, j].max(axis=1)
    full = (lower < bounds).all(axis=1)
    return lower[full], bounds[full]


def nadir_reference(front: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k,): a little worse than the worst of a front (n, k) in every coordinate, by a tenth of the front's range.

    So the ends of the front count with their own volume, however bad all other points are. Where the front has no range,
    the range `spread` (k,) of all points stands for it, and 1 where that is 0 too: nothing would be an improvement
    on a reference at the front itself.
    """
    worst = front.max(axis=0)
    span = worst - front.min(axis=0)
    span = np.where(span > 0.0, span, spread)
    found: NDArray[np.float64] = worst + 0.1 * np.where(span > 0.0, span, 1.0)
    return found
