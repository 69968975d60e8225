"""BayesianOptimization: what it finds, what it journals, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offbeat import events as ev
from offbeat.config_space import choice, loguniform, optional, randint, require, uniform, when
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument, MissingExtra
from offbeat.optimizer.baselines import BayesianOptimization, RandomSearch
from offbeat_plugins.acquisition.options import Options
from offbeat_plugins.acquisition.solvers import solver
from offbeat_plugins.searchers.gp import computed_by

MIXED: dict[str, Any] = {
    "lr": loguniform(1e-5, 1e-1),
    "units": randint(4, 512),
    "kind": choice(["a", "b", "c"]),
}


def distance(config: Any) -> float:
    """Best at lr 1e-3, 200 units, kind b."""
    away = (abs(np.log10(config["lr"]) + 3) / 4) ** 2 + (abs(config["units"] - 200) / 500) ** 2
    return float(away + (config["kind"] != "b") * 0.2)


def origins(whys: Any) -> list[str]:
    """Who made each proposal: the first word of its reason."""
    return [why.replace(":", " ").split()[0] for why in whys]


def bo(space: Any = None, **options: Any) -> Any:
    return BayesianOptimization(space or MIXED, "loss", **{"random_seed": 1, "backend": "numpy", **options})


def test_it_finds_what_random_search_does_not(game: Any) -> None:
    def best(make: Any, seed: int, **options: Any) -> float:
        scheduler = make(MIXED, "loss", random_seed=seed, points_to_evaluate=[], **options)
        return min(map(distance, game(scheduler, distance, late=3).play(30).configs))

    ours = [best(BayesianOptimization, seed, backend="numpy") for seed in range(3)]
    theirs = [best(RandomSearch, seed) for seed in range(3)]
    assert np.mean(ours) < 0.2 * np.mean(theirs)


def test_the_order_of_proposals_and_their_reasons(game: Any) -> None:
    played = game(bo(num_init_random=3), distance, late=1).play(8)
    assert origins(played.whys) == ["initial", *["random"] * 3, *["model"] * 4]
    assert played.whys[4] == "model: expected improvement, 3 trials and 1 running"


def test_a_model_begins_from_the_one_before_also_after_the_journal_is_read_again(game: Any) -> None:
    one = game(bo(), distance).play(14)
    models = [event for event in one.story if isinstance(event, ev.ModelFitted)]
    assert [event.number for event in models] == list(range(3, 14))
    for cut in (8, 11):
        again = game(bo(), distance)
        for event in one.story:
            if isinstance(event, ev.Suggested) and event.number == cut:
                break
            again.tell(event)
            if isinstance(event, ev.Suggested):
                again.configs.append(event.config)
                again.number = event.number + 1
        # The crash came between a model and its proposal: the request is made again, with the model from before it.
        assert again.number == cut
        again.play(1)
        assert again.configs[cut] == one.configs[cut]


@pytest.mark.parametrize("transform", [None, "power"])
def test_by_how_much_the_worst_was_bad_does_not_matter_by_default(game: Any, transform: str | None) -> None:
    def made() -> Any:
        return bo() if transform is None else bo(transform=transform)

    one = game(made(), distance).play(4)
    worst = max(distance(config) for config in one.configs[:3])
    far = game(made(), lambda c: 1e3 if distance(c) == worst else distance(c)).play(4)
    assert far.configs[:3] == one.configs[:3]
    assert (far.configs[3] == one.configs[3]) == (transform is None)


@pytest.mark.parametrize("value", [lambda c: 1.0, lambda c: 1e300 * distance(c), lambda c: 1e-300 * distance(c)])
def test_flat_and_extreme_values_have_a_defined_answer(game: Any, value: Any) -> None:
    played = game(bo(), value).play(10)
    assert len(played.configs) == 10


def test_failed_trials_do_not_come_back(game: Any) -> None:
    played = game(bo(), lambda c: None if c["kind"] == "b" else distance(c)).play(25)
    keys = [played.scheduler.space.key(config) for config in played.configs]
    assert len(set(keys)) == 25


def test_a_small_space_is_exhausted_and_then_there_is_nothing(game: Any) -> None:
    played = game(bo({"a": randint(1, 3), "b": choice(["x", "y", "z"])}), lambda c: c["a"]).play(20)
    assert len(played.configs) == 9


def test_conditions_constraints_and_optional_values(game: Any) -> None:
    space = {
        "kind": choice(["a", "b", "c"]),
        "width": when(randint(1, 9), "kind == 'b'"),
        "clip": optional(loguniform(0.1, 10)),
        "rate": uniform(0, 1),
        "rule": require("width * rate < 5"),
    }
    played = game(bo(space), lambda c: abs(c["rate"] - 0.3) + (c["clip"] is not None) + c.get("width", 9) / 9, late=2)
    played.play(20)  # each is checked against the space
    last = played.configs[-6:]
    assert sum(config["clip"] is None for config in last) >= 4


def test_it_is_described_and_built_again() -> None:
    scheduler = bo(acquisition="ucb")
    again = build(describe(scheduler, "offbeat.schedulers"))
    assert type(again) is BayesianOptimization
    assert again.seed == scheduler.seed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"acquisition": "ei"}, "log-ei"),
        ({"transform": "log"}, "transform='log'"),
        ({"num_init_random": 1}, "num_init_random=1"),
        ({"max_size_data": 3}, "max_size_data=3"),
        ({"deadline": 0}, "deadline=0"),
        ({"backend": "torch"}, "backend='torch'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        bo(**arguments)


def test_several_metrics_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="one metric"):
        BayesianOptimization(MIXED, ["loss", "cost"])


def test_without_jax_numpy_computes_the_same_algorithm_and_the_log_says_so(
    game: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    without = BayesianOptimization(MIXED, "loss", random_seed=1)
    assert "JAX is not installed" in caplog.text
    assert "offbeat[jax]" in caplog.text
    with pytest.raises(MissingExtra, match=r"pip install 'offbeat\[jax\]'"):
        BayesianOptimization(MIXED, "loss", backend="jax")
    caplog.clear()
    asked = BayesianOptimization(MIXED, "loss", random_seed=1, backend="numpy")
    assert not caplog.text
    assert game(without, distance).play(7).configs == game(asked, distance).play(7).configs


def test_by_default_jax_computes_where_it_is_the_faster_one() -> None:
    pytest.importorskip("jax", reason="the path under test is JAX's: pip install 'offbeat[jax]'")
    options = Options(**computed_by("auto"))
    assert [solver(options, n).name for n in (2, 384, 385, 1000)] == ["jax", "jax", "numpy", "numpy"]
    assert solver(Options(**computed_by("jax")), 1000).name == "jax"
    assert solver(Options(**computed_by("numpy")), 2).name == "numpy"
