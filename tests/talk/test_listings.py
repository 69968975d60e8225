"""The talk's listings: the same calls with the same arguments, the import root aside. Methods come later than the engine:
where the talk names BayesianOptimization, RandomSearch and ASHA stand in, with the same arguments.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from offbeat.errors import MetricMismatch

ANNOTATED = """
# train_neural_network.py
import time
from offbeat import Reporter
from argparse import ArgumentParser

if __name__ == '__main__':
    parser = ArgumentParser()
    parser.add_argument('--epochs', type=int)
    parser.add_argument('--num_layers', type=int)
    parser.add_argument('--learning_rate', type=float)
    args, _ = parser.parse_known_args()
    report = Reporter()
    for epoch in range(args.epochs):
        mean_loss = args.num_layers * args.learning_rate / (epoch + 1)
        report({metric}=mean_loss, epoch=epoch + 1)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path / "experiments"))
    return tmp_path


def test_the_annotated_script_runs_by_itself_and_prints_its_reports(folder: Path) -> None:
    import subprocess

    (folder / "train_network.py").write_text(ANNOTATED.format(metric="mean_loss"))
    done = subprocess.run(
        [sys.executable, "train_network.py", "--epochs", "2", "--num_layers", "3", "--learning_rate", "1e-5"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "mean_loss" in done.stdout
    assert "epoch" in done.stdout


@pytest.mark.parametrize("method", ["RandomSearch", "ASHA", "MOBSTER"])
def test_the_launch_script_runs_with_a_script_that_fits_it(folder: Path, method: str) -> None:
    from offbeat import StoppingCriterion, Tuner
    from offbeat.backend import LocalBackend
    from offbeat.config_space import loguniform, randint
    from offbeat.optimizer import baselines

    (folder / "train_network.py").write_text(ANNOTATED.format(metric="val_loss"))
    # hyperparameter search space to consider
    config_space = {
        "epochs": 100,
        "num_layers": randint(1, 20),
        "learning_rate": loguniform(1e-6, 1e-4),
    }
    extra: dict[str, Any] = (
        {"resource_attr": "epoch", "max_resource_attr": "epochs"} if method != "RandomSearch" else {}
    )
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point="train_network.py"),
        scheduler=getattr(baselines, method)(config_space, metric="val_loss", **extra),
        stop_criterion=StoppingCriterion(max_wallclock_time=30) | StoppingCriterion(max_num_trials_finished=6),
        n_workers=4,  # how many trials are evaluated in parallel
    )
    outcome = tuner.run()
    assert outcome.outcome == "done"
    assert tuner.best() is not None


def test_the_backend_listing_names_a_script_and_workers(folder: Path) -> None:
    from offbeat import StoppingCriterion, Tuner
    from offbeat.backend import LocalBackend
    from offbeat.optimizer.baselines import RandomSearch

    (folder / "train_network.py").write_text(ANNOTATED.format(metric="val_loss"))
    backend = LocalBackend(entry_point="train_network.py")
    space = {
        "epochs": 3,
        "num_layers": 2,
        "learning_rate": __import__("offbeat.config_space").config_space.uniform(0, 1),
    }
    tuner = Tuner(
        trial_backend=backend, n_workers=4, scheduler=RandomSearch(space, metric="val_loss"),
        stop_criterion=StoppingCriterion(max_num_trials_started=4),
    )  # fmt: skip
    assert tuner.run().outcome == "done"


