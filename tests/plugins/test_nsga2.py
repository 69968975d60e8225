"""NSGA-II and MOREA: who survives, by an independent reference; children, workers that never wait, and wrong arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offbeat.arguments import UnknownArgument
from offbeat.config_space import choice, loguniform, optional, randint, require, uniform, when
from offbeat.errors import InvalidArgument
from offbeat.optimizer.baselines import MOREA, NSGA2
from offbeat.pareto import hypervolume
from offbeat.space import Space
from offbeat_plugins.multiobjective.priorities import better
from offbeat_plugins.multiobjective.variation import blended, child, mutated

PLANE: dict[str, Any] = {"x": uniform(0, 1), "y": uniform(0, 1), "z": uniform(0, 1)}
TWO: Any = ["loss", "latency"]


def zdt1(config: Mapping[str, Any]) -> dict[str, float]:
    """Zitzler, Deb and Thiele 2000; the front is latency = 1 - sqrt(loss)."""
    g = 1 + 9 * (config["y"] + config["z"]) / 2
    return {"loss": config["x"], "latency": g * (1 - (config["x"] / g) ** 0.5)}


def searcher(scheduler: Any) -> Any:
    return scheduler._searcher


def volume(played: Any) -> float:
    return hypervolume([list(zdt1(config).values()) for config in played.configs], [1.1, 1.1])


def test_the_first_trials_are_initial_and_random_then_come_children_of_survivors(game: Any) -> None:
    scheduler = NSGA2(PLANE, TWO, random_seed=3, population_size=8)
    played = game(scheduler, zdt1).play(30)
    assert played.origins == ["initial"] + ["random"] * 7 + ["evolution"] * 22
    assert len({str(config) for config in played.configs}) == 30


def test_it_comes_nearer_to_the_front_than_random_search(game: Any) -> None:
    from offbeat.optimizer.baselines import RandomSearch

    gained = []
    for seed in range(5):
        ours = volume(game(NSGA2(PLANE, TWO, random_seed=seed), zdt1).play(150))
        gained.append(ours - volume(game(RandomSearch(PLANE, TWO, random_seed=seed), zdt1).play(150)))
    assert min(gained) > 0


def test_workers_never_wait(game: Any) -> None:
    """With seven trials always running there is a proposal at every request, and children as soon as results allow."""
    played = game(NSGA2(PLANE, TWO, random_seed=3, population_size=5), zdt1, late=7).play(40)
    assert len(played.configs) == 40
    assert played.origins.count("evolution") == 40 - 12


vectors = st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, 3.0])] * 3), min_size=6, max_size=14)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vectors, st.randoms(use_true_random=False))
def test_survivors_are_those_of_the_paper_in_any_order_of_completion(game: Any, rows: Any, random: Any) -> None:
    """Fronts of feasible trials, then the least violation; the last front that fits in part by crowding."""
    space = {"n": randint(0, 10**6)}

    def survivors_of(order: list[int]) -> Any:
        scheduler = NSGA2(space, TWO, constraints={"size": "<= 1"}, population_size=5, random_seed=1)
        played = game(scheduler, lambda config: dict(zip(("loss", "latency", "size"), rows[config["n"]], strict=True)))
        for place in range(len(rows)):
            played.start({"n": place})
        for place in order:
            played.end(played.running.index(place))
        return searcher(scheduler).survivors()

    found = survivors_of(list(range(len(rows))))
    mixed = survivors_of(random.sample(range(len(rows)), len(rows)))
    assert found.rows.tolist() == mixed.rows.tolist()

    def beats(a: Any, b: Any) -> bool:
        over = [max(row[2] - 1.0, 0.0) for row in (a, b)]
        if any(over):
            return over[0] < over[1]
        return a[0] <= b[0] and a[1] <= b[1] and a[:2] != b[:2]

    left, fronts = set(range(len(rows))), []
    while left:
        fronts.append({i for i in left if not any(beats(rows[j], rows[i]) for j in left)})
        left -= fronts[-1]
    kept: set[int] = set(found.rows.tolist())
    assert len(kept) == 5
    room = 5
    for front in fronts:
        assert len(front & kept) == min(len(front), room)
        room -= len(front & kept)


def test_mirrored_modes_choose_the_same(game: Any) -> None:
    def turned(config: Mapping[str, Any]) -> dict[str, float]:
        return {"loss": zdt1(config)["loss"], "latency": -zdt1(config)["latency"]}

    for kind, options in ((NSGA2, {"population_size": 6}), (MOREA, {"population_size": 6, "sample_size": 3})):
        plain = game(kind(PLANE, TWO, random_seed=3, **options), zdt1).play(25)  # type: ignore[operator]
        mirrored = game(kind(PLANE, TWO, ["min", "max"], random_seed=3, **options), turned).play(25)  # type: ignore[operator]
        assert plain.configs == mirrored.configs


def test_failed_trials_have_no_children(game: Any) -> None:
    played = game(NSGA2(PLANE, TWO, random_seed=3, population_size=4), lambda c: None if c["x"] > 0.5 else zdt1(c))
    played.play(40)
    survivors = searcher(played.scheduler).survivors()
    assert all(played.configs[row]["x"] <= 0.5 for row in survivors.rows)


@pytest.mark.parametrize("value", [{"loss": 1.0, "latency": 2.0}, {"loss": 1e300, "latency": -1e300}])
def test_constant_objectives_are_no_obstacle(game: Any, value: dict[str, float]) -> None:
    for scheduler in (
        NSGA2(PLANE, TWO, random_seed=1, population_size=4),
        MOREA(PLANE, TWO, random_seed=1, population_size=4, sample_size=2),
    ):
        assert game(scheduler, lambda config: value).play(20).origins.count("evolution") >= 15


def test_without_a_feasible_trial_the_least_violation_survives(game: Any) -> None:
    scheduler = NSGA2(PLANE, TWO, constraints={"size": "<= -1"}, population_size=4, random_seed=1)
    played = game(scheduler, lambda config: {**zdt1(config), "size": config["z"]}).play(60)
    survivors = searcher(scheduler).survivors()
    smallest = sorted(config["z"] for config in played.configs)[:4]
    assert sorted(played.configs[row]["z"] for row in survivors.rows) == smallest
    assert np.mean([config["z"] for config in played.configs[-20:]]) < np.mean(
        [config["z"] for config in played.configs[:20]]
    )


def test_a_finite_space_is_used_up_and_conditions_hold(game: Any) -> None:
    small = {"kind": choice(["a", "b"]), "n": when(randint(1, 4), "kind == 'b'"), "rule": require("n < 4")}
    for kind in (NSGA2, MOREA):
        scheduler = kind(small, TWO, random_seed=1, population_size=2)
        value = lambda config: {"loss": float(config.get("n", 9)), "latency": float(config["kind"] == "b")}  # noqa: E731
        assert len(game(scheduler, value).play(20).configs) == 4


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1, exclude_max=True), st.booleans())
def test_variation_stays_within_bounds_and_on_its_side(a: float, b: float, u: float, lower: bool) -> None:
    found = blended(a, b, u, lower=lower)
    assert 0.0 <= found <= 1.0
    assert (found <= (a + b) / 2 + 1e-9) if lower else (found >= (a + b) / 2 - 1e-9) or abs(a - b) < 1e-9
    moved = mutated(a, u)
    assert 0.0 <= moved <= 1.0
    assert moved <= a + 1e-12 if u < 0.5 else moved >= a - 1e-12


def test_variation_has_the_spread_of_its_source() -> None:
    """Without bounds near, the spread factor of Deb and Agrawal's distribution has this mean distance from the middle."""
    us = (np.arange(4000) + 0.5) / 4000
    betas = np.where(us <= 0.5, (2 * us) ** (1 / 16), (0.5 / (1 - us)) ** (1 / 16))
    found = [0.5 - blended(0.499, 0.501, u, lower=True) for u in us]
    assert np.mean(found) == pytest.approx(0.001 * betas.mean(), rel=1e-3)


