"""The bound on what a search may still gain, against the same bound by hand and against known regret."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offbeat_plugins.acquisition.options import Data, Options
from offbeat_plugins.acquisition.regret import FEWEST, RegretBound, regret_bound, schedule
from offbeat_plugins.surrogates.blocks import Block, Layout

NUMPY = Options(backend="numpy")
PLANE = Layout.continuous(2)


def smooth(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0, which lies near a quarter of the cube, to about 1."""
    return (codes[:, 0] - 0.3) ** 2 + 0.5 * (codes[:, 1] - 0.7) ** 2


def bound(codes: Any, targets: Any, layout: Layout = PLANE, **options: Any) -> RegretBound:
    found = regret_bound(Data(codes, targets), layout, 1, options=NUMPY, **options)
    assert found is not None
    return found


def by_hand(found: RegretBound, x: Any, y: Any, ask: Any) -> tuple[float, float]:
    """Smallest upper bound at x and smallest lower bound at x and ask, from textbook formulas and the found theta."""
    theta = np.array(found.theta)
    length, signal, noise = np.exp(theta[:2]), np.exp(theta[2]), 1e-4 + np.exp(theta[3])
    centre, scale = y.mean(), y.std()

    def kernel(a: Any, b: Any) -> Any:
        r = np.sqrt(5 * (((a[:, None] - b[None]) / length) ** 2).sum(2))
        return signal * (1 + r + r * r / 3) * np.exp(-r)

    known = kernel(x, x) + noise * np.eye(len(x))
    standard, one = (y - centre) / scale, np.ones(len(x))
    constant = one @ np.linalg.solve(known, standard) / (1 + one @ np.linalg.solve(known, one))
    points = np.concatenate([x, ask])
    cross = kernel(points, x)
    mean = constant + cross @ np.linalg.solve(known, standard - constant)
    deviation = np.sqrt(np.maximum(signal - (cross * np.linalg.solve(known, cross.T).T).sum(1), 0))
    away = np.sqrt(found.beta) * deviation
    return centre + scale * (mean + away)[: len(x)].min(), centre + scale * (mean - away).min()


@pytest.mark.parametrize("seed", range(4))
def test_bound_is_that_of_an_independent_process_searched_on_a_fine_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.random((16, 2))
    targets = 7 + 3 * smooth(codes) + 0.01 * rng.standard_normal(16)
    found = bound(codes, targets, beta=2.0, top=1.0)
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101)), 2).reshape(-1, 2)
    upper, lower = by_hand(found, codes, targets, grid)
    assert found.upper == pytest.approx(upper, abs=1e-6)
    # The search is over the continuum: never above the grid's lowest point by more than a step of it is worth.
    assert found.lower <= lower + 1e-3
    assert found.lower >= lower - 5e-2
    assert found.bound == pytest.approx(found.upper - found.lower)
    assert found.points == 16


def test_it_holds_where_the_regret_is_known_and_shrinks_with_what_is_known() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        codes = rng.random((60, 2))
        targets = smooth(codes)
        bounds = [bound(codes[:n], targets[:n]) for n in (10, 30, 60)]
        for n, found in zip((10, 30, 60), bounds, strict=True):
            # The minimum of the space is 0, so the best value seen is the regret.
            assert found.bound >= targets[:n].min()
            assert found.lower <= 0
        assert bounds[2].bound < bounds[0].bound


def test_it_is_in_the_unit_of_the_targets_and_does_not_depend_on_their_order() -> None:
    rng = np.random.default_rng(0)
    codes = rng.random((30, 2))
    one = bound(codes, smooth(codes))
    scaled = bound(codes, 1000 * smooth(codes) - 5)
    assert scaled.bound == pytest.approx(1000 * one.bound, rel=1e-6)
    order = rng.permutation(30)
    assert bound(codes[order], smooth(codes)[order]).bound == pytest.approx(one.bound, rel=1e-6)


def test_wider_confidence_gives_a_larger_bound() -> None:
    codes = np.random.default_rng(0).random((30, 2))
    bounds = [bound(codes, smooth(codes), beta=beta).bound for beta in (0.25, 1.0, 4.0, 16.0)]
    assert bounds == sorted(bounds)
    assert bounds[3] > 2 * bounds[0]


def test_the_schedule_is_the_papers() -> None:
    # 2 log(d t^2 pi^2 / (6 * 0.1)) / 5, by hand for d = 4, t = 20.
    assert schedule(20, 4) == pytest.approx(0.4 * np.log(4 * 400 * np.pi**2 / 0.6))
    codes = np.random.default_rng(0).random((20, 2))
    assert bound(codes, smooth(codes)).beta == schedule(20, 2)


def test_the_best_half_counts_and_never_fewer_than_there_have_to_be() -> None:
    rng = np.random.default_rng(1)
    codes = rng.random((60, 2))
    targets = smooth(codes)
    found = bound(codes, targets)
    assert found.points == 30
    worse = targets.copy()
    worse[np.argsort(targets)[30:]] += rng.random(30) * 1e6
    assert bound(codes, worse).bound == found.bound
    assert bound(codes, targets, top=0.0).points == FEWEST


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_odd_targets_and_spaces_have_a_bound_that_is_finite(scale: float) -> None:
    rng = np.random.default_rng(2)
    layout = Layout([Block(), Block("discrete", levels=(0.25, 0.75)), Block("categorical", 5), Block()])
    codes = layout.draw(rng.random((25, 4)))
    codes[:, -1] = 0.5  # a column that never varies
    codes[1] = codes[0]  # a duplicate
    targets = scale * rng.standard_normal(25)
    found = bound(codes, targets, layout)
    assert 0 < found.bound < np.inf
    assert found.lower <= found.upper


def test_two_points_have_a_bound_and_equal_values_have_none() -> None:
    assert bound(np.array([[0.2, 0.2], [0.8, 0.8]]), np.array([0.0, 1.0])).bound > 0.1
    assert regret_bound(Data(np.random.default_rng(0).random((9, 2)), np.ones(9)), PLANE, 1, options=NUMPY) is None


def test_without_an_observation_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs an observation"):
        regret_bound(Data(np.zeros((0, 2)), []), PLANE, 1, options=NUMPY)
