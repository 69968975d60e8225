"""The freeze-thaw process over whole learning curves, cubic in the number of configurations only (Swersky et al. 2014).

"Freeze-Thaw Bayesian Optimization" (arXiv:1406.3896), section 3.2. Value j of configuration i, at resource t_j in (0, 1]:

    y_ij = c + f(x_i) + v_i(t_j) + e_ij,  c ~ N(0, 1),  f ~ GP(0, s k),  v_i ~ GP(0, g kappa(t + t')),  e_ij ~ N(0, noise)

kappa(t) = (beta / (beta + t))^alpha: the process of `surrogates.process` with the resource kernel "freeze-thaw", number for number.
Given f, curves are independent with covariance B_i, of which there are few, one for each set of levels that a curve has. What a
curve says of f(x_i) is one value b_i / a_i with variance 1 / a_i, a_i = 1' B_i^-1 1 and b_i = 1' B_i^-1 y_i; so n curves of m
values cost n^3 + n m^2, where the plain process costs (n m)^3.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from offbeat_plugins.surrogates import bfgs
from offbeat_plugins.surrogates.arithmetic_numpy import inverted, numpy_arithmetic
from offbeat_plugins.surrogates.matern import matern52, squared_distances
from offbeat_plugins.surrogates.process import Setting, features
from offbeat_plugins.surrogates.resources import added

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Curves(NamedTuple):
    """Learning curves of n configurations.

    Attributes:
        x: (n, d) codes, without a resource. y: (n, m) standardised values, whatever number where there is none.
        there: (n, m) whether there is one; at least one a curve. t: (m,) resources over the largest one, rising.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    there: NDArray[np.bool_]
    t: NDArray[np.float64]


class Shape(NamedTuple):
    """What curves with the same levels have in common: rows of them, levels (places), B^-1, B^-1 1, log det B."""

    rows: NDArray[np.intp]
    places: NDArray[np.intp]
    inverse: NDArray[np.float64]
    ones: NDArray[np.float64]
    logdet: float


class Told(NamedTuple):
    """What each curve says of its f: value and variance (n,); B^-1 y (n, m), 0 elsewhere; and the rest of its likelihood."""

    value: NDArray[np.float64]
    variance: NDArray[np.float64]
    solved: NDArray[np.float64]
    rest: float
    shapes: list[Shape]


class Asymptotes(NamedTuple):
    """f at the configurations, all curves known.

    Attributes:
        inverse: (n, n) of the covariance of what curves say; alpha: (n,) it times what they say without c.
        constant: c. mean, variance: (n,) of c + f(x_i).
    """

    inverse: NDArray[np.float64]
    alpha: NDArray[np.float64]
    constant: float
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def told(setting: Setting, theta: NDArray[np.float64], curves: Curves) -> Told:
    """What the curves say of f under hyperparameters theta, whose parts have the resource kernel "freeze-thaw"."""
    noise = float(setting.floor + np.exp(theta[setting.where.noise]))
    times, grid = added(np, theta, setting.where, curves.t)[0], curves.t.tobytes()
    n = len(curves.x)
    value, variance, solved = np.empty(n), np.empty(n), np.zeros(curves.y.shape)
    rest, shapes = 0.0, []
    rates = theta[setting.where.rates].tobytes()
    which: dict[bytes, list[int]] = {}
    for row, pattern in enumerate(curves.there):
        which.setdefault(pattern.tobytes(), []).append(row)
    for key in sorted(which):
        rows, places = np.array(which[key]), np.flatnonzero(np.frombuffer(key, dtype=bool))
        inverse, ones, logdet = _inverses((rates, noise, grid), times, key, places)
        y = curves.y[np.ix_(rows, places)]
        by_y = y @ inverse
        a = ones.sum()
        value[rows], variance[rows] = by_y.sum(axis=1) / a, 1.0 / a
        solved[np.ix_(rows, places)] = by_y
        rest += 0.5 * float((y * by_y).sum() - a * (value[rows] ** 2).sum() + len(rows) * (logdet + np.log(a)))
        shapes.append(Shape(rows, places, inverse, ones, logdet))
    return Told(value, variance, solved, rest, shapes)


_KNOWN: OrderedDict[tuple[object, ...], tuple[NDArray[np.float64], NDArray[np.float64], float]] = OrderedDict()
"""Inverses by hyperparameters, levels and pattern: a model that is kept asks for the same ones at every proposal."""

_MOST_KNOWN: Final = 256


