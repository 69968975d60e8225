"""Covariance over configuration and resource, for models that see results at several levels of training.

t in (0, 1] is the resource of a point over the largest one, in a column of its own (`Block("resource")`). With the process's
kernel s k(x, x') over configurations and kappa(t) = beta^alpha / (beta + t)^alpha, the covariance of (x, t) and (x', t') is

- "independent": s k(x, x') if t = t', else 0: one process a level, sharing length scales, signal and noise (Klein et al. 2020,
  arXiv:2003.10865, "independent"; standardise targets by level for levels of different scale). A point with t = `MIXED` is the
  sum of the levels' processes with weights of its own (Li et al. 2022, arXiv:2201.06834, section 4.3);
- "exp-decay": s k(x, x') + g (kappa(t + t') - kappa(t) kappa(t')), with mean c0 + c1 kappa(t): curves that decay to what
  x is worth, with a distribution of rates (Swersky et al. 2014, arXiv:1406.3896; Tiao et al. 2020, section 3.2, whose gamma^2
  is g here and whose mean's factor is free);
- "freeze-thaw": s k(x, x') + g kappa(t + t') if x = x', else s k(x, x'): every configuration has its own decaying
  deviation from its asymptote (Swersky et al. 2014).

- "product": s k((x, t), (x', t')), t being one more column with a length scale.

alpha, beta and g are exponentials of theta[where.rates]. Resources are few, the rungs of an experiment: powers are taken for
pairs of levels and laid out over pairs of points by products with zeros and ones (`at_levels`), which costs less than a power
for each of n^2 pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from offbeat_plugins.surrogates.hyperparameters import Parts

ResourceKernel: TypeAlias = Literal["", "product", "independent", "exp-decay", "freeze-thaw"]

RESOURCE_KERNELS: Final = ("", "product", "independent", "exp-decay", "freeze-thaw")

MIXED: Final = 0.0
"""Stands for a weighted sum of all levels; no resource is 0."""

SAME: Final = 1e-10
"""Squared scaled distance below which two points are the same configuration: rounding in distances leaves about 1e-15."""


def _decay(xp: Any, theta: Any, where: Parts, t: Any) -> tuple[Any, Any, Any]:
    """kappa(t) and its slopes by log alpha and log beta, of the shape of t."""
    alpha, beta = xp.exp(theta[where.rates][0]), xp.exp(theta[where.rates][1])
    power = alpha * (xp.log(beta) - xp.log(beta + t))
    value = xp.exp(power)
    return value, value * power, value * alpha * t / (beta + t)


def at_levels(xp: Any, t: Any, grid: Any, mixture: Any) -> Any:
    """(n, L) of resources t (n,): 1 at its own of the levels `grid` (L,); for t = `MIXED` the `mixture` (L,) of all."""
    return (t[:, None] == grid[None, :]) + (t[:, None] == MIXED) * mixture[None, :]


def added(xp: Any, theta: Any, where: Parts, grid: Any) -> tuple[Any, list[Any]]:
    """What the covariance has beside s k(x, x'), between levels `grid` (L,): (L, L), and its slopes by theta[where.rates].

    Of "freeze-thaw" it counts for points of one configuration only.
    """
    g = xp.exp(theta[where.rates][2])
    both, both_a, both_b = _decay(xp, theta, where, grid[:, None] + grid[None, :])
    if where.resource == "freeze-thaw":
        return g * both, [g * both_a, g * both_b, g * both]
    one, one_a, one_b = _decay(xp, theta, where, grid)
    value = g * (both - one[:, None] * one[None, :])
    slopes = [
        g * (both_r - one_r[:, None] * one[None, :] - one[:, None] * one_r[None, :])
        for both_r, one_r in ((both_a, one_a), (both_b, one_b))
    ]
    return value, [*slopes, value]


def added_variance(xp: Any, theta: Any, where: Parts, t: Any) -> Any:
    """The diagonal of `added`, (q,)."""
    value = xp.exp(theta[where.rates][2]) * _decay(xp, theta, where, 2.0 * t)[0]
    if where.resource == "freeze-thaw":
        return value
    return value - xp.exp(theta[where.rates][2]) * _decay(xp, theta, where, t)[0] ** 2


def mean_columns(xp: Any, theta: Any, where: Parts, t: Any) -> tuple[Any, list[Any]]:
    """The functions of t whose combination is the prior mean, (n, b), and their slopes by theta[where.rates]."""
    one = xp.ones_like(t)
    if where.resource != "exp-decay":
        return one[:, None], []
    value, by_alpha, by_beta = _decay(xp, theta, where, t)
    none = xp.zeros_like(t)
    slopes = [xp.stack([none, slope], axis=1) for slope in (by_alpha, by_beta, none)]
    return xp.stack([one, value], axis=1), slopes
