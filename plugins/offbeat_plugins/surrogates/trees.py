"""Boosted trees of scikit-learn on mixed columns, on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Final

from offbeat_plugins.surrogates.columns import Column

ROUNDS: Final = 20
"""Trees of an ensemble: few, since a new one is fitted for each proposal."""

_MOST_CATEGORIES: Final = 255
"""What the binning of the histograms can tell apart; with more of them categories are taken for places."""


def boosted(estimator: Any, columns: Sequence[Column], seed: int, **options: Any) -> Any:
    """A histogram gradient boosting estimator for columns; NaN goes to the side of a split where it fits better."""
    categorical = [2 < column.categories <= _MOST_CATEGORIES for column in columns]
    return estimator(
        max_iter=ROUNDS,
        learning_rate=0.2,
        max_leaf_nodes=8,
        min_samples_leaf=3,
        early_stopping=False,
        categorical_features=categorical if any(categorical) else None,
        random_state=seed,
        **options,
    )


def one_thread() -> AbstractContextManager[object]:
    """Keeps OpenMP and BLAS to one thread: data are small, and sums do not depend on how many cores are free."""
    limits: AbstractContextManager[object] = _controller().limit(limits=1)
    return limits


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
