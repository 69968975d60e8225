"""Population based training against a reading of the paper by hand."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat import Tuner
from offbeat.cli.explain import lineage
from offbeat.config_space import choice, finrange, loguniform, optional, ordinal, quniform, randint, uniform
from offbeat.decisions import Continue, Decision, Pause, Resume, Start, Stop
from offbeat.describe import describe
from offbeat.errors import InvalidArgument, InvalidConfig
from offbeat.events import (
    Event,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialPaused,
    TrialResult,
    TrialResumed,
    TrialStarted,
    TrialStopped,
)
from offbeat.journal import read_journal
from offbeat.optimizer.baselines import PopulationBasedTraining
from offbeat.protocols import ProposalRequest
from offbeat.replay import verify
from offbeat.results import load
from offbeat.space import Space
from offbeat.trial import Ledger, TrialId
from offbeat_plugins.schedulers.exploration import explored, perturbed

SPACE = {"lr": loguniform(1e-4, 1.0), "kind": choice(["a", "b"])}


def made(**arguments: Any) -> PopulationBasedTraining:
    settings: dict[str, Any] = {"resource_attr": "epoch", "max_t": 20, "perturbation_interval": 5, "random_seed": 1}
    return PopulationBasedTraining(SPACE, "loss", **settings | arguments)


class Table:
    """A population at hand: one free worker asks, one trial reports, decisions are carried out at once."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler, self.ledger = scheduler, Ledger("loss")
        self.number = 0
        self.reports: Counter[int] = Counter()

    def tell(self, event: Event) -> Sequence[Decision]:
        if not isinstance(event, TrialResult):
            self.ledger.apply(event)
            return list(self.scheduler.observe(event, self.ledger))
        self.ledger.count(event)
        return list(self.scheduler.observe(event, self.ledger))

    def ask(self, **options: Any) -> Start | Resume | None:
        self.number += 1
        request = ProposalRequest(self.number, 0, self.scheduler.seed, **options)
        answer: Start | Resume | None = self.scheduler.propose(request, self.ledger)
        return answer

    def begin(self) -> tuple[int, Any]:
        answer = self.ask()
        assert answer is not None
        if isinstance(answer, Resume):
            trial, attempt = answer.trial, self.ledger[answer.trial].attempt + 1
            self.tell(Suggested(0.0, self.number, "resume", trial))
            self.tell(TrialResumed(0.0, trial, attempt, self.ledger.free_slot()))
        else:
            trial = TrialId(len(self.ledger))
            config, tags = answer.config, answer.tags
            self.tell(Suggested(0.0, self.number, "start", trial, config, donor=answer.donor, tags=tags))
            self.tell(TrialStarted(0.0, trial, 0, self.ledger.free_slot()))
        return int(trial), answer

    def report(self, trial: int, epoch: int, loss: float) -> Decision | None:
        record = self.ledger[TrialId(trial)]
        event = TrialResult(0.0, record.id, record.attempt, self.reports[trial], epoch, {"loss": loss})
        self.reports[trial] += 1
        decisions = self.tell(event)
        assert len(decisions) <= 1
        if not decisions or isinstance(decisions[0], Continue):
            return decisions[0] if decisions else None
        (decision,) = decisions
        verdict: Any = "stop" if isinstance(decision, Stop) else "pause"
        self.ledger.decide(TrialResult(0.0, record.id, record.attempt, 0, epoch, {"loss": loss}, verdict))
        over = TrialStopped if verdict == "stop" else TrialPaused
        self.tell(over(0.0, record.id, record.attempt))
        return decision


def started(count: int, **arguments: Any) -> Table:
    table = Table(made(population_size=count, **arguments))
    for _ in range(count):
        table.begin()
    return table


def test_the_population_has_its_size_whatever_the_workers() -> None:
    table = started(3)
    assert table.ask() is None
    assert [table.ledger[TrialId(n)].tags for n in range(3)] == [{"generation": 0}] * 3


