"""The model of curves against independent formulas, differences, and data that was drawn from it."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad

from offbeat.seeds import generator
from offbeat_plugins.blackboxes.fitting.curve_model import VAGUE, CurveModel, Points
from offbeat_plugins.blackboxes.fitting.scales import scale_of

TOP, TERMS, POWERS = 27, 4, (0, 1, 2, 8)


def points(trials: int = 12, seed: int = 0) -> Points:
    """Curves of different lengths over two hyperparameters."""
    rng = generator(seed, "points", 0)
    codes = rng.random((trials, 2))
    lengths = rng.integers(1, 5, trials)
    levels = np.concatenate([[1.0, 3.0, 9.0, 27.0][:n] for n in lengths])
    return Points(codes, np.repeat(np.arange(trials), lengths), levels, rng.standard_normal(len(levels)))


def covariance(model: CurveModel, a: Any, b: Any, same: bool) -> float:
    """Between reports (code, level), as the docstring of the module says it."""
    d, k = 2, TERMS
    early = model.theta[d : 2 * d]
    lengths = [[exp(v) for v in (early if power == 8 else model.theta[:d])] for power in POWERS]
    signal, own = ([exp(2 * v) for v in model.theta[i : i + k]] for i in (2 * d, 2 * d + k))
    left = [1 - log(level) / log(TOP) for level in (a[1], b[1])]
    total = 0.0
    for i, power in enumerate(POWERS):
        r = sqrt(5 * sum(((x - y) / one) ** 2 for x, y, one in zip(a[0], b[0], lengths[i], strict=True)))
        matern = (1 + r + r * r / 3) * exp(-r)
        total += (left[0] * left[1]) ** power * (signal[i] * matern + VAGUE + (own[i] if same else 0.0))
    return total


def test_the_gradient_is_that_of_the_loss() -> None:
    found = points()
    model = CurveModel(found, TOP, TERMS)
    squares = (found.codes[:, None] - found.codes[None]) ** 2
    rng = generator(1, "theta", 0)
    for _ in range(3):
        theta = model.theta + 0.5 * rng.standard_normal(len(model.theta))
        error = check_grad(
            lambda t: model._loss(t, squares)[0], lambda t: model._loss(t, squares)[1].copy(), theta, epsilon=1e-6
        )
        assert error < 1e-3 * np.linalg.norm(model._loss(theta, squares)[1])


def test_the_posterior_is_that_of_the_formula() -> None:
    found = points(8)
    model = CurveModel(found, TOP, TERMS)
    model.theta = model.theta + 0.4 * generator(3, "theta", 0).standard_normal(len(model.theta))
    model.condition()
    noise = exp(2 * model.theta[-1])
    rows = [(found.codes[t], level) for t, level in zip(found.trial, found.levels, strict=True)]
    whole = np.array(
        [
            [
                covariance(model, a, b, found.trial[i] == found.trial[j]) + (noise if i == j else 0)
                for j, b in enumerate(rows)
            ]
            for i, a in enumerate(rows)
        ]
    )
    new = [(np.array([0.2, 0.7]), 3.0), (np.array([0.9, 0.1]), 27.0)]
    for code, level in new:
        cross = np.array([covariance(model, (code, level), row, False) for row in rows])
        mean = cross @ np.linalg.solve(whole, found.z)
        variance = covariance(model, (code, level), (code, level), True) + noise - cross @ np.linalg.solve(whole, cross)
        assert model.curves(code[None], np.array([level]))[0, 0] == pytest.approx(mean, rel=1e-6)
        assert model.spread(code[None], np.array([level]))[0] == pytest.approx(sqrt(variance), rel=1e-6)


def test_intervals_hold_what_they_say_for_data_drawn_from_the_model() -> None:
    rng = generator(2, "coverage", 0)
    inside = total = 0
    for _ in range(8):
        codes = rng.random((40, 1))
        levels = np.tile([1.0, 3.0, 9.0, 27.0], 40)
        trial = np.repeat(np.arange(40), 4)
        empty = CurveModel(Points(codes, trial, levels, np.zeros(160)), TOP, TERMS)
        kernel = np.exp(-np.abs(codes - codes.T) / 0.5)
        basis = empty.basis(levels)
        ends = [np.linalg.cholesky(kernel + 1e-9 * np.eye(40)) @ rng.standard_normal(40) for _ in range(TERMS)]
        own = 0.3 * rng.standard_normal((40, TERMS))
        z = (basis * (np.stack(ends, 1) + own)[trial]).sum(1) + 0.1 * rng.standard_normal(160)
        seen = (trial < 30) & ((levels < 27) | (trial < 15))
        rows = Points(codes[:30], trial[seen], levels[seen], z[seen])
        model = CurveModel(rows, TOP, TERMS).fit(30)
        held = (trial >= 30) & (levels == 27)
        told = model.curves(codes[30:], np.array([27.0]))[:, 0]
        spread = model.spread(codes[30:], np.full(10, 27.0))
        inside += int((np.abs(told - z[held]) <= 1.2816 * spread).sum())
        total += 10
    assert 0.65 <= inside / total <= 0.95


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9, unique=True), st.sampled_from(["min", "max"]))
def test_scales_go_back_and_keep_the_order(values: list[float], mode: Any) -> None:
    y = np.sort(np.array(values))
    scale = scale_of(y, mode)
    z = scale.apply(y)
    assert np.all(scale.sign * np.diff(z) >= 0)
    # What lies nearer to the end than half of the nearest other value is taken for that.
    assert np.allclose(scale.undo(z), y, atol=scale.floor + 1e-9)
    assert scale.undo(np.array([-1e9, 1e9])).min() == y.min()
    assert scale.undo(np.array([-1e9, 1e9])).max() == y.max()


def test_which_scale_is_taken() -> None:
    assert scale_of(np.array([0.5, 0.1]), "min").name == "log"
    assert scale_of(np.array([0.9, 0.1]), "max").name == "log(1 - value)"
    assert scale_of(np.array([90.0, 10.0]), "max").name == "log(100 - value)"
    assert scale_of(np.array([-1.0, 0.1]), "min").name == "linear"
    assert scale_of(np.array([900.0, 10.0]), "max").name == "linear"
