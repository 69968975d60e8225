"""Conformal quantile regression against scikit-learn, NumPy and what coverage means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'offbeat[trees]'")

from offbeat_plugins.surrogates import quantiles
from offbeat_plugins.surrogates.quantiles import LEVELS, boosted_quantiles, conformal_quantiles, corrected


def noisy(n: int, seed: int = 0) -> tuple[Any, Any]:
    """Values whose mean and spread depend on where they are."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 3))
    return x, ((x - 0.5) ** 2).sum(axis=1) + 0.3 * (0.2 + x[:, 0]) * rng.standard_normal(n)


def pinball(values: Any, found: Any, level: float) -> float:
    off = values - found
    return float(np.maximum(level * off, (level - 1) * off).mean())


@pytest.mark.parametrize("n", [60, 400])
def test_its_pinball_loss_is_within_a_tenth_of_an_ensemble_for_each_level(n: int) -> None:
    from sklearn.ensemble import GradientBoostingRegressor

    x, y = noisy(n)
    there, truth = noisy(3000, 1)
    found = boosted_quantiles(x, y, there, 0)
    ours = theirs = 0.0
    for i, level in enumerate(LEVELS):
        reference = GradientBoostingRegressor(
            loss="quantile",
            alpha=level,
            n_estimators=quantiles.ROUNDS,
            learning_rate=quantiles.RATE,
            max_depth=quantiles.DEPTH,
            min_samples_leaf=quantiles.LEAF,
            random_state=0,
        ).fit(x, y)
        ours += pinball(truth, found[:, i], level)
        theirs += pinball(truth, reference.predict(there), level)
    assert ours < 1.1 * theirs


def test_leaves_hold_the_quantiles_of_their_residuals() -> None:
    rng = np.random.default_rng(0)
    leaves, residuals = rng.choice([1, 4, 5], size=50), rng.standard_normal((50, len(LEVELS)))
    found = quantiles._quantiles_by_leaf(leaves, residuals, 7)
    for leaf in range(7):
        inside = residuals[leaves == leaf]
        expected = [np.quantile(inside[:, i], level) if len(inside) else 0.0 for i, level in enumerate(LEVELS)]
        assert found[leaf] == pytest.approx(expected)


def test_the_correction_by_hand() -> None:
    held = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]] * 4)
    values = np.array([2.0, 5.0, 4.5, -3.0])
    found = corrected(held, values, np.array([[0.0, 1.0, 2.0, 3.0, 4.0]]))
    # Outside of [0, 4] by -2, 1, 0.5, 3: 0.8 * 1.25 = 1, so the largest. Of [1, 3] by -1, 2, 1.5, 4: 0.4 * 1.25 = half.
    assert found.tolist() == [[-3.0, -0.5, 2.0, 4.5, 7.0]]


@pytest.mark.parametrize("scale", [0.02, 30.0])
def test_coverage_is_right_however_wrong_the_model_is(scale: float) -> None:
    """Quantiles much too narrow or much too wide, which the held-out values mend."""
    rng = np.random.default_rng(1)
    guess = scale * np.array([-1.28, -0.52, 0.0, 0.52, 1.28])
    covered = []
    for _ in range(200):
        values = rng.standard_normal(60)
        found = corrected(np.tile(guess, (60, 1)), values, guess[None, :])[0]
        new = rng.standard_normal(200)
        covered.append([((new >= found[i]) & (new <= found[-1 - i])).mean() for i in (0, 1)])
    assert np.mean(covered, axis=0) == pytest.approx([0.8, 0.4], abs=0.03)


def test_quantiles_rise_and_repeat() -> None:
    x, y = noisy(80)
    there, _ = noisy(50, 1)
    first, second = (conformal_quantiles(x, y, there, 7) for _ in range(2))
    assert np.array_equal(first, second)
    assert (np.diff(first, axis=1) >= 0).all()
    assert first.shape == (50, len(LEVELS))
    assert not np.array_equal(first, conformal_quantiles(x, y, there, 8))


@pytest.mark.parametrize("n", [2, 3, 32, 33])
def test_few_points(n: int) -> None:
    x, y = noisy(n)
    assert np.isfinite(conformal_quantiles(x, y, noisy(20, 1)[0], 0)).all()


def test_equal_values_have_all_their_quantiles_there() -> None:
    x, _ = noisy(50)
    assert conformal_quantiles(x, np.full(50, 2.5), x, 0) == pytest.approx(2.5)
