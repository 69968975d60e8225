"""The statistics of comparisons keep what they promise on data of which the truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import rankdata

from offbeat.bench import statistics as st

DATASETS = 2000
TASKS = 3


def differences(seeds: int, shape: str, *, truth: float = 0.0) -> Any:
    """(data set, task, seed): paired differences whose seeds are correlated over the tasks, around `truth`."""
    generator = np.random.default_rng([seeds, len(shape)])

    def noise(*size: int) -> Any:
        if shape == "skewed":
            return generator.exponential(size=size) - 1
        return generator.normal(size=size)

    return truth + 0.1 * (noise(DATASETS, 1, seeds) + noise(DATASETS, TASKS, seeds))


def boots(between: Any) -> Any:
    return st.resampled(between, st.draws(between.shape[-1], 1000))


@pytest.mark.parametrize(
    ("seeds", "shape", "most"), [(6, "normal", 0.06), (10, "normal", 0.06), (30, "normal", 0.06), (10, "skewed", 0.09)]
)
def test_equal_methods_differ_significantly_as_often_as_the_level_says(seeds: int, shape: str, most: float) -> None:
    between = differences(seeds, shape)
    p = st.p_values(st.mean_over_tasks(between), boots(between), seeds)
    assert 0.03 <= (p < 0.05).mean() <= most
    if shape == "normal":
        # Under the null hypothesis p-values are uniform, not only at one level.
        assert np.abs(np.quantile(p, [0.1, 0.25, 0.5, 0.75, 0.9]) - [0.1, 0.25, 0.5, 0.75, 0.9]).max() < 0.035


@pytest.mark.parametrize(
    ("seeds", "shape", "least"),
    [(6, "normal", 0.92), (10, "normal", 0.935), (30, "normal", 0.935), (10, "skewed", 0.91)],
)
def test_intervals_cover_the_truth(seeds: int, shape: str, least: float) -> None:
    between = differences(seeds, shape, truth=0.3)
    low, high = st.interval(boots(between), seeds)
    assert least <= ((low <= 0.3) & (high >= 0.3)).mean() <= 0.975


@pytest.mark.parametrize("seeds", [6, 10, 30])
def test_a_method_that_is_worse_by_the_margin_seldom_passes_as_non_inferior(seeds: int) -> None:
    between = differences(seeds, "normal", truth=0.02)
    lower, upper = st.bounds(boots(between), seeds)
    assert 0.03 <= (upper <= 0.02).mean() <= 0.065
    assert 0.03 <= (lower >= 0.02).mean() <= 0.065


def test_plain_percentiles_would_be_too_short() -> None:
    """What the widening is for; without it this suite's other tests could pass by chance."""
    between = differences(6, "normal")
    low, high = np.quantile(boots(between), [0.025, 0.975], axis=-1)
    assert ((low <= 0) & (high >= 0)).mean() < 0.9


def test_seeds_as_wholes_are_needed_where_tasks_share_their_draws() -> None:
    """Drawing runs of each task by themselves would take correlated ones for independent ones."""
    between = differences(10, "normal")
    generator = np.random.default_rng(1)
    drawn = between[:400, np.arange(TASKS)[:, None], generator.integers(10, size=(500, TASKS, 10))].mean((-1, -2))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
    assert ((low <= 0) & (high >= 0)).mean() < 0.85


def test_a_family_of_true_hypotheses_is_rejected_as_rarely_as_one() -> None:
    generator = np.random.default_rng(3)
    families = generator.random((2000, 15))
    assert 0.03 <= np.mean([st.holm(one).min() < 0.05 for one in families]) <= 0.06


def test_holm_by_hand() -> None:
    assert st.holm(np.array([0.01, 0.04, np.nan, 0.03])).tolist() == pytest.approx(
        [0.03, 0.06, np.nan, 0.06], nan_ok=True
    )
    assert st.holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert st.holm(np.array([])).tolist() == []


