"""Acquisition functions of mean and variance, in logarithms, with their derivatives; larger is better.

Every function takes the array module `xp` and `log_ndtr`, the logarithm of the normal distribution function (scipy.special
or jax.scipy.special). Means are (q, S), one column a fantasy, variances (q,), without noise, in standardised targets that
are minimised. Returned are value (q,), derivative by mean (q, S) and by variance (q,).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

LOG_SQRT_2PI: Final = 0.9189385332046727

FAR: Final = -100.0
"""Below this many deviations the asymptotic series of the improvement is used: to 1e-10 there, and exact beyond."""


class Scored(NamedTuple):
    """Value (q,) and its derivatives by mean (q, S) and by variance (q,)."""

    value: Any
    by_mean: Any
    by_variance: Any


def log_h(xp: Any, log_ndtr: Any, z: Any) -> Any:
    """log(phi(z) + z Phi(z)), finite for every finite z.

    Ament et al. 2023, arXiv:2310.20708, equation 9: the plain value underflows below z of about -38, where most of
    a space lies late in a search, and its gradient with it.
    """
    near = xp.maximum(z, -1.0)
    log_phi = -0.5 * near * near - LOG_SQRT_2PI
    plain = xp.log(xp.exp(log_phi) + near * xp.exp(log_ndtr(near)))
    middle = xp.clip(z, FAR, -1.0)
    ratio = xp.log(-middle) + log_ndtr(middle) + 0.5 * middle * middle + LOG_SQRT_2PI
    # 1 - exp(ratio), ratio < 0 and close to 0 far out.
    between = -0.5 * middle * middle - LOG_SQRT_2PI + xp.log(-xp.expm1(ratio))
    far = xp.minimum(z, FAR)
    inverse = 1.0 / (far * far)
    beyond = -0.5 * far * far - LOG_SQRT_2PI + xp.log(inverse) + xp.log1p(-3.0 * inverse + 15.0 * inverse * inverse)
    return xp.where(z > -1.0, plain, xp.where(z > FAR, between, beyond))


def log_expected_improvement(xp: Any, log_ndtr: Any, mean: Any, variance: Any, best: Any) -> Scored:
    """Log E[max(best - f, 0)], averaged over fantasies (the mean of the values, not of the logarithms).

    best: (S,) or scalar, lowest value seen. Jones et al. 1998; in logarithms Ament et al. 2023, arXiv:2310.20708.
    """
    deviation = xp.sqrt(variance)[:, None]
    z = (best - mean) / deviation
    each = xp.log(deviation) + log_h(xp, log_ndtr, z)
    top = each.max(axis=1, keepdims=True)
    share = xp.exp(each - top)
    total = share.sum(axis=1, keepdims=True)
    value = (top + xp.log(total / each.shape[1]))[:, 0]
    share = share / total
    # d EI / d mean = -Phi(z), d EI / d deviation = phi(z), over EI.
    by_mean = -share * xp.exp(log_ndtr(z) - each)
    by_deviation = (share * xp.exp(-0.5 * z * z - LOG_SQRT_2PI - each)).sum(axis=1)
    return Scored(value, by_mean, by_deviation / (2.0 * deviation[:, 0]))


def log_probability_below(xp: Any, log_ndtr: Any, mean: Any, variance: Any, bound: Any) -> Scored:
    """Log P(f <= bound), of the mean over fantasies: the probability of being feasible (Gardner et al. 2014)."""
    deviation = xp.sqrt(variance)
    middle = mean.mean(axis=1)
    z = (bound - middle) / deviation
    value = log_ndtr(z)
    hazard = xp.exp(-0.5 * z * z - LOG_SQRT_2PI - value)
    by_mean = -hazard / deviation
    each = xp.zeros_like(mean) + by_mean[:, None] / mean.shape[1]
    return Scored(value, each, -hazard * z / (2.0 * variance))


def lower_confidence_bound(xp: Any, mean: Any, variance: Any, kappa: Any) -> Scored:
    """Kappa sigma - mean: how low the value may well be (Srinivas et al. 2010; UCB of the negative objective)."""
    deviation = xp.sqrt(variance)
    count = mean.shape[1]
    return Scored(kappa * deviation - mean.mean(axis=1), xp.zeros_like(mean) - 1.0 / count, kappa / (2.0 * deviation))


def log_cost(mean: Any, exponent: Any) -> Any:
    """What a predicted logarithm of cost takes off a log improvement: EI / cost^exponent, (q,), with cost = exp(mean)."""
    return -exponent * mean.mean(axis=1)