def test_with_fewer_workers_than_members_these_take_turns() -> None:
    table = Table(made(population_size=3))
    assert [table.begin()[0] for _ in range(2)] == [0, 1]
    assert isinstance(table.report(0, 5, 1.0), Pause)
    assert table.begin()[0] == 2
    assert isinstance(table.report(1, 5, 0.5), Pause)
    assert table.begin()[0] == 0, "of those who are equally far, the one that has waited longest"
    assert isinstance(table.report(2, 5, 0.7), Pause)
    assert table.begin()[0] == 1
    assert isinstance(table.report(0, 10, 0.6), Pause)
    assert table.begin()[0] == 2, "it is less far than trial 0"


def test_a_single_worker_fills_a_place_after_the_good_one_s_turn() -> None:
    table = Table(made(population_size=2, quantile_fraction=0.5))
    table.begin()
    assert isinstance(table.report(0, 5, 1.0), Pause)
    assert table.begin()[0] == 1
    assert isinstance(table.report(1, 5, 2.0), Stop)
    assert table.begin()[0] == 0, "it is no further than the place that is to be filled"
    assert isinstance(table.report(0, 10, 0.5), Pause)
    assert table.begin()[1].donor == 0


def test_the_worst_is_replaced_by_a_copy_of_the_best_and_nobody_pauses_without_need() -> None:
    table = started(4)
    assert isinstance(table.report(0, 5, 4.0), Continue), "alone, nobody is weak"
    assert isinstance(table.report(1, 5, 2.0), Continue)
    assert isinstance(table.report(2, 5, 3.0), Continue)
    assert table.report(3, 4, 99.0) is None, "not there yet"
    assert table.report(3, 5, 5.0) == Stop(
        TrialId(3), "epoch 5: 3 of 4 members better, a copy of a good one takes its place"
    )
    trial, answer = table.begin()
    assert (trial, answer.donor, answer.tags) == (4, 1, {"parent": 1, "generation": 1})
    assert answer.why.startswith("in place of trial 3, a copy of trial 1: ")
    assert table.ask() is None


def test_a_copy_is_compared_where_its_donor_is_next() -> None:
    table = started(2, quantile_fraction=0.5)
    table.report(0, 5, 1.0)
    table.report(0, 10, 0.9)
    assert isinstance(table.report(1, 5, 2.0), Stop)
    trial, answer = table.begin()
    assert answer.donor == 0
    assert table.report(trial, 11, 50.0) is None, "its donor's last comparison was at 10"
    assert isinstance(table.report(trial, 15, 50.0), Stop)
    again, answer = table.begin()
    assert (answer.donor, answer.tags["generation"]) == (0, 1)
    assert isinstance(table.report(0, 15, 3.0), Continue), "a copy has no value before it was compared itself"
    assert isinstance(table.report(again, 15, 2.0), Continue)
    assert table.report(0, 19, 3.0) is None


def test_whoever_is_behind_is_not_weak_for_that() -> None:
    table = started(3)
    for level, loss in ((5, 3.0), (10, 2.0), (15, 1.0)):
        table.report(1, level, loss + 0.5)
        table.report(0, level, loss)
    assert isinstance(table.report(2, 5, 3.2), Continue), "second of three at this level, last of all values"
    assert isinstance(table.report(2, 12, 2.6), Stop), "last of three at 10"
    assert table.begin()[1].donor == 0


def test_generations_are_counted_along_the_line() -> None:
    table = started(2, quantile_fraction=0.5, max_t=1000)
    better, worse, level = 0, 1, 0
    for generation in range(1, 6):
        level += 5
        table.report(better, level, 1.0)
        assert isinstance(table.report(worse, level, 2.0), Stop)
        copy, answer = table.begin()
        assert answer.tags == {"parent": better, "generation": generation}
        # The copy overtakes its donor, and is the next donor.
        better, worse = copy, better


