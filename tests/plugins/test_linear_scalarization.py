"""Linear scalarisation: the scheduler inside behaves as if the script had reported the weighted sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from offbeat import AskTell
from offbeat.arguments import UnknownArgument
from offbeat.config_space import uniform
from offbeat.errors import InvalidArgument, UnknownPlugin
from offbeat.optimizer.baselines import ASHA, REA, LinearScalarization

PLANE: dict[str, Any] = {"x": uniform(0, 1), "y": uniform(0, 1)}
TWO: Any = ["loss", "accuracy"]
WEIGHTS = {"loss": 2.0, "accuracy": 0.5}
REA_OPTIONS: dict[str, Any] = {"population_size": 5, "sample_size": 3}


def reported(config: Mapping[str, Any]) -> dict[str, float]:
    return {"loss": config["x"], "accuracy": 1 - config["y"]}


def test_it_proposes_what_the_scheduler_alone_does_of_the_sum(game: Any) -> None:
    ours = LinearScalarization(
        PLANE, TWO, ["min", "max"], weights=WEIGHTS, scheduler="rea", scheduler_options=REA_OPTIONS, random_seed=3
    )
    theirs = REA(PLANE, "loss", random_seed=3, **REA_OPTIONS)
    played = game(ours, reported).play(25)
    alone = game(theirs, lambda c: 2.0 * reported(c)["loss"] - 0.5 * reported(c)["accuracy"]).play(25)
    assert played.configs == alone.configs
    assert played.origins[-1] == "evolution"


def test_it_stops_what_the_scheduler_alone_does_of_the_sum() -> None:
    usual: dict[str, Any] = {"resource_attr": "epoch", "random_seed": 1}
    ours = LinearScalarization(PLANE, TWO, ["min", "max"], scheduler="asha", scheduler_options={"max_t": 9}, **usual)
    both, alone = AskTell(ours), AskTell(ASHA(PLANE, "sum", max_t=9, **usual))
    rows = [(5.0, 1.0), (4.0, 2.0), (6.0, 0.5), (1.0, 3.0), (9.0, 0.1), (0.5, 3.5), (7.0, 7.0)]
    found = [both.tell(both.ask(), epoch=1, loss=a, accuracy=b) for a, b in rows]
    assert found == [alone.tell(alone.ask(), epoch=1, sum=(a - b) / 2) for a, b in rows]
    assert {"stop", "continue"} == set(found)
    (rung, *_) = ours.rung_table()
    assert rung["ranked_by"] == "weighted sum"
    assert min(value for value, _ in rung["entries"]) == (0.5 - 3.5) / 2


def test_constraints_of_the_scheduler_inside_stay() -> None:
    ours = LinearScalarization(
        PLANE, TWO, scheduler="constrained-bayesian-optimization",
        scheduler_options={"constraints": {"size": "<= 3"}, "backend": "numpy"},
    )  # fmt: skip
    assert [spec.words for spec in ours.objective.metrics] == ["loss (min)", "accuracy (min)", "size <= 3"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"metric": ["loss"]}, InvalidArgument, "For one there is rea itself"),
        ({"metric": ["loss", "weighted_sum"]}, InvalidArgument, "is the name of the sum"),
        ({"weights": {"los": 1.0}}, InvalidArgument, "weights names 'los'"),
        ({"weights": {"loss": -1.0}}, InvalidArgument, "from 0 up"),
        ({"scheduler": "reas"}, UnknownPlugin, "rea"),
        ({"scheduler": REA}, InvalidArgument, "give the name of a plugin"),
        ({"scheduler": "moasha"}, InvalidArgument, "two objectives at least"),
        ({"scheduler_options": {"metric": "x"}}, InvalidArgument, "argument of LinearScalarization itself"),
        ({"scheduler_options": {"populaton_size": 3}}, UnknownArgument, "population_size"),
        ({"mode": ["min"]}, InvalidArgument, "1 entries for 2 metrics"),
    ],
)
def test_wrong_arguments_say_what_to_do(arguments: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        LinearScalarization(**{"config_space": PLANE, "metric": TWO, "scheduler": "rea", **arguments})
