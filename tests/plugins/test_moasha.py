"""MOASHA: what goes on at a rung, by an independent reference; order of arrival, ties, modes, and wrong arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat import AskTell
from offbeat.arguments import UnknownArgument
from offbeat.config_space import randint, uniform
from offbeat.errors import InvalidArgument
from offbeat.optimizer.baselines import MOASHA
from offbeat.trial import TrialId
from offbeat_plugins.multiobjective.priorities import better, weights_of
from offbeat_plugins.schedulers.priority_rung import PriorityRung

SPACE: dict[str, Any] = {"lr": uniform(0, 1), "layers": randint(1, 1000)}


def dominates(a: Any, b: Any) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def strictly_before(vectors: list[tuple[float, ...]], new: tuple[float, ...]) -> int:
    """How many rank before the last one: earlier fronts, then the epsilon-net of its own, each vector by itself."""
    left, before = set(vectors), 0
    while True:
        front = sorted(a for a in left if not any(dominates(b, a) for b in left))
        if new in front:
            break
        before += sum(vectors.count(a) for a in front)
        left -= set(front)
    low, high = np.min(front, axis=0), np.max(front, axis=0)
    unit = [(0.5 * np.array(a) - 0.5 * low) / np.where(high > low, 0.5 * high - 0.5 * low, 1.0) for a in front]
    picked = [0]
    while front[picked[-1]] != new:
        far = [-1.0 if i in picked else min(sum((unit[i] - unit[j]) ** 2) for j in picked) for i in range(len(front))]
        before += vectors.count(front[picked[-1]])
        picked.append(far.index(max(far)))
    return before


def standings(vectors: list[tuple[float, ...]], priority: Any = None, factor: float = 3) -> list[bool]:
    rung = PriorityRung(1, len(vectors[0]), factor, priority)
    return [rung.judge(TrialId(i), vector).goes_on for i, vector in enumerate(vectors)]


grid = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0])
wide = st.floats(-1e6, 1e6, allow_subnormal=False)


def arrivals(values: Any, most: int) -> Any:
    return st.integers(2, 4).flatmap(lambda k: st.lists(st.tuples(*[values] * k), min_size=1, max_size=most))


@settings(deadline=None)
@given(arrivals(grid, 40) | arrivals(wide, 25), st.sampled_from([1.5, 2, 3, 4]))
def test_a_vector_goes_on_by_its_rank_among_all_that_were_recorded(vectors: Any, factor: float) -> None:
    found = standings(vectors, factor=factor)
    for n in range(1, len(vectors) + 1):
        allowed = strictly_before(vectors[:n], vectors[n - 1]) / n <= 1 / factor + 1e-12
        assert found[n - 1] is allowed, vectors[:n]
        assert better(np.array(vectors[:n]), None)[-1] == strictly_before(vectors[:n], vectors[n - 1])


@settings(deadline=None)
@given(arrivals(grid, 30), st.data(), st.sampled_from([None, "equal", "first"]))
def test_the_order_of_arrival_changes_no_decision_on_the_next_one(vectors: Any, data: Any, how: str | None) -> None:
    width = len(vectors[0])
    weights = {None: None, "equal": (1.0,) * width, "first": (1.0, *[0.0] * (width - 1))}[how]
    new = data.draw(st.tuples(*[grid] * width))
    mixed = data.draw(st.permutations(vectors))
    assert standings([*mixed, new], weights)[-1] is standings([*vectors, new], weights)[-1]


@settings(deadline=None)
@given(arrivals(grid, 30), st.sampled_from([None, "equal", "first"]), st.sampled_from([1.5, 3, 10]))
def test_what_dominates_all_that_were_recorded_goes_on(vectors: Any, how: str | None, factor: float) -> None:
    width = len(vectors[0])
    weights = {None: None, "equal": (1.0,) * width, "first": (1.0, *[0.0] * (width - 1))}[how]
    lowest = tuple(np.min(vectors, axis=0).tolist())
    assert standings([*vectors, tuple(value - 1.0 for value in lowest)], weights, factor)[-1]
    assert standings([*vectors, (lowest[0] - 1.0, *lowest[1:])], weights, factor)[-1]


def test_long_runs_agree_with_sorting_everything_again() -> None:
    """Beyond the fronts that are kept: many points, of which most are forgotten on the way, with ties."""
    for width, digits in ((2, 6), (2, 1), (3, 6), (3, 1), (4, 1)):
        points = np.random.default_rng(width).random((400, width)).round(digits)
        found = standings([tuple(row) for row in points.tolist()])
        for n in range(1, 401, 7):
            assert found[n - 1] is bool(better(points[:n], None)[-1] < int(n / 3) + 1)


def test_places_of_all_entries() -> None:
    rung = PriorityRung(3, 2, 3, None)
    vectors = [(2.0, 2.0), (0.0, 4.0), (5.0, 5.0), (4.0, 0.0), (2.0, 2.0), (1.0, 3.0)]
    whys = [rung.judge(TrialId(i), vector).why for i, vector in enumerate(vectors)]
    # Of the first front (0, 4) is first in the net, then the farthest (4, 0), then both of (2, 2), then (1, 3).
    assert rung.ranked() == [(1, 1), (2, 3), (3, 0), (3, 4), (5, 5), (6, 2)]
    assert rung.cut() == 3
    assert whys[2] == "rung 3: place 3 or later of 3, cut at 2"
    assert whys[5] == "rung 3: front 1, place 5 or later of 6, cut at 3"
    assert PriorityRung(3, 2, 3, None).ranked() == []


def test_weights_are_in_the_units_of_the_metrics() -> None:
    rows = np.array([[0.0, 4.0], [4.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    assert better(rows, (1.0, 1.0)).tolist() == [2, 2, 0, 0]
    assert better(rows, (1.0, 0.1)).tolist() == [0, 3, 1, 1]
    assert better(rows, (0.0, 1.0)).tolist() == [3, 0, 1, 1]


def specs(*names: str) -> Any:
    from offbeat.events import MetricSpec

    return [MetricSpec(name) for name in names]


def test_what_a_priority_may_be() -> None:
    two = specs("loss", "latency")
    assert weights_of("non-dominated", two) is None
    assert weights_of("linear", two) == (0.5, 0.5)
    assert weights_of("latency", two) == (0.0, 1.0)
    assert weights_of({"loss": 2}, two) == (2.0, 0.0)
    for wrong, message in (
        ("lines", "priority='lines' is not valid. Did you mean 'linear'"),
        ({"los": 1}, "priority names 'los', which is no objective. Did you mean 'loss'"),
        ({"loss": -1}, "give a finite number from 0 up"),
        ({"loss": float("nan")}, "give a finite number from 0 up"),
        ({"loss": 0}, "at least one weight has to be above 0"),
        ({}, "at least one weight has to be above 0"),
    ):
        with pytest.raises(InvalidArgument, match=message.replace(".", r"\.")):
            weights_of(wrong, two)


def study(mode: Any = "min", **options: Any) -> AskTell:
    arguments: dict[str, Any] = {"time_attr": "epoch", "max_t": 9, "random_seed": 1, **options}
    return AskTell(MOASHA(SPACE, metrics=["loss", "latency"], mode=mode, **arguments))


def decide(asked: AskTell, *rows: tuple[float, float], epoch: int = 1) -> list[str]:
    return [asked.tell(asked.ask(), epoch=epoch, loss=loss, latency=latency) for loss, latency in rows]


def test_each_metric_has_its_mode() -> None:
    rows = [(5.0, 1.0), (4.0, 2.0), (6.0, 0.5), (1.0, 3.0), (9.0, 0.1), (0.5, 3.5)]
    expected = decide(study(["min", "max"]), *rows)
    assert decide(study("min"), *[(loss, -latency) for loss, latency in rows]) == expected
    assert decide(study(["max", "min"]), *[(-loss, -latency) for loss, latency in rows]) == expected
    assert {"stop", "continue"} == set(expected)


def test_a_skipped_rung_stays_without_a_value() -> None:
    scheduler = MOASHA(SPACE, metrics=["loss", "latency"], time_attr="epoch", max_t=9)
    asked = AskTell(scheduler)
    asked.tell(asked.ask(), epoch=4, loss=1.0, latency=1.0)
    levels = {row["level"]: len(row["entries"]) for row in scheduler.rung_table()}
    assert levels == {1: 0, 3: 1}


def test_a_trial_ends_at_the_highest_level() -> None:
    asked = study()
    trial = asked.ask()
    assert [asked.tell(trial, epoch=epoch, loss=1.0, latency=1.0) for epoch in range(1, 10)][-1] == "stop"


def test_constant_objectives_stop_nobody() -> None:
    assert decide(study(), *[(1.0, 1.0)] * 9) == ["continue"] * 9


@pytest.mark.parametrize("nonfinite", ["ignore", "worst"])
def test_what_is_not_finite_never_enters_a_rung_as_such(nonfinite: Any) -> None:
    scheduler = MOASHA(SPACE, metrics=["loss", "latency"], time_attr="epoch", max_t=9, nonfinite=nonfinite)
    decide(AskTell(scheduler), (1.0, 1.0), (float("nan"), 1.0), (2.0, float("inf")), (0.5, 0.5))
    entries = scheduler.rung_table()[0]["entries"]
    assert len(entries) == (2 if nonfinite == "ignore" else 4)
    assert entries[0] == (1, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": ["loss"]}, r"metrics=\['loss'\]: MOASHA needs two objectives at least. For one there is ASHA"),
        ({"metrics": "loss"}, "two objectives at least"),
        ({"metrics": None}, "MOASHA needs metrics="),
        ({"metric": ["a", "b"]}, "mean the same argument"),
        ({"metrics": ["loss", "loss"]}, "several different ones"),
        ({"mode": ["min"]}, "1 entries for 2 metrics"),
        ({"mode": ["min", "mx"]}, "Did you mean 'max'"),
        ({"time_attr": None}, "MOASHA needs time_attr="),
        ({"max_t": None}, "needs the highest resource level"),
        ({"reduction_factor": 1}, "reduction_factor=1"),
        ({"rung_levels": [1, 3], "reduction_factor": "3"}, "reduction_factor='3'"),
        ({"priority": "nondominated"}, "Did you mean 'non-dominated'"),
        ({"brackets": 9}, "there can be at most 3"),
        ({"searcher": "tpe"}, "learns one metric"),
    ],
)
def test_wrong_arguments_say_what_to_do(arguments: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"metrics": ["loss", "latency"], "time_attr": "epoch", "max_t": 9}
    with pytest.raises(InvalidArgument, match=message):
        MOASHA(SPACE, **{**usual, **arguments})


def test_a_name_of_a_peer_is_explained() -> None:
    with pytest.raises(UnknownArgument, match="reduction_factor="):
        MOASHA(SPACE, metrics=["a", "b"], time_attr="epoch", max_t=9, eta=3)  # type: ignore[call-arg]
