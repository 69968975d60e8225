"""Wrong input to runs in simulated time: a clear error or a stated policy, the nearest name, and nothing lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner, simulating
from offbeat.backend import SimulatedBackend
from offbeat.blackbox import FunctionBlackbox, TabularBlackbox, load_blackbox
from offbeat.config_space import ordinal, uniform
from offbeat.errors import BackendFailed, MetricMismatch, TooManyFailures
from offbeat.events import TrialResult, TrialStopped
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


@pytest.mark.parametrize("how", ["arun", "run"])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_blackbox_that_wants_to_end_the_program_fails_the_trial(lab: Any, how: str, error: BaseException) -> None:
    def leaves(config: Any, level: int, seed: int) -> Any:
        raise error

    tuner = lab.tuner(lab.home, RandomSearch(SPACE, "loss", **RANDOM), backend=SimulatedBackend(box(leaves)))
    with pytest.raises(TooManyFailures, match=type(error).__name__):
        lab.run(tuner) if how == "arun" else tuner.run()
    lab.check_closed(lab.home)


# --- backends that break


@pytest.mark.parametrize("durability", ["batch", "commit"])
@pytest.mark.parametrize(
    ("thinking", "said"),
    [
        (lambda start: 1 / 0, r"StartTrial for trial 0 failed with ZeroDivisionError"),
        (lambda start: 1 / (6 - start), r"StartTrial for trial 6 failed with ZeroDivisionError"),
        (lambda start: float("nan"), r"thinking_time\(0\) gave nan"),
    ],
)
def test_a_command_that_the_backend_does_not_take_ends_the_run(
    lab: Any, durability: str, thinking: Any, said: str
) -> None:
    backend = SimulatedBackend(box(plain), thinking_time=thinking)
    with pytest.raises(BackendFailed, match=said):
        outcomes(lab, backend, durability=durability)
    lab.check_closed(lab.home)
    before = lab.events(lab.home)
    assert before[-1].outcome == "failed"
    # Nothing is lost: the trials go on where they were.
    again = SimulatedBackend(box(plain))
    lab.run(Tuner.resume("run", home=lab.home, trial_backend=again, observers=[]))
    assert lab.events(lab.home)[: len(before)] == before
    assert {record.status for record in load("run", lab.home).ledger} == {Status.FINISHED}


# --- time that does not pass


def at_once(config: Mapping[str, Any], level: int, seed: int) -> dict[str, Any]:
    return {"loss": config["x"], "elapsed": 0}


@pytest.mark.parametrize("durability", ["batch", "commit"])
def test_a_limit_by_time_that_is_never_reached_ends_the_run(
    lab: Any, durability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulating, "STANDSTILL", 50)
    stop = StoppingCriterion(max_wallclock_time=5.0)
    with pytest.raises(
        BackendFailed, match=r"stands still: more than 50 trials began at 0 s, so that the limit at 5 s"
    ):
        outcomes(lab, box(at_once), stop_criterion=stop, durability=durability)
    lab.check_closed(lab.home)
    assert 50 < len(load("run", lab.home).ledger) < 70


def test_many_workers_and_trials_that_count_may_begin_at_one_time(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulating, "STANDSTILL", 50)
    stop = StoppingCriterion(max_wallclock_time=1.0)
    outcomes(lab, box(plain), stop_criterion=stop, n_workers=200)
    lab.home = lab.home / "counted"
    found = outcomes(lab, box(at_once), stop_criterion=StoppingCriterion(max_num_trials_started=200))
    assert len(found) == 200


def test_time_that_passes_now_and_then_is_enough(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulating, "STANDSTILL", 50)

    def seldom(config: Mapping[str, Any], level: int, seed: int) -> dict[str, Any]:
        return {"loss": config["x"], "elapsed": float(config["x"] > 0.5)}

    outcomes(lab, box(seldom), stop_criterion=StoppingCriterion(max_wallclock_time=30.0))
    assert lab.events(lab.home)[-1].at == 30.0
    assert len(load("run", lab.home).ledger) > 200


# --- limits that come in between


def test_a_limit_before_the_first_report_is_no_failure(lab: Any) -> None:
    slow = box(lambda c, n, s: {"loss": 0.5, "elapsed": 3.0}, levels=1)
    stop = StoppingCriterion(max_wallclock_time=2.5)
    found = outcomes(lab, SimulatedBackend(slow, delay_stop=2.0), stop_criterion=stop, n_workers=3)
    assert [one[:2] for one in found] == [(Status.INTERRUPTED, 0)] * 3
    assert lab.events(lab.home)[-1].at == 2.5
    more = StoppingCriterion(max_wallclock_time=6.0)
    lab.run(Tuner.resume("run", home=lab.home, trial_backend=SimulatedBackend(slow), stop_criterion=more, observers=[]))
    assert [record.status for record in load("run", lab.home).ledger][:3] == [Status.FINISHED] * 3


def test_the_end_of_a_run_ends_its_trials_without_delays(lab: Any) -> None:
    backend = SimulatedBackend(box(plain), delay_stop=1.0, delay_complete_after_stop=1.0)
    outcomes(lab, backend, stop_criterion=StoppingCriterion(max_num_evaluations=9))
    found = lab.events(lab.home)
    ends = [event for event in found if isinstance(event, TrialStopped)]
    last = [event for event in found if isinstance(event, TrialResult)][-1]
    assert (found[-1].outcome, found[-1].at) == ("done", last.at)
    assert [event.at for event in ends] == [last.at] * len(ends)
    assert {event.by for event in ends} == {"experiment"}
    assert not any(event.verdict == "late" for event in found if isinstance(event, TrialResult))
