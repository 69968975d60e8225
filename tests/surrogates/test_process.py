"""The process against twenty lines of NumPy, scikit-learn, finite differences and conditioning by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from offbeat_plugins.surrogates.arithmetic_numpy import inverted, numpy_arithmetic
from offbeat_plugins.surrogates.blocks import Block, Layout
from offbeat_plugins.surrogates.hyperparameters import Parts, Prior, bounds, first_curvature, starts
from offbeat_plugins.surrogates.process import (
    NUGGET,
    Columns,
    Setting,
    fit,
    negative_log_posterior,
    posterior,
    predict,
    pulled_back,
    with_pending,
)

AR = numpy_arithmetic()
LAYOUT = Layout([Block(), Block(), Block("discrete", levels=(0.25, 0.5, 0.75)), Block("categorical", 3)])
COLUMNS = Columns.of(LAYOUT)
FLOOR = 1e-4


def setting_for(prior: Prior, columns: Columns = COLUMNS, groups: int = 4) -> Setting:
    where = Parts(groups, prior.warp)
    return Setting(AR, columns, where, bounds(where, prior), FLOOR)


def problem(n: int = 25, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    x = LAYOUT.draw(rng.random((n, LAYOUT.groups)))
    y = np.sin(5 * x[:, 0]) + x[:, 1] ** 2 + x[:, 3] + 0.1 * rng.standard_normal(n)
    return x, (y - y.mean()) / y.std()


def oracle(theta: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], prior: Prior) -> float:
    """Negative log posterior by loops over pairs, Cholesky and solves."""
    length, signal, noise = np.exp(theta[:4]), np.exp(theta[4]), FLOOR + np.exp(theta[5])
    if prior.warp:
        a, b = np.exp(theta[6:10]), np.exp(theta[10:14])
        x = x.copy()
        for column in (0, 1, 2):
            x[:, column] = 1 - (1 - np.clip(x[:, column], 1e-6, 1 - 1e-6) ** a[column]) ** b[column]
    n = len(y)
    covariance = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            apart = [abs(x[i, c] - x[j, c]) for c in (0, 1, 2)] + [float((x[i, 3:] != x[j, 3:]).any())]
            r = np.sqrt(sum((d / s) ** 2 for d, s in zip(apart, length, strict=True)))
            covariance[i, j] = signal * (1 + np.sqrt(5) * r + 5 * r * r / 3) * np.exp(-np.sqrt(5) * r)
    covariance += noise * np.eye(n)
    one = np.ones(n)
    solve = np.linalg.solve
    c = one @ solve(covariance, y) / (one @ solve(covariance, one) + 1)
    likelihood = 0.5 * ((y - c) @ solve(covariance, y - c) + np.linalg.slogdet(covariance)[1] + c * c)
    box = bounds(Parts(4, prior.warp), prior)
    return float(likelihood + 0.5 * ((theta - box.centre) ** 2 * box.precision).sum())


@pytest.mark.parametrize("warp", [False, True])
def test_posterior_density_and_gradient(warp: bool) -> None:
    x, y = problem()
    prior, where = Prior(warp=warp), Parts(4, warp)
    setting = setting_for(prior)
    for theta in starts(Parts(4, prior.warp), prior, np.random.default_rng(1), 3):
        value, gradient, _ = negative_log_posterior(setting, theta, x, y, np.ones(25))
        assert value == pytest.approx(oracle(theta, x, y, prior), rel=1e-9)
        steps = 1e-5 * np.eye(where.size)
        numeric = [(oracle(theta + s, x, y, prior) - oracle(theta - s, x, y, prior)) / 2e-5 for s in steps]
        assert np.allclose(gradient, numeric, atol=1e-5)


def test_padded_rows_change_nothing() -> None:
    x, y = problem()
    setting = setting_for(Prior())
    theta = starts(Parts(4, False), Prior(), np.random.default_rng(1), 1)[0]
    plain = negative_log_posterior(setting, theta, x, y, np.ones(25))
    for junk in (0.0, 1.0, 1e6):
        longer = np.concatenate([x, np.full((7, x.shape[1]), junk)])
        mask = np.concatenate([np.ones(25), np.zeros(7)])
        out = negative_log_posterior(setting, theta, longer, np.concatenate([y, np.zeros(7)]), mask)
        assert out[0] == pytest.approx(plain[0], rel=1e-10)
        assert np.allclose(out[1], plain[1], atol=1e-8)
        assert np.allclose(out[2].alpha[:25], plain[2].alpha)
        assert not out[2].alpha[25:].any()


def test_scikit_learn_agrees_on_likelihood_and_prediction() -> None:
    gaussian = pytest.importorskip("sklearn.gaussian_process", reason="scikit-learn is the oracle here")
    kernels = gaussian.kernels
    rng = np.random.default_rng(3)
    x, ask = rng.random((30, 2)), rng.random((9, 2))
    y = np.cos(4 * x[:, 0]) * x[:, 1]
    theta = np.log([0.4, 0.9, 1.7, 0.01 - FLOOR])
    setting = setting_for(Prior(), Columns.of(Layout.continuous(2)), 2)
    box = setting.prior
    value, _, fitted = negative_log_posterior(setting, theta, x, y, np.ones(30))
    kernel = kernels.ConstantKernel(1.7) * kernels.Matern([0.4, 0.9], nu=2.5)
    peer = gaussian.GaussianProcessRegressor(kernel, alpha=0.01, optimizer=None).fit(x, y - fitted.constant)
    prior_part = 0.5 * ((theta - box.centre) ** 2 * box.precision).sum() + 0.5 * fitted.constant**2
    likelihood = -(value - prior_part) - 15 * np.log(2 * np.pi)
    assert likelihood == pytest.approx(peer.log_marginal_likelihood_value_, rel=1e-9)
    at = predict(setting, posterior(setting, theta, x, fitted), ask)
    mean, deviation = peer.predict(ask, return_std=True)
    assert np.allclose(at.mean[:, 0], mean + fitted.constant, atol=1e-9)
    assert np.allclose(np.sqrt(at.variance), deviation, atol=1e-7)


@pytest.mark.parametrize("warp", [False, True])
def test_the_fit_is_a_maximum_and_goes_on_from_itself(warp: bool) -> None:
    x, y = problem(60)
    prior, where = Prior(warp=warp), Parts(4, warp)
    setting, box = setting_for(prior), bounds(Parts(4, prior.warp), prior)

    def run(theta: NDArray[np.float64], curvature: NDArray[np.float64]):  # type: ignore[no-untyped-def]
        return fit(
            setting, theta, curvature, (x, y, np.ones(60)), turns=200, tolerance=1e-8, entry=1e-8
        )  # fmt: skip

    first = run(
        starts(Parts(4, prior.warp), prior, np.random.default_rng(0), 1)[0],
        first_curvature(Parts(4, prior.warp), prior),
    )
    inside = (first.x[0] > box.lower + 1e-6) & (first.x[0] < box.upper - 1e-6)
    assert np.abs(first.g[0][inside]).max() < 1e-2
    rng = np.random.default_rng(2)
    for _ in range(20):
        near = np.clip(first.x[0] + 0.1 * rng.standard_normal(where.size), box.lower, box.upper)
        assert oracle(near, x, y, prior) >= first.f[0] - 1e-6
    again = run(first.x[0], first.inverse[0])
    assert again.turns <= 2 < first.turns
    assert again.f[0] <= first.f[0] + 1e-9


def conditioned(pending_values: NDArray[np.float64], pending: NDArray[np.float64], ask: NDArray[np.float64]):  # type: ignore[no-untyped-def]
    """Mean and variance after adding points with these values as observations, the constant staying what it was."""
    x, y = problem()
    setting = setting_for(Prior())
    theta = starts(Parts(4, False), Prior(), np.random.default_rng(1), 1)[0]
    _, _, fitted = negative_log_posterior(setting, theta, x, y, np.ones(25))
    process = posterior(setting, theta, x, fitted)
    both, ys = np.concatenate([x, pending]), np.concatenate([y, pending_values]) - fitted.constant
    noise = np.concatenate([np.full(len(x), process.noise), np.full(len(pending), NUGGET * np.exp(theta[4]))])
    k = _kernel(theta, both, both) + np.diag(noise)
    cross = _kernel(theta, ask, both)
    mean = fitted.constant + cross @ np.linalg.solve(k, ys)
    variance = np.exp(theta[4]) - (cross * np.linalg.solve(k, cross.T).T).sum(axis=1)
    return process, setting, mean, variance


def _kernel(theta: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    za, zb = (one * COLUMNS.weight / np.exp(theta[:4])[LAYOUT.group] for one in (a, b))
    r = np.sqrt(5 * ((za[:, None] - zb[None]) ** 2).sum(axis=2))
    out: NDArray[np.float64] = np.exp(theta[4]) * (1 + r + r * r / 3) * np.exp(-r)
    return out


def test_pending_points_count_as_results_at_their_mean() -> None:
    pending, ask = problem(4, seed=5)[0], problem(12, seed=6)[0]
    process, setting, _, _ = conditioned(np.zeros(4), pending, ask)
    values = predict(setting, process, pending).mean[:, 0]
    _, _, mean, variance = conditioned(values, pending, ask)
    grown, assumed = with_pending(setting, process, pending, np.ones(4), np.zeros((4, 1)))
    assert np.allclose(assumed[:, 0], values)
    at = predict(setting, grown, ask)
    assert np.allclose(at.mean[:, 0], mean, atol=1e-8)
    assert np.allclose(at.variance, variance, atol=1e-8)
    assert np.allclose(at.mean, predict(setting, process, ask).mean)


def test_fantasies_are_joint_samples_and_condition_the_mean() -> None:
    pending, ask = problem(3, seed=5)[0], problem(6, seed=6)[0]
    process, setting, _, _ = conditioned(np.zeros(3), pending, ask)
    normals = np.random.default_rng(0).standard_normal((3, 20_000))
    grown, _ = with_pending(setting, process, pending, np.ones(3), normals)
    before, at = predict(setting, process, ask), predict(setting, grown, ask)
    # Law of total variance: what the fantasies make the mean vary by is what the variance has lost.
    assert np.allclose(at.mean.mean(axis=1), before.mean[:, 0], atol=0.02)
    assert np.allclose(at.mean.var(axis=1), before.variance - at.variance, rtol=0.05, atol=1e-3)
    # One fantasy, conditioned upon by hand: its value at the pending points, recovered from alpha.
    one, assumed = with_pending(setting, process, pending, np.ones(3), normals[:, :1])
    seen = predict(setting, one, pending).mean[:, 0] + NUGGET * np.exp(process.theta[4]) * one.alpha[-3:, 0]
    assert np.allclose(seen, assumed[:, 0])
    _, _, mean, _ = conditioned(seen, pending, ask)
    assert np.allclose(predict(setting, one, ask).mean[:, 0], mean, atol=1e-8)


@pytest.mark.parametrize("warp", [False, True])
def test_gradients_of_predictions(warp: bool) -> None:
    x, y = problem()
    prior = Prior(warp=warp)
    setting = setting_for(prior)
    theta = starts(Parts(4, prior.warp), prior, np.random.default_rng(1), 2)[1]
    _, _, fitted = negative_log_posterior(setting, theta, x, y, np.ones(25))
    rng = np.random.default_rng(4)
    process, _ = with_pending(
        setting, posterior(setting, theta, x, fitted), problem(3, 5)[0], np.ones(3),
        rng.standard_normal((3, 2)),
    )  # fmt: skip
    ask = rng.uniform(0.05, 0.95, (5, LAYOUT.dimension))
    by_mean, by_variance = rng.standard_normal((5, 2)), rng.standard_normal(5)

    def value(points: NDArray[np.float64]) -> NDArray[np.float64]:
        at = predict(setting, process, points)
        return (at.mean * by_mean).sum(axis=1) + at.variance * by_variance

    at = predict(setting, process, ask)
    gradient = pulled_back(setting, process, at, ask, (by_mean, by_variance))
    steps = 1e-6 * np.eye(LAYOUT.dimension)
    numeric = np.stack([(value(ask + s) - value(ask - s)) / 2e-6 for s in steps], axis=1)
    assert np.allclose(gradient, numeric, atol=1e-5)


def test_no_matrix_breaks_the_inverse() -> None:
    good = np.array([[2.0, 0.5], [0.5, 1.0]])
    inverse, logdet = inverted(good)
    assert np.allclose(inverse, np.linalg.inv(good))
    assert logdet == pytest.approx(np.log(1.75))
    singular = np.ones((5, 5))
    inverse, logdet = inverted(singular)
    assert np.isfinite(inverse).all()
    assert np.isfinite(logdet)
    for hopeless in (-np.eye(3), np.full((3, 3), np.nan)):
        inverse, logdet = inverted(hopeless)
        assert not inverse.any()
        assert logdet == np.inf
