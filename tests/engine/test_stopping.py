from __future__ import annotations

import itertools
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat import registry
from offbeat.arguments import UnknownArgument
from offbeat.budget import Usage
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument
from offbeat.events import TrialFinished, TrialResult, TrialStarted
from offbeat.stopping import (
    Combined,
    PlateauStopper,
    Stopper,
    StoppingCriterion,
    Verdict,
    as_stopper,
)
from offbeat.trial import TrialId

GO_ON, NO_NEW_TRIALS, END = Verdict.GO_ON, Verdict.NO_NEW_TRIALS, Verdict.END


def usage(watched: tuple[str, ...] = (), **values: Any) -> Usage:
    made = Usage(watched)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def reported(made: Usage, trial: int, **metrics: Any) -> Usage:
    made.apply(TrialResult(0.0, TrialId(trial), 0, 0, 1, metrics))
    return made


class Fixed:
    """A stranger's stopper: no base class, no operators of its own."""

    watched_metrics = ("loss",)

    def __init__(self, verdict: Verdict, at: float | None = None) -> None:
        self._verdict, self._at = verdict, at

    def verdict(self, usage: Usage) -> Verdict:
        return self._verdict

    def reason(self, usage: Usage) -> str:
        return f"fixed {self._verdict.name}" if self._verdict else ""

    def next_time(self, usage: Usage) -> float | None:
        return self._at


# --- limits


@pytest.mark.parametrize(
    ("limit", "attribute", "severity", "words"),
    [
        ("max_wallclock_time", "elapsed", END, "10.0 s have passed"),
        ("max_num_evaluations", "results", END, "10 results"),
        ("max_num_trials_started", "started", NO_NEW_TRIALS, "10 trials started"),
        ("max_num_trials_completed", "completed", END, "10 trials completed"),
        ("max_num_trials_finished", "finished", END, "10 trials ended"),
        ("max_cost", "cost", END, "10.00 spent"),
    ],
)
def test_each_limit_holds_exactly(limit: str, attribute: str, severity: Verdict, words: str) -> None:
    criterion = StoppingCriterion(**{limit: 10})  # type: ignore[arg-type]
    below = usage(**{attribute: 9.999 if severity is END and attribute in ("elapsed", "cost") else 9})
    assert criterion.verdict(below) is GO_ON
    assert criterion.reason(below) == ""
    reached = usage(**{attribute: 10})
    assert criterion.verdict(reached) is severity
    assert criterion.reason(reached) == f"{limit}=10 reached: {words}"


def test_a_hundred_trials_started_means_a_hundred() -> None:
    criterion, used = StoppingCriterion(max_num_trials_started=100), Usage()
    started = 0
    while criterion.verdict(used) is GO_ON:
        used.apply(TrialStarted(0.0, TrialId(started), 0, 0))
        started += 1
    assert started == 100


def test_metric_values_that_are_good_enough_end_the_run() -> None:
    criterion = StoppingCriterion(min_metric_value={"loss": 0.5}, max_metric_value={"accuracy": 0.9})
    assert set(criterion.watched_metrics) == {"loss", "accuracy"}
    used = Usage(criterion.watched_metrics)
    assert criterion.verdict(used) is GO_ON
    reported(used, 0, loss=0.51, accuracy=0.89)
    assert criterion.verdict(used) is GO_ON
    reported(used, 0, accuracy=0.9)
    assert criterion.verdict(used) is END
    assert criterion.reason(used) == "max_metric_value of accuracy=0.9 reached: 0.9"
    reported(used, 0, loss=0.5)
    assert criterion.reason(used) == "min_metric_value of loss=0.5 reached: 0.5"


def test_a_metric_that_is_never_reported_never_ends_the_run() -> None:
    assert StoppingCriterion(min_metric_value={"lsos": 0.5}).verdict(Usage()) is GO_ON


def test_the_severest_of_several_limits_counts() -> None:
    criterion = StoppingCriterion(max_num_trials_started=5, max_num_evaluations=50)
    assert criterion.verdict(usage(started=5)) is NO_NEW_TRIALS
    both = usage(started=5, results=50)
    assert criterion.verdict(both) is END
    assert criterion.reason(both) == "max_num_evaluations=50 reached: 50 results"


