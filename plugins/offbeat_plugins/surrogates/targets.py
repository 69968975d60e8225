"""Targets made fit for a Gaussian process: centred, scaled, and without tails that would rule the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Transform: TypeAlias = Literal["standardise", "winsorise", "power", "rank", "half-rank"]

TRANSFORMS: Final = ("standardise", "winsorise", "power", "rank", "half-rank")


def finite_targets(targets: ArrayLike, n: int) -> NDArray[np.float64]:
    """Targets as (n, m) float64. Raises ValueError for another shape, NaN or infinity: leave such observations out."""
    given = np.asarray(targets, dtype=np.float64)
    array = given[:, None] if given.ndim == 1 else given
    if array.ndim != 2 or len(array) != n:
        raise ValueError(f"targets have shape {given.shape}; {n} points need ({n},) or ({n}, outputs).")
    if not np.isfinite(array).all():
        raise ValueError("targets hold a number that is not finite; leave such observations out.")
    return array


def standardised(y: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """(y - centre) / scale with mean 0 and deviation 1, centre and scale; all zeros, scale 1, where y is constant."""
    magnitude = float(np.abs(y).max(initial=0.0))
    if magnitude == 0.0:
        return np.zeros_like(y), 0.0, 1.0
    # Divided first: squares of 1e200 or 1e-200 would leave the range of the numbers.
    small = y / magnitude
    centre = float(small.mean())
    deviation = float(small.std())
    if deviation <= 1e-13:
        return np.zeros_like(y), centre * magnitude, 1.0
    return (small - centre) / deviation, centre * magnitude, deviation * magnitude


def transformed(y: NDArray[np.float64], how: Transform) -> NDArray[np.float64]:
    """Targets (n,) to (n,) with mean 0 and deviation 1, order kept (ties may appear among outliers).

    standardise: nothing else. winsorise: what lies more than 5 robust deviations (1.48 median absolute deviations) from
    the median is set there first. power: Yeo and Johnson's (2000) power with the exponent of highest likelihood, around
    the median. rank:
    normal scores of mid-ranks. half-rank: values above the median are replaced by the half-normal scores of their ranks,
    scaled to the values below, which stay as they are (Song et al. 2024, arXiv:2408.11527, section 4.2): bad
    values only tell that they are bad.
    A constant column becomes zeros. Raises ValueError for an unknown name.
    """
    if how not in TRANSFORMS:
        raise ValueError(f"transform={how!r} is not valid; give one of {', '.join(TRANSFORMS)}.")
    standard = standardised(y)[0]
    if len(y) < 3 or how == "standardise" or not standard.any():
        return standard
    # Relative to the median: beside an outlier all others may differ in the last digits of their deviations only.
    off = y / np.abs(y).max()
    off = off - np.median(off)
    spread = 1.4826 * float(np.median(np.abs(off)))
    if how == "winsorise":
        off = np.clip(off, -5 * spread, 5 * spread) if spread > 0.0 else off
    elif how == "power":
        # In robust deviations: measured against one huge value all others would be equal.
        off = _yeo_johnson(np.clip(off / spread, -1e6, 1e6) if spread > 0.0 else standard)
    elif how == "rank":
        off = _normal_scores(_mid_ranks(y))
    elif how == "half-rank":
        off = _half_ranked(off)
    return standardised(off)[0]


def transformed_by_level(y: NDArray[np.float64], levels: NDArray[np.float64], how: Transform) -> NDArray[np.float64]:
    """`transformed` for each level by itself, y (n,) at levels (n,).

    Centre and scale of a level with fewer than 3 values are those of the level below, of the lowest one those of all.
    """
    out = np.empty_like(y)
    _, centre, scale = standardised(y)
    for level in np.unique(levels):
        rows = levels == level
        if rows.sum() >= 3:
            _, centre, scale = standardised(y[rows])
            out[rows] = transformed(y[rows], how)
        else:
            out[rows] = (y[rows] - centre) / scale
    return out


def _mid_ranks(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rank - 1/2) / n in (0, 1), equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return (middle - 0.5) / len(y)


def _normal_scores(u: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtri

    scores: NDArray[np.float64] = ndtri(u)
    return scores


def _half_ranked(off: NDArray[np.float64]) -> NDArray[np.float64]:
    """`off`: differences from the median."""
    out = off.copy()
    above = out > 0.0
    spread = float(np.sqrt(np.mean(out[~above] ** 2)))
    if spread == 0.0:
        # At least half of the values are equal and lowest: nothing below gives a scale, so all ranks are used.
        return _normal_scores(_mid_ranks(off))
    out[above] = spread * _normal_scores(_mid_ranks(off)[above])
    return out


def _yeo_johnson(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The power with the highest normal likelihood among 21 exponents from -2 to 2."""
    exponents = np.linspace(-2.0, 2.0, 21)[:, None]
    sign, logs = np.where(y < 0.0, -1.0, 1.0), np.log1p(np.abs(y))
    # Negative values have the mirrored exponent; both branches are expm1(e log(1 + |y|)) / e, log(1 + |y|) at e = 0.
    used = np.where(y < 0.0, 2.0 - exponents, exponents)
    flat = np.abs(used) < 1e-9
    powers = sign * np.where(flat, logs, np.expm1(used * logs) / np.where(flat, 1.0, used))
    spreads = np.maximum(powers.std(axis=1), 1e-300)
    likelihood = (exponents[:, 0] - 1.0) * float((sign * logs).sum()) - len(y) * np.log(spreads)
    best: NDArray[np.float64] = powers[int(likelihood.argmax())]
    return best
