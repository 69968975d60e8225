"""How likely a configuration belongs to the good ones: classifiers on mixed columns, as one pure function of arrays.

The ratio of two densities, which TPE estimates one by one, follows from the probability of a class; any classifier gives it
(Tiao et al. 2021, "BORE: Bayesian Optimization by Density-Ratio Estimation").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat_plugins.surrogates.columns import Column
from offbeat_plugins.surrogates.plain import FEW, numbers
from offbeat_plugins.surrogates.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST: Final = 2000
"""Points that are learned from; more of them are thinned out evenly within each class."""


def class_probability(
    classifier: str,
    x: Array,
    positive: NDArray[np.bool_],
    candidates: Array,
    *,
    columns: Sequence[Column],
    seed: int,
) -> Array:
    """Probability of the positive class at candidates, (m,).

    Args:
        classifier: a name in `CLASSIFIERS`.
        x: points (n, columns).
        positive: whether each belongs to the class (n,); both answers occur.
        candidates: (m, columns).
        columns: what they mean; NaN says that there is nothing.
        seed: of what is random in fitting.

    Raises ImportError where the classifier's package is missing.
    """
    kept = np.sort(
        np.concatenate([_thinned(np.flatnonzero(positive), len(x)), _thinned(np.flatnonzero(~positive), len(x))])
    )
    return CLASSIFIERS[classifier](x[kept], positive[kept], candidates, columns, seed)


def _thinned(places: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    if total <= MOST:
        return places
    most = max(1, MOST * len(places) // total)
    return places[np.linspace(0, len(places) - 1, most).astype(np.intp)]


def _trees(x: Array, positive: NDArray[np.bool_], candidates: Array, columns: Sequence[Column], seed: int) -> Array:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # NaN goes to the side of a split where it fits better.
    x, candidates = (numbers(rows, columns, absent=np.nan, most=FEW) for rows in (x, candidates))
    # What no point has says nothing, and the binning stumbles over it.
    known = np.isfinite(x).any(axis=0)
    if not known.any():
        return np.full(len(candidates), positive.mean())
    model = HistGradientBoostingClassifier(
        max_iter=20,
        learning_rate=0.2,
        max_leaf_nodes=8,
        min_samples_leaf=3,
        random_state=seed,
    )
    return _predicted(model, x[:, known], positive, candidates[:, known])


def _forest(x: Array, positive: NDArray[np.bool_], candidates: Array, columns: Sequence[Column], seed: int) -> Array:
    from sklearn.ensemble import ExtraTreesClassifier

    model = ExtraTreesClassifier(n_estimators=30, min_samples_leaf=2, random_state=seed)
    return _predicted(model, numbers(x, columns), positive, numbers(candidates, columns))


def _logistic(x: Array, positive: NDArray[np.bool_], candidates: Array, columns: Sequence[Column], _seed: int) -> Array:
    from sklearn.linear_model import LogisticRegression

    return _predicted(LogisticRegression(), numbers(x, columns), positive, numbers(candidates, columns))


def _predicted(model: Any, x: Array, positive: NDArray[np.bool_], candidates: Array) -> Array:
    with one_thread():
        model.fit(x, positive)
        result: Array = model.predict_proba(candidates)[:, 1]
    return result


def _mlp(x: Array, positive: NDArray[np.bool_], candidates: Array, columns: Sequence[Column], seed: int) -> Array:
    from offbeat_plugins.surrogates.mlp import probabilities

    return probabilities(numbers(x, columns), positive, numbers(candidates, columns), seed)


CLASSIFIERS: Final[Mapping[str, Callable[..., Array]]] = {
    "trees": _trees,
    "forest": _forest,
    "logistic": _logistic,
    "mlp": _mlp,
}
"""By name: boosted trees, extremely randomised trees and logistic regression need scikit-learn, "mlp" needs JAX and optax."""
