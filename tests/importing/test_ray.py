"""Experiment folders of Ray Tune, written here as its version 2 writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from offbeat.config_space import choice, loguniform, randint, uniform
from offbeat.errors import InvalidArgument
from offbeat.importing import import_experiment
from offbeat.results import Experiment
from offbeat.space import Space

BEGAN = 1700000000.0
PICKLE = {"_type": "CLOUDPICKLE_FALLBACK", "value": "80054e2e"}


def report(iteration: int, *, began: float, since: int | None = None, **metrics: Any) -> dict[str, Any]:
    """A report of a trial that takes two seconds an iteration; `since`: iterations since it was restored."""
    passed = 2.0 * (iteration if since is None else since)
    return {
        **metrics, "timestamp": int(began + passed), "checkpoint_dir_name": None, "done": False,
        "training_iteration": iteration, "trial_id": "x", "date": "2023-11-14_22-13-20", "time_this_iter_s": 2.0,
        "time_total_s": 2.0 * iteration, "pid": 1, "hostname": "h", "node_ip": "192.0.2.1", "config": {},
        "time_since_restore": passed, "iterations_since_restore": iteration if since is None else since,
    }  # fmt: skip


class Folder:
    """A results folder that grows trial by trial."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.states: list[list[str]] = []

    def trial(
        self, name: str, config: dict[str, Any], reports: list[dict[str, Any]], status: str = "TERMINATED",
        error: str = "", began: float = BEGAN,
    ) -> Path:  # fmt: skip
        own = self.path / f"train_{name}"
        own.mkdir()
        (own / "params.json").write_text(json.dumps(config))
        (own / "params.pkl").write_bytes(b"never to be opened")
        (own / "result.json").write_text("".join(json.dumps(one) + "\n" for one in reports))
        if error:
            (own / "error.txt").write_text(error)
        trial = {"trial_id": name, "config": {**config, "fn": PICKLE}, "status": status, "relative_logdir": own.name}
        run = {"start_time": began if reports else None}
        self.states.append([json.dumps(trial), json.dumps(run)])
        return own

    def state(self) -> Path:
        whole = {"trial_data": self.states, "runner_data": {"_metric": "loss"}, "stats": {"start_time": BEGAN}}
        (self.path / "experiment_state-2023-11-14_22-13-20.json").write_text(json.dumps(whole))
        return self.path


def losses(values: list[Any], began: float = BEGAN) -> list[dict[str, Any]]:
    return [report(i, began=began, loss=value) for i, value in enumerate(values, 1)]


def config(lr: float, units: int, name: str) -> dict[str, Any]:
    return {"lr": lr, "units": units, "optimizer": {"name": name}, "fixed": 7, "fn": "<function f at 0x7f>"}


@pytest.fixture
def results(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "tuned")
    made.trial("a", config(0.001, 1, "sgd"), losses([3.0, 2.0, 1.0]))
    made.trial("b", config(0.5, 2, "adam"), losses([9.0], BEGAN + 1), began=BEGAN + 1)
    made.trial(
        "c", config(0.1, 3, "sgd"), losses([4.0, float("nan")], BEGAN + 3), "ERROR", "Traceback\nE: boom\n", BEGAN + 3
    )
    made.trial("d", config(0.2, 4, "sgd"), losses([5.0], BEGAN + 6), "RUNNING", began=BEGAN + 6)
    made.trial("e", config(0.2, 4, "sgd"), [], "PENDING")
    return made


def read(source: Path, **options: Any) -> Experiment:
    return import_experiment("ray", source, home=source.parent / "home", **{"metric": "loss", "mode": "min", **options})


def told(source: Path, **options: Any) -> str:
    with pytest.raises(InvalidArgument) as error:
        read(source, **options)
    assert not (source.parent / "home").exists()
    return str(error.value)


