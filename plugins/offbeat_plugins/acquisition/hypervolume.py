"""Acquisition functions of several objectives, with derivatives; larger is better. Arguments are as in `functions`.

Means are a list of (q, S) and variances a list of (q,), one of each for every objective; of several fantasies their mean counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from offbeat_plugins.acquisition.functions import LOG_SQRT_2PI, Scored, log_h

AUGMENTED: Final = 0.05
"""Weight of the sum beside the largest term of a scalarisation (Knowles 2006, ParEGO)."""

LARGEST: Final = 600.0
"""Exponents are kept below: their exponential is finite."""


class Boxes(NamedTuple):
    """Lower and upper (c, k) of boxes in standardised targets, and log weights (c,), minus infinity for padding."""

    lower: Any
    upper: Any
    log_weight: Any


class Scalarisation(NamedTuple):
    """Weights (k,) and the lowest values (k,) that distances are measured from."""

    weights: Any
    ideal: Any


def log_expected_hypervolume_improvement(
    xp: Any, log_ndtr: Any, means: Sequence[Any], variances: Sequence[Any], region: Boxes
) -> tuple[Any, list[Scored]]:
    """Log of the expected growth of the dominated volume, (q,), and its derivatives for each objective.

    Exact for independent normals: the improvement is the sum over boxes of the product over objectives of
    E[(u - f)+] - E[(l - f)+] (Daulton et al. 2020, arXiv:2006.05078; Emmerich et al. 2006). In logarithms throughout, so that
    it has a gradient where the volume itself underflows (Ament et al. 2023, arXiv:2310.20708).
    """
    total = region.log_weight[None, :]
    parts = []
    for place, (mean, variance) in enumerate(zip(means, variances, strict=True)):
        middle = mean.mean(axis=1)[:, None]
        deviation = xp.sqrt(variance)[:, None]
        z_low, z_high = ((end[None, :, place] - middle) / deviation for end in (region.lower, region.upper))
        log_low, log_high = log_h(xp, log_ndtr, z_low), log_h(xp, log_ndtr, z_high)
        length = log_high + xp.log(-xp.expm1(xp.minimum(log_low - log_high, -1e-15)))
        total = total + length + xp.log(deviation)
        parts.append((z_low, z_high, length, deviation))
    top = total.max(axis=1, keepdims=True)
    share = xp.exp(total - top)
    amount = share.sum(axis=1, keepdims=True)
    value = (top + xp.log(amount))[:, 0]
    share = share / amount
    scored = []
    for (z_low, z_high, length, deviation), mean in zip(parts, means, strict=True):
        inside = log_ndtr(z_high) + xp.log(-xp.expm1(xp.minimum(log_ndtr(z_low) - log_ndtr(z_high), -1e-15)))
        by_middle = -(share * xp.exp(xp.minimum(inside - length, LARGEST)) / deviation).sum(axis=1)
        rise = xp.exp(xp.minimum(-0.5 * z_high * z_high - LOG_SQRT_2PI - length, LARGEST))
        rise = rise - xp.exp(xp.minimum(-0.5 * z_low * z_low - LOG_SQRT_2PI - length, LARGEST))
        by_deviation = (share * rise / deviation).sum(axis=1)
        by_mean = xp.zeros_like(mean) + by_middle[:, None] / mean.shape[1]
        scored.append(Scored(value, by_mean, by_deviation / (2.0 * deviation[:, 0])))
    return value, scored


def scalarised_confidence_bound(
    xp: Any, means: Sequence[Any], variances: Sequence[Any], aim: Scalarisation, kappa: Any
) -> tuple[Any, list[Scored]]:
    """Minus the augmented Chebyshev distance of the lower confidence bounds from the ideal values, (q,), and derivatives.

    The largest weighted distance plus 0.05 times their sum (Knowles 2006; with random weights Paria et al. 2018,
    arXiv:1805.12168): unlike a plain sum it has its maximum anywhere on a front, hollow ones included.
    """
    terms = []
    for place, (mean, variance) in enumerate(zip(means, variances, strict=True)):
        bound = mean.mean(axis=1) - kappa * xp.sqrt(variance)
        terms.append(aim.weights[place] * (bound - aim.ideal[place]))
    table = xp.stack(terms, axis=1)
    value = -(table.max(axis=1) + AUGMENTED * table.sum(axis=1))
    largest = table.argmax(axis=1)
    scored = []
    for place, (mean, variance) in enumerate(zip(means, variances, strict=True)):
        slope = -aim.weights[place] * (xp.where(largest == place, 1.0, 0.0) + AUGMENTED)
        by_mean = xp.zeros_like(mean) + slope[:, None] / mean.shape[1]
        scored.append(Scored(value, by_mean, -slope * kappa / (2.0 * xp.sqrt(variance))))
    return value, scored