def test_next_time_is_the_time_limit_until_it_has_come() -> None:
    criterion = StoppingCriterion(max_wallclock_time=30, max_num_evaluations=5)
    assert criterion.next_time(usage(elapsed=29.0)) == 30
    assert criterion.next_time(usage(elapsed=30.0)) is None
    assert StoppingCriterion(max_num_evaluations=5).next_time(Usage()) is None


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({}, "has no limit"),
        ({"max_num_evaluations": 0}, "max_num_evaluations=0 would end the run before it has begun"),
        ({"max_wallclock_time": 0}, "max_wallclock_time=0 would end the run"),
        ({"max_wallclock_time": -1.5}, "max_wallclock_time=-1.5 is negative"),
        ({"max_wallclock_time": float("nan")}, "max_wallclock_time=nan"),
        ({"max_wallclock_time": float("inf")}, "leave it out for no limit"),
        ({"max_wallclock_time": "30"}, "max_wallclock_time='30'"),
        ({"max_num_trials_started": 2.5}, "give a whole number"),
        ({"max_num_trials_started": True}, "max_num_trials_started=True"),
        ({"min_metric_value": {}}, "min_metric_value={}"),
        ({"min_metric_value": 0.5}, "give a dict of metric names and values"),
        ({"max_metric_value": {"loss": float("nan")}}, "max_metric_value['loss']=nan"),
    ],
)
def test_impossible_limits_are_refused(arguments: dict[str, Any], fragment: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        StoppingCriterion(**arguments)
    assert fragment in str(caught.value)


def test_unknown_limits_get_a_hint() -> None:
    with pytest.raises(UnknownArgument, match="Use max_num_trials_started="):
        StoppingCriterion(n_trials=3)  # type: ignore[call-arg]
    with pytest.raises(UnknownArgument, match="Did you mean 'max_wallclock_time'"):
        StoppingCriterion(max_walclock_time=3)  # type: ignore[call-arg]


# --- combining


@pytest.mark.parametrize(("one", "other"), list(itertools.product(Verdict, Verdict)))
def test_or_is_the_severest_and_and_the_mildest(one: Verdict, other: Verdict) -> None:
    anything, everything = Combined([Fixed(one), Fixed(other)], "any"), Combined([Fixed(one), Fixed(other)], "all")
    assert anything.verdict(Usage()) is max(one, other)
    assert everything.verdict(Usage()) is min(one, other)
    assert bool(anything.reason(Usage())) is (max(one, other) is not GO_ON)
    assert everything.reason(Usage()) == (f"fixed {one.name} and fixed {other.name}" if one and other else "")


def test_operators_take_criteria_strangers_and_functions_on_either_side() -> None:
    started, quick = StoppingCriterion(max_num_trials_started=5), StoppingCriterion(max_wallclock_time=3)

    def enough(used: Usage) -> bool:
        return used.results >= 2

    for criterion in (started & enough, enough & started):
        assert criterion.verdict(usage(started=5, results=1)) is GO_ON
        assert criterion.verdict(usage(started=5, results=2)) is NO_NEW_TRIALS
        assert "enough is true" in criterion.reason(usage(started=5, results=2))
    for criterion in (started | enough, enough | started):
        assert criterion.verdict(usage(results=2)) is END
        assert criterion.reason(usage(results=2)) == "enough is true"
    mixed = (started | quick | Fixed(GO_ON, 2.0)) & PlateauStopper("accuracy")
    assert isinstance(mixed, Stopper)
    assert mixed.how == "all"
    assert len(mixed.criteria[0].criteria) == 3, "a chain of one kind is one list"  # type: ignore[attr-defined]
    assert set(mixed.watched_metrics) == {"loss", "accuracy"}
    assert mixed.next_time(Usage()) == 2.0


@given(st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=5))
def test_order_does_not_matter(verdicts: list[Verdict]) -> None:
    for how, choose in (("any", max), ("all", min)):
        straight = Combined([Fixed(verdict) for verdict in verdicts], how)  # type: ignore[arg-type]
        reverse = Combined([Fixed(verdict) for verdict in verdicts[::-1]], how)  # type: ignore[arg-type]
        assert straight.verdict(Usage()) is reverse.verdict(Usage()) is choose(verdicts)


def test_a_function_may_answer_a_verdict() -> None:
    criterion = as_stopper(lambda used: NO_NEW_TRIALS if used.started > 2 else GO_ON)
    assert criterion.verdict(usage(started=2)) is GO_ON
    assert criterion.verdict(usage(started=3)) is NO_NEW_TRIALS
    assert criterion.next_time(Usage()) is None


def test_what_is_no_criterion_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"is a class: call it, as in StoppingCriterion\(\.\.\.\)"):
        as_stopper(StoppingCriterion)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="stop_criterion=30"):
        as_stopper(30)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="how='both'"):
        Combined([Fixed(END)], "both")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="at least one"):
        Combined([], "any")
    stopper = Fixed(END)
    assert as_stopper(stopper) is stopper


# --- plateau


def runs(criterion: PlateauStopper, *best_of_each: float) -> list[Verdict]:
    """One trial after the other reports one value and ends; the verdict after each end."""
    used = Usage(criterion.watched_metrics)
    verdicts = []
    for trial, value in enumerate(best_of_each):
        reported(used, trial, loss=value)
        used.apply(TrialFinished(0.0, TrialId(trial), 0))
        verdicts.append(criterion.verdict(used))
    return verdicts


