"""A Gaussian process whose function changes with time, and where its upper confidence bound is highest.

Model of targets y (n,), standardised, at x (n, d) in the unit cube and times t (n,):

    y = f_t(x) + e,  cov(f_t(x), f_u(x')) = s exp(-|x - x'|^2 / (2 l^2)) (1 - omega)^(|t - u| / 2),  e ~ N(0, noise)

(Bogunovic et al. 2016, "Time-Varying Gaussian Process Bandit Optimization", section 2; Parker-Holder et al. 2020, "Provably
Efficient Online Hyperparameter Optimization with Population-Based Bandits", section 3). omega = 0 forgets nothing. Points that
were chosen and whose outcome is not known lower the deviation near them and leave the mean as it is (GP-BUCB: Desautels
et al. 2014, section 3). NumPy and SciPy: there are a few hundred points at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from offbeat_plugins.surrogates.matern import squared_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BOUNDS: Final = np.array([(np.log(0.05), np.log(5.0)), (np.log(0.05), np.log(20.0)), (np.log(1e-4), 0.0), (-7.0, 3.0)])
"""Of (log l, log s, log noise, logit omega)."""

CENTRE: Final = np.array([np.log(0.5), 0.0, np.log(0.1), -2.0])
SPREAD: Final = np.array([1.0, 1.0, 1.5, 1.5])
"""Normal priors: a few points alone would fit anything."""

CONSTANTS: Final = (0.2, 0.4)
"""c1 and c2 of the paper's kappa^2 = c1 + log(c2 n)."""

CANDIDATES: Final = 1_000
NEAR: Final = 200
"""Points that the bound is compared at: anywhere, and then around the best of those."""


class Points(NamedTuple):
    """Points in the unit cube, (n, d), and their times, (n,)."""

    x: Array
    t: Array


def covariance(theta: Array, a: Points, b: Points) -> Array:
    """Prior covariance of two sets of points, (n, q)."""
    r2 = squared_distances(np, a.x - 0.5, b.x - 0.5)
    lag = np.abs(a.t[:, None] - b.t[None, :])
    kernel: Array = np.exp(theta[1] - 0.5 * r2 * np.exp(-2.0 * theta[0]) - 0.5 * lag * np.logaddexp(0.0, theta[3]))
    return kernel


def loss(theta: Array, points: Points, y: Array) -> tuple[float, Array]:
    """Negative log posterior density of theta up to a constant, and its gradient, (4,)."""
    n = len(y)
    kernel = covariance(theta, points, points)
    noise = np.exp(theta[2])
    factor = cho_factor(kernel + noise * np.eye(n), lower=True)
    alpha = cho_solve(factor, y)
    inverse = cho_solve(factor, np.eye(n))
    value = 0.5 * float(y @ alpha) + float(np.log(np.diag(factor[0])).sum())
    weight = 0.5 * (inverse - np.outer(alpha, alpha))
    r2 = squared_distances(np, points.x - 0.5, points.x - 0.5)
    lag = np.abs(points.t[:, None] - points.t[None, :])
    # d log(1 + exp(v)) / dv is the logistic function: omega itself.
    omega = 1.0 / (1.0 + np.exp(-theta[3]))
    gradient = np.array(
        [
            np.sum(weight * kernel * r2) * np.exp(-2.0 * theta[0]),
            np.sum(weight * kernel),
            noise * np.trace(weight),
            -0.5 * omega * np.sum(weight * kernel * lag),
        ]
    )
    off = (theta - CENTRE) / SPREAD
    return value + 0.5 * float(off @ off), gradient + off / SPREAD


def fitted(points: Points, y: Array) -> Array:
    """The most likely theta; from the priors' centre, so that the same data gives the same answer."""
    found: Any = minimize(loss, CENTRE, (points, y), "L-BFGS-B", jac=True, bounds=BOUNDS, options={"maxiter": 100})
    theta: Array = found.x
    return theta


def posterior(theta: Array, points: Points, y: Array, at: Points) -> tuple[Array, Array]:
    """Mean and deviation of f at q points, (q,) each."""
    factor = cho_factor(covariance(theta, points, points) + np.exp(theta[2]) * np.eye(len(y)), lower=True)
    cross = covariance(theta, points, at)
    mean: Array = cross.T @ cho_solve(factor, y)
    variance = np.exp(theta[1]) - np.sum(cross * cho_solve(factor, cross), axis=0)
    return mean, np.sqrt(np.maximum(variance, 0.0))


def kappa(count: int) -> float:
    """How many deviations above the mean are hoped for, behind so many observations."""
    c1, c2 = CONSTANTS
    return float(np.sqrt(max(c1 + np.log(c2 * count), 0.0))) if count else 0.0


def upper_bounds(theta: Array, points: Points, y: Array, pending: Points, at: Points) -> Array:
    """Mean + kappa deviation at q points, (q,); `pending` counts in the deviation alone."""
    mean, _ = posterior(theta, points, y, at)
    both = Points(np.concatenate([points.x, pending.x]), np.concatenate([points.t, pending.t]))
    _, deviation = posterior(theta, both, np.zeros(len(both.t)), at)
    bound: Array = mean + kappa(len(y)) * deviation
    return bound


def highest(points: Points, y: Array, pending: Points, time: float, rng: np.random.Generator) -> Array:
    """The point (d,) of the unit cube whose upper bound is highest at a time; y in any units, higher is better."""
    spread = float(np.std(y))
    scaled = (y - np.mean(y)) / (spread if spread > 0.0 else 1.0)
    theta = fitted(points, scaled)

    def best(x: Array) -> Array:
        bounds = upper_bounds(theta, points, scaled, pending, Points(x, np.full(len(x), time)))
        row: Array = x[int(np.argmax(bounds))]
        return row

    anywhere = best(rng.random((CANDIDATES, points.x.shape[1])))
    near = np.clip(anywhere + 0.05 * rng.standard_normal((NEAR, len(anywhere))), 0.0, 1.0)
    return best(np.concatenate([anywhere[None], near]))
