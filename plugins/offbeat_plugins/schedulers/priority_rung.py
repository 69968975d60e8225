"""A rung that compares vectors of objectives (Schmucker et al. 2021, arXiv:2106.12639, algorithm 1).

A vector goes on if no more than the share 1 / reduction_factor of all that were recorded, its own included, rank strictly
before it. Which rank before it depends on the set of the recorded vectors alone, never on the order in which they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from offbeat.pareto import epsilon_net, fronts
from offbeat.trial import TrialId
from offbeat_plugins.multiobjective.layers import Vector, layers
from offbeat_plugins.multiobjective.priorities import Weights, better, weighted
from offbeat_plugins.schedulers.rungs import Ranking


class Standing(NamedTuple):
    """Where a vector stands: whether it goes on, and why in words."""

    goes_on: bool
    why: str


class PriorityRung:
    """What trials had reached at one resource level; lower is better for every objective.

    Args:
        level: the resource level.
        width: number of objectives.
        reduction_factor: see the module.
        weights: of the objectives; None: non-dominated sorting, within a front by an epsilon-net.

    Attributes:
        entries: (trial, vector) in order of arrival.
    """

    def __init__(self, level: int, width: int, reduction_factor: float, weights: Weights) -> None:
        self.level = level
        self.entries: list[tuple[TrialId, Vector]] = []
        self._factor = reduction_factor
        self._weights = weights
        self._sums = Ranking()
        #: The fronts that the cut goes through at most, and some more.
        self._layers = layers(np.empty((0, width)), np.empty(0, dtype=np.intp), 1)

    def judge(self, trial: TrialId, vector: Vector) -> Standing:
        """Takes in a trial's vector and says whether it goes on."""
        self.entries.append((trial, vector))
        return self._by_front(vector) if self._weights is None else self._by_sum(trial, vector, self._weights)

    def cut(self) -> int:
        """How many of the recorded vectors go on, ties with the last of them aside."""
        return int(len(self.entries) / self._factor) + 1

    def _by_sum(self, trial: TrialId, vector: Vector, weights: Sequence[float]) -> Standing:
        place = self._sums.add(weighted(vector, weights), trial)
        return self._standing(place, f"place {place + 1}")

    def _by_front(self, vector: Vector) -> Standing:
        found, cut = self._layers, self.cut()
        front = found.add(vector)
        kept = sum(found.sizes)
        if kept < cut and kept < len(self.entries):
            front = self._sort_again(cut)
            found, kept = self._layers, sum(self._layers.sizes)
        if front < 0:
            return self._standing(kept, f"place {kept + 1} or later")
        first = sum(found.sizes[:front])
        last = first + found.sizes[front] - found.counts[vector]
        where = f"place {first + 1}"
        if first != last:
            # Where in its front it stands is worked out only if the cut goes through this front.
            if first < cut <= last:
                first += self._net_place(front, vector, cut - first)
                where = f"place {first + 1}{'' if first < cut else ' or later'}"
            else:
                where = f"places {first + 1} to {last + 1}"
        return self._standing(first, f"front {front + 1}, {where}")

    def _sort_again(self, cut: int) -> int:
        """Keeps as many fronts as will do until the rung has grown by half; the front of the last entry."""
        points = np.array([vector for _, vector in self.entries])
        found = fronts(points)
        places = np.cumsum(np.bincount(found))
        most = int(np.searchsorted(places, 1.5 * cut)) + 1
        self._layers = layers(points, found, most)
        return int(found[-1]) if found[-1] < most else -1

    def _net_place(self, front: int, vector: Vector, most: int) -> int:
        """How many points of its front come before it in the epsilon-net; at least `most` if it is not among so many."""
        members = self._layers.members(front)
        place = 0
        for row in members[epsilon_net(members, most)].tolist():
            if tuple(row) == vector:
                break
            place += self._layers.counts[tuple(row)]
        return place

    def _standing(self, place: int, where: str) -> Standing:
        cut = self.cut()
        return Standing(place < cut, f"rung {self.level}: {where} of {len(self.entries)}, cut at {cut}")

    def ranked(self) -> list[tuple[int, TrialId]]:
        """(place, trial) of all entries, best first: place 1 and the number of those strictly before each."""
        if not self.entries:
            return []
        places = better(np.array([vector for _, vector in self.entries]), self._weights) + 1
        trials = [trial for trial, _ in self.entries]
        return sorted(zip(places.tolist(), trials, strict=True), key=lambda entry: entry[0])
