"""F7: whatever values scripts report, every scheduler still ends, and nothing that is not finite reaches a comparison."""

from __future__ import annotations

import random
from math import isfinite
from typing import Any

import pytest

from offbeat import StoppingCriterion
from offbeat import events as ev
from offbeat.signals import Ended, PauseTrial, Reported, StartTrial, StopTrial

NAN, INF = float("nan"), float("inf")
VALUES: tuple[Any, ...] = (0.5, 1, -3.0, NAN, INF, -INF, "nan", "inf", "-inf", "Infinity", "text", "", True, None, [], {}, 10**400,
                           -(10**400), 1e308, -1e308, 5e-324, 2**63)  # fmt: skip
RESOURCES: tuple[Any, ...] = (0, -1, 1.5, "3", NAN, INF, None, True, 10**30, 10**400, [1])


def report(dice: random.Random, name: str, epoch: int) -> dict[str, Any]:
    """Mostly usable; else any mixture of bad values."""
    metrics: dict[str, Any] = {name: dice.random(), "epoch": epoch, "note": dice.choice(["x", 1, 2.0, NAN, INF])}
    if dice.random() < 0.3:
        metrics[name] = dice.choice(VALUES)
    if dice.random() < 0.15:
        metrics["epoch"] = dice.choice(RESOURCES)
    if dice.random() < 0.1:
        del metrics[dice.choice([name, "epoch"])]
    if dice.random() < 0.1:
        metrics["st_worker_cost"] = dice.choice(VALUES)
    return metrics


def sequence(lab: Any, build: Any, seed: int) -> None:
    dice = random.Random(seed)
    policy = dice.choice(["fail", "worst", "ignore"])
    mode = dice.choice(["min", "max"])
    scheduler = build(nonfinite=policy, mode=mode, random_seed=seed % 97)
    game = lab.Game(scheduler, StoppingCriterion(max_num_trials_started=6, max_cost=1e9), n_workers=2, max_retries=1)
    alive: dict[int, Any] = {}
    taken = 0

    def obey() -> None:
        nonlocal taken
        for command in game.commands[taken:]:
            if isinstance(command, StartTrial):
                alive[command.trial] = [command, 0, 0]
            elif isinstance(command, StopTrial | PauseTrial) and command.trial in alive:
                alive[command.trial][2] = None
        taken = len(game.commands)

    game.begin()
    obey()
    for _ in range(400):
        if game.conductor.closed:
            break
        trial = dice.choice(sorted(alive))
        start, seq, epoch = alive[trial]
        if epoch is None or epoch >= 9 or dice.random() < 0.05:
            how = (
                "ended" if epoch is None else "finished" if epoch >= 9 else dice.choice(["failed", "lost", "finished"])
            )
            del alive[trial]
            game.signal(Ended(trial, start.attempt, how))  # type: ignore[arg-type]
        else:
            epoch += dice.choice([1, 1, 1, 2, 0, -1])
            # The very first report decides whether the script fits at all, which ends the run by a named error.
            first = game.conductor.state.usage.results == 0
            metrics = {"loss": 1.0, "epoch": max(1, epoch)} if first else report(dice, "loss", epoch)
            alive[trial] = [start, seq + 1, epoch]
            game.signal(Reported(trial, start.attempt, seq, metrics))  # type: ignore[arg-type]
        obey()
    assert game.conductor.closed, "the scheduler did not come to an end"
    assert game.conductor.error is None, game.conductor.error
    worst: list[float] = []
    for event in game.events:
        if isinstance(event, ev.TrialResult) and event.verdict not in ("late", "repeat"):
            value = event.metrics["loss"]
            assert isinstance(value, float | int)
            assert isfinite(value)
            assert type(event.metrics["epoch"]) is int
            assert event.resource == event.metrics["epoch"] >= 1
            if event.raw is not None:
                assert policy == "worst"
                assert value == (max(worst) if mode == "min" else min(worst))
                assert event.raw["loss"] in ("nan", "inf", "-inf", "Infinity")
            worst.append(value)
    journaled(lab, game)


def journaled(lab: Any, game: Any) -> None:
    """Every event can be written."""
    from offbeat.journal.format import encoded_groups

    assert encoded_groups(game.events, 0, 0)


BUILDERS = {
    "random": lambda lab: lab.random_search,
    "stopping": lambda lab: lambda **o: lab.asha("stopping", reduction_factor=2, **o),
    "promotion": lambda lab: lambda **o: lab.asha("promotion", reduction_factor=2, **o),
}


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_thousand_sequences_of_strange_values(lab: Any, kind: str) -> None:
    for seed in range(334):
        sequence(lab, BUILDERS[kind](lab), seed)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", BUILDERS)
def test_ten_thousand_sequences_of_strange_values(lab: Any, kind: str) -> None:
    for seed in range(1000, 4334):
        sequence(lab, BUILDERS[kind](lab), seed)


def strange(lab: Any, method: Any, seeds: range) -> None:
    for seed in seeds:
        sequence(lab, lambda **options: method.make(lab.space, **options), seed)


def test_sequences_of_strange_values_for_every_method(lab: Any, method: Any) -> None:
    strange(lab, method, range(3 if method.model else 20))


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_a_thousand_sequences_of_strange_values_for_every_method(lab: Any, method: Any) -> None:
    strange(lab, method, range(1000, 1060 if method.model else 2000))
