"""Processes of all levels, weighted by how well each ranks what the highest level has measured (Li et al. 2022).

"Hyper-Tune: Towards Efficient Hyper-parameter Tuning at Scale" (arXiv:2201.06834). The weights are those of
`surrogates.ranking`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offbeat.protocols import Objective
from offbeat.space import Space
from offbeat_plugins.modelling.thinking import Thinking
from offbeat_plugins.searchers.gp import Arithmetic
from offbeat_plugins.searchers.hyper_tune_model import ENOUGH, FUNCTION
from offbeat_plugins.searchers.mobster import MOBSTERSearcher


class HyperTuneSearcher(MOBSTERSearcher):
    """The configuration with the largest expected improvement under a weighted sum of processes, one a level.

    All levels share length scales, signal and noise; each has its own mean and scale. A level's weight is the chance that no
    other one orders the trials of the highest level better, that is of the highest one with 6 values. Until a second level
    has as many, the highest level with 3 values counts alone.

    The paper fits other models (random forests) and gives each level its own; to share hyperparameters makes sense of
    levels with few values.

    Args:
        space, objective, milestones, points_to_evaluate, allow_duplicates, num_init_random, refit_evidence, transform,
            max_size_data, backend, deadline: see `MOBSTERSearcher`.

    Raises InvalidArgument, MissingExtra.
    """

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        milestones: Sequence[int] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 6,
        refit_evidence: float = 1.0,
        transform: str = "standardise",
        max_size_data: int = 500,
        backend: Arithmetic = "auto",
        deadline: float = 120.0,
    ) -> None:
        super().__init__(
            space,
            objective,
            milestones=milestones,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            kernel="independent",
            refit_evidence=refit_evidence,
            transform=transform,
            max_size_data=max_size_data,
            backend=backend,
            deadline=deadline,
        )
        self._thinking = Thinking(FUNCTION, deadline=deadline)

    def weights(self, number: int) -> dict[int, float]:
        """Milestone -> weight, of the last model before proposal `number`, lowest first; empty while none are known."""
        state: Mapping[str, Any] = next((state for earlier, state in reversed(self._fitted) if earlier < number), {})
        found: dict[int, float] = {}
        for share, weight in zip(state.get("levels", ()), state.get("weights", ()), strict=True):
            # A script that reports sparsely has values between milestones: they are those of the one that was passed.
            level = round(share * self._milestones[-1])
            milestone = self._milestones[max(bisect_right(self._milestones, level) - 1, 0)]
            found[milestone] = found.get(milestone, 0.0) + weight
        return found

    def aim(self, level: int, counts: Mapping[int, int]) -> str:
        """What is improved on, in words."""
        enough = [one for one, count in counts.items() if count >= ENOUGH]
        if len(enough) < 2:
            return super().aim(level, counts)
        return f"expected improvement of levels {', '.join(map(str, np.sort(enough)))} weighted by their ranking"
