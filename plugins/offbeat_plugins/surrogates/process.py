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
from offbeat_plugins.surrogates.resources import (
    SAME,
    ResourceKernel,
    added,
    added_variance,
    at_levels,
    mean_columns,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from offbeat_plugins.surrogates.blocks import Layout

NUGGET: Final = 1e-5
"""Noise of results at pending points, as a share of the signal, for the factorisation when two of them are equal."""


class Columns(NamedTuple):
    """A layout as arrays.

    Attributes:
        weight: (d,).
        member: (d, G), 1 where a column is of a group.
        warped: (d,), 1 where a warping applies.
        grid: (L,), all resources that points may have, for kernels over resources; more than there are do no harm.
        mixture: (L,), weights of the levels in what `resources.MIXED` stands for.
    """

    weight: Any
    member: Any
    warped: Any
    grid: Any
    mixture: Any

    @staticmethod
    def of(
        layout: Layout, resource: ResourceKernel = "", grid: ArrayLike = (), mixture: ArrayLike | None = None
    ) -> Columns:
        """The arrays of a layout; of a resource column as the kernel over resources wants it."""
        weight = layout.weight.copy()
        if resource == "product":
            weight[layout.resource] = 1.0
        member = np.zeros((layout.dimension, layout.groups))
        member[np.arange(layout.dimension), layout.group] = 1.0
        levels = np.asarray(grid, dtype=np.float64)
        shares = np.zeros_like(levels) if mixture is None else np.asarray(mixture, dtype=np.float64)
        return Columns(weight, member, layout.warped.astype(np.float64), levels, shares)


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


def covariance(setting: Setting, theta: Any, a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
    """Covariance of two sets of points, each as features (n, d) and resources (n,), and its slope by squared distances."""
    xp, where = setting.ar.xp, setting.where
    r2 = squared_distances(xp, a[0], b[0])
    kernel, slope = matern52(xp, r2)
    signal = xp.exp(theta[where.signal])
    kernel, slope = kernel * signal, slope * signal
    if where.resource == "independent":
        level = _at_levels(setting, a[1]) @ _at_levels(setting, b[1]).T
        return kernel * level, slope * level
    if where.decaying:
        between = added(xp, theta, where, setting.columns.grid)[0]
        more = _at_levels(setting, a[1]) @ between @ _at_levels(setting, b[1]).T
        kernel = kernel + (xp.where(r2 < SAME, more, 0.0) if where.resource == "freeze-thaw" else more)
    return kernel, slope


def _at_levels(setting: Setting, t: Any) -> Any:
    return at_levels(setting.ar.xp, t, setting.columns.grid, setting.columns.mixture)


def levels(setting: Setting, x: Any) -> Any:
    """Resources of points, (n,); 0 where the model has none."""
    return x[:, setting.where.level] if setting.where.resource else x[:, 0] * 0.0


class Fitted(NamedTuple):
    """What an evaluation leaves for prediction: inverse (n, n), zero in padded rows; alpha (n,); c (b,)."""

    inverse: Any
    alpha: Any
    constant: Any


def negative_log_posterior(setting: Setting, theta: Any, x: Any, y: Any, mask: Any) -> tuple[Any, Any, Fitted]:
    """Negative log of marginal likelihood times priors, without constant terms; gradient (p,); what prediction needs.

    theta (p,), x (n, d), y (n,) with zeros in padded rows, mask (n,).
    """
    ar, columns, where, prior, floor = setting
    xp = ar.xp
    z, t = features(setting, theta, x), levels(setting, x)
    kernel, slope = covariance(setting, theta, (z, t), (z, t))
    noise_part = xp.exp(theta[where.noise])
    noise = floor + noise_part
    pair = mask[:, None] * mask[None, :]
    inverse, logdet = ar.inverted(kernel * pair + xp.diag(noise * mask + (1.0 - mask)))
    inverse = inverse * pair
    means, mean_slopes = mean_columns(xp, theta, where, t)
    means = means * mask[:, None]
    by_y, by_means = inverse @ y, inverse @ means
    constant = _solved(xp, means.T @ by_means + xp.eye(means.shape[1]), means.T @ by_y)
    alpha = by_y - by_means @ constant
    fit = (y - means @ constant) @ alpha
    off = theta - prior.centre
    value = 0.5 * (fit + logdet + (constant**2).sum() + (off * off * prior.precision).sum())
    # Twice the derivative by K; times that of K by squared distances.
    outer = inverse - alpha[:, None] * alpha[None, :]
    weights = outer * slope
    by_z = 2.0 * (weights.sum(axis=1)[:, None] * z - weights @ z)
    square = alpha @ alpha
    trace = xp.diagonal(inverse).sum()
    # The sum over pairs of `outer` times K, noise left out, without another pass over them.
    by_signal = 0.5 * (mask.sum() - noise * trace - fit + noise * square)
    by_rates = []
    if where.decaying:
        more, slopes = added(xp, theta, where, columns.grid)
        if where.resource == "freeze-thaw":
            outer = xp.where(squared_distances(xp, z, z) < SAME, outer, 0.0)
        at = _at_levels(setting, t)
        by_levels = at.T @ outer @ at
        by_signal = by_signal - 0.5 * (by_levels * more).sum()
        by_rates = [0.5 * (by_levels * slope).sum() for slope in slopes]
        if mean_slopes:
            by_rates = [one - alpha @ (change @ constant) for one, change in zip(by_rates, mean_slopes, strict=True)]
    gradient = [
        -((z * by_z).sum(axis=0) @ columns.member),
        by_signal[None],
        (0.5 * noise_part * (trace - square))[None],
    ]
    if where.warp:
        _, _, by_a, by_b = _warping(setting, theta, x)
        by_warped = by_z * _per_length(setting, theta)
        gradient += [(by_warped * by_a).sum(axis=0) @ columns.member, (by_warped * by_b).sum(axis=0) @ columns.member]
    gradient += [one[None] for one in by_rates]
    return value, xp.concatenate(gradient) + off * prior.precision, Fitted(inverse, alpha, constant)


def _solved(xp: Any, matrix: Any, vector: Any) -> Any:
    """A positive definite system of one or two equations, written out: a factorisation would be compiled for it."""
    if matrix.shape[0] == 1:
        return vector / matrix[0, 0]
    (a, b), (c, d) = matrix
    return xp.stack([d * vector[0] - b * vector[1], a * vector[1] - c * vector[0]]) / (a * d - b * c)


def fit(
    setting: Setting, theta: Any, curvature: Any, data: tuple[Any, Any, Any], *, turns: Any, tolerance: Any, entry: Any
) -> bfgs.State:
    """Maximum a posteriori hyperparameters from the start theta (p,) with inverse Hessian curvature (p, p).

    data: x (n, d), y (n,), mask (n,). At most `turns` evaluations; `tolerance` in units of the log posterior,
    `entry` that of the first step: see `bfgs.Box`. The state returned has one start; its aux is the `Fitted` of its best point.
    """
    xp, prior = setting.ar.xp, setting.prior

    def objective(batch: Any) -> tuple[Any, Any, Fitted]:
        value, gradient, fitted = negative_log_posterior(setting, batch[0], *data)
        return value[None], gradient[None], fitted

    n = len(data[1])
    width = 2 if setting.where.resource == "exp-decay" else 1
    nothing = Fitted(xp.zeros((n, n)), xp.zeros(n), xp.zeros(width))
    start = bfgs.begin(setting.ar, theta[None], curvature[None], nothing)
    box = bfgs.Box(prior.lower[None], prior.upper[None], 2.0, tolerance, entry)
    return bfgs.minimise(setting.ar, objective, start, box, turns)


class Posterior(NamedTuple):
    """A process that has seen N points, pending ones included; the arrays behind `predict`.

    Attributes:
        theta: (p,).
        z, t: (N, d) features, (N,) resources.
        alpha: (N, S) one column a fantasy.
        inverse: (N, N) of the covariance; zero in rows of padding.
        constant, noise: (b,) factors of the prior mean, and a scalar.
    """

    theta: Any
    z: Any
    t: Any
    alpha: Any
    inverse: Any
    constant: Any
    noise: Any


def posterior(setting: Setting, theta: Any, x: Any, fitted: Fitted) -> Posterior:
    """The process after a fit, without pending points."""
    noise = setting.floor + setting.ar.xp.exp(theta[setting.where.noise])
    z = features(setting, theta, x)
    return Posterior(theta, z, levels(setting, x), fitted.alpha[:, None], fitted.inverse, fitted.constant, noise)


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
    z, t = features(setting, process.theta, x), levels(setting, x)
    cross = covariance(setting, process.theta, (z, t), (process.z, process.t))[0] * mask[:, None]
    own = covariance(setting, process.theta, (z, t), (z, t))[0] * (mask[:, None] * mask[None, :])
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
    values = prior_mean(setting, process, t)[:, None] + cross @ process.alpha + rest @ shift
    seen = {"z": xp.concatenate([process.z, z]), "t": xp.concatenate([process.t, t])}
    return process._replace(**seen, alpha=alpha, inverse=inverse), values


def prior_mean(setting: Setting, process: Posterior, t: Any) -> Any:
    """c, or what the mean over resources is, at resources t (q,)."""
    return mean_columns(setting.ar.xp, process.theta, setting.where, t)[0] @ process.constant


class Prediction(NamedTuple):
    """At q points: mean (q, S) and variance (q,) of f plus its mean, without noise; the rest is for `pulled_back`."""

    mean: Any
    variance: Any
    z: Any
    slope: Any
    weights: Any


def predict(setting: Setting, process: Posterior, x: Any) -> Prediction:
    """Mean and variance at x (q, d), in standardised targets."""
    xp, where = setting.ar.xp, setting.where
    z, t = features(setting, process.theta, x), levels(setting, x)
    kernel, slope = covariance(setting, process.theta, (z, t), (process.z, process.t))
    weights = kernel @ process.inverse
    signal = xp.exp(process.theta[where.signal])
    prior = signal
    if where.resource == "independent":
        prior = signal * (_at_levels(setting, t) ** 2).sum(axis=1)
    elif where.decaying:
        prior = signal + added_variance(xp, process.theta, where, t)
    variance = xp.maximum(prior - (weights * kernel).sum(axis=1), 1e-12 * signal)
    mean = prior_mean(setting, process, t)[:, None] + kernel @ process.alpha
    return Prediction(mean, variance, z, slope, weights)


def mean_at(setting: Setting, process: Posterior, x: Any) -> Any:
    """The mean at x (q, d), (q, S), without its variance: costs no product with the inverse."""
    z, t = features(setting, process.theta, x), levels(setting, x)
    kernel, _ = covariance(setting, process.theta, (z, t), (process.z, process.t))
    return prior_mean(setting, process, t)[:, None] + kernel @ process.alpha


def pulled_back(setting: Setting, process: Posterior, at: Prediction, x: Any, by: tuple[Any, Any]) -> Any:
    """Gradient by x, (q, d), of a function with these derivatives: by the means (q, S) and by the variances (q,)."""
    by_mean, by_variance = by
    pairs = (by_mean @ process.alpha.T - 2.0 * by_variance[:, None] * at.weights) * at.slope
    by_z = 2.0 * (at.z * pairs.sum(axis=1)[:, None] - pairs @ process.z)
    by_x = by_z * _per_length(setting, process.theta)
    return by_x * _warping(setting, process.theta, x)[1] if setting.where.warp else by_x
