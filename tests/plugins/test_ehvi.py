"""EHVI and random scalarisation as schedulers: they beat random search, live with what is degenerate, and name mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from offbeat.config_space import uniform
from offbeat.errors import InvalidArgument
from offbeat.optimizer.baselines import EHVI, MORandomScalarizationBayesOpt, RandomSearch
from offbeat.pareto import hypervolume

PLANE: dict[str, Any] = {"x": uniform(0, 1), "y": uniform(0, 1), "z": uniform(0, 1)}
TWO: Any = ["loss", "latency"]
BOTH = [EHVI, MORandomScalarizationBayesOpt]


def zdt1(config: Mapping[str, Any]) -> dict[str, float]:
    g = 1 + 9 * (config["y"] + config["z"]) / 2
    return {"loss": config["x"], "latency": g * (1 - (config["x"] / g) ** 0.5)}


def volume(played: Any) -> float:
    return hypervolume([list(zdt1(config).values()) for config in played.configs], [1.1, 6.0])


@pytest.mark.parametrize("kind", BOTH)
def test_it_gains_more_than_random_search(game: Any, kind: Any) -> None:
    random = volume(game(RandomSearch(PLANE, TWO, random_seed=1), zdt1).play(90))
    played = game(kind(PLANE, TWO, random_seed=1, backend="numpy"), zdt1).play(30)
    assert played.origins == ["initial", *["random"] * 4, *["model"] * 25]
    assert volume(played) > random


@pytest.mark.parametrize("kind", BOTH)
def test_modes_are_mirrored_and_running_trials_are_spread(game: Any, kind: Any) -> None:
    def turned(config: Mapping[str, Any]) -> dict[str, float]:
        return {"loss": zdt1(config)["loss"], "latency": -zdt1(config)["latency"]}

    plain = game(kind(PLANE, TWO, random_seed=3, backend="numpy"), zdt1, late=3).play(12)
    mirrored = game(kind(PLANE, TWO, ["min", "max"], random_seed=3, backend="numpy"), turned, late=3).play(12)
    assert plain.configs == mirrored.configs
    assert len({tuple(config.values()) for config in plain.configs}) == 12


@pytest.mark.parametrize("kind", BOTH)
def test_constant_objectives_and_failures_are_no_obstacle(game: Any, kind: Any) -> None:
    played = game(kind(PLANE, TWO, random_seed=1, backend="numpy"), lambda config: {"loss": 1.0, "latency": 2.0}).play(
        8
    )
    assert played.whys[-1] == "random: all results are equal, so there is nothing to learn"
    one = game(kind(PLANE, TWO, random_seed=1, backend="numpy"), lambda c: {"loss": c["x"], "latency": 2.0}).play(8)
    assert one.origins[-1] == "model"
    some = game(kind(PLANE, TWO, random_seed=1, backend="numpy"), lambda c: None if c["x"] > 0.4 else zdt1(c)).play(14)
    assert len(some.configs) == 14


@pytest.mark.parametrize("kind", BOTH)
def test_while_nothing_is_feasible_feasibility_is_looked_for(game: Any, kind: Any) -> None:
    scheduler = kind(PLANE, TWO, constraints={"size": "<= 0.1"}, random_seed=1, backend="numpy", points_to_evaluate=[])
    played = game(scheduler, lambda config: {**zdt1(config), "size": config["z"] + 0.05}).play(16)
    assert any("probability of feasibility" in why for why in played.whys) or "feasible)" in played.whys[-1]
    never = kind(PLANE, TWO, constraints={"size": "<= -9"}, random_seed=1, backend="numpy")
    lost = game(never, lambda config: {**zdt1(config), "size": config["z"]}).play(12)
    assert lost.whys[-1].startswith("model: probability of feasibility, which no trial has yet")


def test_the_reference_point_leaves_out_what_lies_beyond(game: Any) -> None:
    """With a bound on the loss that half of the space breaks, nearly all is tried below it."""
    narrow = EHVI(PLANE, TWO, random_seed=1, backend="numpy", reference_point={"loss": 0.3, "latency": 6.0})
    played = game(narrow, zdt1).play(25)
    assert sum(config["x"] < 0.3 for config in played.configs[10:]) >= 12


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": ["loss"]}, "needs two objectives at least. For one there is BayesianOptimization"),
        ({"metric": None}, "needs metrics="),
        ({"num_init_random": 1}, "2 measured trials"),
        ({"transform": "rnak"}, "transform='rnak'"),
        ({"constraints": {"latency": "<= 1"}}, "a metric has one meaning"),
        ({"constraints": {}}, "constraints="),
    ],
)
def test_wrong_arguments_say_what_to_do(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        kind(**{"config_space": PLANE, "metric": TWO, **arguments})


def test_wrong_arguments_of_one_of_them() -> None:
    for reference, message in (
        ({"los": 1.0, "latency": 1.0}, "reference_point names 'los', which is no objective. Did you mean 'loss'"),
        ({"loss": 1.0}, "no finite number for the objective 'latency'"),
        ({"loss": float("inf"), "latency": 1.0}, "no finite number for the objective 'loss'"),
    ):
        with pytest.raises(InvalidArgument, match=message.replace(".", r"\.")):
            EHVI(PLANE, TWO, reference_point=reference)
    with pytest.raises(InvalidArgument, match="kappa=-1"):
        MORandomScalarizationBayesOpt(PLANE, TWO, kappa=-1)
