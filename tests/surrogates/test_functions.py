"""Acquisition functions against Monte Carlo, high precision, finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import log_ndtr

from offbeat_plugins.acquisition.functions import (
    Scored,
    log_cost,
    log_expected_improvement,
    log_h,
    log_probability_below,
    lower_confidence_bound,
)

RNG = np.random.default_rng(0)
MEAN, VARIANCE = RNG.standard_normal((6, 3)), RNG.uniform(0.05, 2.0, 6)
BEST = np.array([-0.3, 0.1, 0.4])


def test_expected_improvement_is_the_mean_of_improvements() -> None:
    draws = RNG.standard_normal(400_000)
    scored = log_expected_improvement(np, log_ndtr, MEAN, VARIANCE, BEST)
    for point in range(6):
        each = [np.maximum(BEST[s] - MEAN[point, s] - np.sqrt(VARIANCE[point]) * draws, 0).mean() for s in range(3)]
        assert np.exp(scored.value[point]) == pytest.approx(np.mean(each), rel=0.02)


@pytest.mark.parametrize("z", [3.0, 0.0, -0.99, -1.01, -5.0, -20.0, -37.0, -90.0, -99.99, -100.01, -150.0])
def test_far_out_the_logarithm_is_exact(z: float) -> None:
    # E[max(z + N, 0)] = phi(z) * integral of t exp(z t - t^2 / 2) over t > 0, which does not underflow.
    scale = max(1.0, -z)
    integral, _ = integrate.quad(
        lambda u: u * np.exp(z / scale * u - (u / scale) ** 2 / 2), 0, 60, epsabs=0, epsrel=1e-12
    )
    expected = stats.norm.logpdf(z) + np.log(integral) - 2 * np.log(scale)
    assert float(log_h(np, log_ndtr, np.array([z]))[0]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_it_is_finite_increasing_and_smooth_over_the_joints() -> None:
    z = -np.logspace(8, -3, 4000)
    values = log_h(np, log_ndtr, z)
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    for joint in (-1.0, -100.0):
        around = log_h(np, log_ndtr, joint + 1e-9 * np.array([-1.0, 1.0]))
        assert np.ptp(around) < 1e-6


def test_probability_below_is_a_share_of_draws() -> None:
    scored = log_probability_below(np, log_ndtr, MEAN[:, :1], VARIANCE, 0.2)
    assert np.allclose(np.exp(scored.value), stats.norm.cdf(0.2, MEAN[:, 0], np.sqrt(VARIANCE)))


def test_costs_come_off_the_logarithm() -> None:
    assert np.allclose(log_cost(np.array([[1.0, 3.0]]), 0.5), [-1.0])


@pytest.mark.parametrize(
    "function",
    [
        lambda m, v: log_expected_improvement(np, log_ndtr, m, v, BEST),
        lambda m, v: log_expected_improvement(np, log_ndtr, m + 60.0, v, BEST),
        lambda m, v: log_probability_below(np, log_ndtr, m, v, -0.4),
        lambda m, v: lower_confidence_bound(np, m, v, 1.7),
    ],
    ids=["log-ei", "log-ei far out", "feasibility", "bound"],
)
def test_derivatives(function: Callable[[Any, Any], Scored]) -> None:
    scored = function(MEAN, VARIANCE)
    step = 1e-6
    for fantasy in range(3):
        shift = np.zeros(3)
        shift[fantasy] = step
        numeric = (function(MEAN + shift, VARIANCE).value - function(MEAN - shift, VARIANCE).value) / (2 * step)
        assert np.allclose(scored.by_mean[:, fantasy], numeric, rtol=1e-4, atol=1e-6)
    numeric = (function(MEAN, VARIANCE + step).value - function(MEAN, VARIANCE - step).value) / (2 * step)
    assert np.allclose(scored.by_variance, numeric, rtol=1e-4, atol=1e-6)
