"""Thompson sampling from conformal quantile regression (Salinas et al. 2023)."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import ndtri

from offbeat.arguments import require_count, require_seconds
from offbeat.errors import MissingExtra
from offbeat.protocols import Objective, ProposalRequest, SchedulerContext
from offbeat.space import Space
from offbeat_plugins.modelling.thinking import Thinking
from offbeat_plugins.searchers.cqr_model import FUNCTION
from offbeat_plugins.searchers.model_based import ModelBasedSearcher, Preference
from offbeat_plugins.surrogates import parzen
from offbeat_plugins.surrogates.quantiles import LEVELS

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST: Final = 2000
"""Trials that are learned from; more of them are thinned out evenly."""


class CQRSearcher(ModelBasedSearcher):
    """The candidate with the lowest draw from what it may be worth, by quantiles that boosted trees predict.

    Each candidate draws one of five quantiles. They are corrected on a tenth of the trials, held out at random, as soon as
    33 are measured. Values are replaced by the normal scores of their ranks, so that only their order matters.

    Args:
        space, objective, points_to_evaluate, allow_duplicates, num_init_random, random_fraction, by_level: see
            `ModelBasedSearcher`.
        num_candidates: how many random candidates are compared.
        deadline: seconds that a fit may take in its own process, while real trials run.

    Raises InvalidArgument, MissingExtra.
    """

    prefetch = 1

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 5,
        random_fraction: float = 0.0,
        by_level: bool = False,
        num_candidates: int = 2000,
        deadline: float = 60.0,
    ) -> None:
        if find_spec("sklearn") is None:
            raise MissingExtra("CQR", "trees")
        require_count("num_candidates", num_candidates)
        require_seconds("deadline", deadline)
        super().__init__(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            random_fraction=random_fraction,
            by_level=by_level,
        )
        self._candidates = num_candidates
        self._kinds = [kind.to_json() for kind in self._columns.kinds]
        self._thinking = Thinking(FUNCTION, deadline=deadline)

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """The model's process; it loads what it needs while the first trials run."""
        x = self._columns.random(np.random.Generator(np.random.Philox(0)), 4)
        return self._thinking.running(context, self._question(x, np.arange(4.0), x, 0))

    def prefer(
        self, request: ProposalRequest, measured: NDArray[np.intp], values: Array, rng: Generator
    ) -> Preference | Awaitable[Preference]:
        """The candidates by their draws."""
        kept = parzen.thinned(len(measured), MOST)
        candidates = self._columns.random(rng, self._candidates)
        question = self._question(
            self.rows[measured[kept]], normal_scores(values)[kept], candidates, int(rng.integers(2**31))
        )
        drawn = rng.integers(len(LEVELS), size=self._candidates)
        why = f"lowest draw of {self._candidates}, from quantiles of {len(values)} trials"

        def by_draw(found: Array) -> Preference:
            order = np.argsort(found[np.arange(len(found)), drawn], kind="stable")
            return Preference((self._columns.decode(candidates[i][None])[0] for i in order), why)

        return self._thinking.then(question, by_draw)

    def _question(self, x: Array, y: Array, candidates: Array, seed: int) -> dict[str, Any]:
        return {"columns": self._kinds, "x": x, "y": y, "candidates": candidates, "seed": seed}


def normal_scores(values: Array) -> Array:
    """Quantiles of the normal distribution at the values' ranks, equal values with their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray(ndtri((ranks - 0.5) / len(values))[places])
