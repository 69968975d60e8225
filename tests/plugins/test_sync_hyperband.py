"""Synchronous Hyperband against golden sequences, an independent reference of its rung rule, and bad inputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat import StoppingCriterion, Tuner
from offbeat.config_space import choice, uniform
from offbeat.errors import InvalidArgument
from offbeat.events import (
    TrialFailed,
    TrialFinished,
    TrialStarted,
)
from offbeat.optimizer.baselines import SyncHyperband
from offbeat.trial import Status, TrialId
from offbeat_plugins.schedulers.brackets import Bracket, Planned, hyperband

SPACE: dict[str, Any] = {"lr": uniform(0, 1)}


# --- brackets


@pytest.mark.parametrize(
    ("max_t", "expected"),
    [
        (
            81,
            "[81@1 27@3 9@9 3@27 1@81] [34@3 12@9 4@27 2@81] [15@9 5@27 2@81] [8@27 3@81] [5@81]",
        ),
        (27, "[27@1 9@3 3@9 1@27] [12@3 4@9 2@27] [6@9 2@27] [4@27]"),
        (9, "[9@1 3@3 1@9] [5@3 2@9] [3@9]"),
    ],
)
def test_golden_brackets(max_t: int, expected: str) -> None:
    plans = hyperband(max_t)
    assert " ".join("[" + " ".join(f"{n}@{level}" for n, level in plan) + "]" for plan in plans) == expected


@given(grace=st.integers(1, 9), beyond=st.integers(1, 300), factor=st.floats(1.1, 6))
@settings(deadline=None)
def test_levels_rise_to_max_t_and_slots_never_grow(grace: int, beyond: int, factor: float) -> None:
    for plan in hyperband(grace + beyond, grace_period=grace, reduction_factor=factor):
        levels, slots = [rung.level for rung in plan], [rung.slots for rung in plan]
        assert levels == sorted(set(levels))
        assert levels[-1] == grace + beyond
        assert levels[0] >= grace
        assert slots == sorted(slots, reverse=True)
        assert slots[-1] >= 1


def entered(plan: Sequence[tuple[int, int]], count: int) -> Bracket:
    bracket = Bracket(0, [Planned(*rung) for rung in plan])
    for trial in range(count):
        bracket.enter(TrialId(trial))
    return bracket


def test_golden_bracket() -> None:
    bracket = entered([(9, 1), (4, 3), (1, 9)], 9)
    for trial, value in enumerate((3, 5, 1, 4, 9, 6, 2, 7, 8)):
        assert not bracket.waiting
        bracket.record(TrialId(trial), float(value))
    assert list(bracket.waiting) == [2, 6, 0, 3]
    for trial in (2, 6, 0, 3):
        assert bracket.resume(TrialId(trial)) == 3
    for trial, value in ((2, 3.1), (6, 3.0), (0, 2.9), (3, 3.0)):
        assert not bracket.waiting
        bracket.record(TrialId(trial), value)
    assert list(bracket.waiting) == [0]


def reference(outcomes: Sequence[float | None], slots: int) -> list[int]:
    """Who gets the slots of the next rung: repeatedly the first of the smallest values that are left."""
    left = {trial: value for trial, value in enumerate(outcomes) if value is not None}
    chosen: list[int] = []
    while left and len(chosen) < slots:
        lowest = min(left.values())
        first = min(trial for trial, value in left.items() if value == lowest)
        chosen.append(first)
        del left[first]
    return chosen


@given(st.data())
@settings(deadline=None)
def test_the_next_rung_is_the_references_whatever_the_order_of_arrival(data: st.DataObject) -> None:
    values = st.none() | st.integers(0, 4).map(float)
    outcomes = data.draw(st.lists(values, min_size=2, max_size=12))
    slots = data.draw(st.integers(1, len(outcomes)))
    bracket = entered([(len(outcomes), 1), (slots, 3)], len(outcomes))
    for trial in data.draw(st.permutations(range(len(outcomes)))):
        assert not bracket.waiting
        bracket.record(TrialId(trial), outcomes[trial])
    assert list(bracket.waiting) == reference(outcomes, slots)
    assert bracket.done == (not bracket.waiting)


def test_one_that_ends_before_its_turn_is_not_waited_for() -> None:
    bracket = entered([(3, 1), (2, 3), (1, 9)], 3)
    for trial in range(3):
        bracket.record(TrialId(trial), float(trial))
    bracket.end(TrialId(0))
    assert list(bracket.waiting) == [1]
    bracket.resume(TrialId(1))
    bracket.record(TrialId(1), 5.0)
    assert list(bracket.waiting) == [1]


def test_a_rung_that_nobody_reaches_ends_the_bracket() -> None:
    bracket = entered([(2, 1), (1, 3)], 2)
    bracket.end(TrialId(0))
    assert not bracket.done
    bracket.end(TrialId(1))
    assert bracket.done


def test_a_bracket_that_is_closed_shrinks_in_proportion() -> None:
    bracket = entered([(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)], 20)
    bracket.close()
    assert [rung.slots for rung in bracket.rungs] == [20, 7, 3, 1, 1]


# --- the scheduler


@pytest.fixture
def begin(bracket_game: Any) -> Any:
    return partial(bracket_game, SyncHyperband)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_two_brackets_side_by_side(begin: Any, mode: str) -> None:
    play = begin(mode=mode)
    assert [play.ask() for _ in range(9)] == [f"+{trial}@1" for trial in range(9)]
    # The first bracket has no free slot: the next one is opened, nobody is idle.
    assert play.ask() == "+9@3"
    for trial, value in enumerate((3, 5, 1, 4, 9, 6, 2, 7)):
        assert play.report(trial, 1, value) == "P"
    assert play.ask() == "+10@3"
    assert play.report(8, 1, 8) == "P"
    # The older bracket comes first.
    assert [play.ask() for _ in range(4)] == ["2@3", "6@3", "0@3", "+11@3"]
    assert [play.report(trial, 3, value) for trial, value in ((2, 1.0), (6, 1.0), (0, 2.0))] == ["P", "P", "P"]
    assert play.ask() == "2@9"
    assert [play.report(2, level, 1.0) for level in (4, 8, 9)] == ["-", "-", "S"]


def test_brackets_take_turns(begin: Any) -> None:
    play = begin()
    assert [play.ask().partition("@")[2] for _ in range(9 + 5 + 3 + 1)] == ["1"] * 9 + ["3"] * 5 + ["9"] * 3 + ["1"]


def test_trials_that_fail_or_end_early_never_block_and_never_go_on(begin: Any) -> None:
    play = begin(brackets=1)
    for _ in range(9):
        play.ask()
    for trial in range(7):
        play.end(trial, TrialFailed, "exit status 1")
    play.end(7, TrialFinished)
    assert play.report(8, 1, 99.0) == "P"
    assert play.ask() == "8@3"
    assert play.report(8, 3, 99.0) == "P"
    assert play.ask() == "8@9"


def test_a_retry_keeps_its_slot(begin: Any) -> None:
    play = begin(brackets=1)
    for _ in range(9):
        play.ask()
    for trial in range(1, 9):
        play.report(trial, 1, trial)
    play.show(TrialFailed(0.0, TrialId(0), 0, "exit status 1", retry=True))
    assert play.ledger[TrialId(0)].status is Status.QUEUED
    assert play.ask() == "+9@1"
    play.show(TrialStarted(0.0, TrialId(0), 1, 0))
    assert play.report(0, 1, 0.0) == "P"
    assert play.ask() == "0@3"


def test_all_failing_opens_the_next_bracket(begin: Any) -> None:
    play = begin()
    for trial in range(9):
        play.ask()
        play.end(trial, TrialFailed, "exit status 1")
    assert play.ask() == "+9@3"


def test_a_report_between_levels_counts_at_the_lower_one_and_one_beyond_the_next_does_not(begin: Any) -> None:
    play = begin(brackets=1)
    for _ in range(9):
        play.ask()
    assert play.report(0, 2, 1.0) == "P"
    assert play.report(1, 3, 0.0) == "S"
    assert "level 1: no report before 3" in play.why
    for trial in range(2, 9):
        play.report(trial, 1, trial)
    assert play.ask() == "0@3"
    assert play.report(0, 10, 1.0) == "S"


def test_a_script_that_was_told_its_maximum_ends_by_itself(begin: Any) -> None:
    play = begin(space={**SPACE, "epochs": 9}, max_t=None, max_resource_attr="epochs", grace_period=8, brackets=1)
    assert [play.ask() for _ in range(3)] == ["+0@8", "+1@8", "+2@8"]
    assert [play.report(trial, 8, trial) for trial in range(3)] == ["P"] * 3
    assert play.ask() == "0@9"
    assert play.report(0, 9, 0.0) == "C"


def test_without_new_trials_the_best_of_a_short_rung_go_on(begin: Any) -> None:
    play = begin(brackets=1)
    for _ in range(4):
        play.ask()
    for trial, value in enumerate((4, 2, 3)):
        play.report(trial, 1, value)
    assert play.ask(may_start=False) == "-"
    play.report(3, 1, 1)
    assert [play.ask(may_start=False) for _ in range(3)] == ["3@3", "1@3", "-"]
    play.report(3, 3, 5)
    play.report(1, 3, 4)
    assert [play.ask(may_start=False) for _ in range(2)] == ["1@9", "-"]


def test_an_exhausted_space_ends_with_a_trial_at_max_t(begin: Any) -> None:
    play = begin(space={"kind": choice(["a", "b"])}, brackets=1)
    assert [play.ask(), play.ask(), play.ask()] == ["+0@1", "+1@1", "-"]
    play.report(0, 1, 2)
    play.report(1, 1, 1)
    assert play.ask() == "1@3"
    play.report(1, 3, 1)
    assert play.ask() == "1@9"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"resource_attr": None}, "needs resource_attr="),
        ({"max_t": None}, "needs the highest resource level"),
        ({"max_resource_attr": "epochs"}, "max_resource_attr='epochs' is not in config_space"),
        ({"max_t": 0}, "max_t=0"),
        ({"max_t": 2.5}, "max_t=2.5"),
        ({"grace_period": 9}, "grace_period=9 leaves no rung"),
        ({"grace_period": 0}, "grace_period=0"),
        ({"reduction_factor": 1}, "reduction_factor=1"),
        ({"reduction_factor": float("nan")}, "reduction_factor=nan"),
        ({"brackets": 4}, "there are 3"),
        ({"brackets": 0}, "brackets=0"),
        ({"eta": 3}, "reduction_factor="),
    ],
)
def test_bad_arguments(begin: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        begin(**options)


def test_several_metrics_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="ranks trials by one metric"):
        SyncHyperband(SPACE, ["loss", "cost"], resource_attr="epoch", max_t=9)  # type: ignore[arg-type]


def test_a_run_in_simulated_time_fills_the_slots_of_two_brackets(simulation: Any) -> None:
    scheduler = SyncHyperband(
        {"rate": uniform(0, 1), "pace": choice([1, 2, 3]), "epochs": 9},
        "loss",
        resource_attr="epoch",
        max_resource_attr="epochs",
        random_seed=3,
    )
    tuner = Tuner(
        trial_backend=simulation.backend(),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=17),
        n_workers=4,
        home=simulation.fresh(),
        observers=[],
    )
    tuner.run()
    rungs = scheduler.rung_table()
    first = [(row["level"], len(row["entries"])) for row in rungs if row["system"] == 0]
    assert first == [(1, 9), (3, 3), (9, 1)]
    second = [(row["level"], len(row["entries"])) for row in rungs if row["system"] == 1]
    assert second == [(3, 5), (9, 2)]
