"""The exact Gaussian process: log posterior of its hyperparameters with gradient, prediction, pending points.

Model of standardised targets y (n,) at codes x (n, d):

    y = c + f(x) + e,  c ~ N(0, 1),  f ~ GP(0, s k(|z(x) - z(x')|)),  e ~ N(0, noise),

k Matern-5/2 and z(x) the columns, warped if wanted, over the length scales of their groups. c takes its best value in
closed form, so it is no coordinate of theta. Formulas: Rasmussen and Williams 2006, chapters 2 and 5. Gradients
are written out with the explicit inverse of K, which turns every sum over pairs into a matrix product and gives
predictive variances and their gradients by products too, where triangular solves of single vectors would be slow.

Rows may be padding: a mask (n,) of ones and zeros takes them out of every sum, whatever (finite) numbers they hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from offbeat_plugins.surrogates import bfgs
from offbeat_plugins.surrogates.arithmetic import Arithmetic
from offbeat_plugins.surrogates.hyperparameters import Bounds, Parts
from offbeat_plugins.surrogates.matern import matern52, squared_distances

if TYPE_CHECKING:
    from offbeat_plugins.surrogates.blocks import Layout

NUGGET: Final = 1e-5
"""Noise of results at pending points, as a share of the signal, for the factorisation when two of them are equal."""


class Columns(NamedTuple):
    """A layout as arrays.

    Attributes:
        weight: (d,).
        member: (d, G), 1 where a column is of a group.
        warped: (d,), 1 where a warping applies.
    """

    weight: Any
    member: Any
    warped: Any

    @staticmethod
    def of(layout: Layout) -> Columns:
        """The arrays of a layout."""
        member = np.zeros((layout.dimension, layout.groups))
        member[np.arange(layout.dimension), layout.group] = 1.0
        return Columns(layout.weight, member, layout.warped.astype(np.float64))


class Setting(NamedTuple):
    """How to compute, and a model without its data: what every function here needs. Put together inside a program.

    Attributes:
        ar: the way of computing.
        columns: what the codes are.
        where: the parts of theta.
        prior: bounds and priors of theta.
        floor: lowest noise variance.
    """

    ar: Arithmetic
    columns: Columns
    where: Parts
    prior: Bounds
    floor: Any


def _warping(setting: Setting, theta: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    """Kumaraswamy's distribution function of x and its slopes by x, log a and log b, each (n, d)."""
    xp, columns, where = setting.ar.xp, setting.columns, setting.where
    a = xp.exp(columns.member @ theta[where.warp_a])
    b = xp.exp(columns.member @ theta[where.warp_b])
    # Away from the ends, where powers below one have infinite slopes.
    inner = xp.clip(x, 1e-6, 1.0 - 1e-6)
    power = inner**a
    rest = 1.0 - power
    value = 1.0 - rest**b
    by_power = b * rest ** (b - 1.0)
    on = columns.warped > 0.0
    return (
        xp.where(on, value, x),
        xp.where(on, by_power * a * power / inner, 1.0),
        xp.where(on, by_power * a * power * xp.log(inner), 0.0),
        xp.where(on, -b * (rest**b) * xp.log(rest), 0.0),
    )


def features(setting: Setting, theta: Any, x: Any) -> Any:
    """z(x), (n, d): centred, weighted, over the length scales."""
    if setting.where.warp:
        x = _warping(setting, theta, x)[0]
    return (x - 0.5) * _per_length(setting, theta)


def _per_length(setting: Setting, theta: Any) -> Any:
    columns = setting.columns
    return columns.weight * setting.ar.xp.exp(-(columns.member @ theta[setting.where.length]))


class Fitted(NamedTuple):
    """What an evaluation leaves for prediction: inverse (n, n), zero in padded rows; alpha (n,); the constant c."""

    inverse: Any
    alpha: Any
    constant: Any


def negative_log_posterior(setting: Setting, theta: Any, x: Any, y: Any, mask: Any) -> tuple[Any, Any, Fitted]:
    """Negative log of marginal likelihood times priors, without constant terms; gradient (p,); what prediction needs.

    theta (p,), x (n, d), y (n,) with zeros in padded rows, mask (n,).
    """
    ar, columns, where, prior, floor = setting
    xp = ar.xp
    z = features(setting, theta, x)
    kernel, slope = matern52(xp, squared_distances(xp, z, z))
    signal, noise_part = xp.exp(theta[where.signal]), xp.exp(theta[where.noise])
    noise = floor + noise_part
    pair = mask[:, None] * mask[None, :]
    covariance = kernel * (signal * pair) + xp.diag(noise * mask + (1.0 - mask))
    inverse, logdet = ar.inverted(covariance)
    inverse = inverse * pair
    by_y, by_one = inverse @ y, inverse @ mask
    constant = by_y.sum() / (by_one.sum() + 1.0)
    alpha = by_y - constant * by_one
    centred = y - constant * mask
    fit = centred @ alpha
    off = theta - prior.centre
    value = 0.5 * (fit + logdet + constant**2 + (off * off * prior.precision).sum())
    # Half of (K^-1 - alpha alpha'), the derivative by K, times that of K by squared distances.
    weights = (inverse - alpha[:, None] * alpha[None, :]) * slope
    by_z = (2.0 * signal) * (weights.sum(axis=1)[:, None] * z - weights @ z)
    square = alpha @ alpha
    trace = xp.diagonal(inverse).sum()
    by_signal = 0.5 * (mask.sum() - noise * trace - fit + noise * square)
    gradient = [
        -((z * by_z).sum(axis=0) @ columns.member),
        by_signal[None],
        (0.5 * noise_part * (trace - square))[None],
    ]
    if where.warp:
        _, _, by_a, by_b = _warping(setting, theta, x)
        by_warped = by_z * _per_length(setting, theta)
        gradient += [(by_warped * by_a).sum(axis=0) @ columns.member, (by_warped * by_b).sum(axis=0) @ columns.member]
    return value, xp.concatenate(gradient) + off * prior.precision, Fitted(inverse, alpha, constant)