@given(some.integers(0, 2**32 - 1), some.integers(2, 6), some.integers(1, 4), some.integers(2, 8))
def test_ranks_are_the_usual_ones_where_all_runs_are_there(seed: int, methods: int, tasks: int, seeds: int) -> None:
    values = np.random.default_rng(seed).integers(0, 4, (methods, tasks, seeds)) / 7
    mean, drawn = st.ranks(values, st.draws(seeds, 50))
    usual = rankdata(values, axis=0)
    assert np.allclose(mean, usual.mean((1, 2)))
    assert np.allclose(mean.sum(), methods * (methods + 1) / 2)
    counts = st.draws(seeds, 50)
    assert np.allclose(drawn, np.einsum("mts,bs->mb", usual, counts) / (tasks * seeds))


def test_a_method_with_fewer_seeds_is_ranked_by_those_it_has() -> None:
    values = np.array([[[1.0, 1.0, 9.0, 9.0]], [[2.0, 2.0, np.nan, np.nan]]])
    mean, _ = st.ranks(values, st.draws(4, 10))
    assert mean.tolist() == [1.0, 2.0]


def test_missing_runs_leave_the_pairing_intact() -> None:
    first = np.array([[0.1, 0.2, 0.3, np.nan], [0.5, 0.6, 0.7, 0.8]])
    second = np.array([[0.0, 0.1, np.nan, 5.0], [0.4, 0.5, 0.6, 0.7]])
    found = st.difference(first, second)
    assert found.mean == pytest.approx(0.1)
    assert (found.seeds, found.losses, found.wins) == (2, (0, 1), ())
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    assert np.isnan(found.p)  # two seeds are not tested
    turned = st.difference(second, first)
    assert turned[:5] == pytest.approx(found.reversed()[:5])
    assert turned[6:] == found.reversed()[6:] == (2, (), (0, 1))


def test_equal_methods_are_equal() -> None:
    values = np.random.default_rng(0).random((2, 7))
    found = st.difference(values, values)
    assert (found.mean, found.low, found.high, found.p, found.losses) == (0, 0, 0, 1, ())


def test_nothing_in_common() -> None:
    nothing = st.difference(np.array([[1.0, np.nan]]), np.array([[np.nan, 1.0]]))
    assert nothing.seeds == 0
    assert np.isnan(nothing.mean)


def test_draws_repeat() -> None:
    assert np.array_equal(st.draws(5, 7), st.draws.__wrapped__(5, 7))
    assert (st.draws(5, 7).sum(1) == 5).all()


@pytest.mark.parametrize(("first", "second"), [(30, 6), (10, 10), (5, 30)])
@pytest.mark.parametrize("louder", [1.0, 4.0])
def test_methods_with_seeds_of_their_own_are_told_apart_as_often_as_the_level_says(
    first: int, second: int, louder: float
) -> None:
    """Also where the one with few seeds varies more, which is what Welch's freedom is for."""
    generator = np.random.default_rng([first, second])
    found = [
        st.independent(
            0.3 + 0.1 * (generator.normal(size=(1, first)) + generator.normal(size=(TASKS, first))),
            louder * 0.1 * (generator.normal(size=(1, second)) + generator.normal(size=(TASKS, second))),
        )
        for _ in range(400)
    ]
    assert 0.91 <= np.mean([one.low <= 0.3 <= one.high for one in found]) <= 0.985
    assert 0.02 <= np.mean([one.upper <= 0.3 for one in found]) <= 0.085
    assert np.mean([one.mean for one in found]) == pytest.approx(0.3, abs=0.02)


def test_seeds_that_only_one_method_has_count_where_they_are_independent() -> None:
    many, few = np.full((2, 30), 0.5), np.full((2, 30), np.nan)
    many[1, 20:] = 0.8
    few[:, :6] = [[0.4], [0.7]]
    found = st.independent(many, few)
    assert found.mean == pytest.approx((0.5 + (0.5 * 20 + 0.8 * 10) / 30) / 2 - 0.55)
    assert (found.seeds, found.losses, found.wins) == (6, (0,), (1,))
    assert np.isnan(st.independent(many, np.full((2, 30), np.nan)).mean)
