"""Which points an exact process keeps of too many, and what that costs in accuracy."""

from __future__ import annotations

import numpy as np

from offbeat_plugins.acquisition.thompson import joint_draw
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic
from offbeat_plugins.surrogates.blocks import Layout
from offbeat_plugins.surrogates.hyperparameters import Parts, Prior, bounds
from offbeat_plugins.surrogates.process import Columns, Setting, negative_log_posterior, posterior, predict
from offbeat_plugins.surrogates.subset import subset, whole_curves

WHERE = Parts(2, False)
SETTING = Setting(numpy_arithmetic(), Columns.of(Layout.continuous(2)), WHERE, bounds(WHERE, Prior()), 1e-4)
THETA = np.log([0.5, 0.5, 1.0, 1e-3])


def test_best_and_recent_points_stay_and_the_rest_is_spread() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((3000, 2)), rng.standard_normal(3000)
    rows = subset(rng, x, y, 400)
    assert len(rows) == 400
    assert (np.diff(rows) > 0).all()
    assert set(np.argsort(y)[:200]) <= set(rows)
    assert set(range(2950, 3000)) <= set(rows)
    gaps = np.sqrt(((rng.random((500, 1, 2)) - x[rows][None]) ** 2).sum(axis=2)).min(axis=1)
    random = np.sqrt(((rng.random((500, 1, 2)) - x[rng.choice(3000, 400)][None]) ** 2).sum(axis=2)).min(axis=1)
    assert gaps.max() < random.max()
    assert (subset(rng, x[:50], y[:50], 400) == np.arange(50)).all()


def test_duplicates_do_not_hinder() -> None:
    x = np.zeros((500, 2))
    assert len(subset(np.random.default_rng(0), x, np.zeros(500), 64)) == 64


def test_predictions_of_the_subset_are_close_where_it_matters() -> None:
    """800 points of which 200 stay: near the minimum the mean is off by a hundredth of the deviation of the targets."""
    rng = np.random.default_rng(0)
    x = rng.random((800, 2))
    y = np.sin(6 * x[:, 0]) + (x[:, 1] - 0.4) ** 2 + 0.02 * rng.standard_normal(800)
    y = (y - y.mean()) / y.std()
    ask = rng.random((400, 2))

    def means(rows: np.ndarray) -> np.ndarray:
        _, _, fitted = negative_log_posterior(SETTING, THETA, x[rows], y[rows], np.ones(len(rows)))
        out: np.ndarray = predict(SETTING, posterior(SETTING, THETA, x[rows], fitted), ask).mean[:, 0]
        return out

    exact, ours = means(np.arange(800)), means(subset(rng, x, y, 200))
    low = exact <= np.quantile(exact, 0.1)
    assert np.sqrt(np.mean((ours - exact)[low] ** 2)) < 0.01
    assert np.sqrt(np.mean((ours - exact) ** 2)) < 0.04


def test_joint_draws_have_the_mean_and_covariance_of_the_process() -> None:
    rng = np.random.default_rng(1)
    x = rng.random((6, 2))
    y = np.sin(6 * x[:, 0])
    _, _, fitted = negative_log_posterior(SETTING, THETA, x, y, np.ones(6))
    process, ask = posterior(SETTING, THETA, x, fitted), rng.random((4, 2))
    draws = np.array([joint_draw(SETTING, process, ask, rng.standard_normal(4)) for _ in range(20_000)])
    at = predict(SETTING, process, ask)
    assert np.allclose(draws.mean(axis=0), at.mean[:, 0], atol=0.03)
    assert np.allclose(draws.var(axis=0), at.variance, rtol=0.05, atol=1e-3)
    both = predict(SETTING, process, ask[:2]).variance
    # Conditioning the second on the first by hand gives the covariance of the two.
    _, _, more = negative_log_posterior(SETTING, THETA, np.concatenate([x, ask[:1]]), np.append(y, 0.0), np.ones(7))
    grown = posterior(SETTING, THETA, np.concatenate([x, ask[:1]]), more)
    left = predict(SETTING, grown, ask[1:2]).variance[0]
    shared = np.sqrt((both[1] - left) * (both[0] + process.noise))
    assert np.isclose(abs(np.cov(draws[:, :2].T)[0, 1]), shared, rtol=0.1, atol=5e-3)


def test_whole_curves_stay_those_that_got_furthest_first() -> None:
    rng = np.random.default_rng(0)
    configs, reached = rng.random((120, 2)), rng.integers(1, 5, 120)
    rows = [(*config, level / 4) for config, top in zip(configs, reached, strict=True) for level in range(1, top + 1)]
    order = rng.permutation(len(rows))
    x = np.array(rows)[order]
    kept = whole_curves(x, 2, 150)
    assert (np.diff(kept) > 0).all()
    there = {tuple(config) for config in x[kept, :2].tolist()}
    assert len(kept) == sum(reached[i] for i in range(120) if tuple(configs[i].tolist()) in there)
    missing = [reached[i] for i in range(120) if tuple(configs[i].tolist()) not in there]
    assert 140 < len(kept) <= 150
    furthest = {tuple(configs[i].tolist()) for i in range(120) if reached[i] > max(missing)}
    assert furthest <= there


def test_one_more_curve_changes_hardly_any_of_those_that_stay() -> None:
    """A model that saw other points each time would have to be fitted anew each time."""
    x = np.column_stack([np.random.default_rng(0).random((400, 2)), np.ones(400)])
    before, after = (set(whole_curves(x[:n], 2, 100).tolist()) for n in (399, 400))
    assert len(before) == len(after) == 100
    assert 399 in after
    assert len(before & after) >= 98
    assert whole_curves(x[:60], 2, 100).tolist() == list(range(60))
    long = np.column_stack([np.full((30, 2), 0.5), np.arange(1, 31) / 30])
    assert whole_curves(long, 2, 16).tolist() == list(range(14, 30))