def fit(
    setting: Setting, theta: Any, curvature: Any, data: tuple[Any, Any, Any], *, turns: Any, tolerance: float
) -> bfgs.State:
    """Maximum a posteriori hyperparameters from the start theta (p,) with inverse Hessian curvature (p, p).

    data: x (n, d), y (n,), mask (n,). At most `turns` evaluations; `tolerance` in units of the log posterior. The state
    returned has one start; its aux is the `Fitted` of its best point.
    """
    xp, prior = setting.ar.xp, setting.prior

    def objective(batch: Any) -> tuple[Any, Any, Fitted]:
        value, gradient, fitted = negative_log_posterior(setting, batch[0], *data)
        return value[None], gradient[None], fitted

    n = len(data[1])
    nothing = Fitted(xp.zeros((n, n)), xp.zeros(n), xp.zeros(()))
    start = bfgs.begin(setting.ar, theta[None], curvature[None], nothing)
    box = bfgs.Box(prior.lower[None], prior.upper[None], 2.0, tolerance)
    return bfgs.minimise(setting.ar, objective, start, box, turns)


class Posterior(NamedTuple):
    """A process that has seen N points, pending ones included; the arrays behind `predict`.

    Attributes:
        theta: (p,).
        z: (N, d) features.
        alpha: (N, S) one column a fantasy.
        inverse: (N, N) of the covariance; zero in rows of padding.
        constant, noise: scalars.
    """

    theta: Any
    z: Any
    alpha: Any
    inverse: Any
    constant: Any
    noise: Any


def posterior(setting: Setting, theta: Any, x: Any, fitted: Fitted) -> Posterior:
    """The process after a fit, without pending points."""
    noise = setting.floor + setting.ar.xp.exp(theta[setting.where.noise])
    z = features(setting, theta, x)
    return Posterior(theta, z, fitted.alpha[:, None], fitted.inverse, fitted.constant, noise)


def with_pending(setting: Setting, process: Posterior, x: Any, mask: Any, normals: Any) -> tuple[Posterior, Any]:
    """Conditioned on results at pending points that are not known yet.

    The result of a pending point is taken to be its posterior mean, plus, for each fantasy, the deviation that a column
    of normals gives: zeros condition on the mean itself (the "kriging believer": the mean does not move, the variance
    falls); standard normal numbers give joint samples (Snoek et al. 2012, section 3.2). These results are of f itself, without
    noise: with it, a noisy objective would see points proposed again and again beside those that are running. The
    inverse grows by a block (Schur complement): costs N^2 P, no new factorisation.

    x (P, d), mask (P,), normals (P, S). Returned with the process: the results that were assumed, (P, S).
    """
    ar = setting.ar
    xp = ar.xp
    signal = xp.exp(process.theta[setting.where.signal])
    z = features(setting, process.theta, x)
    cross = matern52(xp, squared_distances(xp, z, process.z))[0] * (signal * mask[:, None])
    own = matern52(xp, squared_distances(xp, z, z))[0] * (signal * mask[:, None] * mask[None, :])
    moved = cross @ process.inverse
    rest = own + xp.diag(NUGGET * signal * mask + (1.0 - mask)) - moved @ cross.T
    block, _ = ar.inverted(0.5 * (rest + rest.T))
    block = block * (mask[:, None] * mask[None, :])
    corner = -block @ moved
    inverse = xp.concatenate(
        [
            xp.concatenate([process.inverse - moved.T @ corner, corner.T], axis=1),
            xp.concatenate([corner, block], axis=1),
        ]
    )
    # block = L'^-1 L^-1, so block times a joint deviation L e is L'^-1 e: a factor of the block itself.
    shift = xp.linalg.cholesky(block + xp.diag(1.0 - mask)) @ (normals * mask[:, None])
    alpha = xp.concatenate([process.alpha - moved.T @ shift, shift])
    values = process.constant + cross @ process.alpha + rest @ shift
    return process._replace(z=xp.concatenate([process.z, z]), alpha=alpha, inverse=inverse), values


class Prediction(NamedTuple):
    """At q points: mean (q, S) and variance (q,) of f + c, without noise; the rest is for `pulled_back`."""

    mean: Any
    variance: Any
    z: Any
    slope: Any
    weights: Any


def predict(setting: Setting, process: Posterior, x: Any) -> Prediction:
    """Mean and variance at x (q, d), in standardised targets."""
    xp = setting.ar.xp
    signal = xp.exp(process.theta[setting.where.signal])
    z = features(setting, process.theta, x)
    kernel, slope = matern52(xp, squared_distances(xp, z, process.z))
    kernel = kernel * signal
    weights = kernel @ process.inverse
    variance = xp.maximum(signal - (weights * kernel).sum(axis=1), 1e-12 * signal)
    return Prediction(process.constant + kernel @ process.alpha, variance, z, slope * signal, weights)


def pulled_back(setting: Setting, process: Posterior, at: Prediction, x: Any, by: tuple[Any, Any]) -> Any:
    """Gradient by x, (q, d), of a function with these derivatives: by the means (q, S) and by the variances (q,)."""
    by_mean, by_variance = by
    pairs = (by_mean @ process.alpha.T - 2.0 * by_variance[:, None] * at.weights) * at.slope
    by_z = 2.0 * (at.z * pairs.sum(axis=1)[:, None] - pairs @ process.z)
    by_x = by_z * _per_length(setting, process.theta)
    return by_x * _warping(setting, process.theta, x)[1] if setting.where.warp else by_x
