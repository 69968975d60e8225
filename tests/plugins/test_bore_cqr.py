"""BORE and CQR as schedulers: what they find, where they are random, and that nothing but events and seed counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'offbeat[trees]'")

from offbeat.arguments import UnknownArgument
from offbeat.config_space import choice, loguniform, optional, randint, require, uniform, when
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument, MissingExtra
from offbeat.optimizer.baselines import BORE, CQR, RandomSearch
from offbeat_plugins.searchers import bore as bore_module
from offbeat_plugins.searchers import cqr as cqr_module
from offbeat_plugins.searchers.bore import labels
from offbeat_plugins.searchers.cqr import normal_scores

MIXED: dict[str, Any] = {
    "lr": loguniform(1e-5, 1e-1),
    "units": randint(4, 512),
    "kind": choice(["a", "b", "c"]),
}
BOTH = pytest.mark.parametrize("method", [BORE, CQR])


def quick(method: Any, space: Any = MIXED, **options: Any) -> Any:
    """With few candidates, so that tests do not wait for them."""
    return method(space, "loss", **{"num_candidates": 60, "random_seed": 1, **options})


def distance(config: Any) -> float:
    return float(abs(np.log10(config["lr"]) + 3) / 4 + abs(config["units"] - 200) / 500 + (config["kind"] != "b") * 0.4)


@BOTH
def test_it_finds_what_random_search_does_not(game: Any, method: Any) -> None:
    def best(make: Any, seed: int) -> float:
        played = game(make(MIXED, "loss", random_seed=seed, points_to_evaluate=[]), distance, late=3).play(45)
        return min(map(distance, played.configs))

    ours, theirs = ([best(make, seed) for seed in range(3)] for make in (method, RandomSearch))
    assert np.mean(ours) < 0.7 * np.mean(theirs)


def test_the_reasons(game: Any) -> None:
    played = game(quick(BORE), distance).play(8)
    assert played.origins == ["initial", *["random"] * 5, *["model"] * 2]
    assert played.whys[6].startswith("model: probability 0.")
    assert played.whys[6].endswith(" to be among the best 2 of 6 trials")
    played = game(quick(CQR), distance).play(6)
    assert played.whys[5] == "model: lowest draw of 60, from quantiles of 5 trials"


@BOTH
def test_values_matter_by_their_order_alone(game: Any, method: Any) -> None:
    plain = game(quick(method), distance).play(14).configs
    assert game(quick(method), lambda c: 1e307 * distance(c)).play(14).configs == plain
    assert game(quick(method, mode="max"), lambda c: -distance(c)).play(14).configs == plain


@BOTH
def test_a_constant_metric_and_ties(game: Any, method: Any) -> None:
    played = game(quick(method), lambda _: 0.5).play(12)
    assert played.whys[-1] == "random: all results are equal, so there is nothing to learn"
    ties = game(quick(method), lambda c: float(c["kind"] == "a")).play(12)
    assert ties.origins[-1] == "model"


@BOTH
def test_failed_trials_do_not_come_back_and_teach_nothing(game: Any, method: Any) -> None:
    played = game(quick(method), lambda c: None if c["kind"] == "b" else distance(c)).play(25)
    assert len({played.scheduler.space.key(config) for config in played.configs}) == 25
    assert played.origins[-1] == "model"
    nothing = game(quick(method), lambda _: None).play(12)
    assert set(nothing.origins) == {"initial", "random"}


@BOTH
@pytest.mark.parametrize(
    "space",
    [
        {"a": randint(1, 4), "b": choice(["x", "y", "z"]), "c": optional(choice([1, 2]))},
        {"on": choice([True, False]), "x": when(randint(1, 20), "on"), "rule": require("x != 7")},
    ],
)
def test_a_finite_space_is_exhausted_cleanly(game: Any, method: Any, space: Any) -> None:
    played = game(quick(method, space), lambda c: float(len(repr(c))), late=2).play(100)
    assert len({played.scheduler.space.key(config) for config in played.configs}) == len(played.configs)
    assert len(played.configs) == played.scheduler.space.size
    assert played.ask() is None


@BOTH
def test_conditional_spaces_lists_and_long_choices(game: Any, method: Any) -> None:
    space = {
        "word": choice([f"w{i}" for i in range(1000)]),
        "sizes": choice([[8], [8, 8], [16]]),
        "momentum": when(uniform(0, 1), "word == 'w1' or word == 'w2'"),
        "clip": optional(uniform(0, 1)),
        "rule": require("momentum < 0.9"),
    }
    played = game(quick(method, space, num_candidates=20), lambda c: len(c["sizes"]) + (c["clip"] or 0.0)).play(12)
    assert played.origins[-1] == "model"


@BOTH
def test_asked_twice_it_answers_the_same_and_reads_nothing_but_the_fold(game: Any, method: Any) -> None:
    played = game(quick(method), distance, late=2).play(15)
    fresh = game(build(describe(played.scheduler, "offbeat.schedulers")), distance)
    for event in played.story:
        fresh.tell(event)
    fresh.number = played.number
    assert played.ask() == played.ask() == fresh.ask()


@BOTH
def test_the_order_in_which_trials_end_changes_no_pairing(game: Any, method: Any) -> None:
    first, second = (game(quick(method), distance, late=12).play(12) for _ in range(2))
    for _ in range(12):
        first.end(0)
        second.end(-1)
    assert first.ask() == second.ask()
    assert first.ask().why.startswith("model: ")


@pytest.mark.parametrize("classifier", ["forest", "logistic", "mlp"])
def test_other_classifiers(game: Any, classifier: str) -> None:
    if classifier == "mlp":
        pytest.importorskip("optax", reason="needs JAX and optax: pip install 'offbeat[jax]'")
    played = game(quick(BORE, classifier=classifier), distance).play(10)
    assert played.origins[-1] == "model"


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=2, max_size=30), st.floats(0.01, 0.99))
def test_some_are_good_and_some_are_not_whatever_the_ties(values: list[float], gamma: float) -> None:
    if len(set(values)) > 1:
        good = labels(np.array(values), gamma)
        assert 0 < good.sum() < len(values)
        assert max(np.array(values)[good]) < min(np.array(values)[~good])


@given(st.lists(st.sampled_from([-2.0, 0.0, 1e-300, 1.0, 1e300]), min_size=1, max_size=20))
def test_normal_scores_are_those_of_scipys_ranks(values: list[float]) -> None:
    expected = norm.ppf((rankdata(values) - 0.5) / len(values))
    assert normal_scores(np.array(values)) == pytest.approx(expected)


def test_normal_scores_keep_the_order_and_ties() -> None:
    scores = normal_scores(np.array([3.0, -1e300, 3.0, 1e-300, 7.0]))
    assert scores[0] == scores[2]
    assert (np.argsort(scores, kind="stable") == [1, 3, 0, 2, 4]).all()
    assert scores.mean() == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        (BORE, {"classifier": "tree"}, "Did you mean 'trees'"),
        (BORE, {"gamma": 1.0}, "gamma=1.0"),
        (BORE, {"num_candidates": 0}, "num_candidates=0"),
        (BORE, {"metric": ["a", "b"]}, "one metric"),
        (BORE, {"deadline": 0}, "deadline=0: give seconds"),
        (CQR, {"deadline": "10"}, "deadline='10'"),
        (CQR, {"num_candidates": 1.5}, "num_candidates=1.5"),
        (CQR, {"num_init_random": 1}, "2 measured trials"),
        (CQR, {"random_fraction": "x"}, "share from 0 to 1"),
    ],
)
def test_bad_arguments(method: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        method(**{"config_space": MIXED, "metric": "loss", **arguments})


def test_a_foreign_name_gets_ours() -> None:
    with pytest.raises(UnknownArgument, match="num_init_random="):
        BORE(MIXED, "loss", init_random=6)  # type: ignore[call-arg]


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bore_module, cqr_module):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'offbeat\[trees\]'"):
        BORE(MIXED, "loss")
    with pytest.raises(MissingExtra, match=r"classifier='mlp' needs more packages: pip install 'offbeat\[jax\]'"):
        BORE(MIXED, "loss", classifier="mlp")
    with pytest.raises(MissingExtra, match=r"pip install 'offbeat\[trees\]'"):
        CQR(MIXED, "loss")


def test_the_largest_numbers_are_split_as_any() -> None:
    values = np.array([1e308, -1e308, 1.5e308, -1.7e308, 0.0])
    assert labels(values, 0.4).tolist() == labels(values / 1e300, 0.4).tolist() == [False, True, False, True, False]
