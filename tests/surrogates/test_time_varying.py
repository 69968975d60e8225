"""The time-varying process against a few lines of NumPy with plain loops and inverses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad

from offbeat_plugins.surrogates.time_varying import (
    Points,
    covariance,
    fitted,
    highest,
    kappa,
    loss,
    posterior,
    upper_bounds,
)

THETA = np.log([0.4, 1.3, 0.05, 0.2])


def points(n: int, d: int = 2, seed: int = 0) -> Points:
    rng = np.random.default_rng(seed)
    return Points(rng.random((n, d)), rng.integers(1, 12, n).astype(float))


def by_hand(theta: Any, a: Points, b: Points) -> Any:
    length, signal, _, odds = np.exp(theta)
    omega = odds / (1 + odds)
    return np.array(
        [
            [
                signal * np.exp(-np.sum((x - z) ** 2) / (2 * length**2)) * (1 - omega) ** (abs(t - u) / 2)
                for z, u in zip(b.x, b.t, strict=True)
            ]
            for x, t in zip(a.x, a.t, strict=True)
        ]
    )


def test_the_covariance_is_the_paper_s() -> None:
    a, b = points(7), points(5, seed=1)
    np.testing.assert_allclose(covariance(THETA, a, b), by_hand(THETA, a, b), rtol=1e-10)
    assert np.linalg.eigvalsh(covariance(THETA, a, a)).min() > -1e-12


def test_mean_deviation_and_bound() -> None:
    known, pending, at = points(9), points(3, seed=1), points(20, seed=2)
    y = np.random.default_rng(3).standard_normal(9)
    noise = np.exp(THETA[2])
    inverse = np.linalg.inv(by_hand(THETA, known, known) + noise * np.eye(9))
    cross = by_hand(THETA, at, known)
    mean = cross @ inverse @ y
    deviation = np.sqrt(np.exp(THETA[1]) - np.diag(cross @ inverse @ cross.T))
    got = posterior(THETA, known, y, at)
    np.testing.assert_allclose(got[0], mean, atol=1e-9)
    np.testing.assert_allclose(got[1], deviation, atol=1e-7)
    both = Points(np.vstack([known.x, pending.x]), np.hstack([known.t, pending.t]))
    cross = by_hand(THETA, at, both)
    left = np.exp(THETA[1]) - np.diag(cross @ np.linalg.inv(by_hand(THETA, both, both) + noise * np.eye(12)) @ cross.T)
    bound = mean + np.sqrt(0.2 + np.log(0.4 * 9)) * np.sqrt(left)
    np.testing.assert_allclose(upper_bounds(THETA, known, y, pending, at), bound, atol=1e-7)


def test_the_loss_has_the_density_and_the_gradient_that_it_says() -> None:
    known = points(12)
    y = np.random.default_rng(1).standard_normal(12)
    for theta in (THETA, THETA + 0.5, THETA - 0.7):
        assert check_grad(lambda t: loss(t, known, y)[0], lambda t: loss(t, known, y)[1], theta) < 1e-4
    matrix = by_hand(THETA, known, known) + np.exp(THETA[2]) * np.eye(12)
    evidence = 0.5 * y @ np.linalg.solve(matrix, y) + 0.5 * np.linalg.slogdet(matrix)[1]
    centre, spread = np.array([np.log(0.5), 0, np.log(0.1), -2]), np.array([1, 1, 1.5, 1.5])
    assert loss(THETA, known, y)[0] == pytest.approx(evidence + 0.5 * np.sum(((THETA - centre) / spread) ** 2))


def test_no_observation_no_hope_and_few_give_no_imaginary_one() -> None:
    assert kappa(0) == 0.0
    assert kappa(1) == 0.0
    assert kappa(100) == pytest.approx(np.sqrt(0.2 + np.log(40)))


def test_what_changes_fast_is_forgotten_fast() -> None:
    """The optimum moves: the fit finds that old points say little, and the choice follows the last ones."""
    rng = np.random.default_rng(5)
    t = np.repeat(np.arange(12.0), 5)
    x = rng.random((60, 1))
    y = -((x[:, 0] - (0.1 + 0.07 * t)) ** 2)
    steady = -((x[:, 0] - 0.3) ** 2)
    known, none = Points(x, t), Points(np.empty((0, 1)), np.empty(0))
    moving = fitted(known, (y - y.mean()) / y.std())[3]
    assert moving > fitted(known, (steady - steady.mean()) / steady.std())[3]
    assert highest(known, y, none, 12.0, np.random.default_rng(0))[0] == pytest.approx(0.94, abs=0.12)
    assert highest(known, steady, none, 12.0, np.random.default_rng(0))[0] == pytest.approx(0.3, abs=0.12)


def test_pending_points_are_kept_away_from() -> None:
    x = np.array([[0.1], [0.3], [0.5], [0.7], [0.9]])
    known = Points(x, np.ones(5))
    y = np.array([0.0, 0.3, 0.4, 0.3, 0.0])
    none = Points(np.empty((0, 1)), np.empty(0))
    first = highest(known, y, none, 1.0, np.random.default_rng(0))
    again = upper_bounds(THETA, known, y, Points(first[None], np.ones(1)), Points(first[None], np.ones(1)))
    assert again < upper_bounds(THETA, known, y, none, Points(first[None], np.ones(1)))


def test_the_unit_of_the_targets_does_not_matter() -> None:
    known = points(10)
    y = np.random.default_rng(2).standard_normal(10)
    none = Points(np.empty((0, 2)), np.empty(0))
    one = highest(known, y, none, 5.0, np.random.default_rng(1))
    other = highest(known, 1024.0 * y + 4096.0, none, 5.0, np.random.default_rng(1))
    np.testing.assert_allclose(one, other, atol=0.02)


def test_equal_targets_are_no_error() -> None:
    known = points(6)
    none = Points(np.empty((0, 2)), np.empty(0))
    assert highest(known, np.zeros(6), none, 3.0, np.random.default_rng(1)).shape == (2,)
