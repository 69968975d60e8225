"""The nearest of many points, the same one on every machine."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TIE: Final = 1e-9
"""Distances that differ by less, relatively, count as equal."""


class Neighbours:
    """Points (n, d) in the unit cube, in a k-d tree (scipy). Of equally near ones the first is the nearest."""

    def __init__(self, points: NDArray[Any]) -> None:
        from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue]

        self._tree = cKDTree(points)
        self._several = len(points) > 1

    def nearest(self, point: NDArray[Any]) -> int:
        """Index of the nearest point to one (d,)."""
        if not self._several:
            return 0
        distances, rows = self._tree.query(point, k=2)
        return self._first(point, float(distances[0]), float(distances[1]), int(rows[0]))

    def nearest_of_each(self, points: NDArray[Any]) -> list[int]:
        """Index of the nearest point to each of (m, d)."""
        if not self._several:
            return [0] * len(points)
        distances, rows = self._tree.query(points, k=2)
        pairs = zip(points, distances.tolist(), rows[:, 0].tolist(), strict=True)
        return [self._first(point, near, next_, row) for point, (near, next_), row in pairs]

    def _first(self, point: NDArray[Any], near: float, following: float, row: int) -> int:
        if following - near > TIE * max(following, TIE):
            return row
        within = self._tree.query_ball_point(point, near + TIE * max(near, TIE))
        return int(np.min(within)) if within else row
