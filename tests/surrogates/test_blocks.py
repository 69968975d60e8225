"""Blocks of a code matrix: what is checked, snapped, drawn and moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat_plugins.surrogates.blocks import Block, Layout

LEVELS = (0.1, 0.3, 0.8)
MIXED = Layout(
    [
        Block(),
        Block("discrete", levels=LEVELS),
        Block("categorical", 3),
        Block("activity"),
        Block("continuous", active=5),
        Block("discrete", levels=tuple(np.linspace(0, 1, 40).tolist()), free=False),
    ]
)


def test_columns_of_a_mixed_layout() -> None:
    assert (MIXED.dimension, MIXED.groups, MIXED.starts) == (8, 6, (0, 1, 2, 5, 6, 7))
    assert MIXED.group.tolist() == [0, 1, 2, 2, 2, 3, 4, 5]
    assert MIXED.sliding.tolist() == [True, False, False, False, False, False, True, False]
    two_values = np.array([[0, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0]]) * MIXED.weight
    assert np.linalg.norm(two_values[0] - two_values[1]) == pytest.approx(1.0)


@given(st.lists(st.floats(-2, 3), min_size=8, max_size=8))
def test_snapping_is_valid_nearest_and_idempotent(row: list[float]) -> None:
    codes = MIXED.snap(np.array([row]))
    assert (codes >= 0).all()
    assert (codes <= 1).all()
    clipped = np.clip(row, 0, 1)
    assert abs(codes[0, 1] - clipped[1]) == pytest.approx(min(abs(level - clipped[1]) for level in LEVELS))
    assert sorted(codes[0, 2:5].tolist()) == [0, 0, 1]
    assert codes[0, 5] in (0, 1)
    assert (MIXED.snap(codes) == codes).all()


def test_drawn_codes_are_valid_and_every_value_has_its_share() -> None:
    codes = MIXED.draw(np.random.default_rng(0).random((3000, MIXED.groups)))
    assert (MIXED.snap(codes) == codes).all()
    assert np.abs([np.mean(codes[:, 1] == level) - 1 / 3 for level in LEVELS]).max() < 0.05
    assert np.abs(codes[:, 2:5].mean(axis=0) - 1 / 3).max() < 0.05


def test_gradients_leave_alone_what_is_discrete_or_inactive() -> None:
    codes = MIXED.snap(np.full((2, 8), 0.5))
    codes[1, 5] = 0.0
    assert MIXED.fixed(codes)[0].tolist() == [False, True, True, True, True, True, False, True]
    assert MIXED.fixed(codes)[1, 6]


def test_moves_are_every_value_of_the_free_discrete_blocks_or_some() -> None:
    moves = MIXED.moves(np.random.default_rng(0), 100)
    assert len(moves.needs) == 3 + 3
    assert moves.value[:3, 1].tolist() == list(LEVELS)
    few = Layout([Block("categorical", 1000)]).moves(np.random.default_rng(0), 64)
    assert few.changed.shape == (64, 1000)
    assert len({row.argmax() for row in few.value}) == 64


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"kind": "ordinal"}, "kind='ordinal' is not valid"),
        ({"width": 2}, "categoricals have 2 or more"),
        ({"kind": "categorical", "width": 1}, "categoricals have 2 or more"),
        ({"kind": "discrete"}, "0 levels"),
        ({"kind": "discrete", "levels": (0.5, 0.2)}, "ascend"),
    ],
)
def test_wrong_blocks(arguments: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Block(**arguments)


def test_wrong_layouts_and_codes() -> None:
    with pytest.raises(ValueError, match="at least one block"):
        Layout([])
    with pytest.raises(ValueError, match="active=4 is not a column"):
        Layout([Block(active=4)])
    with pytest.raises(ValueError, match=r"pending have shape \(1, 3\)"):
        MIXED.codes([[0, 0, 0]], "pending")
    with pytest.raises(ValueError, match="not finite"):
        MIXED.codes([[np.nan] * 8])
