"""Regularised evolution against a reading of the paper by hand."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest

from offbeat.config_space import choice, loguniform, optional, randint, require, uniform, when
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument
from offbeat.events import Suggested, TrialFinished, TrialResult, TrialStarted, TrialStopped
from offbeat.optimizer.baselines import REA, RandomSearch
from offbeat.trial import TrialId

MIXED: dict[str, Any] = {
    "lr": loguniform(1e-5, 1e-1),
    "units": randint(4, 512),
    "kind": choice(["a", "b", "c"]),
    "one": choice(["only"]),
}


def distance(config: Any) -> float:
    return abs(np.log10(config["lr"]) + 3) / 4 + abs(config["units"] - 200) / 500 + (config["kind"] != "b") * 0.4


def changes(child: Any, parent: Any) -> list[str]:
    return [name for name in child if child[name] != parent.get(name)]


def test_it_is_random_until_enough_trials_have_been_measured(game: Any) -> None:
    played = game(REA(MIXED, "loss", random_seed=1, population_size=10), distance, late=2).play(16)
    assert played.origins == ["initial", *["random"] * 11, *["evolution"] * 4]
    assert played.whys[5] == "random: 3 of 10 first results are in"
    other = game(RandomSearch(MIXED, "loss", random_seed=1), distance, late=2).play(12)
    assert played.configs[:12] == other.configs


def test_a_mutant_differs_from_its_parent_in_one_hyperparameter_that_has_a_choice(game: Any) -> None:
    played = game(REA(MIXED, "loss", random_seed=2, population_size=8), distance).play(120)
    changed = [
        changes(config, played.configs[parent])
        for config, parent in zip(played.configs, played.parents, strict=True)
        if parent is not None
    ]
    assert len(changed) > 100
    assert all(len(names) == 1 for names in changed)
    assert {names[0] for names in changed} == {"lr", "units", "kind"}


def test_parents_come_from_the_last_trials_only(game: Any) -> None:
    """The population by hand: a queue of the last ones to end, however good those before were."""
    played = game(REA(MIXED, "loss", random_seed=3, population_size=6, sample_size=3), distance)
    queue: deque[int] = deque(maxlen=6)
    parents = []
    for number in range(80):
        proposal = played.ask()
        if "parent" in proposal.tags:
            assert proposal.tags["parent"] in queue
            parents.append(proposal.tags["parent"])
        played.start(proposal.config)
        played.end()
        queue.append(number)
    values = [distance(config) for config in played.configs]
    beaten = sum(values[parent] <= np.median(values[max(0, parent - 5) : parent + 6]) for parent in parents)
    assert beaten > 0.7 * len(parents)


def test_the_oldest_leaves_by_the_order_of_ends_not_of_starts(game: Any) -> None:
    played = game(REA(MIXED, "loss", random_seed=4, population_size=2, sample_size=20), distance, late=3).play(3)
    assert played.running == [0, 1, 2]
    for place in (2, 0, 0):  # 2 ends first, then 0, then 1
        played.end(place)
    expected = min((0, 1), key=lambda trial: distance(played.configs[trial]))
    assert played.ask().tags["parent"] == expected


def test_a_large_sample_always_takes_the_best_and_of_equals_the_earlier(game: Any) -> None:
    played = game(REA(MIXED, "loss", "max", random_seed=5, population_size=4, sample_size=200), lambda _: 1.0).play(5)
    assert played.parents[4] == 0
    best = game(REA(MIXED, "loss", "max", random_seed=5, population_size=4, sample_size=200), distance).play(5)
    assert best.parents[4] == int(np.argmax([distance(config) for config in best.configs[:4]]))


def test_failed_trials_never_enter_and_do_not_come_back(game: Any) -> None:
    def breaks(config: Any) -> float | None:
        return None if config["kind"] == "b" else distance(config)

    played = game(REA(MIXED, "loss", random_seed=6, population_size=5), breaks).play(80)
    assert all(played.configs[parent]["kind"] != "b" for parent in played.parents if parent is not None)
    assert len({played.scheduler.space.key(config) for config in played.configs}) == 80


def test_a_stopped_trial_counts_with_what_it_reported(game: Any) -> None:
    played = game(REA(MIXED, "loss", random_seed=7, population_size=1), distance)
    config = played.ask().config
    trial = TrialId(0)
    for event in (
        Suggested(0.0, 0, "start", trial, config),
        TrialStarted(0.0, trial, 0, 0),
        TrialResult(0.0, trial, 0, 0, 1, {"loss": 1.0}),
        TrialStopped(0.0, trial, 0, "user"),
    ):
        played.tell(event)
    played.number = 1
    assert played.ask().tags == {"parent": 0}


@pytest.mark.parametrize("late", [0, 2])
def test_a_finite_space_is_exhausted_cleanly(game: Any, late: int) -> None:
    space = {"a": randint(1, 5), "b": choice(["x", "y"]), "c": optional(choice([[1], [2]]))}
    played = game(REA(space, "loss", random_seed=8, population_size=3), lambda c: c["a"], late=late).play(100)
    assert len({played.scheduler.space.key(config) for config in played.configs}) == len(played.configs) == 30
    assert played.ask() is None


def test_conditions_and_constraints(game: Any) -> None:
    space = {
        "kind": choice(["sgd", "adam"]),
        "momentum": when(uniform(0, 1), "kind == 'sgd'"),
        "clip": optional(uniform(0, 1)),
        "depth": randint(1, 9),
        "rule": require("momentum * depth < 5"),
    }
    played = game(REA(space, "loss", random_seed=9, population_size=4), lambda c: c["depth"] + len(c)).play(80)
    mutants = [
        (config, played.configs[parent])
        for config, parent in zip(played.configs, played.parents, strict=True)
        if parent is not None
    ]
    assert len(mutants) > 60
    for child, parent in mutants:
        changed = changes(child, parent)
        assert len(changed) == 1 or changed == ["kind", "momentum"]


def test_duplicates_may_be_allowed(game: Any) -> None:
    scheduler = REA({"a": randint(1, 3)}, "loss", random_seed=10, population_size=2, allow_duplicates=True)
    played = game(scheduler, lambda c: c["a"]).play(40)
    assert len(played.configs) == 40


def test_it_repeats_when_it_is_read_again_from_the_journal(game: Any) -> None:
    played = game(REA(MIXED, "loss", random_seed=11, population_size=5), distance, late=3).play(30)
    fresh = game(build(describe(played.scheduler, "offbeat.schedulers")), distance)
    for event in played.story:
        fresh.tell(event)
    fresh.number = played.number
    assert played.ask() == played.ask() == fresh.ask()


def test_bad_arguments() -> None:
    with pytest.raises(InvalidArgument, match="single configuration"):
        REA({"a": choice(["x"])}, "loss")
    with pytest.raises(InvalidArgument, match="population_size=0"):
        REA(MIXED, "loss", population_size=0)
    with pytest.raises(InvalidArgument, match="sample_size='3'"):
        REA(MIXED, "loss", sample_size="3")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="one metric"):
        REA(MIXED, ["a", "b"])  # type: ignore[arg-type]


def test_a_trial_ended_twice_is_there_once(game: Any) -> None:
    """A paused trial is measured; resumed and ended, it keeps its place."""
    played = game(REA(MIXED, "loss", random_seed=12, population_size=3), distance).play(3)
    population = played.scheduler._searcher._population
    assert list(population) == [0, 1, 2]
    played.scheduler.observe(TrialFinished(0.0, TrialId(1), 0), played.ledger)
    assert list(population) == [0, 1, 2]