@pytest.mark.parametrize("mode", ["min", "max"])
def test_equal_values_stop_nobody(mode: Any) -> None:
    table = started(4, mode=mode, quantile_fraction=0.5)
    for level in (5, 10, 15):
        assert all(isinstance(table.report(trial, level, 1.0), Continue) for trial in range(4))


def test_of_equal_donors_the_one_compared_earlier_is_taken() -> None:
    table = started(4)
    for trial in (2, 0, 1):
        table.report(trial, 5, 1.0)
    assert isinstance(table.report(3, 5, 2.0), Stop)
    assert table.begin()[1].donor == 2


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(0, 5), min_size=2, max_size=9),
    quantile=st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.34, 0.5]),
    order=st.randoms(use_true_random=False),
)
def test_who_is_weak_by_an_independent_reading(values: list[int], quantile: float, order: Any) -> None:
    """Nobody is replaced before all have been compared once: the last one to report meets them all."""
    size = len(values)
    trials = list(range(size))
    order.shuffle(trials)
    table = started(size, quantile_fraction=quantile)
    alive: dict[int, int] = {}
    for trial in trials:
        decision = table.report(trial, 5, values[trial])
        ranked = sorted([*alive.values(), values[trial]])
        n = len(ranked)
        weak = min(math.ceil(n * quantile - 1e-9), n // 2)
        expected = n > 1 and weak > 0 and ranked.index(values[trial]) >= n - weak
        assert isinstance(decision, Stop if expected else Continue)
        if not expected:
            alive[trial] = values[trial]
    while (answer := table.ask()) is not None:
        assert isinstance(answer, Start)
        n = len(alive) + 1
        good = sorted(alive.values())[: max(1, min(math.ceil(n * quantile - 1e-9), n // 2))]
        assert alive[int(answer.donor or 0)] in good
        table.begin()


def test_all_good_ones_are_drawn_alike() -> None:
    table = started(8)
    # The best report last, so that nobody is weak.
    for trial in range(6, -1, -1):
        assert isinstance(table.report(trial, 5, float(trial)), Continue)
    assert isinstance(table.report(7, 5, 99.0), Stop)
    drawn = Counter(answer.donor for answer in (table.ask() for _ in range(400)) if isinstance(answer, Start))
    assert set(drawn) == {0, 1}
    assert drawn.total() == 400
    assert 0.4 < drawn[TrialId(0)] / 400 < 0.6


def test_a_failure_is_replaced_by_a_copy_and_by_a_new_one_as_long_as_nobody_was_compared() -> None:
    table = started(3)
    table.tell(TrialFailed(0.0, TrialId(0), 0, "exit status 1"))
    trial, answer = table.begin()
    assert (trial, answer.donor, answer.tags) == (3, None, {"generation": 0})
    table.report(1, 5, 1.0)
    table.tell(TrialFailed(0.0, TrialId(2), 0, "exit status 1"))
    assert table.begin()[1].donor == 1
    table.tell(TrialFailed(0.0, TrialId(1), 0, "exit status 1"))
    assert table.ask() is None, "the others have been compared with nobody yet: they are waited for"
    table.report(3, 5, 7.0)
    assert table.begin()[1].donor == 3
    for trial in (3, 4, 5):
        table.tell(TrialFailed(0.0, TrialId(trial), 0, "exit status 1"))
    assert isinstance(answer := table.ask(), Start), "nobody is left: it begins again"
    assert answer.donor is None


def test_each_member_ends_at_the_highest_level_and_then_the_run_does() -> None:
    table = started(2, quantile_fraction=0.0)
    assert isinstance(table.report(0, 25, 1.0), Stop), "beyond it too"
    table.tell(TrialFinished(0.0, TrialId(1), 0))
    assert table.ask() is None


def test_a_script_that_was_told_its_maximum_ends_by_itself() -> None:
    scheduler = PopulationBasedTraining(
        {**SPACE, "epochs": 20}, "loss", resource_attr="epoch", max_resource_attr="epochs"
    )
    table = Table(scheduler)
    _, answer = table.begin()
    assert answer.until == 20
    assert isinstance(table.report(0, 20, 1.0), Continue)
    assert isinstance(table.report(0, 21, 1.0), Stop)


def test_no_new_trial_beyond_a_limit() -> None:
    table = Table(made(population_size=2, quantile_fraction=0.5))
    table.begin()
    assert isinstance(table.report(0, 5, 1.0), Pause)
    assert isinstance(table.ask(may_start=False), Resume)


# --- exploring


@pytest.mark.parametrize(
    ("domain", "value", "up", "down"),
    [
        (uniform(0, 10), 5.0, 6.0, 4.0),
        (uniform(0, 10), 9.0, 10.0, 7.2),
        (uniform(-10, 10), -5.0, -6.0, -4.0),
        (loguniform(1e-4, 1.0), 0.01, 0.012, 0.008),
        (randint(1, 100), 50, 60, 40),
        (randint(1, 100), 2, 3, 1),
        (randint(1, 100), 1, 2, 1),
        (randint(1, 100), 100, 100, 80),
        (randint(-5, 5), -1, -2, 0),
        (quniform(0, 1, 0.1), 0.5, 0.6, 0.4),
        (quniform(0, 1, 0.1), 0.1, 0.2, 0.0),
        (finrange(0.1, 0.5, 5), 0.3, 0.4, 0.2),
        (ordinal([8, 16, 64]), 16, 64, 8),
        (ordinal([8, 16, 64]), 64, 64, 16),
        (choice(["a", "b"]), "a", "a", "a"),
        (optional(randint(1, 100)), None, None, None),
        (optional(randint(1, 100)), 50, 60, 40),
    ],
)
def test_values_move_within_their_bounds(domain: Any, value: Any, up: Any, down: Any) -> None:
    assert perturbed(domain, value, up=True) == up
    assert perturbed(domain, value, up=False) == down
    assert all(domain.checker()(found) for found in (up, down))


def test_shares_of_what_exploring_does() -> None:
    space = Space({"lr": loguniform(1e-4, 1.0), "kind": choice(["a", "b", "c", "d"])})
    config = {"lr": 0.01, "kind": "a"}
    found = [explored(space, config, np.random.default_rng(seed), 0.25)[0] for seed in range(2000)]
    up, down = (sum(one["lr"] == value for one in found) / 2000 for value in (0.012, 0.008))
    assert abs(up - 0.375) < 0.04
    assert abs(down - 0.375) < 0.04
    # A category is drawn again in a quarter of the cases, and is another one in three quarters of these.
    assert abs(sum(one["kind"] != "a" for one in found) / 2000 - 0.25 * 0.75) < 0.03
    assert explored(space, config, np.random.default_rng(0), 0.0)[0]["kind"] == "a"
    assert all(explored(space, config, np.random.default_rng(n), 1.0)[0]["lr"] != 0.012 for n in range(50))


# --- the user's own exploration, and bad input


def test_a_function_of_the_user_s_own_explores_and_has_to_be_passed_again() -> None:
    def halve(config: dict[str, Any], rng: Any) -> Mapping[str, Any]:
        return config | {"lr": max(config["lr"] / 2, 1e-4)}

    table = started(2, quantile_fraction=0.5, custom_explore_fn=halve)
    table.report(0, 5, 1.0)
    table.report(1, 5, 2.0)
    _, answer = table.begin()
    assert answer.config["lr"] == max(table.ledger[TrialId(0)].config["lr"] / 2, 1e-4)
    description = describe(made(custom_explore_fn=halve), "offbeat.schedulers")
    assert description.options is None
    assert description.fingerprint != describe(made(custom_explore_fn=lambda c, r: c), "offbeat.schedulers").fingerprint


def test_a_function_that_answers_nonsense_is_named() -> None:
    table = started(2, quantile_fraction=0.5, custom_explore_fn=lambda config, rng: {"lr": 7.0})
    table.report(0, 5, 1.0)
    table.report(1, 5, 2.0)
    with pytest.raises(InvalidConfig, match="custom_explore_fn answered"):
        table.ask()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"quantile_fraction": 0.6}, "from 0 to 0.5"),
        ({"quantile_fraction": -0.1}, "from 0 to 0.5"),
        ({"resample_probability": 1.5}, "from 0 to 1"),
        ({"resample_probability": float("nan")}, "from 0 to 1"),
        ({"population_size": 1}, "give 2 at least"),
        ({"population_size": 2.5}, "whole number"),
        ({"perturbation_interval": 0}, "whole number"),
        ({"perturbation_interval": 20}, "not below max_t=20"),
        ({"resource_attr": None}, "needs resource_attr="),
        ({"max_t": None}, "needs the highest resource level"),
        ({"max_t": None, "max_resource_attr": "epochs"}, "not in config_space"),
        ({"custom_explore_fn": lambda config: config}, "two arguments"),
        ({"custom_explore_fn": 3}, "not a function"),
        ({"n_workers": 4}, "Tuner"),
    ],
)
def test_bad_arguments_are_explained(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        made(**wrong)


def test_several_metrics_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="one metric"):
        PopulationBasedTraining(SPACE, ["a", "b"], resource_attr="epoch", max_t=9)  # type: ignore[arg-type]


