"""CostAwareBayesianOptimization: what it spends, and what a cost may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offbeat.config_space import uniform
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument
from offbeat.optimizer.baselines import BayesianOptimization, CostAwareBayesianOptimization

SPACE: dict[str, Any] = {"x": uniform(0, 1), "size": uniform(0, 1)}


def measured(config: Any) -> dict[str, float]:
    """As good at every size, which alone decides on the cost: 1 to 100."""
    return {"loss": (config["x"] - 0.3) ** 2, "seconds": 100.0 ** config["size"]}


def aware(**options: Any) -> Any:
    given = {"cost_attr": "seconds", "random_seed": 1, "backend": "numpy", "points_to_evaluate": [], **options}
    return CostAwareBayesianOptimization(SPACE, "loss", **given)


def spent_until(configs: Any, loss: float) -> float:
    """What was paid up to the first result this good."""
    total = 0.0
    for config in configs:
        found = measured(config)
        total += found["seconds"]
        if found["loss"] <= loss:
            return total
    return float("inf")


def test_where_values_are_equal_it_prefers_what_is_cheap_and_pays_less_for_the_same_regret(game: Any) -> None:
    ours, theirs = [], []
    for seed in range(3):
        one = game(aware(random_seed=seed), measured).play(22)
        model = [measured(c)["seconds"] for c, who in zip(one.configs, one.origins, strict=True) if who == "model"]
        assert np.median(model) < 3
        ours.append(spent_until(one.configs[5:], 1e-3))
        blind = BayesianOptimization(SPACE, "loss", random_seed=seed, backend="numpy", points_to_evaluate=[])
        theirs.append(spent_until(game(blind, measured).play(22).configs[5:], 1e-3))
    assert np.isfinite(ours).all()
    assert np.mean(ours) < 0.5 * np.mean(theirs)


def test_equal_values_are_no_reason_to_draw_at_random(game: Any) -> None:
    played = game(aware(), lambda c: {**measured(c), "loss": 1.0}).play(10)
    assert played.origins[-1] == "model"
    assert measured(played.configs[-1])["seconds"] < 3


def test_without_an_exponent_it_is_bayesian_optimization(game: Any) -> None:
    one = game(aware(cost_exponent=0), measured).play(9)
    other = game(aware(cost_exponent=0), lambda c: {**measured(c), "seconds": 1.0 + c["x"]}).play(9)
    assert np.allclose([list(c.values()) for c in one.configs], [list(c.values()) for c in other.configs], atol=0.05)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-300, 1e300])
def test_odd_costs_have_a_defined_answer(game: Any, seconds: float) -> None:
    played = game(aware(), lambda c: {**measured(c), "seconds": seconds if c["size"] < 0.5 else 1.0}).play(9)
    assert "fallback" not in played.origins
    assert played.whys[-1] == "model: expected improvement per cost, 8 trials"


def test_it_is_described_and_built_again() -> None:
    scheduler = aware(cost_exponent=0.5)
    again = build(describe(scheduler, "offbeat.schedulers"))
    assert type(again) is CostAwareBayesianOptimization
    assert again.objective == scheduler.objective
    assert again._searcher._options == scheduler._searcher._options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cost_attr": ""}, "cost_attr=''"),
        ({"cost_attr": "loss"}, "in use as metric"),
        ({"cost_exponent": -1}, "cost_exponent=-1"),
        ({"cost_exponent": float("nan")}, "cost_exponent=nan"),
        ({"cost_attribute": "x"}, "Did you mean 'cost_attr'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        aware(**arguments)
