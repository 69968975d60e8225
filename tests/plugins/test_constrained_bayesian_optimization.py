"""ConstrainedBayesianOptimization: what it looks for, what `best` means with it, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offbeat import AskTell, StoppingCriterion, Tuner, load_experiment
from offbeat import events as ev
from offbeat.backend import CoroutineBackend
from offbeat.config_space import uniform
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument, MetricMismatch
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.optimizer.baselines import BayesianOptimization, ConstrainedBayesianOptimization, RandomSearch

SPACE: dict[str, Any] = {"x": uniform(0, 1), "y": uniform(0, 1)}

BOUNDS = {"latency": "<= 0.5", "accuracy": ">= 0.9"}


def measured(config: Any) -> dict[str, float]:
    """The loss is lowest at the origin; feasible is what lies around (0.7, 0.7), of which about (0.52, 0.52) is best."""
    x, y = config["x"], config["y"]
    away = float(np.hypot(x - 0.7, y - 0.7))
    return {"loss": x + y, "latency": 2 * away, "accuracy": 1 - 0.4 * away}


def feasible(metrics: Any) -> bool:
    return metrics["latency"] <= 0.5 and metrics["accuracy"] >= 0.9


def cbo(**options: Any) -> Any:
    given = {"constraints": BOUNDS, "random_seed": 1, "backend": "numpy", "points_to_evaluate": [], **options}
    return ConstrainedBayesianOptimization(SPACE, "loss", **given)


def best(configs: Any) -> float:
    return min((m["loss"] for m in map(measured, configs) if feasible(m)), default=2.0)


def test_it_finds_the_best_feasible_value_where_others_do_not(game: Any) -> None:
    ours, theirs, blind = [], [], []
    for seed in range(3):
        ours.append(best(game(cbo(random_seed=seed), measured, late=2).play(25).configs))
        theirs.append(best(game(RandomSearch(SPACE, "loss", random_seed=seed), measured).play(25).configs))
        free = BayesianOptimization(SPACE, "loss", random_seed=seed, backend="numpy", points_to_evaluate=[])
        blind.append(best(game(free, measured).play(25).configs))
    lowest = 1.4 - 0.25 * np.sqrt(2)
    assert np.mean(ours) - lowest < 0.03
    assert np.mean(theirs) - lowest > 0.08
    assert np.mean(blind) - lowest > 0.08


def test_while_nothing_is_feasible_only_feasibility_counts(game: Any) -> None:
    far = [{"x": 0.02, "y": y} for y in (0.0, 0.1, 0.2, 0.3)]
    played = game(cbo(points_to_evaluate=far, num_init_random=2), measured).play(12)
    whys = played.whys[4:]
    assert "probability of feasibility, which no trial has yet" in whys[0]
    found = next(n for n, config in enumerate(played.configs) if feasible(measured(config)))
    assert found < 12
    assert all("no trial has yet" in why for why in played.whys[4 : found + 1])
    assert "expected improvement and feasibility (1 feasible)" in played.whys[found + 1]


def test_both_senses_and_modes_are_mirrors_of_each_other(game: Any) -> None:
    one = game(cbo(constraints={"latency": "<= 0.5"}), measured).play(12)

    def mirrored(config: Any) -> dict[str, float]:
        found = measured(config)
        return {"loss": -found["loss"], "latency": -found["latency"]}

    other = game(
        ConstrainedBayesianOptimization(
            SPACE,
            "loss",
            "max",
            constraints={"latency": ">= -0.5"},
            random_seed=1,
            backend="numpy",
            points_to_evaluate=[],
        ),
        mirrored,
    ).play(12)
    assert one.configs == other.configs


def test_constraint_attr_is_feasible_at_zero_and_below(game: Any) -> None:
    def shifted(config: Any) -> dict[str, float]:
        return {"loss": measured(config)["loss"], "excess": measured(config)["latency"] - 0.5}

    one = game(cbo(constraints=None, constraint_attr="excess"), shifted).play(10)
    other = game(cbo(constraints={"excess": "<= 0"}), shifted).play(10)
    assert one.configs == other.configs


def test_the_journal_knows_the_bounds_and_builds_the_scheduler_again() -> None:
    scheduler = cbo()
    again = build(describe(scheduler, "offbeat.schedulers"))
    assert type(again) is ConstrainedBayesianOptimization
    assert again.objective == scheduler.objective
    assert [spec.words for spec in again.objective.metrics] == ["loss (min)", "latency <= 0.5", "accuracy >= 0.9"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"constraints": None}, "none is given"),
        ({"constraint_attr": "latency"}, "both are given"),
        ({"constraints": {}}, "give a dict"),
        ({"constraints": {"latency": 0.5}}, "give a text such as"),
        ({"constraints": {"latency": "< 0.5"}}, "Did you mean '<='"),
        ({"constraints": {"latency": "<= fast"}}, "'fast' is no finite number"),
        ({"constraints": {"latency": "<= nan"}}, "no finite number"),
        ({"constraints": {"loss": "<= 1"}}, "in use as metric"),
        ({"constraints": {"epoch": "<= 1"}, "resource_attr": "epoch"}, "in use as resource_attr"),
        ({"nonfinite": {"latncy": "worst"}}, "Did you mean 'latency'"),
        ({"constraint_atr": "latency"}, "Did you mean 'constraint_attr'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        cbo(**arguments)


# --- with an engine around it


async def objective(trial: Any) -> None:
    await trial.report(**measured(trial.config))


def run(home: Any, scheduler: Any, function: Any = objective, trials: int = 8) -> Any:
    stop = StoppingCriterion(max_num_trials_finished=trials)
    tuner = Tuner(CoroutineBackend(function), scheduler, stop, n_workers=1, home=home, name="cbo", observers=[])
    tuner.run()
    return tuner


def test_best_is_the_best_feasible_result(tmp_path: Any) -> None:
    points = [{"x": 0.0, "y": 0.0}, {"x": 0.8, "y": 0.8}, {"x": 0.6, "y": 0.7}, {"x": 0.1, "y": 0.2}]
    tuner = run(tmp_path, cbo(points_to_evaluate=points, num_init_random=9), trials=4)
    found = load_experiment(tmp_path / "cbo")
    assert tuner.best().config == found.best().config == points[2]
    assert [one.trial.id for one in found.best(n=9)] == [2, 1]
    assert [one.value for one in found.incumbents] == pytest.approx([1.6, 1.3])
    assert found.trials[0].best is None
    assert found.best("latency", mode="max").config == points[0]


def test_best_of_nothing_feasible_is_none(tmp_path: Any) -> None:
    tuner = run(tmp_path, cbo(points_to_evaluate=[{"x": 0.0, "y": 0.0}]), trials=1)
    assert tuner.best() is None
    assert repr(load_experiment(tmp_path / "cbo").trials)


def test_best_of_ask_and_tell_is_feasible() -> None:
    points = [{"x": 0.0, "y": 0.0}, {"x": 0.8, "y": 0.8}]
    study = AskTell(cbo(points_to_evaluate=points))
    for _ in points:
        trial = study.ask()
        study.tell(trial, **measured(trial.config))
        study.complete(trial)
    assert study.best().config == points[1]


def test_a_constraint_that_is_never_reported_is_named(tmp_path: Any) -> None:
    async def forgetful(trial: Any) -> None:
        await trial.report(loss=1.0, latencies=0.1, accuracy=1.0)

    with pytest.raises(MetricMismatch, match="Did you mean 'latencies'"):
        run(tmp_path, cbo(), forgetful)


def test_a_constraint_that_is_not_a_number_follows_the_policy(tmp_path: Any) -> None:
    async def spoiled(trial: Any) -> None:
        given = measured(trial.config)
        await trial.report(**{**given, "latency": float("nan") if trial.id == 1 else given["latency"]})

    run(tmp_path, cbo(), spoiled, trials=4)
    failed = [
        one.event for one in read_journal(ExperimentFolder(tmp_path / "cbo")) if isinstance(one.event, ev.TrialFailed)
    ]
    assert [event.trial for event in failed] == [1]
    assert "latency is nan" in failed[0].reason
