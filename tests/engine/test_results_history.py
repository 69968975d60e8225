"""Histories and rungs of an experiment: attempts, results and comparisons, as another reading of the journal has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner, load_experiment
from offbeat import events as ev
from offbeat.backend import SimulatedBackend
from offbeat.blackbox import FunctionBlackbox
from offbeat.config_space import uniform
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, read_journal
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.results import Experiment
from offbeat.results.history import Result, Span, history
from offbeat.results.rungs import rungs

LEVELS = 9


def curves(config: Any, levels: Any, seed: int) -> dict[str, Any]:
    loss = [config["x"] + 1 / n for n in levels.tolist()]
    if 0.1 < config["x"] < 0.2:
        loss[2] = float("nan")
    return {"loss": loss, "size": [1.0] * len(loss), "elapsed": levels * (1.0 + config["x"])}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """ASHA by promotion with preemptions: pauses, resumes, losses, failures."""
    return made(tmp_path_factory.mktemp("history"), ASHA)


def made(home: Path, scheduler: Any) -> Experiment:
    options: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 1}
    if scheduler is ASHA:
        options["type"] = "promotion"
    space = {"x": uniform(0, 1)}
    box = FunctionBlackbox(curves, space, levels=LEVELS, objectives=["loss", "size"], whole_curve=True)
    Tuner(
        SimulatedBackend(box, max_resource_attr="epochs", faults={"preemptions_per_hour": 200.0}),
        scheduler({**space, "epochs": LEVELS}, "loss", **options),
        StoppingCriterion(max_num_trials_started=40),
        name="run",
        home=home,
        observers=[],
    ).run()
    return load_experiment(home / "run")


def test_spans_are_the_attempts(experiment: Experiment) -> None:
    ends = {ev.TrialFinished: "finished", ev.TrialPaused: "paused", ev.TrialFailed: "failed", ev.TrialLost: "lost"}
    began: dict[tuple[int, int], Any] = {}
    expected = []
    for recorded in read_journal(experiment.folder):
        event = recorded.event
        if isinstance(event, ev.TrialStarted | ev.TrialResumed):
            began[event.trial, event.attempt] = event
        elif type(event) in ends:
            start = began[event.trial, event.attempt]  # type: ignore[attr-defined]
            expected.append(Span(start.trial, start.attempt, start.slot, start.at, event.at, ends[type(event)]))  # type: ignore[arg-type]
    found = history(experiment).spans
    assert sorted(found) == sorted(expected)
    assert {span.how for span in found} == {"finished", "paused", "failed", "lost"}
    assert [span.began for span in found] == sorted(span.began for span in found)


def test_results_are_those_that_count(experiment: Experiment) -> None:
    found = history(experiment).results
    for trial in experiment.trials:
        expected = [(point.resource, point.value, point.at) for point in trial.curve()]
        assert [(r.resource, r.value("loss"), r.at) for r in found.get(trial.id, [])] == expected
    assert sum(map(len, found.values())) == experiment.n_results


def test_reports_that_were_not_usable_are_kept_apart(experiment: Experiment) -> None:
    rejected = history(experiment).rejected
    assert [one.trial for one in rejected] == [
        r.event.trial for r in read_journal(experiment.folder) if isinstance(r.event, ev.ReportRejected)
    ]
    assert rejected
    assert all(one.slot >= 0 for one in rejected)


def test_values_that_are_no_numbers() -> None:
    result = Result(1, 0.0, {"loss": "nan", "name": "adam", "fine": True, "n": 3}, "continue")
    assert str(result.value("loss")) == "nan"
    assert [result.value(name) for name in ("name", "fine", "n", "absent")] == [None, None, 3.0, None]


def test_an_attempt_without_an_end_is_open(experiment: Experiment, tmp_path: Path) -> None:
    events = [recorded.event for recorded in read_journal(experiment.folder)]
    first = next(place for place, event in enumerate(events) if isinstance(event, ev.TrialStarted))
    folder = ExperimentFolder(tmp_path / "torn")
    with Journal.create(folder) as journal:
        journal.commit(events[: first + 1], sync=False)
    (span,) = history(load_experiment(folder.path)).spans
    assert (span.how, span.ended) == ("open", None)


def test_who_is_cut_off_by_the_end_of_a_session_was_not_stopped(experiment: Experiment, tmp_path: Path) -> None:
    events = [recorded.event for recorded in read_journal(experiment.folder)]
    first = next(place for place, event in enumerate(events) if isinstance(event, ev.TrialStarted))
    start = events[first]
    assert isinstance(start, ev.TrialStarted)
    folder = ExperimentFolder(tmp_path / "ended")
    with Journal.create(folder) as journal:
        journal.commit([*events[: first + 1], ev.TrialStopped(9.0, start.trial, 0, "experiment")], sync=False)
    (span,) = history(load_experiment(folder.path)).spans
    assert (span.how, span.ended) == ("interrupted", 9.0)


def test_rungs_hold_what_was_reported_at_their_levels(experiment: Experiment) -> None:
    found = rungs(experiment)
    assert [rung.level for rung in found] == [1, 3]
    told = history(experiment).results
    for rung in found:
        expected = sorted(
            value
            for results in told.values()
            for r in results
            if r.resource == rung.level and (value := r.value("loss"))
        )
        assert [value for value, _ in rung.entries] == expected
    paused = {trial.id for trial in experiment.trials if trial.status.value == "paused"}
    assert {trial for rung in found for trial in rung.waiting} == paused


def test_schedulers_without_rungs_have_none(tmp_path: Path) -> None:
    assert rungs(made(tmp_path, RandomSearch)) == []