def test_the_simulated_listing_names_a_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is a small one of the same name and shape: the talk's own is fetched from the hub."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra blackbox)")
    import numpy as np

    from offbeat import StoppingCriterion, Tuner
    from offbeat.backend import BlackboxRepositoryBackend
    from offbeat.blackbox import BlackboxRepository, TabularBlackbox
    from offbeat.config_space import choice
    from offbeat.optimizer.baselines import RandomSearch

    space = {f"hp_x{i}": choice(["none", "skip_connect"]) for i in range(6)}
    configs = [{name: domain.values[i >> k & 1] for k, (name, domain) in enumerate(space.items())} for i in range(64)]
    values = np.random.default_rng(0).random((64, 3, 200, 2), dtype=np.float32)
    values[..., 1] = np.arange(1, 201)
    names = {"metric_valid_error": "min", "metric_elapsed_time": None}
    table = TabularBlackbox(
        space, configs, values, objectives=names, levels=range(1, 201), resource_attr="hp_epoch",
        elapsed_attr="metric_elapsed_time",
    )  # fmt: skip
    monkeypatch.setenv("OFFBEAT_BLACKBOXES", str(folder / "tables"))
    BlackboxRepository().write("nasbench201", {"cifar10": table, "cifar100": table})

    trial_backend = BlackboxRepositoryBackend(
        blackbox_name="nasbench201",
        dataset="cifar100",
    )
    tuner = Tuner(
        trial_backend=trial_backend, n_workers=4, scheduler=RandomSearch(space, metric="metric_valid_error"),
        stop_criterion=StoppingCriterion(max_num_trials_finished=8),
    )  # fmt: skip
    assert tuner.run().outcome == "done"


def test_the_multi_objective_listing_names_both_metrics_and_their_modes(folder: Path) -> None:
    from offbeat import StoppingCriterion, Tuner, load_experiment
    from offbeat.backend import LocalBackend
    from offbeat.config_space import loguniform, randint
    from offbeat.optimizer.baselines import MOASHA

    # Its script counts under the name that the listing calls time_attr, and reports both metrics.
    script = ANNOTATED.format(metric="val_loss").replace(
        "epoch=epoch + 1)", "latency=args.num_layers, epochs=epoch + 1)"
    )
    (folder / "train_network.py").write_text(script)
    # hyperparameter search space to consider
    config_space = {
        "epochs": 100,
        "num_layers": randint(1, 20),
        "learning_rate": loguniform(1e-6, 1e-4),
    }
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point="train_network.py"),
        scheduler=MOASHA(
            time_attr="epochs", metrics=["val_loss", "latency"], mode=["min", "min"], config_space=config_space
        ),
        stop_criterion=StoppingCriterion(max_wallclock_time=30) | StoppingCriterion(max_num_trials_finished=8),
        n_workers=4,  # how many trials are evaluated in parallel
    )
    assert tuner.run().outcome == "done"
    found = load_experiment(tuner.name)
    assert {"val_loss", "latency"} == set(found.pareto()[0].values)
    assert any("rung 1:" in trial.reason for trial in found.trials)


def test_the_talk_s_own_mismatch_is_named_at_the_first_report(folder: Path) -> None:
    """Its script reports mean_loss and epoch; its launcher tunes val_loss, over `epochs`."""
    from offbeat import StoppingCriterion, Tuner
    from offbeat.backend import LocalBackend
    from offbeat.config_space import loguniform, randint
    from offbeat.optimizer.baselines import ASHA

    (folder / "train_network.py").write_text(ANNOTATED.format(metric="mean_loss"))
    config_space = {"epochs": 100, "num_layers": randint(1, 20), "learning_rate": loguniform(1e-6, 1e-4)}

    def tuner(metric: str, resource: str) -> Tuner:
        return Tuner(
            trial_backend=LocalBackend(entry_point="train_network.py"),
            scheduler=ASHA(config_space, metric=metric, resource_attr=resource, max_resource_attr="epochs"),
            stop_criterion=StoppingCriterion(max_wallclock_time=30),
            n_workers=4,
        )

    with pytest.raises(MetricMismatch) as caught:
        tuner("val_loss", "epoch").run()
    assert "'mean_loss'" in str(caught.value)
    assert "expects the metric 'val_loss'. Did you mean 'mean_loss'?" in str(caught.value)
    with pytest.raises(MetricMismatch, match=r"expects the resource 'epochs'. Did you mean 'epoch'\?"):
        tuner("mean_loss", "epochs").run()