def test_plateau_golden() -> None:
    criterion = PlateauStopper("loss", std=0.1, num_trials=2, patience=1)
    assert runs(criterion, 4.0, 3.0) == [GO_ON, GO_ON]
    assert runs(criterion, 4.0, 3.0, 3.0, 3.0, 3.0)[-1] is END
    assert runs(criterion, 3.0, 3.0, 3.0)[-1] is END


def test_plateau_looks_at_the_best_so_far_not_at_the_values() -> None:
    assert runs(PlateauStopper("loss", std=0.1, num_trials=2), 1.0, 50.0) == [GO_ON, END]
    assert runs(PlateauStopper("loss", std=0.1, num_trials=2, mode="max"), 1.0, 50.0, 2.0) == [GO_ON, GO_ON, END]


def test_patience_asks_for_several_in_a_row() -> None:
    values = (5.0, 5.0, 4.0, 4.0, 4.0, 4.0)
    assert runs(PlateauStopper("loss", num_trials=2, patience=3), *values) == [GO_ON] * 5 + [END]
    assert runs(PlateauStopper("loss", num_trials=2, patience=0), *values)[1] is END


def test_a_running_trial_that_gets_better_keeps_the_run_alive() -> None:
    criterion = PlateauStopper("loss", std=0.1, num_trials=2)
    used = Usage(criterion.watched_metrics)
    for trial in (0, 1):
        reported(used, trial, loss=1.0)
        used.apply(TrialFinished(0.0, TrialId(trial), 0))
    assert criterion.verdict(used) is END
    assert criterion.reason(used) == "loss stands at 1.0 over the last 2 trials (deviation at most 0.1)"
    reported(used, 2, loss=0.5)
    assert criterion.verdict(used) is GO_ON
    assert criterion.reason(used) == ""


@given(st.lists(st.integers(0, 6), min_size=1, max_size=20), st.integers(2, 5), st.integers(0, 3), st.integers(0, 4))
def test_plateau_equals_a_numpy_reference(values: list[int], num_trials: int, patience: int, tenths: int) -> None:
    std = tenths / 4 + 1e-9
    best = np.minimum.accumulate(values)
    flat = [
        end >= num_trials and float(np.std(best[end - num_trials : end])) <= std for end in range(1, len(values) + 1)
    ]
    need = max(1, patience)
    expected = [END if i + 1 >= need and all(flat[i + 1 - need : i + 1]) else GO_ON for i in range(len(flat))]
    criterion = PlateauStopper("loss", std=std, num_trials=num_trials, patience=patience)
    assert runs(criterion, *map(float, values)) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        {"metric": ""},
        {"metric": "loss", "std": -1},
        {"metric": "loss", "std": float("nan")},
        {"metric": "loss", "num_trials": 1},
        {"metric": "loss", "patience": -1},
        {"metric": "loss", "patience": 0.5},
        {"metric": "loss", "mode": "minimum"},
    ],
)
def test_an_impossible_plateau_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        PlateauStopper(**arguments)


# --- the journal's view


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stoppers' entry points, whatever is installed."""
    found = []
    for name, target in (
        ("combined", "offbeat.combining:Combined"),
        ("criterion", "offbeat.stopping:StoppingCriterion"),
        ("plateau", "offbeat.stopping:PlateauStopper"),
    ):
        info = registry.PluginInfo("offbeat.stoppers", name, "offbeat", "0", target)
        found.append((info, EntryPoint(name, target, "offbeat.stoppers")))
    table = {"offbeat.stoppers": tuple(found)}
    monkeypatch.setattr(registry, "_entries", lambda group: table.get(group, ()))


@pytest.mark.usefixtures("entry_points")
def test_criteria_can_be_written_down_and_built_again() -> None:
    made = (
        StoppingCriterion(max_wallclock_time=30, min_metric_value={"loss": 0.1})
        | PlateauStopper("loss", num_trials=3)
        | StoppingCriterion(10)
    ) & StoppingCriterion(max_num_evaluations=7)
    description = describe(made, "offbeat.stoppers")
    assert description.options is not None
    again = build(description)
    assert repr(again) == repr(made)
    assert again.verdict(usage(elapsed=40.0, results=7)) is END
    assert again.verdict(usage(elapsed=40.0, results=6)) is GO_ON


@pytest.mark.usefixtures("entry_points")
def test_a_function_cannot_be_written_down() -> None:
    made = StoppingCriterion(max_cost=3) | (lambda used: used.failed > 3)
    assert describe(made, "offbeat.stoppers").options is None
