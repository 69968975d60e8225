"""Experiment folders of Syne Tune, written here as its version 0.13 writes them (and the metadata of 0.16)."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from offbeat.config_space import (
    choice,
    finrange,
    logfinrange,
    logordinal,
    lograndint,
    loguniform,
    ordinal,
    randint,
    uniform,
)
from offbeat.errors import InvalidArgument, InvalidSpace
from offbeat.importing import import_experiment
from offbeat.results import Experiment
from offbeat.space import Space

LOG = {"sampler_cls": "LogUniform", "sampler_kwargs": {"base": 2.718281828459045}}
EVEN: dict[str, Any] = {"sampler_cls": "Uniform", "sampler_kwargs": {}}
SPACE: dict[str, Any] = {
    "lr": {"domain_cls": "Float", "domain_kwargs": {"lower": 0.001, "upper": 1}, **LOG},
    "act": {"domain_cls": "Categorical", "domain_kwargs": {"categories": ["relu", "tanh"]}, **EVEN},
    "epochs": 9,
}
METADATA: dict[str, Any] = {
    "st_tuner_creation_timestamp": 1700000000.0,
    "entrypoint": "train",
    "backend": "LocalBackend",
    "metric_names": ["loss"],
    "metric_mode": "min",
    "scheduler_name": "ASHA",
    "config_space": json.dumps(SPACE),
    "st_tuner_start_timestamp": 1700000001.0,
}


def row(trial: int, epoch: int, at: float, decision: str = "CONTINUE", **others: Any) -> dict[str, Any]:
    """A report of a trial that takes 0.5 s an epoch."""
    return {
        "epoch": epoch, "loss": 1 / epoch + trial, "st_worker_timestamp": 1700000001 + at, "st_worker_time": epoch / 2,
        "st_worker_iter": epoch - 1, "st_decision": decision, "st_status": "InProgress", "trial_id": trial,
        "config_lr": 0.01 * (trial + 1), "config_act": ["relu", "tanh"][trial % 2], "config_epochs": 9,
        "st_tuner_time": at, **others,
    }  # fmt: skip


ROWS = [
    row(0, 1, 1.0), row(1, 1, 1.1, "STOP"), row(0, 2, 1.5), row(0, 3, 2.0, "STOP"), row(2, 1, 2.0), row(2, 2, 2.5),
]  # fmt: skip


def folder(path: Path, rows: list[dict[str, Any]], metadata: dict[str, Any] | None = None) -> Path:
    path.mkdir(exist_ok=True)
    (path / "metadata.json").write_text(json.dumps(METADATA if metadata is None else metadata))
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with zipfile.ZipFile(path / "results.csv.zip", "w") as archive:
        archive.writestr("results.csv", text.getvalue())
    (path / "tuner.dill").write_bytes(b"never to be opened")
    return path


def read(source: Path, **options: Any) -> Experiment:
    return import_experiment("syne-tune", source, home=source.parent / "home", **options)


def told(source: Path, **options: Any) -> str:
    with pytest.raises((InvalidArgument, InvalidSpace)) as error:
        read(source, **options)
    assert not (source.parent / "home").exists()
    return str(error.value)


def test_an_experiment_with_stopped_trials(tmp_path: Path) -> None:
    experiment = read(folder(tmp_path / "st-run", ROWS))
    assert experiment.name == "st-run"
    assert [r.status.value for r in experiment.ledger] == ["finished", "stopped", "interrupted"]
    assert [r.tags["origin"] for r in experiment.ledger] == [0, 1, 2]
    assert [(p.resource, p.value) for p in experiment.curve(0)] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    # The first trial was started half a second before its first report.
    assert [p.at for p in experiment.curve(0)] == [0.5, 1.0, 1.5]
    assert [r.started_at for r in experiment.ledger] == pytest.approx([0.0, 0.1, 1.0])
    assert experiment.sessions[0].started == 1700000001.5
    assert (experiment.spec.resource_attr, experiment.spec.max_t, experiment.limits.n_workers) == ("epoch", 3, 2)
    space = Space({"lr": loguniform(0.001, 1), "act": choice(["relu", "tanh"]), "epochs": 9})
    assert Space.from_json(experiment.spec.space) == space
    assert experiment.trials[1].config == {"act": "tanh", "lr": 0.02}


def test_a_promoted_trial_goes_on_as_its_next_attempt(tmp_path: Path) -> None:
    rows = [
        row(0, 1, 1.0, "PAUSE", config_epochs=1), row(1, 1, 1.2, "PAUSE", config_epochs=1),
        row(0, 1, 3.0, config_epochs=3), row(0, 2, 3.5, config_epochs=3), row(0, 3, 4.0, "PAUSE", config_epochs=3),
    ]  # fmt: skip
    experiment = read(folder(tmp_path / "st-run", rows))
    first, second = experiment.ledger
    assert (first.status.value, first.attempt, first.resource, experiment.n_late) == ("paused", 1, 3, 1)
    assert (second.status.value, second.attempt) == ("paused", 0)
    assert experiment.curve(0)[-1].attempt == 1
    # What the scheduler wrote among the hyperparameters is none.
    assert experiment.spec.space["epochs"] == {"constant": 9}
    assert "epochs" not in experiment.trials[0].config


def test_metadata_of_version_016_and_values_that_are_no_numbers(tmp_path: Path) -> None:
    metadata = {
        **METADATA, "metric": "loss", "metric_names": ["loss", "size"], "metric_mode": ["min", "max"],
        "scheduler_kwargs": {"time_attr": "epoch"},
    }  # fmt: skip
    rows = [{**one, "size": 3.5} for one in ROWS]
    rows[0]["loss"], rows[2]["size"] = "nan", ""
    experiment = read(folder(tmp_path / "st-run", rows, metadata))
    assert [(m.name, m.mode) for m in experiment.spec.metrics] == [("loss", "min"), ("size", "max")]
    assert [p.resource for p in experiment.curve(0)] == [3]
    assert experiment.ledger.trials[0].rejected == 2  # type: ignore[index]


def test_every_kind_of_domain(tmp_path: Path) -> None:
    described = {
        "a": {"domain_cls": "Float", "domain_kwargs": {"lower": 0, "upper": 1}, **EVEN},
        "b": {"domain_cls": "OrdinalNearestNeighbor", "domain_kwargs": {"categories": [1, 2, 4], "log_scale": False}},
        "c": {
            "domain_cls": "FiniteRange",
            "domain_kwargs": {"lower": 1, "upper": 8, "log_scale": True, "cast_int": False, "size": 4},
        },
        "d": {
            "domain_cls": "FiniteRange",
            "domain_kwargs": {"lower": 0, "upper": 4, "log_scale": False, "cast_int": True, "size": 5},
        },
        "f": {"domain_cls": "Integer", "domain_kwargs": {"lower": 1, "upper": 100}, **LOG},
        "g": {"domain_cls": "OrdinalNearestNeighbor", "domain_kwargs": {"categories": [1, 10], "log_scale": True}},
        "h": {"domain_cls": "Ordinal", "domain_kwargs": {"categories": [1, 2, 4]}, **EVEN},
        "i": {"domain_cls": "Integer", "domain_kwargs": {"lower": 1, "upper": 3}, **EVEN},
    }
    config = {"a": 0.5, "b": 2, "c": 1.0, "d": 3, "f": 7, "g": 10, "h": 4, "i": 2}
    bare = {k: v for k, v in row(0, 1, 1.0).items() if not k.startswith("config_")}
    rows = [{**bare, **{f"config_{name}": value for name, value in config.items()}}]
    source = folder(tmp_path / "st-run", rows, {**METADATA, "config_space": described})
    experiment = read(source, resource_attr="epoch")
    assert Space.from_json(experiment.spec.space) == Space(
        {
            "a": uniform(0, 1), "b": ordinal([1, 2, 4], "nn"), "c": logfinrange(1, 8, 4), "d": finrange(0, 4, 5, True),
            "f": lograndint(1, 100), "g": logordinal([1, 10]), "h": ordinal([1, 2, 4], "equal"), "i": randint(1, 3),
        }
    )  # fmt: skip
    assert experiment.trials[0].config == config


def test_without_a_space_the_values_suggest_one(tmp_path: Path) -> None:
    metadata = {name: value for name, value in METADATA.items() if name != "config_space"}
    experiment = read(folder(tmp_path / "st-run", ROWS, metadata))
    assert Space.from_json(experiment.spec.space) == Space(
        {"lr": uniform(0.01, 0.03), "act": choice(["relu", "tanh"]), "epochs": 9}
    )
    notes = "\n".join(experiment.spec.metadata["imported"]["notes"])
    assert "has no space" in notes
    assert "the domain of 'lr' was guessed from 3 values" in notes


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    two = [{**one, "step": one["epoch"] * 100} for one in ROWS]
    assert "'epoch' and 'step' all count" in told(folder(tmp_path / "two", two))
    assert read(folder(tmp_path / "two", two), resource_attr="step", name="ok").spec.max_t == 300
    (tmp_path / "home").rename(tmp_path / "done")
    assert "Did you mean 'epoch'?" in told(folder(tmp_path / "two", two), resource_attr="epochs")
    assert "Did you mean 'loss'?" in told(folder(tmp_path / "two", ROWS), metric="los", mode="min")
    bare = {name: value for name, value in METADATA.items() if not name.startswith("metric")}
    assert "does not say what was optimised: pass metric=, one of 'epoch', 'loss'" in told(
        folder(tmp_path / "bare", ROWS, bare)
    )
    assert "pass mode='min' or 'max'" in told(folder(tmp_path / "bare", ROWS, bare), metric="loss")


def test_what_is_no_experiment(tmp_path: Path) -> None:
    assert "There is no folder" in told(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "has no metadata.json" in told(empty)
    (empty / "metadata.json").write_text('{"metric_names": ["lo')
    assert "metadata.json is no JSON" in told(empty)
    (empty / "metadata.json").write_text("{}")
    assert "has no results.csv.zip" in told(empty)
    assert "has no result" in told(folder(tmp_path / "none", []))
    broken = folder(tmp_path / "broken", ROWS)
    whole = (broken / "results.csv.zip").read_bytes()
    (broken / "results.csv.zip").write_bytes(whole[: len(whole) // 2])
    assert "results.csv.zip cannot be read: it is no whole archive. Copy it again" in told(broken)
    middle = whole.index(b"results.csv") + len(b"results.csv") + 4
    (broken / "results.csv.zip").write_bytes(whole[:middle] + b"\xff" * 8 + whole[middle + 8 :])
    assert "results.csv.zip cannot be read: it is no whole archive" in told(broken)
    with zipfile.ZipFile(broken / "results.csv.zip", "w") as archive:
        archive.writestr("results.csv", b"trial_id,st_tuner_time,loss\n\xff\xfe\n")
    assert "results.csv.zip cannot be read: its table is no CSV" in told(broken)
    with zipfile.ZipFile(broken / "results.csv.zip", "w") as archive:
        archive.writestr("results.csv", "trial_id,st_tuner_time,loss\n0,1.0,0.5\n1,2.0\n")
    assert "results.csv.zip, line 3: not a table of Syne Tune" in told(broken)
    odd = {**SPACE, "lr": {"domain_cls": "Dirichlet", "domain_kwargs": {}}}
    assert "'lr' cannot be read as a domain" in told(
        folder(tmp_path / "odd", ROWS, {**METADATA, "config_space": json.dumps(odd)})
    )
