"""Cost promotion against a reference of its own, the paper's rule for equal costs, and a sequence by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.config_space import uniform
from offbeat.decisions import Resume, Start
from offbeat.errors import InvalidArgument
from offbeat.events import (
    ReportRejected,
    Suggested,
    TrialLost,
    TrialPaused,
    TrialResult,
    TrialResumed,
    TrialStarted,
)
from offbeat.optimizer.baselines import ASHA, CostASHA
from offbeat.protocols import ProposalRequest
from offbeat.trial import Ledger, TrialId

SPACE = {"x": uniform(0, 1)}


def scheduler(**options: Any) -> CostASHA:
    settings = {"resource_attr": "epoch", "max_t": 9, "cost_attr": "cost", "random_seed": 1, **options}
    return CostASHA(SPACE, "loss", **settings)


class Play:
    """The engine in miniature, one attempt after the other."""

    def __init__(self, one: Any) -> None:
        self.scheduler, self.ledger, self.number = one, Ledger("loss"), 0

    def show(self, event: Any) -> str:
        (self.ledger.count if isinstance(event, TrialResult) else self.ledger.apply)(event)
        decisions = self.scheduler.observe(event, self.ledger)
        if not isinstance(event, TrialResult) or not decisions:
            return "continue"
        (decision,) = decisions
        verdict = type(decision).__name__.lower()
        self.ledger.decide(TrialResult(0.0, event.trial, event.attempt, event.seq, 0, {}, verdict))  # type: ignore[arg-type]
        return verdict

    def ask(self) -> tuple[str, int]:
        answer = self.scheduler.propose(ProposalRequest(self.number, 0, 1), self.ledger)
        self.number += 1
        if isinstance(answer, Start):
            trial = TrialId(len(self.ledger))
            self.show(Suggested(0.0, self.number, "start", trial, answer.config, answer.until, None, "", answer.tags))
            self.show(TrialStarted(0.0, trial, 0, 0))
            return "start", trial
        assert isinstance(answer, Resume)
        self.show(Suggested(0.0, self.number, "resume", answer.trial, None, answer.until))
        self.show(TrialResumed(0.0, answer.trial, self.ledger[answer.trial].attempt + 1, 0))
        return "resume", answer.trial

    def report(self, trial: int, epoch: int, loss: float, cost: float, seq: int | None = None) -> str:
        record = self.ledger[TrialId(trial)]
        number = record.next_seq if seq is None else seq
        metrics = {"epoch": epoch, "loss": loss, "cost": cost}
        return self.show(TrialResult(0.0, record.id, record.attempt, number, epoch, metrics))

    def pause(self, trial: int) -> None:
        self.show(TrialPaused(0.0, TrialId(trial), self.ledger[TrialId(trial)].attempt))


def reference(entries: list[tuple[float, float]], share: tuple[int, int]) -> int:
    """How many of (value, cost) may go on: cumulative sums of the sorted list, as the rule is written."""
    costs = [cost for _, cost in sorted(entries, key=lambda entry: entry[0])]
    return max(k for k in range(len(costs) + 1) if sum(costs[:k]) * share[1] <= sum(costs) * share[0])


@given(
    values=st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), st.integers(0, 9)), min_size=1, max_size=25
    )
)
def test_who_goes_on_is_who_the_rule_names(values: list[tuple[float, int]]) -> None:
    one = Play(scheduler())
    entries: list[tuple[float, float]] = []
    promoted: set[int] = set()
    for value, cost in values:
        while True:
            what, trial = one.ask()
            if what == "start":
                break
            ranked = sorted(range(len(entries)), key=lambda t: entries[t][0])
            allowed = ranked[: reference(entries, (1, 3))]
            waiting = [t for t in allowed if t not in promoted]
            assert trial == waiting[0]
            promoted.add(trial)
            one.show(TrialLost(0.0, TrialId(trial), one.ledger[TrialId(trial)].attempt, "gone"))
        assert trial == len(entries)
        ranked = sorted(range(len(entries)), key=lambda t: entries[t][0])
        assert not [t for t in ranked[: reference(entries, (1, 3))] if t not in promoted]
        entries.append((value, float(cost)))
        assert one.report(trial, 1, value, float(cost)) == "pause"
        one.pause(trial)


def test_a_sequence_by_hand() -> None:
    """Rung 1 of 3: the best may have cost a third of everything."""
    one = Play(scheduler())
    for loss, cost in ((3.0, 2.0), (2.0, 8.0), (4.0, 2.0)):
        _, trial = one.ask()
        one.report(trial, 1, loss, cost)
        one.pause(trial)
    # The best one has cost 8 of 12, twice of what is allowed; by numbers alone it would go on.
    assert one.ask() == ("start", 3)
    one.report(3, 1, 5.0, 12.0)
    one.pause(3)
    # 8 of 24.
    assert one.ask() == ("resume", 1)
    # 8 + 2 of 24 are too much for the next one.
    assert one.ask() == ("start", 4)
    one.report(4, 1, 9.0, 6.0)
    one.pause(4)
    # 10 of 30.
    assert one.ask() == ("resume", 0)


@pytest.mark.parametrize("seed", range(4))
def test_with_equal_costs_the_rule_is_the_paper_s(seed: int) -> None:
    def story(one: Any) -> list[tuple[str, int, str]]:
        play, told = Play(one), []
        dice = random.Random(seed)
        for _ in range(60):
            what, trial = play.ask()
            epoch = {0: 1, 1: 3, 3: 9}[play.ledger[TrialId(trial)].resource]
            verdict = play.report(trial, epoch, dice.choice([0.0, 1.0, 2.0]) + dice.random() * (epoch > 1), 5.0 * epoch)
            told.append((what, trial, verdict))
            if verdict == "pause":
                play.pause(trial)
        return told

    plain = ASHA(SPACE, "loss", resource_attr="epoch", max_t=9, type="promotion", rule="paper", random_seed=1)
    # Costs of an attempt that goes on add up to those of one from the start, so all at a rung cost the same.
    assert story(scheduler()) == story(plain)


def spent(one: Play, trial: int) -> float:
    return float(one.scheduler._spent[TrialId(trial)])


def test_costs_of_attempts_that_go_on_add_up() -> None:
    one = Play(scheduler())
    one.ask()
    one.report(0, 1, 1.0, 4.0)
    one.pause(0)
    one.show(Suggested(0.0, 1, "resume", TrialId(0), None, 3))
    one.show(TrialResumed(0.0, TrialId(0), 1, 0))
    one.report(0, 2, 1.0, 5.0)
    # Contact is lost in the middle of it: what its last report says has been spent.
    one.show(TrialLost(0.0, TrialId(0), 1, "node gone"))
    one.show(TrialStarted(0.0, TrialId(0), 2, 0))
    one.report(0, 3, 1.0, 6.0)
    assert spent(one, 0) == 4.0 + 5.0 + 6.0


def test_an_attempt_that_begins_again_has_cost_what_it_says() -> None:
    one = Play(scheduler())
    one.ask()
    one.report(0, 1, 1.0, 4.0)
    one.pause(0)
    one.show(Suggested(0.0, 1, "resume", TrialId(0), None, 3))
    one.show(TrialResumed(0.0, TrialId(0), 1, 0))
    again = {"epoch": 1, "loss": 1.0, "cost": 4.5}
    one.ledger.apply(TrialResult(0.0, TrialId(0), 1, 0, 1, again, "repeat"))
    one.report(0, 2, 1.0, 9.0)
    one.report(0, 3, 1.0, 13.0)
    assert spent(one, 0) == 13.0


def test_a_report_that_was_not_usable_is_no_repeat() -> None:
    one = Play(scheduler())
    one.ask()
    one.report(0, 1, 1.0, 4.0)
    one.pause(0)
    one.show(Suggested(0.0, 1, "resume", TrialId(0), None, 3))
    one.show(TrialResumed(0.0, TrialId(0), 1, 0))
    one.ledger.apply(ReportRejected(0.0, TrialId(0), 1, "not JSON", "", 1, 0))
    one.report(0, 3, 1.0, 6.0)
    assert spent(one, 0) == 10.0


def test_sparse_reports_are_paid_where_they_count() -> None:
    one = Play(scheduler())
    one.ask()
    assert one.report(0, 4, 1.0, 20.0) == "pause"
    assert [(row["level"], row["entries"]) for row in one.scheduler.rung_table()] == [(1, []), (3, [(1.0, 0)])]
    assert spent(one, 0) == 20.0


def test_in_simulation_it_is_cheaper_to_the_same_number_of_full_trainings(lab: Any, simulation: Any) -> None:
    """Slow trials are good ones here: by number they go on as often as others, by cost less."""
    from offbeat import StoppingCriterion

    found: dict[str, float] = {}
    for name in ("paper", "cost"):
        options: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 5}
        config = {"rate": uniform(0, 1), "pace": 2, "epochs": 9}
        one = (
            ASHA(config, "loss", "max", type="promotion", rule="paper", **options)
            if name == "paper"
            else CostASHA(config, "loss", "max", cost_attr="elapsed", **options)
        )
        lab.run(
            lab.tuner(
                lab.home, one, backend=simulation.backend("apart"), name=name,
                stop_criterion=StoppingCriterion(max_num_trials_started=60),
            )
        )  # fmt: skip
        results = [event for event in lab.events(lab.home, name) if isinstance(event, TrialResult)]
        found[name] = sum(event.resource > 1 for event in results) / len(results)
    # `rate` is the pace, and the loss that is to be large: the best have cost most.
    assert found["cost"] < found["paper"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cost_attr": ""}, "cost_attr=''"),
        ({"cost_attr": 3}, "cost_attr=3"),
        ({"cost_attr": "loss"}, "'loss', which is in use as metric"),
        ({"cost_attr": "epoch"}, "'epoch', which is in use as resource_attr"),
        ({"resource_attr": None}, "needs resource_attr="),
        ({"nonfinite": {"nothing": "worst"}}, "not a metric"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        scheduler(**options)
    assert message in str(caught.value)


def test_a_policy_for_the_cost() -> None:
    one = scheduler(nonfinite={"cost": "worst", "loss": "ignore"})
    assert [(spec.name, spec.role, spec.nonfinite) for spec in one.objective.metrics] == [
        ("loss", "objective", "ignore"), ("cost", "cost", "worst"),
    ]  # fmt: skip
