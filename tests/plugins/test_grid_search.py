from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.arguments import UnknownArgument
from offbeat.config_space import (
    choice,
    finrange,
    lograndint,
    loguniform,
    optional,
    ordinal,
    quniform,
    randint,
    require,
    uniform,
    when,
)
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument, InvalidConfig
from offbeat.events import Suggested, TrialFailed
from offbeat.protocols import ProposalRequest
from offbeat.space import Space
from offbeat.trial import Ledger, TrialId
from offbeat_plugins.schedulers.grid_search import GridSearch
from offbeat_plugins.searchers.grid import LARGEST
from offbeat_plugins.searchers.shuffle import Shuffle


def play(scheduler: GridSearch, count: int = 10_000, seed: int = 7) -> list[dict[str, Any]]:
    """Answers to the first requests, each fed back as the engine does; ends with the first None."""
    ledger = Ledger("loss")
    configs: list[dict[str, Any]] = []
    for number in range(count):
        request = ProposalRequest(number, 0, seed)
        proposal = scheduler.propose(request, ledger)
        assert proposal == scheduler.propose(request, ledger), "a proposal changes nothing"
        if proposal is None:
            break
        event = Suggested(0.0, number, "start", TrialId(len(configs)), proposal.config)
        ledger.apply(event)
        assert scheduler.observe(event, ledger) == ()
        configs.append(proposal.config)
    return configs


def in_order(space: dict[str, Any], **arguments: Any) -> list[tuple[Any, ...]]:
    return [tuple(config.values()) for config in play(GridSearch(space, "loss", shuffle_config=False, **arguments))]


