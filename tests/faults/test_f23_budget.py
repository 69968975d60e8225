"""F23: the bytes of all checkpoints stay within the budget and one more, and nobody loses one who needs it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from offbeat import StoppingCriterion
from offbeat import events as ev
from offbeat.config_space import randint, uniform
from offbeat.optimizer.baselines import ASHA, PASHA, PopulationBasedTraining, SyncHyperband
from offbeat.trial import Ledger, Status

SPACE = {"rate": uniform(0, 1), "pace": randint(1, 3), "epochs": 9}
OPTIONS: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs"}

SCHEDULERS: dict[str, Any] = {
    "stopping": lambda seed: ASHA(SPACE, "loss", random_seed=seed, **OPTIONS),
    "promotion": lambda seed: ASHA(SPACE, "loss", type="promotion", random_seed=seed, **OPTIONS),
    "pasha": lambda seed: PASHA(SPACE, "loss", random_seed=seed, **OPTIONS),
    "synchronous": lambda seed: SyncHyperband(SPACE, "loss", random_seed=seed, **OPTIONS),
    "population": lambda seed: PopulationBasedTraining(
        SPACE, "loss", population_size=5, perturbation_interval=2, quantile_fraction=0.5, random_seed=seed, **OPTIONS
    ),
}


def check(found: list[Any], size: int, budget: int) -> int:
    """Walks over a journal with a disk beside it; how many checkpoints were deleted."""
    ledger, disk, deleted = Ledger("loss"), set[int](), 0
    best: tuple[float, int] | None = None
    copies: dict[int, int] = {}
    for event in found:
        if isinstance(event, ev.CheckpointDeleted):
            record = ledger[event.trial]
            assert record.status in (Status.PAUSED, Status.STOPPED, Status.FINISHED, Status.FAILED)
            assert best is not None
            assert event.trial != best[1]
            assert event.trial not in copies.values(), "a donor, before its copy was there"
            disk.discard(event.trial)
            deleted += 1
        ledger.apply(event)
        if isinstance(event, ev.TrialResult):
            if event.verdict != "late":
                disk.add(event.trial)
            if event.verdict in ("continue", "stop", "pause"):
                copies.pop(event.trial, None)
                best = min(best or (float("inf"), -1), (event.metrics["loss"], event.trial))
        elif isinstance(event, ev.TrialStarted):
            record = ledger[event.trial]
            if record.donor is not None and not record.reports:
                assert record.donor in disk
                copies[event.trial] = record.donor
                disk.add(event.trial)
        elif hasattr(event, "trial") and event.trial in ledger.trials and not ledger[event.trial].status.occupies_slot:
            copies.pop(event.trial, None)
        assert len(disk) * size <= budget + size
    return deleted


def campaign(lab: Any, simulation: Any, name: str, seeds: range) -> None:
    deleted = 0
    for seed in seeds:
        dice = random.Random(f"{name} {seed}")
        size, workers = dice.randint(1, 10**9), dice.randint(1, 4)
        # Room for those that run, the best one, and a donor for each that starts.
        most = 2 * workers + 1 + dice.randint(0, 3)
        home: Path = simulation.fresh()
        delays = {"delay_stop": dice.choice([0, 1]), "delay_complete_after_stop": dice.choice([0, 1])}
        lab.run(
            lab.tuner(
                home, SCHEDULERS[name](seed), n_workers=workers, checkpoint_budget=most * size,
                backend=simulation.backend(
                    dice.choice(["tied", "apart"]), checkpoint_size=size, faults=dice.choice([None, simulation.SPOT]), **delays
                ),
                stop_criterion=StoppingCriterion(max_num_trials_started=30), max_retries=1,
            )
        )  # fmt: skip
        deleted += check(list(lab.events(home)), size, most * size)
    assert deleted


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_budget_is_kept(lab: Any, simulation: Any, name: str) -> None:
    campaign(lab, simulation, name, range(5))


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_budget_is_kept_over_many_seeds(lab: Any, simulation: Any, name: str) -> None:
    campaign(lab, simulation, name, range(100))
