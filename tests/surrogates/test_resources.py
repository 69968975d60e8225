"""Kernels over configuration and resource against their formulas, by loops and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offbeat_plugins.acquisition.options import Data, Options
from offbeat_plugins.acquisition.suggestion import suggest
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic
from offbeat_plugins.surrogates.blocks import Block, Layout
from offbeat_plugins.surrogates.hyperparameters import Parts, Prior, bounds, starts
from offbeat_plugins.surrogates.process import (
    Columns,
    Setting,
    covariance,
    features,
    negative_log_posterior,
    posterior,
    predict,
    pulled_back,
    with_pending,
)
from offbeat_plugins.surrogates.resources import RESOURCE_KERNELS

KERNELS = [kernel for kernel in RESOURCE_KERNELS if kernel]
LAYOUT = Layout([Block(), Block(), Block("resource")])
LEVELS = np.array([1, 3, 9, 27]) / 27


def setting_for(kernel: Any) -> Setting:
    where = Parts(3, False, kernel, 2)
    return Setting(numpy_arithmetic(), Columns.of(LAYOUT, kernel, [*LEVELS, 2.0]), where, bounds(where, Prior()), 1e-4)


def curves(configs: int = 8, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every configuration at some levels; loss falls to its asymptote."""
    rng = np.random.default_rng(seed)
    rows, values = [], []
    for config in rng.random((configs, 2)):
        for level in LEVELS[: rng.integers(1, 5)]:
            rows.append([*config, level])
            values.append(((config - 0.4) ** 2).sum() + 0.3 / (1 + 9 * level) + 0.01 * rng.standard_normal())
    y = np.array(values)
    return np.array(rows), (y - y.mean()) / y.std()


