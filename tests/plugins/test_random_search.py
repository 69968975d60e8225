from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat.arguments import UnknownArgument
from offbeat.config_space import (
    choice,
    finrange,
    lograndint,
    loguniform,
    randint,
)
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument, InvalidConfig
from offbeat.events import Suggested, TrialFailed, TrialResult
from offbeat.protocols import ProposalRequest
from offbeat.space import Space
from offbeat.trial import Ledger, TrialId
from offbeat_plugins.schedulers.random_search import RandomSearch
from offbeat_plugins.searchers.random import ENUMERABLE, RandomSearcher

SPACE: dict[str, Any] = {
    "lr": loguniform(1e-6, 1.0),
    "layers": randint(1, 20),
    "act": choice(["relu", "tanh"]),
    "epochs": 9,
}


def play(scheduler: RandomSearch, count: int, seed: int = 7) -> list[dict[str, Any]]:
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


def test_the_middle_of_the_space_comes_first_unless_told_otherwise() -> None:
    space = Space(SPACE)
    assert play(RandomSearch(SPACE, "loss"), 1) == [space.default()]
    assert play(RandomSearch(SPACE, "loss", points_to_evaluate=[]), 1) != [space.default()]
    points = [{"layers": 3}, {"layers": 4, "act": "tanh"}, {"layers": 3}]
    first = play(RandomSearch(SPACE, "loss", points_to_evaluate=points), 3)
    assert first[:2] == [space.default() | {"layers": 3}, space.default() | {"layers": 4, "act": "tanh"}]
    assert first[2] not in first[:2]


def test_a_bad_initial_point_is_named() -> None:
    with pytest.raises(InvalidConfig, match=r"points_to_evaluate\[1\]"):
        RandomSearch(SPACE, "loss", points_to_evaluate=[{}, {"layers": 99}])


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(0, 60))
def test_draws_depend_on_seed_and_number_only(seed: int, start: int) -> None:
    def draw(number: int, scheduler: RandomSearch) -> Any:
        return scheduler.propose(ProposalRequest(number, 1, seed), Ledger("loss"))

    one = RandomSearch(SPACE, "loss", points_to_evaluate=[], random_seed=1)
    in_order = [draw(number, one) for number in range(start, start + 70)]
    other = RandomSearch(SPACE, "loss", points_to_evaluate=[], random_seed=1)
    assert [draw(number, other) for number in reversed(range(start, start + 70))] == in_order[::-1]
    assert draw(start, other) != draw(start + 1, other)


def test_draws_follow_each_domains_own_scale() -> None:
    configs = play(RandomSearch(SPACE, "loss", points_to_evaluate=[]), 3000)
    assert sum(config["lr"] < 1e-3 for config in configs) / 3000 == pytest.approx(0.5, abs=0.03)
    assert sum(config["act"] == "relu" for config in configs) / 3000 == pytest.approx(0.5, abs=0.03)
    assert set(Counter(config["layers"] for config in configs)) == set(range(1, 21))
    assert all("epochs" not in config for config in configs)


@pytest.mark.parametrize("points", [None, []])
@pytest.mark.parametrize("seed", range(5))
def test_a_finite_space_is_really_exhausted(points: Any, seed: int) -> None:
    space = {"a": randint(1, 17), "b": choice(["x", "y", "z"]), "c": lograndint(1, 8), "d": finrange(0.0, 1.0, 3)}
    size = 17 * 3 * 8 * 3
    configs = play(RandomSearch(space, "loss", points_to_evaluate=points), size + 5, seed)
    assert len(configs) == size
    assert len({tuple(config.values()) for config in configs}) == size


def test_a_space_with_one_point_gives_it_once() -> None:
    assert play(RandomSearch({"a": choice(["x"])}, "loss"), 5) == [{"a": "x"}]


def test_failed_configurations_stay_excluded() -> None:
    scheduler = RandomSearch({"a": randint(1, 2)}, "loss", points_to_evaluate=[])
    (first,) = play(scheduler, 1)
    ledger = Ledger("loss")
    scheduler.observe(TrialFailed(0.0, TrialId(0), 0, "exit status 1"), ledger)
    second = scheduler.propose(ProposalRequest(1, 0, 7), ledger)
    assert second is not None
    assert second.config != first


def test_duplicates_may_be_allowed() -> None:
    configs = play(RandomSearch({"a": randint(1, 2)}, "loss", allow_duplicates=True), 50)
    assert len(configs) == 50
    assert {config["a"] for config in configs} == {1, 2}


def test_a_large_finite_space_gives_up_after_redraws_only() -> None:
    searcher = RandomSearcher(Space({"a": randint(1, ENUMERABLE + 1)}), points_to_evaluate=[])
    for number in range(200):
        config = searcher.propose(ProposalRequest(number, 0, 7))
        assert config is not None
        searcher.observe(Suggested(0.0, number, "start", TrialId(number), config))


def test_nothing_is_decided_and_nothing_started_when_it_may_not() -> None:
    scheduler = RandomSearch(SPACE, "loss")
    ledger = Ledger("loss")
    assert scheduler.propose(ProposalRequest(0, 0, 7, may_start=False), ledger) is None
    assert scheduler.observe(TrialResult(0.0, TrialId(0), 0, 0, 1, {"loss": 1.0}), ledger) == ()


def test_the_objective() -> None:
    plain = RandomSearch(SPACE, "loss").objective
    assert (plain.resource_attr, plain.max_t) == (None, None)
    counted = RandomSearch(SPACE, ["loss", "latency"], ["min", "max"], time_attr="epoch", max_resource_attr="epochs")
    assert [(spec.name, spec.mode) for spec in counted.objective.metrics] == [("loss", "min"), ("latency", "max")]
    assert (counted.objective.resource_attr, counted.objective.max_t) == ("epoch", 9)


def test_bad_arguments() -> None:
    with pytest.raises(UnknownArgument, match="Use mode='min' or mode='max'"):
        RandomSearch(SPACE, "loss", do_minimize=False)  # type: ignore[call-arg]
    with pytest.raises(UnknownArgument, match="Did you mean 'allow_duplicates'"):
        RandomSearch(SPACE, "loss", allow_duplicate=False)  # type: ignore[call-arg]
    with pytest.raises(InvalidArgument, match="Did you mean 'epochs'"):
        RandomSearch(SPACE, "loss", max_resource_attr="epoch")
    with pytest.raises(InvalidArgument, match="resource_attr=''"):
        RandomSearch(SPACE, "loss", resource_attr="")
    with pytest.raises(TypeError, match="metric"):
        RandomSearch(SPACE)  # type: ignore[call-arg]


def test_it_is_described_with_its_seed_and_its_space() -> None:
    scheduler = RandomSearch(SPACE, "loss", points_to_evaluate=[{"layers": 2}])
    description = describe(scheduler, "offbeat.schedulers")
    again = build(description)
    assert again.space == scheduler.space
    assert again.seed == scheduler.seed
    assert play(again, 5, again.seed) == play(scheduler, 5, scheduler.seed)