def test_children_take_from_both_parents() -> None:
    space = Space.of(
        {
            "kind": choice(["a", "b", "c"]),
            "n": randint(1, 9),
            "lr": loguniform(1e-4, 1),
            "clip": optional(uniform(0, 1)),
        }
    )
    one, other = {"kind": "a", "n": 2, "lr": 1e-3, "clip": None}, {"kind": "b", "n": 8, "lr": 1e-1, "clip": 0.5}
    rng = np.random.Generator(np.random.Philox(1))
    children = [child(space, one, other, rng, crossover_probability=1.0, mutation_probability=0.0) for _ in range(200)]
    assert {config["kind"] for config in children} == {"a", "b"}
    assert {config["clip"] for config in children} == {None, 0.5}
    assert all(space.validate(config) == config for config in children)
    same = child(space, one, other, rng, crossover_probability=0.0, mutation_probability=0.0)
    assert same == one
    wild = [child(space, one, one, rng, crossover_probability=1.0, mutation_probability=1.0) for _ in range(100)]
    assert {config["kind"] for config in wild} == {"a", "b", "c"}


def test_a_parent_of_morea_is_the_best_of_those_drawn_by_the_ranks_of_the_population(game: Any) -> None:
    scheduler = MOREA(PLANE, TWO, random_seed=3, population_size=10, sample_size=200)
    played = game(scheduler, zdt1).play(40)
    for number, parent in enumerate(played.parents):
        if parent is not None:
            population = list(range(number - 10, number))
            values = np.array([list(zdt1(played.configs[one]).values()) for one in population])
            places = better(values, None)
            assert places[population.index(parent)] == places.min()


@pytest.mark.parametrize("kind", [NSGA2, MOREA])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": ["loss"]}, "needs two objectives at least. For one there is REA"),
        ({"metric": "loss"}, "two objectives at least"),
        ({"metric": None}, "needs metrics="),
        ({"mode": ["min", "max", "min"]}, "3 entries for 2 metrics"),
        ({"population_size": 0}, "population_size=0"),
        ({"config_space": {"a": choice([1])}}, "single configuration"),
    ],
)
def test_wrong_arguments_say_what_to_do(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        kind(**{"config_space": PLANE, "metric": TWO, **arguments})


def test_wrong_arguments_of_one_of_them() -> None:
    for arguments, message in (
        ({"population_size": 1}, "two parents"),
        ({"crossover_probability": 2}, "crossover_probability=2"),
        ({"mutation_probability": True}, "mutation_probability=True"),
        ({"constraints": {"size": "< 3"}}, "the sense '<' is not valid"),
        ({"constraints": {"loss": "<= 3"}}, "a metric has one meaning"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            NSGA2(PLANE, TWO, **arguments)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="priority names 'los'"):
        MOREA(PLANE, TWO, priority={"los": 1.0})
    with pytest.raises(UnknownArgument, match="random_seed="):
        NSGA2(PLANE, TWO, seed=3)  # type: ignore[call-arg]
