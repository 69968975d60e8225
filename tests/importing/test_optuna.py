"""Real studies of Optuna, in a database and in a journal file, as experiments; its own numbers are the oracle."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from offbeat.errors import InvalidArgument, MissingExtra
from offbeat.events import TrialResult
from offbeat.importing import import_experiment
from offbeat.journal import read_journal
from offbeat.results import Experiment
from offbeat.space import Space, choice, loguniform, randint, uniform, when

optuna: Any = pytest.importorskip("optuna", reason="the extra `spaces` is not installed")


def sampler() -> Any:
    return optuna.samplers.RandomSampler(seed=1)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def curves(trial: Any) -> float:
    """Branches on the optimizer, reports from step 0 on, is pruned by the study, fails once."""
    lr = trial.suggest_float("lr", 1e-4, 1, log=True)
    if trial.number == 3:
        raise RuntimeError("boom")
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam"])
    momentum = trial.suggest_float("momentum", 0, 1) if optimizer == "sgd" else 0.0
    trial.set_user_attr("note", "kept")
    value = 0.0
    for step in range(6):
        value = (lr - 0.1) ** 2 + momentum + 1 / (step + 1)
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


def read(home: Path, source: str, **options: Any) -> Experiment:
    return import_experiment("optuna", source, home=home, **{"name": "past", **options})


def test_a_study_with_curves_pruned_and_failed_trials(url: str, tmp_path: Path) -> None:
    pruner = optuna.pruners.SuccessiveHalvingPruner()
    study = optuna.create_study(storage=url, study_name="mine", sampler=sampler(), pruner=pruner)
    study.optimize(curves, n_trials=15, catch=(RuntimeError,))
    before = (tmp_path / "study.db").read_bytes()
    experiment = read(tmp_path, url)
    assert (tmp_path / "study.db").read_bytes() == before
    # Trial 3 failed before all of its hyperparameters were there.
    told = {trial.number: trial for trial in study.trials if trial.number != 3}
    tags = {record.tags["origin"]: record for record in experiment.ledger}
    assert tags.keys() == told.keys()
    for number, trial in told.items():
        record = tags[number]
        assert record.config == trial.params
        assert record.status.value == {"COMPLETE": "finished", "PRUNED": "stopped"}[trial.state.name]
        assert record.tags["user_attrs"] == {"note": "kept"}
        points = {point.resource - 1: point.value for point in experiment.curve(record.id)}
        assert points == trial.intermediate_values
    best = experiment.best()
    assert best is not None
    assert best.value == study.best_value
    assert Space.from_json(experiment.spec.space) == Space(
        {
            "lr": loguniform(1e-4, 1.0),
            "optimizer": choice(["sgd", "adam"]),
            "momentum": when(uniform(0.0, 1.0), 'optimizer == "sgd"'),
        }
    )
    origin = experiment.spec.metadata["imported"]
    assert (origin["tool"], origin["version"], origin["name"]) == ("optuna", optuna.__version__, "mine")
    assert origin["source"] == str(tmp_path / "study.db")
    notes = "\n".join(origin["notes"])
    for piece in (
        "1 trial left out: failed, or still running",
        "spread evenly",
        "counted from 0",
        "'momentum' was assumed",
    ):
        assert piece in notes
    assert (experiment.spec.resource_attr, experiment.spec.max_t) == ("step", 6)


def test_a_value_that_is_not_the_last_steps_stands_there(url: str, tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        x = float(trial.suggest_float("x", 0, 1))
        for step in (1, 2, 3):
            trial.report(x + 10, step)
        return x

    study = optuna.create_study(storage=url, direction="minimize", sampler=sampler())
    study.optimize(objective, n_trials=3)
    experiment = read(tmp_path, url)
    assert [point.value for point in experiment.curve(0)][:2] == [study.trials[0].params["x"] + 10] * 2
    results = [e.event for e in read_journal(experiment.folder) if isinstance(e.event, TrialResult)]
    assert results[2].metrics == {"step": 3, "value": study.trials[0].value}
    assert results[2].raw == {"step": 3, "value": study.trials[0].value + 10}
    best = experiment.best()
    assert best is not None
    assert best.value == study.best_value


@pytest.mark.filterwarnings("ignore:.*set_metric_names is experimental")
def test_several_objectives_without_steps(url: str, tmp_path: Path) -> None:
    def objective(trial: Any) -> tuple[float, float]:
        x = trial.suggest_int("x", 1, 9)
        return x, 10 - x

    study = optuna.create_study(storage=url, directions=["minimize", "maximize"], sampler=sampler())
    study.set_metric_names(["size", "accuracy"])
    study.optimize(objective, n_trials=4)
    experiment = read(tmp_path, url)
    assert [(m.name, m.mode) for m in experiment.spec.metrics] == [("size", "min"), ("accuracy", "max")]
    assert experiment.spec.resource_attr is None
    assert [record.last for record in experiment.ledger] == [
        {"size": t.values[0], "accuracy": t.values[1]} for t in study.trials
    ]
    with pytest.raises(InvalidArgument, match="2 values a trial"):
        read(tmp_path, url, name="other", metric="loss")


def test_names_and_space_may_be_given(url: str, tmp_path: Path) -> None:
    study = optuna.create_study(storage=url, direction="maximize", sampler=sampler())
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("seed", 0, 99), n_trials=3)
    experiment = read(tmp_path, url, metric="accuracy", space={"x": uniform(-1, 2)})
    assert experiment.spec.metrics[0].name == "accuracy"
    assert experiment.spec.metrics[0].mode == "max"
    assert set(experiment.trials[0].config) == {"x"}
    assert "left out though they differ: seed" in "\n".join(experiment.spec.metadata["imported"]["notes"])


def test_ranges_that_changed_become_the_widest_one(url: str, tmp_path: Path) -> None:
    study = optuna.create_study(storage=url, sampler=sampler())
    for high in (4, 8):
        study.optimize(lambda trial, high=high: float(trial.suggest_int("x", 1, high)), n_trials=2)
    experiment = read(tmp_path, url)
    assert Space.from_json(experiment.spec.space) == Space({"x": randint(1, 8)})


def test_running_and_waiting_trials(url: str, tmp_path: Path) -> None:
    study = optuna.create_study(storage=url, sampler=sampler())
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    running = study.ask()
    running.suggest_float("x", 0, 1)
    running.report(0.5, 1)
    study.enqueue_trial({"x": 0.5})
    experiment = read(tmp_path, url)
    assert [record.status.value for record in experiment.ledger] == ["finished", "finished", "interrupted"]
    assert "not started yet" in "\n".join(experiment.spec.metadata["imported"]["notes"])


def test_a_journal_file_and_one_whose_last_line_is_half_written(tmp_path: Path) -> None:
    from optuna.storages.journal import JournalFileBackend

    path = tmp_path / "optuna.log"
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(path))), study_name="logged", sampler=sampler()
    )
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "worker')
    experiment = read(tmp_path, str(path), name=None)
    assert experiment.name == "logged"
    assert [record.last for record in experiment.ledger] == [{"value": t.value} for t in study.trials]
    lines = whole.split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], lines[3][:9], *lines[4:]]))
    with pytest.raises(InvalidArgument, match=r"optuna\.log cannot be read as a storage of Optuna"):
        read(tmp_path, str(path), name="other")


def test_what_is_no_study(url: str, tmp_path: Path) -> None:
    def told(source: str, **options: Any) -> str:
        with pytest.raises(InvalidArgument) as error:
            read(tmp_path, source, **options)
        assert not (tmp_path / "past").exists()
        return str(error.value)

    assert "there is no file" in told(url)
    assert not (tmp_path / "study.db").exists()
    for name in ("first", "second"):
        optuna.create_study(storage=url, study_name=name)
    assert "holds 2 studies" in told(url)
    assert "Did you mean 'first'?" in told(url, study="frist")
    assert "no trial that was started" in told(url, study="first", space={"x": uniform(0, 1)})
    assert "nothing to import" in told(url, study="first")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("create table t (a)")
    database.close()
    assert "not one of Optuna" in told(f"sqlite:///{other}")
    half = tmp_path / "half.db"
    half.write_bytes((tmp_path / "study.db").read_bytes()[:5000])
    assert "cannot be read as a storage of Optuna" in told(f"sqlite:///{half}")
    text = tmp_path / "text.log"
    text.write_text("no journal\nat all\n")
    assert "cannot be read as a storage of Optuna" in told(str(text))


def test_a_locked_database_is_named(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from offbeat_plugins.importers import optuna as importer

    monkeypatch.setattr(importer, "PATIENCE", 0.05)
    study = optuna.create_study(storage=url, sampler=sampler())
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with sqlite3.connect(tmp_path / "study.db", isolation_level=None) as database:
        database.execute("begin exclusive")
        with pytest.raises(InvalidArgument, match=r"locked\. Try again when nobody writes"):
            read(tmp_path, url)
        database.execute("rollback")
    database.close()
    assert len(read(tmp_path, url).ledger) == 1


def test_conditions_are_found_below_conditions_and_beside_none(url: str, tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        kind = trial.suggest_categorical("kind", ["net", "tree", None])
        if kind == "net":
            # Both are there together: neither may become the other's condition.
            trial.suggest_float("dropout", 0, 1)
            if trial.suggest_categorical("optimizer", ["sgd", "adam"]) == "sgd":
                trial.suggest_float("momentum", 0, 1)
        return float(trial.suggest_float("x", 0, 1))

    study = optuna.create_study(storage=url, sampler=sampler())
    study.optimize(objective, n_trials=20)
    experiment = read(tmp_path, url)
    assert [record.config for record in experiment.ledger] == [trial.params for trial in study.trials]
    assert Space.from_json(experiment.spec.space) == Space(
        {
            "x": uniform(0.0, 1.0),
            "kind": choice(["net", "tree", None]),
            "dropout": when(uniform(0.0, 1.0), 'kind == "net"'),
            "optimizer": when(choice(["sgd", "adam"]), 'kind == "net"'),
            "momentum": when(uniform(0.0, 1.0), 'optimizer == "sgd"'),
        }
    )


def test_a_hyperparameter_that_comes_and_goes_needs_a_space(url: str, tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        x = float(trial.suggest_float("x", 0, 1))
        return x + float(trial.suggest_float("y", 0, 1)) if trial.number % 2 else x

    optuna.create_study(storage=url, sampler=sampler()).optimize(objective, n_trials=4)
    with pytest.raises(InvalidArgument, match="'y' is in 2 of 4 trials, and no other one says in which: say space="):
        read(tmp_path, url)


def test_without_optuna_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"pip install 'offbeat\[spaces\]'"):
        read(tmp_path, "sqlite:///a.db")
