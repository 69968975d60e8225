"""Quantiles of what a configuration may be worth: boosted trees, corrected on trials that were held out.

Salinas et al. 2023, "Optimizing Hyperparameters with Conformal Quantile Regression". All quantiles share the structure of
their trees (one tree for each round that follows the gradients of all of them), which takes a third of the time that an
ensemble for each of them does. Plain functions of arrays; scikit-learn grows the trees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat_plugins.surrogates.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEVELS: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Which quantiles; symmetric, as the correction takes them in pairs."""

HELD_OUT: Final = 0.1
CORRECTED_FROM: Final = 33
"""Share of the points that the correction is made on, and how many points there have to be for one."""

ROUNDS: Final = 20
RATE: Final = 0.2
DEPTH: Final = 3
LEAF: Final = 5


def conformal_quantiles(x: Array, y: Array, candidates: Array, seed: int) -> Array:
    """Quantiles at candidates, (m, levels), rising in each row.

    Args:
        x: points (n, d) of plain numbers, two at least.
        y: their values (n,).
        candidates: (m, d).
        seed: of which points are held out, and of the trees.
    """
    n = len(y)
    if n < CORRECTED_FROM:
        return boosted_quantiles(x, y, candidates, seed)
    order = np.random.default_rng(seed).permutation(n)
    held = order[: max(1, round(HELD_OUT * n))]
    kept = np.sort(order[len(held) :])
    found = boosted_quantiles(x[kept], y[kept], np.concatenate([x[held], candidates]), seed)
    return corrected(found[: len(held)], y[held], found[len(held) :])


def corrected(held: Array, values: Array, found: Array) -> Array:
    """Quantiles moved outwards, or inwards, until as many of the values that were held out lie between them as should.

    Args:
        held: quantiles at the points that were held out, (k, levels).
        values: theirs, (k,).
        found: quantiles to correct, (m, levels).

    Each pair of levels t and 1 - t is moved by the (1 - 2 t)(1 + 1 / k) quantile of how far values lie outside of it
    (Romano et al. 2019, "Conformalized Quantile Regression", theorem 1).
    """
    out = found.copy()
    k = len(values)
    for low in range(len(LEVELS) // 2):
        high = len(LEVELS) - 1 - low
        outside = np.maximum(held[:, low] - values, values - held[:, high])
        place = min(1.0, (1.0 - 2.0 * LEVELS[low]) * (1.0 + 1.0 / k))
        shift = np.quantile(outside, place, method="inverted_cdf")
        out[:, low] -= shift
        out[:, high] += shift
    return np.sort(out, axis=1)


def boosted_quantiles(x: Array, y: Array, candidates: Array, seed: int) -> Array:
    """Gradient boosting of the pinball loss (Friedman 2001) for all levels at once, (m, levels), rising in each row."""
    from sklearn.tree import DecisionTreeRegressor

    levels = np.array(LEVELS)
    fitted = np.tile(np.quantile(y, levels), (len(y), 1))
    found = np.tile(fitted[0], (len(candidates), 1))
    x32, candidates32 = x.astype(np.float32), candidates.astype(np.float32)
    with one_thread():
        for number in range(ROUNDS):
            tree: Any = DecisionTreeRegressor(
                max_depth=DEPTH, min_samples_leaf=LEAF, random_state=(seed + number) % 2**31
            )
            tree.fit(x32, levels - (y[:, None] < fitted), check_input=False)
            leaves = tree.tree_.apply(x32)
            steps = _quantiles_by_leaf(leaves, y[:, None] - fitted, tree.tree_.node_count)
            fitted += RATE * steps[leaves]
            found += RATE * steps[tree.tree_.apply(candidates32)]
    return np.sort(found, axis=1)


def _quantiles_by_leaf(leaves: NDArray[np.intp], residuals: Array, nodes: int) -> Array:
    """For each node of a tree the quantile of the residuals in it at each level, (nodes, levels); 0 for inner nodes."""
    counts = np.bincount(leaves, minlength=nodes)
    starts = np.cumsum(counts) - counts
    steps = np.zeros((nodes, len(LEVELS)))
    used = counts > 0
    for i, level in enumerate(LEVELS):
        ordered = residuals[np.lexsort((residuals[:, i], leaves)), i]
        place = level * (counts[used] - 1)
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, counts[used] - 1)
        low, high = ordered[starts[used] + below], ordered[starts[used] + above]
        steps[used, i] = low + (place - below) * (high - low)
    return steps
