"""Wrong input to runs in simulated time: a clear error or a stated policy, the nearest name, and nothing lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SimulatedBackend
from offbeat.blackbox import FunctionBlackbox, TabularBlackbox, load_blackbox
from offbeat.config_space import ordinal, uniform
from offbeat.errors import MetricMismatch, TooManyFailures
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.results import load
from offbeat.trial import Status

SPACE = {"x": uniform(0, 1)}

RANDOM: dict[str, Any] = {"random_seed": 0, "points_to_evaluate": []}


def box(function: Any, space: Any = SPACE, **options: Any) -> FunctionBlackbox:
    return FunctionBlackbox(function, space, **{"levels": 3, "objectives": ["loss"], **options})


def plain(config: Mapping[str, Any], level: int, seed: int) -> dict[str, Any]:
    return {"loss": config["x"] / level, "elapsed": level}


def outcomes(lab: Any, backend: Any, scheduler: Any = None, **options: Any) -> list[tuple[Status, int, str]]:
    """How the trials of a run ended, how far they came and why."""
    blackbox = backend if isinstance(backend, SimulatedBackend) else SimulatedBackend(backend)
    search = scheduler or RandomSearch(SPACE, "loss", resource_attr="epoch", **RANDOM)
    lab.run(lab.tuner(lab.home, search, backend=blackbox, **options))
    lab.check_closed(lab.home)
    return [(record.status, record.resource, record.reason) for record in load("run", lab.home).ledger]


# --- names


def test_an_unknown_metric_gets_the_nearest(lab: Any) -> None:
    search = RandomSearch(load_blackbox("digits").space, "val_eror", resource_attr="epoch", **RANDOM)
    with pytest.raises(MetricMismatch, match=r"expects the metric 'val_eror'\. Did you mean 'val_error'"):
        outcomes(lab, SimulatedBackend("digits"), search)


def test_an_unknown_resource_gets_the_nearest(lab: Any) -> None:
    search = RandomSearch(load_blackbox("digits").space, "val_error", resource_attr="epochs", **RANDOM)
    with pytest.raises(MetricMismatch, match=r"expects the resource 'epochs'\. Did you mean 'epoch'"):
        outcomes(lab, SimulatedBackend("digits"), search)


def test_an_unknown_hyperparameter_gets_the_nearest(lab: Any) -> None:
    search = RandomSearch({"xx": uniform(0, 1)}, "loss", **RANDOM)
    with pytest.raises(TooManyFailures, match=r"the blackbox needs hyperparameter 'x'\. Did you mean 'xx'"):
        outcomes(lab, box(plain), search)


def test_hyperparameters_that_the_blackbox_does_not_have_are_passed_over(lab: Any) -> None:
    search = RandomSearch({**SPACE, "y": uniform(0, 1)}, "loss", resource_attr="epoch", **RANDOM)
    assert {one[:2] for one in outcomes(lab, box(plain), search)} == {(Status.FINISHED, 3)}


# --- configurations


def table(**options: Any) -> TabularBlackbox:
    values = [[[[i / level, level] for level in (1, 2, 3)]] for i in range(4)]
    configs = [{"x": i} for i in range(4)]
    objectives: Any = {"loss": "min", "elapsed": None}
    return TabularBlackbox(
        {"x": ordinal([0, 1, 2, 3])}, configs, values, objectives=objectives, levels=(1, 2, 3), elapsed_attr="elapsed",
        **options,
    )  # fmt: skip


def test_configurations_that_are_not_in_the_table_fail_and_the_others_go_on(lab: Any) -> None:
    search = RandomSearch({"x": ordinal([0, 1, 2, 3, 4, 5])}, "loss", resource_attr="epoch", **RANDOM)
    found = outcomes(lab, table(), search, stop_criterion=None)
    failed = [one for one in found if one[0] is Status.FAILED]
    assert (len(found), len(failed)) == (6, 2)
    assert all("is not in the table of 4 configurations; the nearest one is {'x': 3}" in one[2] for one in failed)
    assert {one[:2] for one in found if one not in failed} == {(Status.FINISHED, 3)}


def test_or_the_nearest_one_answers_for_them(lab: Any) -> None:
    search = RandomSearch({"x": ordinal([0, 1, 2, 3, 4, 5])}, "loss", resource_attr="epoch", **RANDOM)
    found = outcomes(lab, table(nearest=True), search, stop_criterion=None)
    assert [one[:2] for one in found] == [(Status.FINISHED, 3)] * 6


# --- times and resources


def falls(config: Mapping[str, Any], level: int, seed: int) -> dict[str, Any]:
    return {"loss": config["x"], "elapsed": 4 - level if config["x"] > 0.5 else level}


def test_times_that_fall_fail_the_trial_or_are_repaired(lab: Any) -> None:
    found = outcomes(lab, box(falls))
    failed = [one for one in found if one[0] is Status.FAILED]
    assert 0 < len(failed) < len(found)
    assert {one[2] for one in failed} == {
        "elapsed falls from 3 to 2 at level 2; it has to be cumulative. falling_time='running-max' takes the highest so far."
    }
    lab.home = lab.home / "repaired"
    found = outcomes(lab, SimulatedBackend(box(falls), falling_time="running-max"))
    assert {one[:2] for one in found} == {(Status.FINISHED, 3)}


def promotion(levels: int) -> ASHA:
    space = {**SPACE, "epochs": levels}
    return ASHA(space, "loss", type="promotion", resource_attr="epoch", max_resource_attr="epochs", **RANDOM)


def test_only_what_is_to_run_past_the_table_s_end_fails(lab: Any) -> None:
    found = outcomes(lab, SimulatedBackend(box(plain), max_resource_attr="epochs"), promotion(9))
    failed = [one for one in found if one[0] is Status.FAILED]
    assert failed
    assert {one[1:] for one in failed} == {(3, "epochs=9 is past the blackbox's last level, 3")}
    assert {one[0] for one in found} == {Status.FAILED, Status.PAUSED}


def test_nobody_told_how_far_runs_to_the_table_s_end(lab: Any) -> None:
    scheduler = ASHA(SPACE, "loss", resource_attr="epoch", max_t=9, **RANDOM)
    found = outcomes(lab, box(plain), scheduler)
    assert {one[0] for one in found} == {Status.FINISHED, Status.STOPPED}
    assert {one[1] for one in found if one[0] is Status.FINISHED} == {3}


# --- blackboxes that break


def breaks(config: Mapping[str, Any], level: int, seed: int) -> dict[str, Any]:
    if config["x"] > 0.5:
        raise KeyError("no such row")
    return plain(config, level, seed)


def test_what_raises_fails_its_trial_and_no_other(lab: Any) -> None:
    found = outcomes(lab, box(breaks), max_retries=1)
    failed = [one for one in found if one[0] is Status.FAILED]
    assert 0 < len(failed) < len(found)
    assert {one[2] for one in failed} == {"KeyError: 'no such row'"}
    assert {one[:2] for one in found if one not in failed} == {(Status.FINISHED, 3)}


def test_too_many_failures_end_the_run_and_it_goes_on_with_a_better_blackbox(lab: Any) -> None:
    with pytest.raises(TooManyFailures, match="KeyError: 'no such row'"):
        outcomes(lab, box(breaks), max_failures=2)
    before = lab.events(lab.home)
    backend = SimulatedBackend(box(plain))
    lab.run(Tuner.resume("run", home=lab.home, trial_backend=backend, max_failures=None, observers=[]))
    after = lab.events(lab.home)
    assert after[: len(before)] == before
    ended = [record.status for record in load("run", lab.home).ledger]
    assert ended.count(Status.FAILED) == 3
    assert ended.count(Status.FINISHED) == 17


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "answered a NoneType, not a mapping"),
        ({"loss": [1, 2], "elapsed": [1, 2, 3]}, "'loss' has shape 2, but there are 3 levels"),
        ({"los": [1, 2, 3], "elapsed": [1, 2, 3]}, "no 'loss'. Did you mean 'los'?"),
        ({"loss": [[1], [2], [3]], "elapsed": [1, 2, 3]}, r"a curve holds \[1\]"),
    ],
)
def test_what_answers_in_a_wrong_shape_is_named(lab: Any, answer: Any, said: str) -> None:
    with pytest.raises(TooManyFailures, match=said):
        outcomes(lab, box(lambda config, levels, seed: answer, whole_curve=True))


def test_a_limit_in_simulated_time_holds_where_most_trials_fail(lab: Any) -> None:
    faults = {"crashes_per_hour": 3000.0}
    stop = StoppingCriterion(max_wallclock_time=100.5)
    outcomes(lab, SimulatedBackend(box(plain), faults=faults), stop_criterion=stop)
    assert lab.events(lab.home)[-1].at == 100.5
