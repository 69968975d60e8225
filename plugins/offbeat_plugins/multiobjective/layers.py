"""The first non-dominated fronts of a growing set, kept up as points arrive, so that nothing is sorted again.

A new point belongs behind the last front that has a point which dominates it; what it dominates there moves one front on,
which may move others in turn (Li et al. 2017, "Efficient Nondomination Level Update Method"). Only a number of fronts is
kept: what falls behind the last of them is forgotten, and can never come back. The fronts are a function of the set of points:
the order of arrival leaves no trace. Lower is better.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vector: TypeAlias = tuple[float, ...]


class Layers(Protocol):
    """Fronts of all vectors so far.

    Attributes:
        counts: how often each vector of a kept front came; sizes: how many points each kept front has, equal ones too.
    """

    counts: dict[Vector, int]
    sizes: list[int]

    def add(self, vector: Vector) -> int:
        """Takes in a point with finite coordinates, and answers its front, from 0; -1 if that is not kept."""
        ...

    def members(self, front: int) -> NDArray[np.float64]:
        """The distinct vectors of a front, (m, k), in any order."""
        ...


def layers(vectors: NDArray[np.float64], fronts: NDArray[np.intp], most: int) -> Layers:
    """Those of some points (n, k) whose fronts (n,) are known, from which `most` fronts are kept from now on."""
    kept = fronts < most
    kind = PlanarLayers if vectors.shape[1] == 2 else SpatialLayers
    return kind(vectors[kept], fronts[kept], most)


def _counted(vectors: NDArray[np.float64]) -> dict[Vector, int]:
    counts: dict[Vector, int] = {}
    for row in vectors.tolist():
        vector = tuple(row)
        counts[vector] = counts.get(vector, 0) + 1
    return counts


class PlanarLayers:
    """For two objectives: a front is a staircase, first coordinate rising and second falling, searched by bisection.

    Args:
        vectors, fronts: see `layers`, those that are kept; most: how many fronts are kept.
    """

    def __init__(self, vectors: NDArray[np.float64], fronts: NDArray[np.intp], most: int) -> None:
        self.counts = _counted(vectors)
        self.sizes: list[int] = np.bincount(fronts).tolist()
        self._most = most
        self._firsts: list[list[float]] = []
        self._seconds: list[list[float]] = []
        for front in range(len(self.sizes)):
            members = np.unique(vectors[fronts == front], axis=0)
            self._firsts.append(members[:, 0].tolist())
            self._seconds.append(members[:, 1].tolist())

    def add(self, vector: Vector) -> int:
        """See `Layers`."""
        first, second = vector
        firsts, seconds = self._firsts, self._seconds
        known = self.counts.get(vector, 0)
        # The first front without a point that is as low in both: bisection, since what a front beats, those before it do.
        low, high = 0, len(firsts)
        while low < high:
            middle = (low + high) // 2
            step = bisect_right(firsts[middle], first) - 1
            if step >= 0 and seconds[middle][step] <= second:
                low = middle + 1
            else:
                high = middle
        if known:
            # The last front that is as low in both has the vector itself.
            self.counts[vector] = known + 1
            self.sizes[low - 1] += 1
            return low - 1
        if low == self._most:
            return -1
        self.counts[vector] = 1
        self._settle(low, [vector])
        return low

    def _settle(self, front: int, arriving: list[Vector]) -> None:
        """Puts mutually non-dominated points into a front; what they dominate there goes on to the next one."""
        counts, sizes = self.counts, self.sizes
        while arriving:
            if front == len(sizes):
                if front == self._most:
                    for one in arriving:
                        del counts[one]
                    return
                sizes.append(sum([counts[one] for one in arriving]))
                self._firsts.append([one[0] for one in arriving])
                self._seconds.append([one[1] for one in arriving])
                return
            firsts, seconds = self._firsts[front], self._seconds[front]
            leaving: list[Vector] = []
            change = 0
            for one in arriving:
                first, second = one
                begin = end = bisect_left(firsts, first)
                many = len(seconds)
                while end < many and seconds[end] >= second:
                    gone = firsts[end], seconds[end]
                    leaving.append(gone)
                    change -= counts[gone]
                    end += 1
                firsts[begin:end] = (first,)
                seconds[begin:end] = (second,)
                change += counts[one]
            sizes[front] += change
            arriving = leaving
            front += 1

    def members(self, front: int) -> NDArray[np.float64]:
        """See `Layers`."""
        return np.column_stack([self._firsts[front], self._seconds[front]])


class SpatialLayers:
    """For any number of objectives: all vectors in one matrix, each comparison one pass over it.

    Args:
        vectors, fronts: see `layers`, those that are kept; most: how many fronts are kept.
    """

    def __init__(self, vectors: NDArray[np.float64], fronts: NDArray[np.intp], most: int) -> None:
        self.counts = _counted(vectors)
        self.sizes: list[int] = np.bincount(fronts).tolist()
        self._most = most
        distinct, first = np.unique(vectors, axis=0, return_index=True)
        self._size = len(distinct)
        room = max(16, 2 * self._size)
        self._columns = np.empty((vectors.shape[1], room))
        self._columns[:, : self._size] = distinct.T
        #: Front of each, `most` for those that have fallen behind.
        self._front = np.empty(room, dtype=np.intp)
        self._front[: self._size] = fronts[first]

    def add(self, vector: Vector) -> int:
        """See `Layers`."""
        size, point = self._size, np.array(vector)
        columns, fronts = self._columns[:, :size], self._front[:size]
        if known := self.counts.get(vector, 0):
            self.counts[vector] = known + 1
            front = int(fronts[np.flatnonzero((columns == point[:, None]).all(axis=0))[0]])
            self.sizes[front] += 1
            return front
        above = fronts[(columns <= point[:, None]).all(axis=0)]
        front = int(above.max()) + 1 if len(above) else 0
        if front >= self._most:
            return -1
        self.counts[vector] = 1
        below = np.flatnonzero((columns >= point[:, None]).all(axis=0) & (fronts >= front) & (fronts < self._most))
        if size == len(self._front):
            self._columns = np.concatenate([self._columns, np.empty_like(self._columns)], axis=1)
            self._front = np.concatenate([self._front, np.empty_like(self._front)])
        self._columns[:, size] = vector
        self._front[size] = front
        self._size += 1
        self._grow(front, 1)
        if len(below):
            self._push(front, np.array([size]), below)
        return front

    def _push(self, front: int, moving: NDArray[np.intp], below: NDArray[np.intp]) -> None:
        """Points have come to a front; of those `below`, in this front and later ones, some have to move on."""
        columns, fronts = self._columns, self._front
        at = fronts[below]
        there = below[at == front]
        while len(there):
            beaten = np.all(columns[:, there][:, :, None] >= columns[:, moving][:, None, :], axis=0)
            moving = there[np.any(beaten, axis=1)]
            if not len(moving):
                return
            count = sum([self.counts[tuple(row)] for row in columns[:, moving].T.tolist()])
            self.sizes[front] -= count
            front += 1
            there = below[at == front]
            fronts[moving] = front
            if front == self._most:
                for row in columns[:, moving].T.tolist():
                    del self.counts[tuple(row)]
                return
            self._grow(front, count)

    def _grow(self, front: int, count: int) -> None:
        if front == len(self.sizes):
            self.sizes.append(0)
        self.sizes[front] += count

    def members(self, front: int) -> NDArray[np.float64]:
        """See `Layers`."""
        found: NDArray[np.float64] = self._columns[:, : self._size][:, self._front[: self._size] == front].T
        return found
