"""Thompson sampling from conformal quantile regression (Salinas et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import ndtri

from offbeat.arguments import require_count
from offbeat.errors import MissingExtra
from offbeat.protocols import Objective, ProposalRequest
from offbeat.space import Space
from offbeat_plugins.searchers.model_based import ModelBasedSearcher, Preference
from offbeat_plugins.surrogates import parzen
from offbeat_plugins.surrogates.plain import FEW, numbers
from offbeat_plugins.surrogates.quantiles import conformal_quantiles

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

    Raises InvalidArgument, MissingExtra.
    """

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
    ) -> None:
        if find_spec("sklearn") is None:
            raise MissingExtra("CQR", "trees")
        require_count("num_candidates", num_candidates)
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

    def prefer(self, request: ProposalRequest, measured: NDArray[np.intp], values: Array, rng: Generator) -> Preference:
        """The candidates by their draws."""
        kinds = self._columns.kinds
        kept = parzen.thinned(len(measured), MOST)
        candidates = self._columns.random(rng, self._candidates)
        x, there = (numbers(rows, kinds, most=FEW) for rows in (self.rows[measured[kept]], candidates))
        found = conformal_quantiles(x, normal_scores(values)[kept], there, int(rng.integers(2**31)))
        draws = found[np.arange(len(found)), rng.integers(found.shape[1], size=len(found))]
        order = np.argsort(draws, kind="stable")
        why = f"lowest draw of {self._candidates}, from quantiles of {len(values)} trials"
        return Preference((self._columns.decode(candidates[i][None])[0] for i in order), why)


def normal_scores(values: Array) -> Array:
    """Quantiles of the normal distribution at the values' ranks, equal values with their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray(ndtri((ranks - 0.5) / len(values))[places])
