"""F7: whatever values scripts report, every scheduler still ends, and nothing that is not finite reaches a comparison."""

from __future__ import annotations

import random
from math import isfinite
from typing import Any

import pytest

from offbeat import StoppingCriterion
from offbeat import events as ev
from offbeat.config_space import choice, randint, uniform
from offbeat.optimizer.baselines import (
    BORE,
    CQR,
    TPE,
    AutomaticTerminationCriterion,
    BayesianOptimization,
    ConstrainedBayesianOptimization,
    CostAwareBayesianOptimization,
)
from offbeat.signals import Ended, PauseTrial, Reported, StartTrial, StopTrial

NAN, INF = float("nan"), float("inf")
VALUES: tuple[Any, ...] = (0.5, 1, -3.0, NAN, INF, -INF, "nan", "inf", "-inf", "Infinity", "text", "", True, None, [], {}, 10**400,
                           -(10**400), 1e308, -1e308, 5e-324, 2**63)  # fmt: skip
STRANGE = ("nan", "inf", "-inf", "Infinity")
"""As they stand in the journal."""

RESOURCES: tuple[Any, ...] = (0, -1, 1.5, "3", NAN, INF, None, True, 10**30, 10**400, [1])


def report(dice: random.Random, name: str, epoch: int) -> dict[str, Any]:
    """Mostly usable; else any mixture of bad values."""
    metrics: dict[str, Any] = {name: dice.random(), "epoch": epoch, "note": dice.choice(["x", 1, 2.0, NAN, INF])}
    metrics["size"] = dice.choice(VALUES) if dice.random() < 0.1 else dice.random()
    if dice.random() < 0.3:
        metrics[name] = dice.choice(VALUES)
    if dice.random() < 0.15:
        metrics["epoch"] = dice.choice(RESOURCES)
    if dice.random() < 0.1:
        del metrics[dice.choice([name, "epoch"])]
    if dice.random() < 0.1:
        metrics["st_worker_cost"] = dice.choice(VALUES)
    return metrics


def sequence(lab: Any, build: Any, seed: int, trials: int = 6) -> int:
    """Plays one; answers how many proposals were a model's."""
    dice = random.Random(seed)
    policy = dice.choice(["fail", "worst", "ignore"])
    mode = dice.choice(["min", "max"])
    scheduler = build(nonfinite=policy, mode=mode, random_seed=seed % 97)
    game = lab.Game(
        scheduler, StoppingCriterion(max_num_trials_started=trials, max_cost=1e9), n_workers=2, max_retries=1
    )
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
            metrics = {"loss": 1.0, "size": 1.0, "epoch": max(1, epoch)} if first else report(dice, "loss", epoch)
            alive[trial] = [start, seq + 1, epoch]
            game.signal(Reported(trial, start.attempt, seq, metrics))  # type: ignore[arg-type]
        obey()
    assert game.conductor.closed, "the scheduler did not come to an end"
    assert game.conductor.error is None, game.conductor.error
    worst: list[float] = []
    lone = len(scheduler.objective.metrics) == 1
    for event in game.events:
        if isinstance(event, ev.TrialResult) and event.verdict not in ("late", "repeat"):
            value = event.metrics["loss"]
            assert isinstance(value, float | int)
            assert isfinite(value)
            assert type(event.metrics["epoch"]) is int
            assert event.resource == event.metrics["epoch"] >= 1
            if event.raw is not None and (lone or event.raw["loss"] in STRANGE):
                assert policy == "worst"
                assert value == (max(worst) if mode == "min" else min(worst))
                assert event.raw["loss"] in STRANGE
            worst.append(value)
        elif isinstance(event, ev.Suggested):
            # A number that is not finite would have been an error of the model.
            assert not event.why.startswith("fallback"), event.why
    journaled(lab, game)
    return sum(isinstance(event, ev.Suggested) and event.why.startswith("model") for event in game.events)


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
def test_a_thousand_sequences_of_strange_values_for_every_method(lab: Any, method: Any, many: Any) -> None:
    strange(lab, method, many(1000, 60 if method.model else 1000))


SPACE = {"rate": uniform(0, 1), "layers": randint(1, 8), "kind": choice(["a", "b"])}
NUMPY = {"num_init_random": 2, "backend": "numpy"}
QUICK = {"num_init_random": 2, "num_candidates": 20}

#: name -> (class, its options)
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "tpe": (TPE, QUICK),
    "bore": (BORE, QUICK),
    "cqr": (CQR, QUICK),
    "bayesian optimisation": (BayesianOptimization, NUMPY),
    "constrained": (ConstrainedBayesianOptimization, {**NUMPY, "constraints": {"size": "<= 0.5"}}),
    "cost-aware": (CostAwareBayesianOptimization, {**NUMPY, "cost_attr": "size"}),
    "automatic termination": (
        AutomaticTerminationCriterion, {"scheduler_options": NUMPY, "threshold": 1e-3, "warm_up": 3},
    ),
}  # fmt: skip


def model_sequences(lab: Any, kind: str, seeds: range) -> None:
    method, options = MODELS[kind]
    if method in (BORE, CQR):
        pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'offbeat[trees]'")

    def build(nonfinite: str, mode: str, random_seed: int) -> Any:
        given = dict(options)
        if "scheduler_options" in given:
            given["scheduler_options"] = {**given["scheduler_options"], "nonfinite": nonfinite}
        else:
            given["nonfinite"] = nonfinite
        return method(SPACE, metric="loss", mode=mode, random_seed=random_seed, resource_attr="epoch", **given)

    modelled = sum(sequence(lab, build, seed, 12) for seed in seeds)
    assert modelled > len(seeds), "hardly a sequence came as far as a model"


@pytest.mark.parametrize("kind", MODELS)
def test_models_get_no_strange_value(lab: Any, kind: str) -> None:
    model_sequences(lab, kind, range(30))


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", MODELS)
def test_models_get_no_strange_value_in_hundreds_of_sequences(lab: Any, kind: str, many: Any) -> None:
    model_sequences(lab, kind, many(1000, 1000))