def test_the_points_of_each_domain() -> None:
    points: dict[Any, list[Any]] = {
        uniform(0, 1): [0.1, 0.3, 0.5, 0.7, 0.9],
        loguniform(1e-5, 1): [10**-4.5, 10**-3.5, 10**-2.5, 10**-1.5, 10**-0.5],
        randint(1, 20): [3, 7, 11, 15, 19],
        randint(1, 3): [1, 2, 3],
        lograndint(1, 1000): [1, 5, 22, 102, 468],
        quniform(0, 10, 0.5): [1.0, 3.0, 5.0, 7.0, 9.0],
        choice(["b", "a"]): ["b", "a"],
        ordinal([1, 2, 4, 8, 16, 32, 64]): [1, 2, 4, 8, 16, 32, 64],
        finrange(0, 1, 6): [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        optional(uniform(0, 1)): [None, 0.1, 0.3, 0.5, 0.7, 0.9],
        choice([[1], [2, 3]]): [[1], [2, 3]],
        uniform(2, 2): [2.0],
    }
    for domain, expected in points.items():
        found = [value for (value,) in in_order({"x": domain})]
        assert found == (pytest.approx(expected, rel=1e-9) if domain == loguniform(1e-5, 1) else expected), domain


def test_the_order() -> None:
    space = {"y": uniform(0, 1), "x": choice(["b", "a"]), "z": randint(1, 2), "epochs": 9}
    assert in_order(space, num_samples={"y": 2}) == [
        ("b", 0.25, 1), ("b", 0.25, 2), ("b", 0.75, 1), ("b", 0.75, 2),
        ("a", 0.25, 1), ("a", 0.25, 2), ("a", 0.75, 1), ("a", 0.75, 2),
    ]  # fmt: skip
    assert len(in_order({"x": uniform(0, 1), "y": loguniform(1, 2), "c": choice([1, 2])}, num_samples=3)) == 18


def test_conditions_multiply_nothing_where_they_do_not_hold() -> None:
    space = {
        "optimizer": choice(["adam", "sgd"]),
        "momentum": when(uniform(0, 1), "optimizer == 'sgd'"),
        "nesterov": when(choice([True, False]), "momentum > 0.5"),
        "layers": randint(1, 2),
        "rule": require("layers < 2 or optimizer == 'sgd'"),
    }
    found = play(GridSearch(space, "loss", shuffle_config=False, num_samples=2))
    assert found == [
        {"layers": 1, "optimizer": "adam"},
        {"layers": 1, "momentum": 0.25, "optimizer": "sgd"},
        {"layers": 1, "momentum": 0.75, "nesterov": True, "optimizer": "sgd"},
        {"layers": 1, "momentum": 0.75, "nesterov": False, "optimizer": "sgd"},
        {"layers": 2, "momentum": 0.25, "optimizer": "sgd"},
        {"layers": 2, "momentum": 0.75, "nesterov": True, "optimizer": "sgd"},
        {"layers": 2, "momentum": 0.75, "nesterov": False, "optimizer": "sgd"},
    ]
    shuffled = play(GridSearch(space, "loss", num_samples=2))
    keys = [Space(space).key(config) for config in shuffled]
    assert sorted(keys) == sorted(Space(space).key(config) for config in found)
    assert all(Space(space).validate(config) == config for config in shuffled)


def test_the_shuffled_order_follows_from_the_experiments_seed() -> None:
    space = {"x": uniform(0, 1), "y": choice(list("abcdefg")), "z": randint(1, 99)}
    orders = {seed: play(GridSearch(space, "loss"), seed=seed) for seed in (1, 2)}
    assert orders[1] == play(GridSearch(space, "loss"), seed=1)
    assert orders[1] != orders[2]
    assert [len(order) for order in orders.values()] == [175, 175]
    assert sorted(map(str, orders[1])) == sorted(map(str, orders[2]))
    assert [tuple(config.values()) for config in orders[1][:4]] == GOLDEN


GOLDEN = [(0.7, "e", 30), (0.5, "c", 70), (0.9, "a", 10), (0.7, "b", 70)]


def test_initial_points_come_first_and_not_again() -> None:
    space = {"x": randint(1, 3), "y": choice(["a", "b"])}
    points = [{"x": 2}, {"x": 3, "y": "b"}, {"x": 2, "y": "a"}]
    assert in_order(space, points_to_evaluate=points) == [(2, "a"), (3, "b"), (1, "a"), (1, "b"), (2, "b"), (3, "a")]
    assert in_order(space) == in_order(space, points_to_evaluate=[])
    assert in_order({"x": uniform(0, 1)}, num_samples=2, points_to_evaluate=[{}]) == [(0.5,), (0.25,), (0.75,)]
    with pytest.raises(InvalidConfig, match=r"points_to_evaluate\[0\]"):
        GridSearch(space, "loss", points_to_evaluate=[{"x": 9}])


def test_what_failed_is_not_tried_again() -> None:
    scheduler = GridSearch({"x": randint(1, 2)}, "loss", shuffle_config=False)
    (first,) = play(scheduler, 1)
    scheduler.observe(TrialFailed(0.0, TrialId(0), 0, "exit status 1"), Ledger("loss"))
    second = scheduler.propose(ProposalRequest(1, 0, 7), Ledger("loss"))
    assert (first, second and second.config) == ({"x": 1}, {"x": 2})


def test_with_duplicates_the_grid_begins_again() -> None:
    space = {"x": randint(1, 3)}
    arguments: dict[str, Any] = {"allow_duplicates": True, "points_to_evaluate": [{"x": 2}]}
    found = [c["x"] for c in play(GridSearch(space, "loss", shuffle_config=False, **arguments), 8)]
    assert found == [2, 1, 2, 3, 1, 2, 3, 1]
    shuffled = [config["x"] for config in play(GridSearch(space, "loss", **arguments), 7)]
    assert shuffled[1:4] == shuffled[4:7]
    assert set(shuffled) == {1, 2, 3}


def test_every_configuration_has_lists_of_its_own() -> None:
    scheduler = GridSearch({"x": choice([[1], [2]])}, "loss", points_to_evaluate=[{"x": [2]}], shuffle_config=False)
    request = ProposalRequest(0, 0, 7)
    for _ in range(2):
        proposal = scheduler.propose(request, Ledger("loss"))
        assert proposal is not None
        proposal.config["x"].append(3)
    assert play(scheduler) == [{"x": [2]}, {"x": [1]}]


def test_a_huge_grid_takes_no_more_time_than_a_small_one() -> None:
    space = {f"x{i}": uniform(0, 1) for i in range(30)}
    found = play(GridSearch(space, "loss"), 100)
    assert len({tuple(config.values()) for config in found}) == 100
    assert all(set(config.values()) <= {0.1, 0.3, 0.5, 0.7, 0.9} for config in found)
    counts = Counter(value for config in found for value in config.values())
    assert all(500 < count < 700 for count in counts.values())


def test_bad_arguments() -> None:
    space = {"rate": uniform(0, 1), "kind": choice(["a", "b"]), "deep": when(uniform(0, 1), "rate > 0.5")}
    wrong: list[tuple[Any, str]] = [
        ({"rat": 3}, "num_samples has 'rat'.* Did you mean 'rate'"),
        ({"kind": 3}, r"num_samples has 'kind'.* choice\(\['a', 'b'\]\)"),
        ({"rate": 0}, r"num_samples\['rate'\]=0: give a whole number from 1 up"),
        (0, "num_samples=0"),
        (2.5, "num_samples=2.5"),
    ]
    for num_samples, message in wrong:
        with pytest.raises(InvalidArgument, match=message):
            GridSearch(space, "loss", num_samples=num_samples)
    with pytest.raises(UnknownArgument, match="Did you mean 'shuffle_config'"):
        GridSearch(space, "loss", shuffle=True)  # type: ignore[call-arg]
    with pytest.raises(InvalidArgument, match=f"more than {LARGEST} points; give fewer"):
        GridSearch({**space, **{f"x{i}": uniform(0, 1) for i in range(8)}}, "loss")
    with pytest.raises(InvalidArgument, match="No point of the grid fulfils the constraints; give more"):
        GridSearch({"x": uniform(0, 1), "rule": require("x > 0.95")}, "loss")


def test_nothing_is_started_when_it_may_not() -> None:
    scheduler = GridSearch({"x": randint(1, 3)}, "loss")
    assert scheduler.propose(ProposalRequest(0, 0, 7, may_start=False), Ledger("loss")) is None


def test_it_is_described_and_built_again() -> None:
    space = {
        "x": uniform(0, 1),
        "y": when(randint(1, 3), "x > 0.5"),
        "rule": require("x * y < 2"),
        "z": optional(randint(1, 2)),
    }
    scheduler = GridSearch(space, "loss", num_samples={"x": 4}, points_to_evaluate=[{"x": 0.25}])
    again = build(describe(scheduler, "offbeat.schedulers"))
    assert again.space == scheduler.space
    assert again.seed == scheduler.seed
    assert play(again, seed=again.seed) == play(scheduler, seed=scheduler.seed)


@given(st.integers(1, 3000), st.integers(0, 2**31))
def test_a_shuffle_is_a_permutation(n: int, seed: int) -> None:
    shuffle = Shuffle(n, seed, "test")
    assert sorted(shuffle[i] for i in range(n)) == list(range(n))


def test_shuffles_are_even_and_reach_far() -> None:
    firsts = Counter(Shuffle(10, seed, "test")[0] for seed in range(5000))
    assert all(400 < firsts[i] < 600 for i in range(10))
    follows = Counter((Shuffle(5, seed, "x")[3], Shuffle(5, seed, "x")[4]) for seed in range(5000))
    assert len(follows) == 20
    assert all(150 < count < 350 for count in follows.values())
    far = Shuffle(5**40, 3, "test")
    places = [far[i] for i in range(200)]
    assert len(set(places)) == 200
    assert all(0 <= place < 5**40 for place in places)
    assert 60 < sum(place < 5**40 // 2 for place in places) < 140
