"""TPE: what it prefers, where it is random, and the cases in which densities have nothing to say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.arguments import UnknownArgument
from offbeat.config_space import choice, loguniform, optional, ordinal, randint, require, uniform, when
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument, MissingExtra
from offbeat.optimizer.baselines import KDE, TPE, RandomSearch
from offbeat_plugins.searchers import tpe as tpe_module
from offbeat_plugins.searchers.tpe import split

MIXED: dict[str, Any] = {
    "lr": loguniform(1e-5, 1e-1),
    "units": randint(4, 512),
    "kind": choice(["a", "b", "c"]),
    "depth": ordinal([1, 2, 4, 8]),
}


def distance(config: Any) -> float:
    """Best at lr 1e-3, 200 units, kind b, depth 4."""
    away = abs(np.log10(config["lr"]) + 3) / 4 + abs(config["units"] - 200) / 500
    return float(away + (config["kind"] != "b") * 0.4 + abs(np.log2(config["depth"]) - 2) / 5)


def test_it_finds_what_random_search_does_not(game: Any) -> None:
    def best(make: Any, seed: int) -> float:
        played = game(make(MIXED, "loss", random_seed=seed, points_to_evaluate=[]), distance, late=3).play(80)
        return min(map(distance, played.configs))

    ours, theirs = ([best(make, seed) for seed in range(6)] for make in (TPE, RandomSearch))
    assert np.mean(ours) < 0.6 * np.mean(theirs)


def test_the_order_of_proposals_and_their_reasons(game: Any) -> None:
    played = game(TPE(MIXED, "loss", random_seed=1, num_init_random=4), distance, late=1).play(8)
    assert played.origins == ["initial", *["random"] * 4, *["model"] * 3]
    assert played.whys[0] == "initial point"
    assert played.whys[2] == "random: 1 of 4 first results are in"
    assert played.whys[5] == "model: likeliest of 64 candidates to join the best 1 of 4 trials, 1 more running"


def test_random_ones_are_those_of_random_search(game: Any) -> None:
    ours, theirs = (game(make(MIXED, "loss", random_seed=5), distance).play(6).configs for make in (TPE, RandomSearch))
    assert ours == theirs


def test_values_matter_by_their_order_alone(game: Any) -> None:
    """Any scale, near the ends of what a float can hold too."""
    plain = game(TPE(MIXED, "loss", random_seed=2), distance).play(30).configs
    for same in (lambda y: 1e300 * y, lambda y: 1e-300 * y, lambda y: np.exp(50 * y) - 1e9, lambda y: 1e308 * (y - 1)):
        assert (
            game(TPE(MIXED, "loss", random_seed=2), lambda c, same=same: float(same(distance(c)))).play(30).configs
            == plain
        )
    mirrored = game(TPE(MIXED, "loss", "max", random_seed=2), lambda c: -distance(c)).play(30).configs
    assert mirrored == plain


def test_the_order_in_which_trials_end_changes_no_pairing(game: Any) -> None:
    first, second = (game(TPE(MIXED, "loss", random_seed=3), distance, late=20).play(20) for _ in range(2))
    for _ in range(20):
        first.end(0)
        second.end(-1)
    assert first.configs == second.configs
    assert first.ask() == second.ask()


def test_running_trials_keep_others_away(game: Any) -> None:
    """Without them the density of the bad ones would not know that somebody is at the best place already."""
    space = {"x": uniform(0, 1), "y": uniform(0, 1)}
    played = game(TPE(space, "loss", random_seed=4, num_init_random=8), lambda c: abs(c["x"] - 0.5)).play(30)
    before = played.ask()
    played.start(before.config)
    played.number -= 1
    assert played.ask().config != before.config


def test_failed_trials_do_not_come_back_and_teach_nothing(game: Any) -> None:
    def breaks(config: Any) -> float | None:
        return None if config["kind"] == "b" else distance(config)

    played = game(TPE(MIXED, "loss", random_seed=6, num_init_random=5), breaks).play(60)
    keys = [played.scheduler.space.key(config) for config in played.configs]
    assert len(set(keys)) == 60
    assert {"model"} <= set(played.origins)


def test_when_every_trial_fails_it_is_random_search(game: Any) -> None:
    ours, theirs = (
        game(make(MIXED, "loss", random_seed=5), lambda _: None).play(30).configs for make in (TPE, RandomSearch)
    )
    assert ours == theirs


def test_a_constant_metric_is_nothing_to_learn_from(game: Any) -> None:
    played = game(TPE(MIXED, "loss", random_seed=7, num_init_random=3), lambda _: 1.5).play(12)
    assert played.whys[-1] == "random: all results are equal, so there is nothing to learn"


def test_constant_columns_and_equal_points_leave_it_finite(game: Any) -> None:
    space = {"x": uniform(0, 1), "one": choice(["a"]), "still": uniform(2, 2)}
    scheduler = TPE(
        space, "loss", random_seed=8, points_to_evaluate=[{"x": 0.5}], num_init_random=2, allow_duplicates=True
    )
    played = game(scheduler, lambda c: c["x"])
    for _ in range(6):
        played.start({"one": "a", "still": 2.0, "x": 0.5})
        played.end()
    played.start({"one": "a", "still": 2.0, "x": 0.25})
    played.end()
    played.play(10)
    assert played.origins[-1] == "model"
    assert len({config["x"] for config in played.configs[7:]}) == 10


def test_two_measured_trials_are_enough_for_a_model(game: Any) -> None:
    played = game(TPE(MIXED, "loss", random_seed=9, points_to_evaluate=[], num_init_random=2), distance).play(3)
    assert played.whys[2] == "model: likeliest of 64 candidates to join the best 1 of 2 trials"


@pytest.mark.parametrize("late", [0, 3])
@pytest.mark.parametrize(
    "space",
    [
        {"a": randint(1, 5), "b": choice(["x", "y", "z"]), "c": optional(choice([1, 2]))},
        {"on": choice([True, False]), "x": when(randint(1, 30), "on"), "rule": require("x != 7")},
        {"a": choice([[1], [1, 2]]), "b": choice([None, "x"])},
    ],
)
def test_a_finite_space_is_exhausted_cleanly(game: Any, space: Any, late: int) -> None:
    scheduler = TPE(space, "loss", random_seed=10, num_init_random=3)
    played = game(scheduler, lambda c: float(len(repr(c))), late=late).play(200)
    assert (
        len({scheduler.space.key(config) for config in played.configs}) == len(played.configs) == scheduler.space.size
    )
    assert played.ask() is None


def test_a_choice_of_a_thousand_values(game: Any) -> None:
    space = {"word": choice([f"w{i}" for i in range(1000)]), "x": uniform(0, 1)}
    played = game(TPE(space, "loss", random_seed=11), lambda c: float(c["word"][-1]) + c["x"]).play(40)
    assert len(played.configs) == 40
    assert played.origins[-1] == "model"


def test_conditional_hyperparameters_are_learned_where_they_are_active(game: Any) -> None:
    space = {
        "kind": choice(["sgd", "adam"]),
        "momentum": when(uniform(0, 1), "kind == 'sgd'"),
        "clip": optional(uniform(0, 1)),
        "rule": require("momentum < 0.95"),
    }

    def value(config: Any) -> float:
        if config["kind"] == "adam":
            return 1.0
        return abs(config["momentum"] - 0.8) + (config["clip"] is not None) * 0.3

    played = game(TPE(space, "loss", random_seed=12), value).play(70)
    late = played.configs[-30:]
    assert sum(config["kind"] == "sgd" for config in late) > 20
    assert sum(config["clip"] is None for config in late) > 20
    assert min(map(value, late)) < 0.05


def test_a_share_of_the_proposals_may_be_random(game: Any) -> None:
    played = game(TPE(MIXED, "loss", random_seed=13, random_fraction=0.5), distance).play(110)
    assert 30 <= played.whys.count("random: its share of the proposals") <= 70
    everything = game(TPE(MIXED, "loss", random_seed=13, random_fraction=1.0), distance).play(30)
    assert "model" not in set(everything.origins)


def test_configurations_from_outside_are_learned_from_and_not_repeated(game: Any) -> None:
    space = {"a": randint(1, 4)}
    played = game(TPE(space, "loss", random_seed=14, points_to_evaluate=[{"a": 2}]), lambda c: c["a"])
    played.start({"a": 3}, enqueued=True)
    played.play(10)
    assert played.configs[:2] == [{"a": 3}, {"a": 2}]
    assert sorted(config["a"] for config in played.configs) == [1, 2, 3, 4]


def test_asked_twice_it_answers_the_same_and_reads_nothing_but_the_fold(game: Any) -> None:
    played = game(TPE(MIXED, "loss", random_seed=15), distance, late=3).play(25)
    fresh = game(TPE(MIXED, "loss", random_seed=15), distance, late=3)
    for event in played.story:
        fresh.tell(event)
    fresh.number = played.number
    assert played.ask() == played.ask() == fresh.ask()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=40), st.data())
def test_the_split_is_a_stable_sort(values: list[float], data: Any) -> None:
    count = data.draw(st.integers(1, len(values) - 1))
    good, others = split(np.array(values), count)
    order = sorted(range(len(values)), key=lambda i: values[i])
    assert good.tolist() == order[:count]
    assert others.tolist() == sorted(order[count:])


def test_it_is_described_and_kde_is_the_same_under_another_name(game: Any) -> None:
    scheduler = TPE(MIXED, "loss", "max", top_n_percent=20, resource_attr="epoch")
    again = build(describe(scheduler, "offbeat.schedulers"))
    assert type(again) is TPE
    assert game(again, distance).play(15).configs == game(scheduler, distance).play(15).configs
    other = KDE(MIXED, "loss", "max", top_n_percent=20, resource_attr="epoch", random_seed=scheduler.seed)
    assert describe(other, "offbeat.schedulers").name == "kde"
    assert (
        game(other, distance).play(15).configs
        == game(build(describe(other, "offbeat.schedulers")), distance).play(15).configs
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_n_percent": 0}, "above 0 and below 100"),
        ({"top_n_percent": True}, "top_n_percent=True"),
        ({"top_n_most": 0}, "top_n_most=0"),
        ({"num_candidates": 2.5}, "num_candidates=2.5"),
        ({"num_init_random": 1}, "2 measured trials"),
        ({"random_fraction": 1.5}, "share from 0 to 1"),
        ({"prior_weight": 0.0}, "prior_weight=0.0"),
        ({"metric": ["loss", "size"]}, "EHVI takes several"),
        ({"arithmetic": "jaxx"}, "Did you mean 'jax'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        TPE(**{"config_space": MIXED, "metric": "loss", **arguments})


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpe_module, "find_spec", lambda _: None)
    with pytest.raises(
        MissingExtra, match=r"TPE with arithmetic='jax' needs more packages: pip install 'offbeat\[jax\]'"
    ):
        TPE(MIXED, "loss", arithmetic="jax")


def test_a_misspelt_argument_gets_the_nearest() -> None:
    with pytest.raises(UnknownArgument, match="Did you mean 'top_n_percent'"):
        TPE(MIXED, "loss", top_percent=10)  # type: ignore[call-arg]
