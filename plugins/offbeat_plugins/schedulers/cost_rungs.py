"""Rungs that promote by what trials have cost, not by how many there are."""

from __future__ import annotations

from collections.abc import Mapping

from offbeat.trial import TrialId
from offbeat_plugins.schedulers.rungs import Rung


class CostRung(Rung):
    """A rung whose best trials go on as long as together they have cost no more than the share `level / next_level`.

    With c_1 ... c_n what the trials have cost up to this level, the best one's first, the k best are good enough for the
    largest k with c_1 + ... + c_k <= level / next_level * (c_1 + ... + c_n). For equal costs this is the paper's rule.

    Args:
        level, next_level: see Rung.
        spent: what each trial has cost so far, read when it comes to this level.
    """

    __slots__ = ("_costs", "_spent")

    def __init__(self, level: int, next_level: int, spent: Mapping[TrialId, float]) -> None:
        # Its order of equal values, the earlier one first, is the one here.
        super().__init__(level, next_level, "paper")
        self._spent = spent
        self._costs: dict[TrialId, float] = {}

    def judge(self, value: float, trial: TrialId) -> tuple[int, int, int]:
        """See Rung."""
        self._costs[trial] = self._spent[trial]
        return super().judge(value, trial)

    def cut(self) -> int:
        """How many of the entries are good enough; 0: the best one alone has cost too much."""
        size = self.entries.size
        known, cut = self._known
        if known != size:
            # Products of whole numbers are exact where costs are whole.
            allowed = self.level * sum(self._costs.values())
            cut, cost = 0, 0.0
            for _, trial in self.entries.items():
                cost += self._costs[trial]
                if cost * self.next_level > allowed:
                    break
                cut += 1
            self._known = size, cut
        return cut
