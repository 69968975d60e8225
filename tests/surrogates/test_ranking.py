"""Weights of levels by how they rank, against counting by hand and cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat_plugins.acquisition.options import Data, Options
from offbeat_plugins.acquisition.suggestion import suggest
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic
from offbeat_plugins.surrogates.blocks import Block, Layout
from offbeat_plugins.surrogates.hyperparameters import Parts, Prior, bounds
from offbeat_plugins.surrogates.process import (
    Columns,
    Setting,
    covariance,
    features,
    negative_log_posterior,
    posterior,
    predict,
)
from offbeat_plugins.surrogates.ranking import lowest_shares, ranking_loss, ranking_weights
from offbeat_plugins.surrogates.resources import MIXED

LAYOUT = Layout([Block(), Block(), Block("resource")])
WHERE = Parts(3, False, "independent", 2)
THETA = np.log([0.5, 0.5, 1.0, 1.0, 1e-3])


def setting(grid: object = (1.0,), mixture: object = None) -> Setting:
    columns = Columns.of(LAYOUT, "independent", grid, mixture)  # type: ignore[arg-type]
    return Setting(numpy_arithmetic(), columns, WHERE, bounds(WHERE, Prior()), 1e-4)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_loss_counts_pairs_in_another_order(pairs: list[tuple[int, int]]) -> None:
    said, y = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    expected = sum((a < b) is not (c < d) for a, c in pairs for b, d in pairs)
    assert ranking_loss(said[None], y).tolist() == [expected]
    order = np.random.default_rng(0).permutation(len(y))
    assert ranking_loss(said[None, order], y[order]).tolist() == [expected]
    assert ranking_loss(-said[None], -y).tolist() == [expected]


def test_shares_of_the_lowest() -> None:
    assert lowest_shares(np.array([[1, 5, 2, 0], [3, 5, 1, 0], [9, 9, 9, 9]])).tolist() == [0.5, 0.5, 0.0]


def points(seed: int, count: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.column_stack([np.random.default_rng(seed).random((count, 2)), np.ones(count)])


@pytest.mark.parametrize("kind", ["alike", "noise", "reversed"])
def test_a_low_level_counts_as_far_as_it_ranks_the_highest(kind: str) -> None:
    low, high = points(0, 40), points(1, 8)
    value = lambda x: x[:, 0] + 0.5 * x[:, 1]  # noqa: E731
    y_low = {
        "alike": value(low),
        "noise": np.random.default_rng(2).standard_normal(40),
        "reversed": -value(low),
    }[kind]
    weights = ranking_weights(
        setting(),
        THETA,
        [(low, y_low - y_low.mean()), (high, value(high) - value(high).mean())],
        np.random.default_rng(3),
    )
    assert weights.sum() == pytest.approx(1.0)
    assert bool(weights[0] > 0.6) == (kind == "alike")
    if kind == "reversed":
        assert weights[0] < 0.05


def test_the_sum_of_levels_is_a_process_of_its_own() -> None:
    """Mean and variance are the weighted sum of those of processes that saw one level each."""
    grid, shares = [1 / 9, 1 / 3, 1.0], np.array([0.5, 0.2, 0.3])
    rng, ask = np.random.default_rng(0), points(5, 4)
    x = np.concatenate([points(level, 7) * [1, 1, t] for level, t in enumerate(grid)])
    y = rng.standard_normal(len(x))
    whole = setting(grid, shares)
    fitted = negative_log_posterior(whole, THETA, x, y, np.ones(len(x)))[2]
    at = predict(whole, posterior(whole, THETA, x, fitted), ask * [1, 1, MIXED])
    noise = whole.floor + np.exp(THETA[WHERE.noise])
    mean, variance = np.full(4, fitted.constant[0]), np.zeros(4)
    for share, level in zip(shares, grid, strict=True):
        rows = x[:, 2] == level
        z, q = ((features(whole, THETA, a), np.ones(len(a))) for a in (x[rows], ask))
        k = covariance(setting(), THETA, z, z)[0] + noise * np.eye(rows.sum())
        cross = covariance(setting(), THETA, q, z)[0]
        mean += share * cross @ np.linalg.solve(k, y[rows] - fitted.constant[0])
        variance += share**2 * (np.exp(THETA[WHERE.signal]) - (cross * np.linalg.solve(k, cross.T).T).sum(axis=1))
    assert np.allclose(at.mean[:, 0], mean, atol=1e-9)
    assert np.allclose(at.variance, variance, atol=1e-9)


def test_suggestions_follow_the_level_that_has_the_weight() -> None:
    low, high = points(0, 30) * [1, 1, 1 / 3], points(1, 30)
    x = np.concatenate([low, high])
    y = np.concatenate([((low[:, :2] - 0.2) ** 2).sum(axis=1), ((high[:, :2] - 0.8) ** 2).sum(axis=1)])
    for weights, best in (((1.0, 0.0), 0.2), ((0.0, 1.0), 0.8)):
        mixture = tuple(zip((1 / 3, 1.0), weights, strict=True))
        options = Options(backend="numpy", resource="independent", mixture=mixture)
        answer = suggest(Data(x, y), LAYOUT, 1, None, options)
        assert np.abs(answer.codes[0, :2] - best).max() < 0.12
    with pytest.raises(ValueError, match="mixture="):
        Options(resource="product", mixture=((1.0, 1.0),))