# --- with processes


@pytest.mark.asyncio
@pytest.mark.parametrize("workers", [1, 3])
async def test_copies_go_on_from_their_donors_checkpoints(local: Any, workers: int) -> None:
    """Each script appends its trial and epoch to what it found; a copy's file is its donor's, continued."""
    script = local.script("""
        import json, os, time
        from offbeat import report
        config, trial = report.config(), int(os.environ["OFFBEAT_TRIAL"])
        path = os.path.join(report.checkpoint_dir(), "state.json")
        past = json.load(open(path)) if os.path.exists(path) else []
        reporter = report.Reporter()
        for epoch in range(len(past) + 1, config["epochs"] + 1):
            time.sleep(0.02)  # the training
            past.append([trial, config["x"]])
            with open(path + ".new", "w") as file:
                json.dump(past, file)
            os.replace(path + ".new", path)
            reporter(epoch=epoch, loss=sum((x - 0.7) ** 2 for _, x in past) / epoch, past=json.dumps(past))
    """)
    scheduler = PopulationBasedTraining(
        {"x": uniform(0, 1), "epochs": 8},
        "loss",
        resource_attr="epoch",
        max_resource_attr="epochs",
        population_size=3,
        perturbation_interval=2,
        quantile_fraction=0.5,
        random_seed=4,
    )
    home = local.path / "home"
    tuner = Tuner(local.backend(script), scheduler, n_workers=workers, name="population", home=home)
    await tuner.arun()
    experiment = load("population", home)
    donors: dict[int, int] = {}
    pasts: dict[int, list[Any]] = {}
    for recorded in read_journal(experiment.folder):
        event = recorded.event
        if isinstance(event, Suggested) and event.donor is not None:
            donors[int(event.trial)] = int(event.donor)
        elif isinstance(event, TrialResult):
            past = json.loads(event.metrics["past"])
            assert len(past) == event.metrics["epoch"]
            pasts.setdefault(int(event.trial), []).append(past)
    assert donors, "nobody was copied"
    for trial, donor in donors.items():
        if trial in pasts:
            first = pasts[trial][0]
            assert [owner for owner, _ in first].count(trial) == 1, "its own first epoch"
            assert len(first) > 2, "the donor was compared once at least"
            # As the donor had it after one of its epochs; it may have been stopped between its checkpoint and its report.
            assert first[:-1] in pasts[donor] or first[:-2] in pasts[donor]
    assert verify("population", home=home).verified
    line = lineage(experiment, max(donors))
    assert line[1] == donors[line[0]]
    assert line[-1] not in donors
