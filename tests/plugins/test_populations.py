"""Populations on the toy problem of the paper: hyperparameters that change on the way find what none that stay can."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from offbeat.config_space import uniform
from offbeat.events import Suggested, TrialResult
from offbeat.optimizer.baselines import PB2, PopulationBasedTraining
from offbeat.replay import verify

WEIGHTS = {"h0": uniform(0, 1), "h1": uniform(0, 1)}

HANDICAPPED = [{"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 0.9}]
"""Each moves one of the two parameters: the other one stays where it is, and 1.2 - 0.9^2 is the most that can be had."""

ALONE = 1.2 - 0.9**2


def best(found: list[Any]) -> float:
    return max(event.metrics["q"] for event in found if isinstance(event, TrialResult))


def two(seed: int, quantile: float) -> PopulationBasedTraining:
    return PopulationBasedTraining(
        WEIGHTS, "q", "max", resource_attr="epoch", max_t=120, population_size=2, perturbation_interval=4,
        quantile_fraction=quantile, points_to_evaluate=HANDICAPPED, random_seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_members_reach_what_neither_could_alone(tmp_path: Path, populations: Any, seed: int) -> None:
    alone = populations.run(tmp_path / "alone", two(seed, 0.0), populations.quadratic(), 2)
    assert best(alone) < ALONE
    assert not [event for event in alone if isinstance(event, Suggested) and event.donor is not None]
    together = populations.run(tmp_path / "together", two(seed, 0.5), populations.quadratic(), 2)
    # The maximum is 1.2; 120 steps with both weights at 1 come within 0.0001 of it.
    assert best(together) > 1.1


def test_the_schedule_that_was_found_is_the_lineage_of_the_best(tmp_path: Path, populations: Any) -> None:
    """Taking the steps of the best trial's ancestors, each with its weights for as long as it was theirs, gives its value."""
    found = populations.run(tmp_path, two(1, 0.5), populations.quadratic(), 2)
    results = [event for event in found if isinstance(event, TrialResult)]
    starts = {event.trial: event for event in found if isinstance(event, Suggested) and event.kind == "start"}
    top = max(results, key=lambda event: event.metrics["q"])
    weights: dict[int, Any] = {}
    trial, until = top.trial, top.resource
    while True:
        own = [event.resource for event in results if event.trial == trial]
        for epoch in range(min(own), until + 1):
            weights[epoch] = starts[trial].config
        donor = starts[trial].donor
        assert starts[trial].tags.get("parent") == donor
        if donor is None:
            break
        trial, until = donor, min(own) - 1
    assert sorted(weights) == list(range(1, top.resource + 1))
    theta = (0.9, 0.9)
    for epoch in sorted(weights):
        theta = (theta[0] * (1 - 0.04 * weights[epoch]["h0"]), theta[1] * (1 - 0.04 * weights[epoch]["h1"]))
    assert 1.2 - theta[0] ** 2 - theta[1] ** 2 == pytest.approx(top.metrics["q"], abs=1e-12)
    assert len({tuple(config.values()) for config in weights.values()}) > 1
    assert verify(tmp_path / "run").verified


def test_four_members_of_bandits_get_further_than_four_that_step_at_random(tmp_path: Path, populations: Any) -> None:
    """Over the same eight seeds, whose first members are the same."""
    reached: dict[Any, list[float]] = {}
    for kind in (PopulationBasedTraining, PB2):
        for seed in range(8):
            scheduler = kind(
                WEIGHTS, "q", "max", resource_attr="epoch", max_t=60, population_size=4, perturbation_interval=4,
                random_seed=seed,
            )  # fmt: skip
            found = populations.run(tmp_path / f"{kind.__name__}-{seed}", scheduler, populations.quadratic(60), 4)
            reached.setdefault(kind, []).append(best(found))
    assert mean(reached[PB2]) > mean(reached[PopulationBasedTraining]) + 0.005
