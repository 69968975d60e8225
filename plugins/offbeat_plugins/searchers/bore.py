"""Bayesian optimisation by density-ratio estimation (Tiao et al. 2021): a classifier in place of a model of the values."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from offbeat.arguments import require_count, require_seconds
from offbeat.errors import InvalidArgument, MissingExtra, nearest
from offbeat.protocols import Objective, ProposalRequest, SchedulerContext
from offbeat.space import Space
from offbeat_plugins.modelling.thinking import Thinking
from offbeat_plugins.searchers.bore_model import FUNCTION
from offbeat_plugins.searchers.model_based import ModelBasedSearcher, Preference
from offbeat_plugins.surrogates import parzen
from offbeat_plugins.surrogates.class_probability import CLASSIFIERS
from offbeat_plugins.surrogates.columns import Column

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Classifier: TypeAlias = Literal["trees", "forest", "logistic", "mlp"]


class BORESearcher(ModelBasedSearcher):
    """The candidate that a classifier takes for a good one with the highest probability.

    Good are the trials whose value is not above the `gamma` quantile; if all of them were, as when the worst value is the
    commonest, those that are better than that. Running trials are among the others. Half of the candidates are random, half
    are drawn around the good trials; of equally probable ones, of which trees leave many, the first one is taken, and their
    order is random.

    Args:
        space, objective, points_to_evaluate, allow_duplicates, num_init_random, random_fraction, by_level: see
            `ModelBasedSearcher`.
        classifier: "trees" (boosted), "forest" (extremely randomised trees), "logistic" (regression; all three with extra
            `trees`), "mlp" (a neural network, with extra `jax`).
        gamma: share of the trials that are good, 0 < gamma < 1; a level that is learned from has 1 / gamma values at least.
        num_candidates: how many are compared.
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
        num_init_random: int = 6,
        random_fraction: float = 0.0,
        by_level: bool = False,
        classifier: Classifier = "trees",
        gamma: float = 0.25,
        num_candidates: int = 500,
        deadline: float = 60.0,
    ) -> None:
        if classifier not in CLASSIFIERS:
            raise InvalidArgument(f"classifier={classifier!r} is not valid. {nearest(str(classifier), CLASSIFIERS)}")
        package, extra = ("optax", "jax") if classifier == "mlp" else ("sklearn", "trees")
        if find_spec(package) is None:
            raise MissingExtra(f"BORE with classifier={classifier!r}", extra)
        if isinstance(gamma, bool) or not isinstance(gamma, int | float) or not 0 < gamma < 1:
            raise InvalidArgument(f"gamma={gamma!r}: give a share above 0 and below 1, such as 0.25.")
        require_count("num_candidates", num_candidates)
        require_seconds("deadline", deadline)
        require_count("num_init_random", num_init_random)
        super().__init__(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=max(num_init_random, ceil(1 / gamma)) if by_level else num_init_random,
            random_fraction=random_fraction,
            by_level=by_level,
        )
        self._classifier: Classifier = classifier
        self._gamma, self._candidates = gamma, num_candidates
        self._kinds = [kind.to_json() for kind in self._columns.kinds]
        self._thinking = Thinking(FUNCTION, deadline=deadline)

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """The model's process; it loads what it needs while the first trials run."""
        x = self._columns.random(np.random.Generator(np.random.Philox(0)), 4)
        return self._thinking.running(context, self._question(x, np.arange(4) < 1, x, 0))

    def prefer(
        self, request: ProposalRequest, measured: NDArray[np.intp], values: Array, rng: Generator
    ) -> Preference | Awaitable[Preference]:
        """The candidates by the probability that they are good."""
        good = labels(values, self._gamma)
        pending, rows = self.pending(measured), self.rows
        x = rows[np.concatenate([measured, pending])]
        positive = np.concatenate([good, np.zeros(len(pending), dtype=bool)])
        kinds = self._columns.kinds
        wild = self._columns.random(rng, (self._candidates + 1) // 2)
        near = self._columns.settled(around(x[positive], kinds, rng, self._candidates // 2))
        candidates = rng.permutation(np.concatenate([wild, near]))
        seed = int(rng.integers(2**31))
        best = f"among the best {int(good.sum())} of {len(values)} trials"

        def by_probability(found: Array) -> Preference:
            order = np.argsort(-found, kind="stable")
            why = f"probability {found[order[0]]:.3g} to be {best}"
            return Preference((self._columns.decode(candidates[i][None])[0] for i in order), why)

        return self._thinking.then(self._question(x, positive, candidates, seed), by_probability)

    def _question(self, x: Array, positive: NDArray[np.bool_], candidates: Array, seed: int) -> dict[str, Any]:
        return {
            "classifier": self._classifier, "columns": self._kinds, "x": x, "positive": positive,
            "candidates": candidates, "seed": seed,
        }  # fmt: skip


def labels(values: Array, gamma: float) -> NDArray[np.bool_]:
    """Which values, not all of them equal, are good; at least one is, and at least one is not."""
    # Halves, since the difference of two finite numbers need not be finite.
    good = values / 2 <= np.quantile(values / 2, gamma)
    return values < values.max() if good.all() else good


def around(points: Array, columns: Sequence[Column], rng: Generator, count: int) -> Array:
    """Candidates near to points."""
    kept = points[parzen.thinned(len(points))]
    return parzen.drawn(parzen.mixture(kept, columns, prior=1e-9), columns, rng, count)
