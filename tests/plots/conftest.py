"""Experiments in simulated time to be drawn, made once; whoever draws them reads journals only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat import StoppingCriterion, Tuner, load_experiment
from offbeat.backend import SimulatedBackend
from offbeat.blackbox import FunctionBlackbox
from offbeat.config_space import choice, loguniform, optional, randint, uniform, when
from offbeat.events import Event
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, read_journal
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.results import Experiment

LEVELS = 27

SPACE = {
    "rate": loguniform(1e-4, 1.0),
    "optimizer": choice(["sgd", "adam", "rms"]),
    "momentum": when(uniform(0.0, 0.9), "optimizer == 'sgd'"),
    "clip": optional(uniform(0.0, 10.0)),
    "layers": choice([[64], [64, 32]]),
    "depth": randint(1, 7),
}

RESOURCE: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs"}


def whole(config: Mapping[str, Any], levels: Any, seed: int) -> dict[str, Any]:
    """Every tenth or so of the trainings diverges to NaN at epoch 2."""
    away = abs(np.log10(config["rate"]) + 2)
    loss = [float((away + 0.1) * (1 + 3 / n)) for n in levels.tolist()]
    if config["depth"] == 7:
        loss[1] = float("nan")
    accuracy = [float(1 - away / 5 - 0.5 / n) for n in levels.tolist()]
    return {
        "loss": loss,
        "accuracy": accuracy,
        "size": [float(config["depth"] * 10 + len(config["layers"]))] * len(loss),
        "elapsed": levels * (1.0 + config["depth"]),
    }


def simulate(home: Path, name: str, scheduler: Any, trials: int, workers: int = 4, **backend: Any) -> Experiment:
    """An experiment of so many trials."""
    box = FunctionBlackbox(whole, SPACE, levels=LEVELS, objectives=["loss", "accuracy", "size"], whole_curve=True)
    Tuner(
        SimulatedBackend(box, max_resource_attr="epochs", **backend),
        scheduler,
        StoppingCriterion(max_num_trials_started=trials),
        n_workers=workers,
        name=name,
        home=home,
        observers=[],
    ).run()
    return load_experiment(home / name)


def scheduler(kind: str, seed: int, metric: Any = "loss", mode: Any = "min") -> Any:
    space = {**SPACE, "epochs": LEVELS}
    if kind == "random":
        return RandomSearch(space, metric, mode, random_seed=seed, **RESOURCE)
    return ASHA(space, metric, mode, random_seed=seed, type=kind, **RESOURCE)


class Gallery:
    """Experiments by kind.

    Attributes:
        stopping, promotion: ASHA, the second one with preemptions; random, pareto: random search, the latter with
            accuracy (max) and size (min).
        seeds: four random searches that differ in their seeds.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        faults = {"preemptions_per_hour": 60.0}
        self.stopping = simulate(home, "stopping", scheduler("stopping", 1), 40)
        self.promotion = simulate(home, "promotion", scheduler("promotion", 2), 30, faults=faults)
        self.random = simulate(home, "random", scheduler("random", 3), 12)
        self.pareto = simulate(home, "pareto", scheduler("random", 4, ["accuracy", "size"], ["max", "min"]), 20)
        self.seeds = [simulate(home, f"seed-{i}", scheduler("random", i), 6) for i in range(4)]

    @staticmethod
    def events(experiment: Experiment) -> list[Event]:
        return [recorded.event for recorded in read_journal(experiment.folder)]


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Skips where there is no matplotlib."""
    pytest.importorskip("matplotlib", reason="plots need matplotlib: pip install 'offbeat[plot]'")
    return Gallery(tmp_path_factory.mktemp("gallery"))


@pytest.fixture
def beginning(gallery: Gallery, tmp_path: Path) -> Callable[[Experiment, int], Experiment]:
    """An experiment whose engine died after so many events."""
    count = 0

    def cut(experiment: Experiment, events: int) -> Experiment:
        nonlocal count
        count += 1
        folder = ExperimentFolder(tmp_path / f"cut-{count}")
        with Journal.create(folder) as journal:
            journal.commit(gallery.events(experiment)[:events], sync=False)
        return load_experiment(folder.path)

    return cut
