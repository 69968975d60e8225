"""PASHA: golden soft rankings, an independent reference of the noise, and which levels it unlocks when."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.arguments import UnknownArgument
from offbeat.config_space import randint, uniform
from offbeat.decisions import Pause, Resume, Start
from offbeat.errors import InvalidArgument
from offbeat.events import Suggested, TrialFailed, TrialPaused, TrialResult, TrialResumed, TrialStarted
from offbeat.optimizer.baselines import PASHA
from offbeat.protocols import ProposalRequest
from offbeat.trial import Ledger, TrialId
from offbeat_plugins.schedulers import soft_ranking
from offbeat_plugins.schedulers.soft_ranking import agree, noise

SPACE: dict[str, Any] = {"lr": uniform(0, 1), "layers": randint(1, 1000)}


@pytest.mark.parametrize(
    ("top", "previous", "epsilon", "expected"),
    [
        ([10.0, 19.6, 14.3, 11.6], [10.1, 19.7, 14.2, 11.5], 0.3, True),
        ([10.0, 14.3, 14.6], [10.1, 14.3, 14.2], 0.3, True),
        ([10.0, 14.3, 14.6], [10.1, 14.3, 14.2], 0.03, False),
        ([10.0], [3.0], 0.0, True),
        ([], [], 0.0, True),
        ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0], 0.3, False),
    ],
)
def test_golden_soft_rankings(top: list[float], previous: list[float], epsilon: float, expected: bool) -> None:
    assert agree(top, previous, epsilon) is expected


some = st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 1.25, 3.0])] * 2), max_size=8)


@given(some, st.sampled_from([0.0, 0.3, 1.0]), st.randoms(use_true_random=False))
def test_the_order_of_trials_changes_nothing_and_more_noise_allows_more(
    pairs: list[tuple[float, float]], epsilon: float, random: Any
) -> None:
    top, previous = [a for a, _ in pairs], [b for _, b in pairs]
    found = agree(top, previous, epsilon)
    mixed = random.sample(pairs, len(pairs))
    assert agree([a for a, _ in mixed], [b for _, b in mixed], epsilon) is found
    if found:
        assert agree(top, previous, epsilon + 1.0)
    assert agree(top, top, 0.0)


curves = st.lists(
    st.dictionaries(st.integers(1, 6), st.sampled_from([0.0, 1.0, 1.5, 4.0, 9.0]), min_size=1), max_size=6
)


@given(curves)
def test_the_noise_is_that_of_a_walk_over_pairs(given_curves: list[dict[int, float]]) -> None:
    gaps = []
    for first, second in combinations(given_curves, 2):
        common = sorted(set(first) & set(second))
        leaders = [first[level] < second[level] for level in common if first[level] != second[level]]
        if sum(a != b for a, b in pairwise(leaders)) >= 2:
            gaps.append(abs(first[common[-1]] - second[common[-1]]))
    assert noise(given_curves) == (pytest.approx(np.percentile(gaps, 90)) if gaps else 0.0)


def test_pairs_that_swap_once_are_no_noise() -> None:
    assert noise([{1: 1.0, 2: 2.0}, {1: 2.0, 2: 1.0}]) == 0.0
    assert noise([{1: 1.0, 2: 2.0, 3: 1.0}, {1: 2.0, 2: 1.0, 3: 1.25}]) == 0.25


class Play:
    """Trials that report the curve they are given whenever the scheduler lets them run."""

    def __init__(self, curve: Any, **options: Any) -> None:
        defaults: dict[str, Any] = {"resource_attr": "epoch", "max_t": 27, "random_seed": 1, "rule": "paper"}
        self.scheduler, self.curve = PASHA(SPACE, "loss", **{**defaults, **options}), curve
        self.ledger, self.number = Ledger("loss"), 0
        self.reached: dict[int, int] = {}
        self.whys: list[str] = []

    def show(self, event: Any) -> Any:
        (self.ledger.count if isinstance(event, TrialResult) else self.ledger.apply)(event)
        return self.scheduler.observe(event, self.ledger)

    def turn(self) -> None:
        answer = self.scheduler.propose(ProposalRequest(self.number, 0, 1), self.ledger)
        self.number += 1
        if isinstance(answer, Start):
            trial = TrialId(len(self.ledger))
            self.show(Suggested(0.0, self.number, "start", trial, answer.config, tags=answer.tags))
            self.show(TrialStarted(0.0, trial, 0, 0))
        else:
            assert isinstance(answer, Resume)
            trial = answer.trial
            self.show(Suggested(0.0, self.number, "resume", trial, None, answer.until, None, answer.why))
            self.show(TrialResumed(0.0, trial, self.ledger[trial].attempt + 1, 0))
        record = self.ledger[trial]
        for level in range(self.reached.get(trial, 0) + 1, 28):
            self.reached[trial] = level
            value = self.curve(trial, level)
            if value is None:
                self.show(TrialFailed(0.0, trial, record.attempt, "exit status 1"))
                return
            decisions = self.show(TrialResult(0.0, trial, record.attempt, record.next_seq, level, {"loss": value}))
            if decisions:
                self.whys.append(decisions[0].why)
                assert isinstance(decisions[0], Pause) == (level < 27)
                record.move("pause" if level < 27 else "stop")
                if level < 27:
                    self.show(TrialPaused(0.0, trial, record.attempt))
                return

    def turns(self, count: int) -> Play:
        for _ in range(count):
            self.turn()
        return self


def test_it_stays_at_two_rungs_while_they_agree() -> None:
    played = Play(lambda trial, level: (trial * 7 % 40) / level).turns(60)
    assert max(played.reached.values()) == 3
    assert not any("unlocked" in why for why in played.whys)


def test_a_reordering_unlocks_one_rung_after_the_other_up_to_max_t() -> None:
    def crossing(trial: int, level: int) -> float:
        return (1 if level < 3 or level >= 9 else -1) * (trial * 7 % 40 + 1.0) - level

    played = Play(crossing).turns(60)
    told = [why.partition("; ")[2] for why in played.whys if "unlocked" in why]
    assert told[0] == "rankings at 1 and 3 differ, so level 9 is unlocked"
    assert told == [told[0], *["rankings at 3 and 9 differ, so level 27 is unlocked"] * (len(told) - 1)]
    assert len(told) == 2
    assert max(played.reached.values()) == 27


def test_swaps_within_the_noise_unlock_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def swapping(trial: int, level: int) -> float:
        return float((trial * 7 + level * 13 + trial * level * 3) % 11)

    assert max(Play(swapping, grace_period=3).turns(40).reached.values()) == 9
    monkeypatch.setattr(soft_ranking, "noise", lambda curves: 0.0)
    assert max(Play(swapping, grace_period=3).turns(40).reached.values()) == 27


def test_failed_trials_hold_up_nothing() -> None:
    played = Play(lambda trial, level: None if trial % 3 == 1 else float(trial % 20)).turns(60)
    assert {level for trial, level in played.reached.items() if trial % 3 == 1} == {1}
    assert max(level for trial, level in played.reached.items()) == 3


def test_one_rung_alone_is_plain_asha() -> None:
    assert max(Play(lambda trial, level: float(trial % 9), max_t=27, grace_period=9).turns(30).reached.values()) == 27


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resource_attr": None}, "needs resource_attr="),
        ({"max_t": 3, "grace_period": 3}, "grace_period=3 leaves no rung"),
        ({"reduction_factor": 1}, "reduction_factor=1"),
        ({"max_resource_attr": "epochs"}, "not in config_space"),
        ({"metric": ["a", "b"]}, "one metric"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        PASHA(**{"config_space": SPACE, "metric": "loss", "resource_attr": "epoch", "max_t": 9, **arguments})


def test_it_has_no_brackets() -> None:
    with pytest.raises(UnknownArgument, match="brackets"):
        PASHA(SPACE, "loss", resource_attr="epoch", max_t=9, brackets=2)  # type: ignore[call-arg]
