"""The backend over the repository: the talk's listing on a folder, surrogates in a run, resuming, and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import BlackboxRepositoryBackend
from offbeat.blackbox import BlackboxRepository, TabularBlackbox, load_blackbox
from offbeat.cli import main
from offbeat.config_space import choice, logfinrange, loguniform
from offbeat.errors import InvalidArgument, UnknownBlackbox
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.results import load as results
from offbeat.space import Space

pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra blackbox)")

SPACE = {"lr": logfinrange(1e-4, 1.0, 13), "op": choice(["a", "b"])}
LEVELS = 9


def table(shift: float = 0.0) -> TabularBlackbox:
    """Best where lr is 0.01; 2 seeds; a level takes 10 s."""
    configs = list(Space(SPACE).grid())
    values = np.empty((len(configs), 2, LEVELS, 2))
    for i, config in enumerate(configs):
        loss = abs(np.log10(config["lr"]) + 2) + (config["op"] == "b") + shift
        values[i, :, :, 0] = loss + 1 / np.arange(1, LEVELS + 1)
        values[i, 1, :, 0] += 0.001
        values[i, :, :, 1] = 10 * np.arange(1, LEVELS + 1)
    return TabularBlackbox(
        SPACE, configs, values, objectives={"metric_valid_error": "min", "metric_elapsed_time": None},
        levels=range(1, LEVELS + 1), resource_attr="hp_epoch", elapsed_attr="metric_elapsed_time",
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the folder `nasbench201`, and a folder for experiments."""
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path / "experiments"))
    repository = tmp_path / "repository"
    BlackboxRepository(repository).write("nasbench201", {"cifar10": table(), "cifar100": table(1.0)})
    return repository


def asha(space: Any, **options: Any) -> ASHA:
    settings = {"metric": "metric_valid_error", "resource_attr": "hp_epoch", "max_resource_attr": "epochs", **options}
    return ASHA({**Space.of(space).domains, "epochs": LEVELS}, random_seed=3, **settings)


def tuned(backend: BlackboxRepositoryBackend, scheduler: Any, name: str, trials: int = 12) -> Tuner:
    return Tuner(
        backend,
        scheduler,
        StoppingCriterion(max_num_trials_started=trials),
        n_workers=4,
        name=name,
        observers=[],
    )


def test_the_talk_s_listing_on_a_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBEAT_BLACKBOXES", str(root))
    trial_backend = BlackboxRepositoryBackend(
        blackbox_name="nasbench201",
        dataset="cifar100",
    )
    assert trial_backend.default_name == "nasbench201-cifar100"
    tuner = tuned(trial_backend, RandomSearch(SPACE, metric="metric_valid_error", random_seed=1), "talk")
    assert tuner.run().outcome == "done"
    best = tuner.best()
    assert best is not None
    assert best.value == pytest.approx(
        float(load_blackbox("nasbench201", "cifar100").curve(best.config, 0)["metric_valid_error"][-1]), abs=0.0011
    )  # type: ignore[arg-type]


