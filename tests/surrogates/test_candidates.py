"""Candidates, and the search that improves them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offbeat_plugins.acquisition.candidates import candidates, generator, nearby, spread, unseen, valid
from offbeat_plugins.acquisition.search import Effort, search
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic
from offbeat_plugins.surrogates.blocks import Block, Layout

MIXED = Layout([Block(), Block("discrete", levels=(0.1, 0.5, 0.9)), Block("categorical", 4), Block()])


def test_the_same_seed_draws_the_same_numbers() -> None:
    assert generator([1, 2]).random() == generator([1, 2]).random() != generator([1, 3]).random()
    # Philox is the same everywhere: this number may not change.
    assert generator(7).integers(1 << 30) == 288448491


@pytest.mark.parametrize("width", [1, 2, 5])
def test_spread_points_fill_the_cube_more_evenly_than_random_ones(width: int) -> None:
    def worst_gap(points: Any) -> float:
        ask = np.random.default_rng(9).random((200, width))
        return float(np.sqrt(((ask[:, None] - points[None]) ** 2).sum(axis=2)).min(axis=1).mean())

    even = np.mean([worst_gap(spread(np.random.default_rng(s), 256, width)) for s in range(5)])
    random = np.mean([worst_gap(np.random.default_rng(s).random((256, width))) for s in range(5)])
    assert even < random


@pytest.mark.parametrize("width", [6, 12])
def test_every_column_of_spread_points_is_even(width: int) -> None:
    points = np.sort(spread(np.random.default_rng(0), 200, width), axis=0)
    assert np.abs(points - np.linspace(0, 1, 200)[:, None]).max() < 0.02


def test_candidates_are_valid_and_half_of_them_near_the_centres() -> None:
    rng = np.random.default_rng(0)
    centre = MIXED.draw(rng.random((1, 4)))
    drawn = candidates(rng, MIXED, centre, 256, None)
    assert (MIXED.snap(drawn) == drawn).all()
    distance = np.abs(drawn[:, [0, 6]] - centre[:, [0, 6]]).max(axis=1)
    assert np.median(distance[1::2]) < 0.15 < np.median(distance[::2])
    assert len(candidates(rng, MIXED, centre[:0], 64, None)) == 64


def test_steps_stay_inside_and_change_something() -> None:
    centres = np.tile(MIXED.snap(np.array([[0, 0.1, 1, 0, 0, 0, 1.0]])), (1, 1))
    near = nearby(np.random.default_rng(1), MIXED, centres, 500)
    assert (near >= 0).all()
    assert (near <= 1).all()
    assert (near != centres).any(axis=1).mean() > 0.9


def test_projections_are_called_and_checked() -> None:
    assert (valid(MIXED, np.zeros((2, 7)), lambda codes: np.minimum(codes + 1, 1)) == 1).all()
    with pytest.raises(ValueError, match="answered 1 rows to 2"):
        valid(MIXED, np.zeros((2, 7)), lambda codes: codes[:1])
    with pytest.raises(ValueError, match="not finite"):
        valid(MIXED, np.zeros((2, 7)), lambda codes: codes * np.nan)


def test_unseen_rows() -> None:
    codes = np.array([[0.1, 0.2], [0.1 + 1e-12, 0.2], [0.3, 0.3], [-0.0, 0.0], [0.0, 0.0]])
    assert unseen(codes, np.array([[0.3, 0.3]])).tolist() == [0, 3]


def test_search_finds_the_top_of_a_mixed_function() -> None:
    target = np.array([0.31, 0.5, 0, 0, 1, 0, 1.0])

    def value_of(x: Any, gradient: bool) -> tuple[Any, Any]:
        apart = x - target
        return -(apart**2).sum(axis=1), -2.0 * apart if gradient else None

    rng = np.random.default_rng(0)
    drawn = candidates(rng, MIXED, np.zeros((0, 7)), 16, None)
    moves = MIXED.moves(rng, 64)
    found = search(
        numpy_arithmetic(), value_of, drawn, MIXED.fixed(drawn), (moves.changed, moves.value, moves.needs),
        effort=Effort(starts=4, rounds=3, turns=20), sliding=True,
    )  # fmt: skip
    assert found.x.shape == (4, 7)
    assert np.allclose(found.x[found.values.argmax()], target, atol=1e-3)
    assert (found.values >= found.scores.reshape(-1, 4).max(axis=0) - 1e-12).all()


def test_search_leaves_inactive_columns_alone() -> None:
    layout = Layout([Block("activity"), Block("continuous", active=0), Block("discrete", levels=(0.2, 0.5), active=0)])
    drawn = np.array([[0.0, 0.5, 0.5], [1.0, 0.5, 0.5]] * 2)
    moves = layout.moves(np.random.default_rng(0), 64)

    def value_of(x: Any, gradient: bool) -> tuple[Any, Any]:
        slope = np.tile([0.0, 1.0, -1.0], (len(x), 1))
        return x[:, 1] - x[:, 2], slope if gradient else None

    found = search(
        numpy_arithmetic(), value_of, drawn, layout.fixed(drawn), (moves.changed, moves.value, moves.needs),
        effort=Effort(starts=4, rounds=2, turns=20), sliding=True,
    )  # fmt: skip
    assert found.x[0].tolist() == [0, 0.5, 0.5]
    assert found.x[1].tolist() == [1, 1, 0.2]
