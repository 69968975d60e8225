"""Configurations as rows of numbers with NaN for what is absent: there and back, and drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offbeat.config_space import (
    choice,
    finrange,
    lograndint,
    loguniform,
    optional,
    ordinal,
    qloguniform,
    randint,
    require,
    uniform,
    when,
)
from offbeat.space import Space
from offbeat_plugins.searchers.columns import LISTED, Columns

EVERYTHING: dict[str, Any] = {
    "lr": loguniform(1e-6, 1.0),
    "depth": randint(1, 12),
    "units": lograndint(1, 4096),
    "drop": finrange(0.0, 0.6, 4),
    "order": ordinal([1, 2, 8, 64], kind="nn-log"),
    "kind": choice(["a", "b", "c"]),
    "flag": choice([True, False]),
    "sizes": choice([[8], [8, 8], None]),
    "maybe": choice([None, "x", "y"]),
    "clip": optional(uniform(0, 1), none=0.3),
    "steps": optional(choice([1, 2, 3])),
    "odd": optional(choice(["only"])),
    "fixed": choice(["only"]),
    "still": uniform(2.0, 2.0),
    "multiple": qloguniform(0.1, 10.0, 0.1),
    "epochs": 9,
}
CONDITIONAL = {
    **EVERYTHING,
    "momentum": when(uniform(0, 1), "kind == 'b'"),
    "nesterov": when(choice([True, False]), "kind == 'b' and momentum > 0.5"),
    "memory": require("depth * units <= 4096"),
}
SPACES = {"plain": Space(EVERYTHING), "conditional": Space(CONDITIONAL)}


def drawn(space: Space, count: int, seed: int = 0) -> list[dict[str, Any]]:
    return [space.from_units(us) for us in np.random.default_rng(seed).random((count, space.width)).tolist()]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_there_and_back(space: Space) -> None:
    columns, configs = Columns(space), drawn(space, 200)
    rows = columns.encode(configs)
    assert rows.shape == (200, columns.width)
    back = columns.decode(rows)
    assert [space.key(config) for config in back] == [space.key(config) for config in configs]


def test_what_columns_there_are() -> None:
    columns = Columns(SPACES["plain"])
    assert [kind.categories for kind in columns.kinds if kind.categories] == [2, 2, 3, 3, 2, 3, 2, 3]
    assert [len(kind.grid) for kind in columns.kinds if kind.grid] == [12, 4, 4]
    assert sum(not kind.categories and not kind.grid for kind in columns.kinds) == 4
    assert Columns(Space({"x": randint(1, LISTED)})).kinds[0].grid
    assert not Columns(Space({"x": randint(0, LISTED)})).kinds[0].grid


def test_none_and_inactive_are_nan() -> None:
    space = Space({"on": choice([True, False]), "rate": when(uniform(0, 1), "on"), "clip": optional(uniform(0, 1))})
    rows = Columns(space).encode([{"clip": None, "on": False}, {"clip": 0.25, "on": True, "rate": 0.5}])
    assert np.array_equal(rows, [[0.0, np.nan, 1.0, np.nan], [1.0, 0.25, 0.0, 0.5]], equal_nan=True)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_random_rows_are_configurations_with_the_spaces_distribution(space: Space) -> None:
    columns = Columns(space)
    n = 4000 if space is SPACES["plain"] else 1000
    rows, reference = columns.random(np.random.default_rng(1), n), columns.encode(drawn(space, n, 2))
    assert np.array_equal(columns.settled(rows.copy()), rows, equal_nan=True)
    assert np.nanmean(rows, axis=0) == pytest.approx(np.nanmean(reference, axis=0), abs=0.15)
    assert np.isnan(rows).mean(axis=0) == pytest.approx(np.isnan(reference).mean(axis=0), abs=0.06)
    for config in columns.decode(rows[:100]):
        assert space.validate(config) == config


def test_settled_rows_exist() -> None:
    space = SPACES["conditional"]
    columns = Columns(space)
    rng = np.random.default_rng(3)
    rows = np.column_stack([kind.placed(rng.random(100)) for kind in columns.kinds])
    settled = columns.settled(rows)
    assert np.isnan(settled).any()
    configs = columns.decode(settled)
    assert np.array_equal(columns.encode(configs), settled, equal_nan=True)
    assert all(config["depth"] * config["units"] <= 4096 for config in configs)


def test_a_choice_of_a_thousand_values_is_one_column() -> None:
    space = Space({"word": choice([f"w{i}" for i in range(1000)]), "x": uniform(0, 1)})
    columns, configs = Columns(space), drawn(space, 20)
    assert columns.width == 2
    assert columns.decode(columns.encode(configs)) == configs