def test_a_run_resumes_from_its_journal_with_the_same_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another working folder too."""
    monkeypatch.chdir(tmp_path)

    def backend() -> BlackboxRepositoryBackend:
        return BlackboxRepositoryBackend(
            "nasbench201", "cifar10", repository=root.name, max_resource_attr="epochs", seed=1,
            config_space_surrogate={"lr": loguniform(1e-4, 1.0), "op": choice(["a", "b"])},
            add_surrogate_kwargs={"separate_seeds": True},
        )  # fmt: skip

    space = backend().blackbox.space
    whole = tuned(backend(), asha(space), "whole", trials=20)
    whole.run()
    part = tuned(backend(), asha(space), "part", trials=8)
    part.run()
    monkeypatch.chdir(root)
    resumed = Tuner.resume("part", stop_criterion=StoppingCriterion(max_num_trials_started=20), observers=[])
    assert resumed.run().outcome == "done"
    first, second = (results(tmp_path / "experiments" / name) for name in ("whole", "part"))
    assert [r.config for r in first.ledger][:8] == [r.config for r in second.ledger][:8]
    assert len(second.ledger) == 20
    for record in second.ledger:
        lr = 10 ** (round(np.log10(record.config["lr"]) * 3) / 3)
        expected = abs(np.log10(lr) + 2) + (record.config["op"] == "b") + 0.001 + 1 / record.resource
        assert record.last["metric_valid_error"] == pytest.approx(expected, abs=1e-6)


def test_a_regressor_by_name_answers_for_every_configuration(root: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra trees)")
    backend = BlackboxRepositoryBackend(
        "nasbench201", "cifar10", repository=root, max_resource_attr="epochs",
        surrogate="KNeighborsRegressor", surrogate_kwargs={"n_neighbors": 2},
        add_surrogate_kwargs={"predict_curves": True, "fit_differences": ["metric_elapsed_time"]},
        config_space_surrogate={"lr": loguniform(1e-4, 1.0), "op": choice(["a", "b"])},
    )  # fmt: skip
    assert backend.blackbox.seeds == 2
    tuner = tuned(backend, asha(backend.blackbox.space), "regressed")
    outcome = tuner.run()
    assert outcome.outcome == "done"
    assert results(outcome.folder).counts().get("failed", 0) == 0


def test_wrong_arguments_are_explained(root: Path) -> None:
    for arguments, kind, said in (
        ({"blackbox_name": "nasbench202"}, UnknownBlackbox, "Did you mean 'nasbench201'"),
        ({"dataset": "cifar"}, InvalidArgument, "Did you mean 'cifar10'"),
        ({"surrogate": "KNeighbors"}, InvalidArgument, "Did you mean 'KNeighborsRegressor'"),
        ({"surrogate_kwargs": {"n": 1}}, InvalidArgument, "name it by surrogate="),
        ({"add_surrogate_kwargs": {"predict_curve": True}}, InvalidArgument, "Did you mean 'predict_curves'"),
        ({"elapsed_time_attr": "metric_time"}, InvalidArgument, "Did you mean 'metric_elapsed_time'"),
        ({"seed": 2}, InvalidArgument, "replicates 0 to 1"),
        ({"surogate": None}, InvalidArgument, "Did you mean 'surrogate'"),
    ):
        given: dict[str, Any] = {"blackbox_name": "nasbench201", "dataset": "cifar10", "repository": root, **arguments}
        with pytest.raises(kind, match=said):
            BlackboxRepositoryBackend(**given)


# --- the command line


def test_blackboxes_lists_plugins_and_folders(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "broken").mkdir()
    (root / "broken" / "objectives_evaluations.npy").write_bytes(b"x")
    assert main(["blackboxes", "--repository", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line}
    assert rows["digits"][1:6] == ["plugin", "1", "252", "3", "27"]
    assert rows["nasbench201"][1:7] == ["folder", "shared-table", "2", "26", "2", "9"]
    assert "cannot be read" in next(line for line in lines if line.startswith("broken "))
    assert any(line.startswith("broken: ") and "metadata.json" in line for line in lines)
    assert main(["blackboxes", "--repository", str(root), "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["nasbench201"]["tasks"][1]["task"] == "cifar100"
    assert found["broken"]["problem"]


def test_blackboxes_shows_and_verifies_one(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blackboxes", "nasbench201", "--repository", str(root), "--verify"]) == 0
    out = capsys.readouterr().out
    assert "metric_elapsed_time  seconds of training" in out
    assert "metric_valid_error  min" in out
    assert "whole: every task can be read" in out
    path = root / "nasbench201" / "objectives_evaluations.npy"
    path.write_bytes(path.read_bytes()[:-4])
    assert main(["blackboxes", "nasbench201", "--repository", str(root), "--verify"]) == 1
    assert "objectives_evaluations.npy cannot be used: it is no whole NumPy array" in capsys.readouterr().out
    assert main(["blackboxes", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"][0]["configurations"] == 252


def test_blackboxes_with_wrong_names(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blackboxes", "nasbench2001", "--repository", str(root)]) == 2
    assert "Did you mean 'nasbench201'" in capsys.readouterr().err
    assert main(["blackboxes", "--verify"]) == 2
    assert "offbeat blackboxes NAME --verify" in capsys.readouterr().err


def test_sim_runs_on_a_folder(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sim", "--blackbox", "nasbench201", "--dataset", "cifar10", "--repository", str(root), "--json"]
    assert main([*command, "--max-num-trials-started", "10", "--seed", "4"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["experiments"]
    assert (row["metric"], row["outcome"], row["trials"]) == ("metric_valid_error", "done", 10)
