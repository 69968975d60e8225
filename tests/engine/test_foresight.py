"""What a scheduler foresees is what it will propose; whatever is odd about it, it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat import Start
from offbeat.config_space import choice, randint, uniform
from offbeat.events import Suggested
from offbeat.foresight import Foresight, foresee_of
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.protocols import ProposalRequest
from offbeat.seeds import child_seed
from offbeat.trial import Ledger, TrialId

SMALL = {"layers": randint(1, 4), "act": choice(["relu", "tanh"]), "epochs": 27}
LARGE = {"rate": uniform(0, 1), **SMALL}
RESOURCE: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 3}


def scheduler(kind: str, space: dict[str, Any], **options: Any) -> Any:
    if kind == "random":
        return RandomSearch(space, "loss", **RESOURCE, **options)
    return ASHA(space, "loss", brackets=1 if kind == "stopping" else 3, **RESOURCE, **options)


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["random", "stopping", "brackets"]),
    space=st.sampled_from([SMALL, LARGE]),
    initial=st.sampled_from([None, [], [{"layers": 1}, {"layers": 2, "act": "tanh"}]]),
    again=st.booleans(),
    seed=st.integers(0, 2**31),
    first=st.integers(0, 200),
)
def test_what_is_foreseen_is_what_is_proposed(
    kind: str, space: Any, initial: Any, again: bool, seed: int, first: int
) -> None:
    one = scheduler(kind, space, points_to_evaluate=initial, allow_duplicates=again)
    ledger = Ledger("loss")
    number, trial = first, 0
    foreseen: list[Any] = []
    compared = 0
    while trial < 70:
        request = ProposalRequest(number, 0, seed)
        if not foreseen:
            foreseen = list(one.foresee(request, ledger))
        proposal = one.propose(request, ledger)
        if foreseen:
            assert foreseen.pop(0) == proposal
            compared += 1
        if proposal is None:
            break
        event = Suggested(
            0.0, number, "start", TrialId(trial), proposal.config, proposal.until, None, "", proposal.tags
        )
        one.observe(event, ledger)
        number, trial = number + 1, trial + 1
    # A small space has mostly what was proposed before.
    assert compared >= (50 if space is LARGE or again else 0)


def test_nothing_is_foreseen_of_promotions() -> None:
    promoting, ledger = ASHA(SMALL, "loss", type="promotion", **RESOURCE), Ledger("loss")
    assert promoting.foresee(ProposalRequest(5, 0, 1), ledger) is None
    assert Foresight(promoting, 1).answer(5, TrialId(5), ledger) is None


def test_who_proposes_otherwise_foresees_nothing() -> None:
    class Other(RandomSearch):
        def propose(self, request: Any, ledger: Any) -> Any:
            return Start(config={"layers": 1, "act": "relu"})

    class Both(Other):
        def foresee(self, request: Any, ledger: Any) -> Any:
            return []

    usual, given_one = RandomSearch(SMALL, "loss", random_seed=0), RandomSearch(SMALL, "loss", random_seed=0)
    given_one.propose = lambda request, ledger: None  # type: ignore[method-assign]
    assert foresee_of(usual) is not None
    assert foresee_of(Both(SMALL, "loss", random_seed=0)) is not None
    assert foresee_of(Other(SMALL, "loss", random_seed=0)) is None
    assert foresee_of(given_one) is None
    assert foresee_of(object()) is None


@pytest.mark.parametrize("raises", [False, True])
def test_the_first_odd_answer_ends_what_is_foreseen(lab: Any, raises: bool) -> None:
    toy = lab.Toy(None, None, metric="loss")
    odd: Any = None if raises else Start(config={"rate": 0.25}, tags={"x": 1.5})
    asked: list[int] = []

    class Seer:
        space, objective, seed = toy.space, toy.objective, toy.seed

        def propose(self, request: Any, ledger: Any) -> Any:
            raise AssertionError

        def foresee(self, request: Any, ledger: Any) -> Any:
            asked.append(request.number)
            yield Start(config={"rate": 0.5}, until=3, why="a", tags={"bracket": 1})
            yield Start(config={"rate": 0.75})
            if raises:
                raise ValueError("planned")
            yield odd
            yield Start(config={"rate": 0.125})

    foresight = Foresight(Seer(), 7)  # type: ignore[arg-type]
    ledger = Ledger("loss")
    found = [foresight.answer(number, TrialId(number - 3), ledger) for number in (5, 6)]
    if raises:
        assert found == [None, None]
        assert asked == [5, 6]
        return
    assert [ready.config for ready in found if ready] == [{"rate": 0.5}, {"rate": 0.75}]
    assert found[0] is not None
    assert found[0][1:4] == (3, "a", {"bracket": 1})
    assert [ready.seed for ready in found if ready] == [child_seed(7, "trial", 2), child_seed(7, "trial", 3)]
    assert asked == [5]
    # Something else was suggested meanwhile: what was foreseen holds no more.
    assert foresight.answer(9, TrialId(6), ledger) is not None
    assert asked == [5, 9]


def test_a_wrong_configuration_is_told_when_it_is_proposed(lab: Any) -> None:
    toy = lab.Toy(None, None, metric="loss")

    class Seer:
        space, objective, seed = toy.space, toy.objective, toy.seed

        def propose(self, request: Any, ledger: Any) -> Any: ...

        def foresee(self, request: Any, ledger: Any) -> Any:
            return [Start(config={"rate": 99.0})]

    assert Foresight(Seer(), 7).answer(0, TrialId(0), Ledger("loss")) is None  # type: ignore[arg-type]