def by_hand(kernel: str, theta: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    length, signal = np.exp(theta[:3]), np.exp(theta[3])
    used = 3 if kernel == "product" else 2
    r = np.sqrt(5 * (((a[:used] - b[:used]) / length[:used]) ** 2).sum())
    base = float(signal * (1 + r + r * r / 3) * np.exp(-r))
    if kernel == "product":
        return base
    if kernel == "independent":
        return base if a[2] == b[2] else 0.0
    alpha, beta, g = np.exp(theta[5:])
    kappa = lambda t: beta**alpha / (beta + t) ** alpha  # noqa: E731
    if kernel == "exp-decay":
        return float(base + g * (kappa(a[2] + b[2]) - kappa(a[2]) * kappa(b[2])))
    return float(base + (g * kappa(a[2] + b[2]) if (a[:2] == b[:2]).all() else 0.0))


@pytest.mark.parametrize("kernel", KERNELS)
def test_covariances_are_those_of_the_formulas_and_positive(kernel: str) -> None:
    setting = setting_for(kernel)
    x, _ = curves()
    for theta in starts(setting.where, Prior(), np.random.default_rng(1), 4):
        z = (features(setting, theta, x), x[:, 2])
        matrix, _ = covariance(setting, theta, z, z)
        expected = [[by_hand(kernel, theta, a, b) for b in x] for a in x]
        assert np.allclose(matrix, expected, rtol=1e-7, atol=1e-9)
        assert np.linalg.eigvalsh(matrix).min() > -1e-8 * np.trace(matrix)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_of_the_posterior_density(kernel: str) -> None:
    setting = setting_for(kernel)
    x, y = curves()
    mask = np.append(np.ones(len(y) - 2), [0.0, 0.0])
    y = y * mask

    def value(theta: NDArray[np.float64]) -> float:
        return float(negative_log_posterior(setting, theta, x, y, mask)[0])

    for theta in starts(setting.where, Prior(), np.random.default_rng(1), 3):
        _, gradient, fitted = negative_log_posterior(setting, theta, x, y, mask)
        steps = 1e-5 * np.eye(setting.where.size)
        numeric = [(value(theta + step) - value(theta - step)) / 2e-5 for step in steps]
        assert np.allclose(gradient, numeric, atol=1e-5)
        assert fitted.constant.shape == ((2,) if kernel == "exp-decay" else (1,))


@pytest.mark.parametrize("kernel", KERNELS)
def test_prediction_is_conditioning_by_hand(kernel: str) -> None:
    setting = setting_for(kernel)
    x, y = curves()
    theta = starts(setting.where, Prior(), np.random.default_rng(1), 2)[1]
    _, _, fitted = negative_log_posterior(setting, theta, x, y, np.ones(len(y)))
    process = posterior(setting, theta, x, fitted)
    pending = np.array([[0.2, 0.9, LEVELS[1]], [*x[0, :2], 1.0]])
    grown, assumed = with_pending(setting, process, pending, np.ones(2), np.zeros((2, 1)))
    ask = np.array([[*x[0, :2], 1.0], [0.3, 0.6, 1.0], [0.8, 0.1, LEVELS[2]]])
    at = predict(setting, grown, ask)
    assert np.allclose(assumed, predict(setting, process, pending).mean, atol=1e-8)
    both = np.concatenate([x, pending])
    k = np.array([[by_hand(kernel, theta, a, b) for b in both] for a in both])
    k += np.diag([float(process.noise)] * len(x) + [1e-5 * np.exp(theta[3])] * 2)
    cross = np.array([[by_hand(kernel, theta, a, b) for b in both] for a in ask])
    prior = np.array([by_hand(kernel, theta, a, a) for a in ask])
    assert np.allclose(at.variance, prior - (cross * np.linalg.solve(k, cross.T).T).sum(axis=1), atol=1e-7)

    def mean(points: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = [np.ones(len(points))]
        if kernel == "exp-decay":
            alpha, beta = np.exp(theta[5:7])
            columns.append((beta / (beta + points[:, 2])) ** alpha)
        out: NDArray[np.float64] = np.stack(columns, axis=1) @ fitted.constant
        return out

    values = np.concatenate([y, assumed[:, 0]]) - mean(both)
    assert np.allclose(at.mean[:, 0], mean(ask) + cross @ np.linalg.solve(k, values), atol=1e-7)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradients_of_predictions_by_configuration(kernel: str) -> None:
    setting = setting_for(kernel)
    x, y = curves()
    theta = starts(setting.where, Prior(), np.random.default_rng(1), 2)[1]
    _, _, fitted = negative_log_posterior(setting, theta, x, y, np.ones(len(y)))
    process = posterior(setting, theta, x, fitted)
    ask = np.array([[0.3, 0.6, 1.0], [0.8, 0.1, LEVELS[2]]])
    by = (np.ones((2, 1)), np.full(2, -0.7))

    def value(points: NDArray[np.float64]) -> Any:
        at = predict(setting, process, points)
        return at.mean[:, 0] - 0.7 * at.variance

    gradient = pulled_back(setting, process, predict(setting, process, ask), ask, by)
    for column in (0, 1):
        step = np.zeros(3)
        step[column] = 1e-6
        numeric = (value(ask + step) - value(ask - step)) / 2e-6
        assert np.allclose(gradient[:, column], numeric, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_suggestions_are_made_at_the_level_asked_for(kernel: Any) -> None:
    x, y = curves(20)
    options = Options(backend="numpy", candidates=256, resource=kernel)
    for level in (1.0, float(LEVELS[1])):
        answer = suggest(
            Data(x, y), LAYOUT, 1, None, Options(backend="numpy", candidates=256, resource=kernel, level=level)
        )
        assert (answer.codes[:, 2] == level).all()
        assert np.abs(answer.codes[0, :2] - 0.4).max() < 0.4
        known = {tuple(row) for row in np.round(x[:, :2], 9).tolist()}
        assert not known & {tuple(row) for row in np.round(answer.codes[:, :2], 9).tolist()}
    warm = suggest(Data(x, y), LAYOUT, 2, answer.state, options)
    assert warm.state is not None
    assert len(warm.state.hyperparameters[0]) == setting_for(kernel).where.size


def test_decaying_kernels_see_where_a_curve_goes() -> None:
    """From lower levels alone they say where curves end; a stationary kernel over resources cannot know that."""
    x, y = curves(30, seed=3)
    ends = np.concatenate([x[x[:, 2] == 1.0][:, :2], np.ones((int((x[:, 2] == 1).sum()), 1))], axis=1)
    truth = y[x[:, 2] == 1.0]
    held = x[:, 2] < 1.0
    errors = {}
    for kernel in ("freeze-thaw", "exp-decay", "product"):
        answer = suggest(Data(x[held], y[held]), LAYOUT, 1, None, Options(backend="numpy", resource=kernel))  # type: ignore[arg-type]
        assert answer.state is not None
        setting, theta = setting_for(kernel), answer.state.theta()[0]
        _, _, fitted = negative_log_posterior(setting, theta, x[held], y[held], np.ones(held.sum()))
        mean = predict(setting, posterior(setting, theta, x[held], fitted), ends).mean[:, 0]
        errors[kernel] = float(np.abs(mean - truth).mean())
    blind = float(np.abs(truth - y[held].mean()).mean())
    assert max(errors["freeze-thaw"], errors["exp-decay"]) < 0.2 * min(blind, errors["product"]), errors


def test_a_resource_column_and_a_kernel_belong_together() -> None:
    with pytest.raises(ValueError, match="has a resource column and resource=''"):
        suggest(Data([[0.1, 0.1, 1.0]], [1.0]), LAYOUT, 1, None, Options(backend="numpy"))
    with pytest.raises(ValueError, match="has no resource column"):
        suggest(Data([[0.1]], [1.0]), Layout.continuous(1), 1, None, Options(backend="numpy", resource="product"))
    with pytest.raises(ValueError, match="one resource column, not 2"):
        Layout([Block("resource"), Block("resource")])
    with pytest.raises(ValueError, match="level=0"):
        Options(level=0.0)
