"""How well the process of each level ranks what the highest level has measured (Li et al. 2022, arXiv:2201.06834, section 4.1).

The ranking loss of a level is the number of pairs of trials that its process puts in another order than their values at the
highest level. Its weight is the share of joint samples of all processes in which its loss is the lowest; the highest level
takes part by cross-validation (Feurer et al. 2018, "Scalable meta-learning for Bayesian optimization using ranking-weighted
Gaussian process ensembles").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat_plugins.surrogates.process import Setting, covariance, features, levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES: Final = 50

FOLDS: Final = 5


def ranking_loss(samples: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
    """(S,) ordered pairs that samples (S, n) and values (n,) disagree about: one says that the first is lower, one not."""
    said = samples[:, :, None] < samples[:, None, :]
    counted: NDArray[np.intp] = (said ^ (y[:, None] < y[None, :])).sum(axis=(1, 2))
    return counted


def lowest_shares(losses: NDArray[Any]) -> NDArray[np.float64]:
    """(L,) how often each row of losses (L, S) is the lowest of its column; rows that are equal share it."""
    best = losses == losses.min(axis=0)
    shares: NDArray[np.float64] = (best / best.sum(axis=0)).mean(axis=1)
    return shares


def ranking_weights(
    setting: Setting,
    theta: NDArray[np.float64],
    data: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Weights (L,) of levels, lowest first, which sum to 1.

    Args:
        setting: of a NumPy process with the kernel "independent".
        theta: hyperparameters of all levels, (p,).
        data: codes (n, d) and standardised values (n,) of each level; the last one is the one to be ranked.
        rng: of the samples.
    """
    x, y = data[-1]
    losses = [ranking_loss(_samples(setting, theta, known, x, rng), y) for known in data[:-1]]
    folds = np.arange(len(y)) % min(FOLDS, len(y))
    left_out = np.empty((SAMPLES, len(y)))
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        left_out[:, out] = _samples(setting, theta, (x[~out], y[~out]), x[out], rng)
    return lowest_shares(np.stack([*losses, ranking_loss(left_out, y)]))


def _samples(
    setting: Setting,
    theta: NDArray[np.float64],
    known: tuple[NDArray[np.float64], NDArray[np.float64]],
    ask: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Joint samples (SAMPLES, q) at codes (q, d) of the process that has seen `known`, both at one level."""
    where = setting.where
    one = setting.columns.grid[0]
    seen, asked = ((features(setting, theta, x), np.full_like(levels(setting, x), one)) for x in (known[0], ask))
    noise = setting.floor + np.exp(theta[where.noise])
    inverse, _ = setting.ar.inverted(covariance(setting, theta, seen, seen)[0] + noise * np.eye(len(known[0])))
    cross = covariance(setting, theta, asked, seen)[0]
    rest = covariance(setting, theta, asked, asked)[0] - cross @ inverse @ cross.T
    values, vectors = np.linalg.eigh(0.5 * (rest + rest.T))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    samples: NDArray[np.float64] = cross @ inverse @ known[1] + rng.standard_normal((SAMPLES, len(ask))) @ root.T
    return samples