def test_an_experiment(results: Folder) -> None:
    experiment = read(results.state())
    statuses = {record.tags["origin"]: record.status.value for record in experiment.ledger}
    assert statuses == {"a": "finished", "b": "stopped", "c": "failed", "d": "interrupted"}
    assert [(p.resource, p.value, p.at) for p in experiment.curve(0)] == [(1, 3.0, 2.0), (2, 2.0, 4.0), (3, 1.0, 6.0)]
    assert experiment.trials[2].reason == "E: boom"
    assert experiment.ledger.trials[2].rejected == 1  # type: ignore[index]
    assert Space.from_json(experiment.spec.space) == Space(
        {"lr": loguniform(0.001, 0.5), "units": randint(1, 4), "optimizer.name": choice(["adam", "sgd"]), "fixed": 7}
    )
    assert (experiment.spec.resource_attr, experiment.spec.max_t) == ("training_iteration", 3)
    assert experiment.sessions[0].started == BEGAN
    notes = "\n".join(experiment.spec.metadata["imported"]["notes"])
    assert "'lr' was guessed from 4 values" in notes
    assert "1 trial ended before training_iteration 3: taken to have been stopped" in notes


def test_without_its_state_file_the_folders_tell_it(results: Folder) -> None:
    experiment = read(results.path)
    assert sorted(r.status.value for r in experiment.ledger) == ["failed", "finished", "stopped", "stopped"]
    assert "no experiment_state" in "\n".join(experiment.spec.metadata["imported"]["notes"])


def test_a_restored_trial_goes_on_and_repeats_do_not_count(tmp_path: Path) -> None:
    made = Folder(tmp_path / "tuned")
    again = [report(i, began=BEGAN + 100, since=i - 1, loss=10.0 - i) for i in (2, 3)]
    made.trial("a", {"lr": 0.1}, [*losses([9.5, 8.5]), *again], began=BEGAN + 100)
    made.trial("b", {"lr": 0.2}, losses([9.0, 8.0, 7.0]))
    experiment = read(made.state())
    first = next(record for record in experiment.ledger if record.tags["origin"] == "a")
    assert (first.attempt, first.reports, experiment.n_late, first.status.value) == (1, 3, 1, "finished")
    assert [(p.resource, p.value, p.at) for p in experiment.curve(first.id)] == [
        (1, 9.5, 2.0),
        (2, 8.5, 4.0),
        (3, 7.0, 104.0),
    ]


def test_metric_and_mode_have_to_be_said(results: Folder) -> None:
    source = results.state()
    assert "pass metric=, one of 'loss'" in told(source, metric=None, mode=None)
    assert "pass mode='min' or 'max'" in told(source, mode=None)
    assert "Did you mean 'loss'?" in told(source, metric="los")
    assert "Did you mean 'training_iteration'?" in told(source, resource_attr="training_iter")
    assert read(source, metric="time_total_s").spec.metrics[0].name == "time_total_s"


def test_a_line_that_was_cut_off_is_left_out_and_any_other_is_named(results: Folder) -> None:
    path = results.path / "train_a" / "result.json"
    whole = path.read_text()
    path.write_text(whole[:-40])
    experiment = read(results.state())
    assert experiment.trials[0].reports == 2
    assert "train_a: the last line was cut off" in "\n".join(experiment.spec.metadata["imported"]["notes"])
    (results.path.parent / "home").rename(results.path.parent / "done")
    path.write_text("{half\n" + whole)
    assert "result.json, line 1: no JSON" in told(results.path)


def test_what_is_no_experiment(tmp_path: Path) -> None:
    assert "There is no folder" in told(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "neither experiment_state-*.json nor folders of trials" in told(empty)
    (empty / "experiment_state-1.json").write_text('{"trial_data": [["')
    assert "cannot be read as a state of Ray Tune" in told(empty)
    (empty / "experiment_state-1.json").write_text('{"trial_data": []}')
    assert "no trial that has reported anything" in told(empty)


def test_what_no_choice_can_be_made_of(tmp_path: Path) -> None:
    made = Folder(tmp_path / "tuned")
    for i in range(101):
        made.trial(str(i), {"lr": i / 1000, "path": f"/run/{i}"}, losses([1.0]))
    source = made.state()
    assert "'path' has 101 different values that are no numbers" in told(source)
    experiment = read(source, space={"lr": uniform(0, 1)})
    assert "left out though they differ: path" in "\n".join(experiment.spec.metadata["imported"]["notes"])
