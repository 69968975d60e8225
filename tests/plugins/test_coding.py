"""Rows of numbers for surrogates: every configuration has a valid one, and every valid one a configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offbeat.config_space import (
    choice,
    finrange,
    logordinal,
    lograndint,
    loguniform,
    optional,
    ordinal,
    quniform,
    randint,
    require,
    uniform,
    when,
)
from offbeat.space import Space
from offbeat_plugins.searchers.coding import Coding

SPACES: dict[str, dict[str, Any]] = {
    "plain": {
        "rate": loguniform(1e-6, 1.0), "layers": randint(1, 5), "units": lograndint(4, 4096), "act": choice(["a", "b", "c"]),
        "flag": choice([True, False]), "batch": ordinal([8, 16, 64]), "decay": logordinal([1e-4, 1e-2]),
        "drop": finrange(0, 0.9, 10), "step": quniform(0.0, 1.0, 0.05), "large": randint(0, 10**6), "only": choice(["one"]),
    },
    "conditional": {
        "opt": choice(["sgd", "adam", "none"]), "momentum": when(uniform(0.0, 1.0), "opt == 'sgd'"),
        "beta": when(loguniform(1e-4, 0.5), "opt == 'adam'"), "kind": when(choice(["x", "y", "z"]), "opt != 'none'"),
        "rate": loguniform(1e-4, 1.0),
    },
    "nullable": {"clip": optional(loguniform(0.1, 10.0)), "kind": optional(choice(["x", "y", "z"])), "rate": uniform(0.0, 1.0)},
    "constrained": {"a": randint(1, 20), "b": randint(1, 20), "c": uniform(0.0, 1.0), "few": require("a * b <= 40")},
    "lists": {"widths": choice([[8], [8, 8], [16, 4]]), "rate": uniform(0.0, 1.0)},
}  # fmt: skip


def drawn(space: Space, count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [space.from_units(rng.random(space.width).tolist()) for _ in range(count)]


@pytest.mark.parametrize("name", SPACES)
def test_a_configuration_comes_back_from_its_row(name: str) -> None:
    space = Space(SPACES[name])
    coding = Coding(space)
    configs = drawn(space, 200)
    rows = coding.encode(configs)
    assert rows.shape == (200, coding.dimension)
    assert [space.key(config) for config in coding.decode(rows)] == [space.key(config) for config in configs]


@pytest.mark.parametrize("name", SPACES)
def test_the_rows_of_configurations_are_valid_ones(name: str) -> None:
    space = Space(SPACES[name])
    coding = Coding(space)
    rows = coding.encode(drawn(space, 200))
    snapped = coding.layout.snap(rows)
    if coding.projection is not None:
        snapped = coding.projection(snapped)
    np.testing.assert_allclose(snapped, rows, atol=1e-9)


@pytest.mark.parametrize("name", SPACES)
def test_any_row_becomes_that_of_a_valid_configuration(name: str) -> None:
    space = Space(SPACES[name])
    coding = Coding(space)
    rows = coding.layout.snap(np.random.default_rng(1).random((100, coding.dimension)))
    for config in coding.decode(rows):
        assert space.validate(config) == config
    once = coding.project(rows)
    np.testing.assert_allclose(coding.project(once), once, atol=1e-9)


def test_a_search_moves_freely_what_nothing_else_depends_on() -> None:
    coding = Coding(Space(SPACES["conditional"]))
    names = list(coding.space.domains)
    free = dict(zip(names, coding.layout.blocks, strict=False))
    assert not free["opt"].free
    assert free["momentum"].free
    assert free["momentum"].active is not None
    assert free["rate"].active is None
    assert [block.kind for block in coding.layout.blocks].count("activity") == 3
    assert Coding(Space(SPACES["plain"])).projection is None


def test_rows_that_break_a_constraint_become_valid_ones_however_many_there_are() -> None:
    space = Space({"a": randint(1, 1000), "b": randint(1, 1000), "few": require("a * b <= 100")})
    rows = np.random.default_rng(2).random((500, space.dimension))
    decoded = space.decode_valid(rows)
    assert sum(config is not None for config in decoded) < 50
    for config, same in zip(decoded, space.decode(rows), strict=True):
        assert config is None or config == same
    assert all(config["a"] * config["b"] <= 100 for config in Coding(space).decode(Coding(space).project(rows)))


def test_a_mended_row_keeps_what_the_constraint_is_not_about() -> None:
    space = Space(
        {"a": randint(1, 1000), "free": uniform(0, 1), "b": randint(1, 1000), "few": require("a * b <= 9000")}
    )
    rows = np.random.default_rng(3).random((100, space.dimension))
    broken = [place for place, config in enumerate(space.decode_valid(rows)) if config is None]
    assert 20 < len(broken) < 100
    mended = Coding(space).project(rows)
    np.testing.assert_allclose(mended[:, space.columns["free"]], rows[:, space.columns["free"]], atol=1e-9)
    assert not np.allclose(mended[broken], rows[broken])