def _inverses(
    model: tuple[bytes, float, bytes], times: NDArray[np.float64], pattern: bytes, places: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """B^-1, B^-1 1 and log det B at these places of the covariance over time, to which noise is added."""
    key = (*model, pattern)
    found = _KNOWN.get(key)
    if found is None:
        inverse, logdet = inverted(times[np.ix_(places, places)] + model[1] * np.eye(len(places)))
        found = _KNOWN[key] = inverse, inverse.sum(axis=1), float(logdet)
        if len(_KNOWN) > _MOST_KNOWN:
            _KNOWN.popitem(last=False)
    return found


def asymptotes(setting: Setting, theta: NDArray[np.float64], x: NDArray[np.float64], said: Told) -> Asymptotes:
    """The process of f at the configurations x (n, d)."""
    z = features(setting, theta, x)
    kernel = np.exp(theta[setting.where.signal]) * matern52(np, squared_distances(np, z, z))[0]
    inverse, _ = inverted(kernel + np.diag(said.variance))
    constant = float(inverse.sum(axis=0) @ said.value / (1.0 + inverse.sum()))
    alpha = inverse @ (said.value - constant)
    mean = said.value - said.variance * alpha
    variance = np.maximum(said.variance - said.variance**2 * np.diagonal(inverse), 0.0)
    return Asymptotes(inverse, alpha, constant, mean, variance)


def negative_log_posterior(
    setting: Setting, theta: NDArray[np.float64], curves: Curves
) -> tuple[float, NDArray[np.float64]]:
    """Negative log of marginal likelihood times priors, without constant terms, and its gradient (p,)."""
    where, prior = setting.where, setting.prior
    said = told(setting, theta, curves)
    z = features(setting, theta, curves.x)
    kernel, slope = matern52(np, squared_distances(np, z, z))
    signal = np.exp(theta[where.signal])
    inverse, logdet = inverted(signal * kernel + np.diag(said.variance))
    constant = float(inverse.sum(axis=0) @ said.value / (1.0 + inverse.sum()))
    off = said.value - constant
    alpha = inverse @ off
    far = theta - prior.centre
    value = said.rest + 0.5 * float(off @ alpha + logdet + constant**2 + (far * far * prior.precision).sum())
    outer = inverse - np.outer(alpha, alpha)
    weights = outer * (signal * slope)
    by_z = 2.0 * (weights.sum(axis=1)[:, None] * z - weights @ z)
    gradient = np.empty(where.size)
    gradient[where.length] = -((z * by_z).sum(axis=0) @ setting.columns.member)
    gradient[where.signal] = 0.5 * signal * (outer * kernel).sum()
    by_covariance = _by_covariance(curves, said, alpha, np.diagonal(inverse))
    noise_part = np.exp(theta[where.noise])
    gradient[where.noise] = noise_part * np.trace(by_covariance)
    slopes = added(np, theta, where, curves.t)[1]
    gradient[where.rates] = [(by_covariance * change).sum() for change in slopes]
    return value, gradient + far * prior.precision


def _by_covariance(
    curves: Curves, said: Told, alpha: NDArray[np.float64], diagonal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Derivative by the covariance of a curve, (m, m), summed over curves.

    B enters by a, b and q = y' B^-1 y of each curve; theirs by B are -o o', -o z' and -z z', o = B^-1 1 and z = B^-1 y.
    """
    m = len(curves.t)
    out = np.zeros((m, m))
    for shape in said.shapes:
        rows, ones = shape.rows, shape.ones
        a = ones.sum()
        value, pull = said.value[rows], alpha[rows]
        by_b = pull / a - value
        by_a = -pull * value / a - 0.5 * (diagonal[rows] - pull**2) / a**2 + 0.5 * value**2 + 0.5 / a
        z = said.solved[np.ix_(rows, shape.places)]
        cross = np.outer(by_b @ z, ones)
        part = 0.5 * (cross + cross.T) + by_a.sum() * np.outer(ones, ones) + 0.5 * z.T @ z
        out[np.ix_(shape.places, shape.places)] += 0.5 * len(rows) * shape.inverse - part
    return out


def fit(
    setting: Setting,
    theta: NDArray[np.float64],
    curvature: NDArray[np.float64],
    curves: Curves,
    *,
    turns: int,
    tolerance: float,
    entry: float,
) -> bfgs.State:
    """Maximum a posteriori hyperparameters; see `surrogates.process.fit`."""

    def objective(batch: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], None]:
        value, gradient = negative_log_posterior(setting, batch[0], curves)
        return np.array([value]), gradient[None], None

    start = bfgs.begin(numpy_arithmetic(), theta[None], curvature[None], None)
    box = bfgs.Box(setting.prior.lower[None], setting.prior.upper[None], 2.0, tolerance, entry)
    return bfgs.minimise(numpy_arithmetic(), objective, start, box, turns)


def continued(
    setting: Setting, theta: NDArray[np.float64], curves: Curves, model: tuple[Told, Asymptotes], t: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance (n,) of every curve, without noise, at a resource of its own, t (n,)."""
    where, (said, known) = setting.where, model
    mean, variance = np.empty(len(t)), np.empty(len(t))
    for shape in said.shapes:
        rows, here = shape.rows, curves.t[shape.places]
        grid = np.concatenate([here, t[rows]])
        between = added(np, theta, where, grid)[0]
        m = len(here)
        cross, own = between[m:, :m], np.diagonal(between)[m:]
        share = 1.0 - cross @ shape.ones
        mean[rows] = known.mean[rows] * share + (cross * said.solved[np.ix_(rows, shape.places)]).sum(axis=1)
        left = own - ((cross @ shape.inverse) * cross).sum(axis=1)
        variance[rows] = share**2 * known.variance[rows] + np.maximum(left, 0.0)
    return mean, variance
