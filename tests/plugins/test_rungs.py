from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offbeat.errors import InvalidArgument
from offbeat.trial import TrialId
from offbeat_plugins.schedulers import rungs
from offbeat_plugins.schedulers.rungs import Ranking, Rung, bracket_shares, linear_quantile, rung_levels

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("grace_period", "reduction_factor", "max_t", "levels"),
    [
        (1, 3, 81, (1, 3, 9, 27)),
        (1, 3, 100, (1, 3, 9, 27, 81)),
        (3, 3, 27, (3, 9)),
        (1, 2, 50, (1, 2, 4, 8, 16, 32)),
        (2, 2.5, 100, (2, 5, 12, 31, 78)),
        (1, 4, 256, (1, 4, 16, 64)),
        (1, 3, 2, (1,)),
    ],
)
def test_geometric_levels(grace_period: int, reduction_factor: float, max_t: int, levels: tuple[int, ...]) -> None:
    assert rung_levels(max_t, grace_period=grace_period, reduction_factor=reduction_factor) == levels


def test_a_small_factor_never_gives_a_level_twice() -> None:
    assert rung_levels(8, reduction_factor=1.2) == (1, 2, 3, 4, 5, 6, 7)


def test_levels_in_equal_steps_and_explicit_ones() -> None:
    assert rung_levels(10, grace_period=2, rung_increment=3) == (2, 5, 8)
    assert rung_levels(11, grace_period=2, rung_increment=3) == (2, 5, 8)
    assert rung_levels(20, levels=[2, 5, 10]) == (2, 5, 10)
    assert rung_levels(10, levels=[2, 5, 10]) == (2, 5)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"max_t": 9, "grace_period": 9}, "grace_period=9 leaves no rung below max_t=9"),
        ({"max_t": 9, "grace_period": 0}, "grace_period=0"),
        ({"max_t": 9, "grace_period": 1.5}, "grace_period=1.5"),
        ({"max_t": 9, "grace_period": True}, "grace_period=True"),
        ({"max_t": 9, "reduction_factor": 1}, "reduction_factor=1"),
        ({"max_t": 9, "reduction_factor": float("nan")}, "reduction_factor=nan"),
        ({"max_t": 9, "rung_increment": 0}, "rung_increment=0"),
        ({"max_t": 9, "levels": [3]}, "at least two"),
        ({"max_t": 9, "levels": [3, 3]}, "larger than the one before"),
        ({"max_t": 9, "levels": [1, 10]}, "beyond max_t=9"),
        ({"max_t": 9, "levels": [0, 3]}, "rung_levels (each)=0"),
    ],
)
def test_impossible_levels_are_refused(arguments: dict[str, object], fragment: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        rung_levels(**arguments)  # type: ignore[arg-type]
    assert fragment in str(caught.value)


def test_bracket_shares() -> None:
    assert bracket_shares((1, 3, 9, 27, 81, 100), 4) == pytest.approx((0.6095, 0.2438, 0.1016, 0.0451), abs=5e-5)
    assert bracket_shares((1, 3, 9), 1) == (1.0,)
    assert len(bracket_shares((1, 3, 9), 3)) == 3
    with pytest.raises(InvalidArgument, match="at most 3"):
        bracket_shares((1, 3, 9), 4)
    with pytest.raises(InvalidArgument, match="brackets=0"):
        bracket_shares((1, 3, 9), 0)


@given(st.lists(finite.map(lambda v: v / 4), min_size=2, max_size=30), st.floats(0.0, 0.999))
@example([-1.0, 0.0], 0.49999999999999994)
def test_the_quantile_is_numpys_to_the_last_bit(values: list[float], q: float) -> None:
    ordered = sorted(values)
    assert linear_quantile(ordered, q) == np.quantile(ordered, q)


def test_a_quantile_between_the_largest_numbers_is_finite() -> None:
    assert linear_quantile([-1.7e308, 1.7e308], 0.5) == 0.0


@pytest.mark.parametrize("piece", [1, 2, 5, 2000])
@given(steps=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_ranking_is_a_stable_sort(piece: int, steps: list[tuple[int, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rungs, "PIECE", piece)
        check_ranking(steps)


def check_ranking(steps: list[tuple[int, bool]]) -> None:
    ranking = Ranking()
    expected: list[tuple[float, TrialId]] = []
    for number, (value, take_out) in enumerate(steps):
        trial = TrialId((number * 37) % 101)
        ranking.add(float(value), trial)
        expected.append((float(value), trial))
        if take_out and number % 2:
            gone = expected.pop(number % len(expected))
            ranking.remove(*gone)
    expected.sort(key=lambda entry: entry[0])
    assert list(ranking.items()) == expected
    assert [ranking[place] for place in range(len(ranking))] == [value for value, _ in expected]
    with pytest.raises(IndexError):
        ranking[len(ranking)]
    for value in (-1.0, 0.0, 1.0, 2.5, 5.0, 6.0):
        assert ranking.below(value) == sum(other < value for other, _ in expected)
        assert ranking.up_to(value) == sum(other <= value for other, _ in expected)
    assert [ranking.place(*entry) for entry in expected] == list(range(len(expected)))
    ranking.remove(99.0, TrialId(1))
    with pytest.raises(ValueError, match="is not here"):
        ranking.place(99.0, TrialId(1))
    assert len(ranking) == len(expected)


@given(st.lists(st.integers(-4, 4), max_size=40), st.sampled_from([(1, 3), (81, 100), (1, 2), (27, 81)]))
def test_the_cut_counts_those_not_above_numpys_quantile(values: list[int], levels: tuple[int, int]) -> None:
    rung = Rung(*levels)
    for trial, value in enumerate(values):
        rung.entries.add(float(value), TrialId(trial))
    if len(values) < 2:
        assert rung.cut() == 0
    else:
        limit = np.quantile(np.array(values, dtype=float), levels[0] / levels[1])
        assert rung.cut() == sum(value <= limit for value in values)


def test_the_papers_cut_is_exact_for_every_count() -> None:
    rung = Rung(1, 3, "paper")
    for trial in range(1, 200):
        rung.entries.add(random.Random(trial).random(), TrialId(trial))
        assert rung.cut() == trial // 3


def test_promotable_breaks_ties_by_arrival_under_the_papers_rule() -> None:
    for rule, good in (("paper", [7]), ("quantile", [7, 2, 5])):
        rung = Rung(1, 3, rule)  # type: ignore[arg-type]
        for trial in (7, 2, 5):
            rung.entries.add(1.0, TrialId(trial))
            rung.waiting.add(1.0, TrialId(trial))
        assert [trial for _, trial in rung.promotable()] == good
