"""The median stopping rule against golden sequences, an independent NumPy reference, and around other schedulers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offbeat import StoppingCriterion, Tuner
from offbeat.arguments import UnknownArgument
from offbeat.config_space import randint, uniform
from offbeat.decisions import Continue, Pause, Stop
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument, UnknownPlugin
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
from offbeat.optimizer.baselines import ASHA, MedianStoppingRule, RandomSearch
from offbeat.protocols import Objective, Scheduler
from offbeat.results import load
from offbeat.space import Space
from offbeat.testing.rehearsal import Rehearsal, decisions
from offbeat.testing.scripted import Report, ScriptedBackend
from offbeat.trial import Ledger, TrialId

SPACE: dict[str, Any] = {"lr": uniform(0, 1), "layers": randint(1, 1000)}


def rule(mode: Any = "min", **options: Any) -> MedianStoppingRule:
    return MedianStoppingRule(SPACE, "loss", mode, **{"resource_attr": "epoch", "random_seed": 7, **options})


class Play:
    """Shows a rule the reports of trials, and carries its stops and pauses out."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.ledger = Ledger("loss")
        self.why = ""

    def show(self, event: Event) -> Sequence[Any]:
        if isinstance(event, TrialResult):
            self.ledger.count(event)
        else:
            self.ledger.apply(event)
        return self.scheduler.observe(event, self.ledger)

    def report(self, trial: int, epoch: int, loss: float, **more: float) -> str:
        """S, P, C, - for a stop, a pause, an explicit and an implicit continue; x if the trial is gone."""
        number = TrialId(trial)
        if number not in self.ledger.trials:
            self.show(Suggested(0.0, trial, "start", number, {"lr": 0.1, "layers": 1}, tags={"bracket": 0}))
            self.show(TrialStarted(0.0, number, 0, trial))
        record = self.ledger[number]
        if record.status.value != "running":
            return "x"
        event = TrialResult(0.0, number, record.attempt, record.next_seq, epoch, {"loss": loss, **more})
        found = self.show(event)
        assert len(found) <= 1
        if not found:
            return "-"
        self.why = found[0].why
        if isinstance(found[0], Continue):
            return "C"
        record.move("stop" if isinstance(found[0], Stop) else "pause")
        self.show((TrialStopped if isinstance(found[0], Stop) else TrialPaused)(0.0, number, record.attempt))
        return "S" if isinstance(found[0], Stop) else "P"

    def level(self, epoch: int, values: Sequence[float]) -> str:
        return "".join(self.report(trial, epoch, value) for trial, value in enumerate(values))


# --- golden sequences, by hand

#      number strictly better / number there:  0/5 | 5/6 S | 3/7 - | 7/8 S (ties do not count) | 4/9 - | 5/10 - | 6/11 S
ARRIVALS = (1, 2, 3, 4, 0.5, 9, 2.5, 9, 3, 3, 3.5)


@pytest.mark.parametrize("averages", [True, False])
def test_golden_sequence_at_one_level(averages: bool) -> None:
    play = Play(rule(running_average=averages))
    assert play.level(1, ARRIVALS) == "-----S-S--S"
    assert play.why == f"epoch 1: {'running average 3.5' if averages else '3.5'} has 7 of 11 before it, 5 allowed"


def test_golden_sequence_of_max() -> None:
    play = Play(rule("max"))
    assert play.level(1, [-value for value in ARRIVALS]) == "-----S-S--S"
    assert "running average -3.5 has 7 of 11 before it" in play.why


def test_the_two_forms_differ_where_a_trial_has_recovered() -> None:
    """Trial 4 begins badly and is best at epoch 2; its average is still the worst."""
    for averages, expected in ((True, "----S"), (False, "-----")):
        play = Play(rule(running_average=averages, grace_time=2))
        assert play.level(1, (1, 1, 1, 1, 9)) == "-----"
        assert play.level(2, (1, 1, 1, 1, 0)) == expected


def test_grace_time_and_population_spare_but_count() -> None:
    play = Play(rule(grace_time=2, grace_population=3))
    assert play.level(1, (1, 2, 3, 4, 5)) == "-----", "below grace_time nobody is stopped"
    assert play.level(2, (1, 2)) == "--", "two are too few"
    assert play.report(2, 2, 9.0) == "S", "average 6 behind 1 and 2: 2 of 3"
    assert play.why == "epoch 2: running average 6 has 2 of 3 before it, 1 allowed"


@pytest.mark.parametrize(("cutoff", "expected"), [(0.0, "--SSS"), (0.25, "-----"), (0.2, "----S"), (1.0, "-----")])
def test_the_cutoff_is_a_share_of_all_that_are_there(cutoff: float, expected: str) -> None:
    values = (1, 2, 3, 4, 2) if cutoff == 0.25 else (1, 1, 2, 3, 4) if cutoff == 0.0 else (4, 3, 2, 1, 3)
    play = Play(rule(rank_cutoff=cutoff, grace_population=3 if cutoff == 0.0 else 5))
    assert play.level(1, values) == expected


def test_levels_are_compared_each_for_itself_however_sparse_the_reports() -> None:
    play = Play(rule(running_average=False, grace_population=2))
    assert [play.report(0, 2, 1.0), play.report(1, 3, 9.0), play.report(2, 3, 1.0)] == ["-", "-", "-"]
    assert play.report(3, 3, 2.0) == "-", "1 of 3 is before it"
    assert play.report(4, 2, 1.5) == "-", "1 of 2 at epoch 2"
    assert play.report(5, 3, 3.0) == "-", "2 of 4"
    assert play.report(6, 3, 4.0) == "S", "3 of 5"


def test_at_the_highest_level_nothing_is_stopped() -> None:
    play = Play(MedianStoppingRule({**SPACE, "epochs": 2}, "loss", resource_attr="epoch", max_resource_attr="epochs"))
    assert play.level(1, (1, 1, 1, 1, 1)) == "-----"
    assert play.level(2, (1, 1, 1, 1, 9)) == "-----"


# --- an independent reference: lists and NumPy, nothing sorted


def reference(
    reports: Sequence[tuple[int, int, float]], *, sign: int, averages: bool, grace: int, population: int, cutoff: float
) -> str:
    told: dict[int, list[float]] = defaultdict(list)
    there: dict[int, list[float]] = defaultdict(list)
    gone: set[int] = set()
    answers = ""
    for trial, epoch, loss in reports:
        if trial in gone:
            answers += "x"
            continue
        told[trial].append(sign * loss)
        value = float(np.mean(told[trial])) if averages else sign * loss
        there[epoch].append(value)
        level = np.asarray(there[epoch])
        rank = np.count_nonzero(level < value) / level.size
        stops = epoch >= grace and level.size >= population and rank > cutoff
        gone |= {trial} if stops else set()
        answers += "S" if stops else "-"
    return answers


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[int, int, float]]:
    """Reports of up to 12 trials, interleaved, with gaps and ties; quarters, so that sums are exact."""
    steps = draw(st.lists(st.tuples(st.integers(0, 11), st.integers(1, 3), st.integers(-8, 8)), max_size=80))
    at: Counter[int] = Counter()
    reports = []
    for trial, gap, value in steps:
        at[trial] += gap
        reports.append((trial, at[trial], value / 4))
    return reports


def replayed(scheduler: Scheduler, reports: Sequence[tuple[int, int, float]], rename: Callable[[int], int]) -> str:
    play = Play(scheduler)
    return "".join(play.report(rename(trial), epoch, loss) for trial, epoch, loss in reports)


SHARES = st.one_of(st.sampled_from([0.0, 1 / 3, 0.5, 2 / 3, 1.0]), st.floats(0, 1))


@given(runs(), st.booleans(), st.integers(1, 3), st.integers(1, 6), SHARES, st.sampled_from(["min", "max"]))
@example([(trial, 1, float(trial)) for trial in range(7)], False, 1, 1, 4 / 7, "min")
@example([(trial, 1, float(trial)) for trial in range(12)], False, 1, 1, np.nextafter(0.75, 0), "min")
def test_equals_the_numpy_reference(
    reports: list[tuple[int, int, float]], averages: bool, grace: int, population: int, cutoff: float, mode: str
) -> None:
    options = {"grace_time": grace, "grace_population": population, "rank_cutoff": float(cutoff)}
    expected = reference(
        reports, sign=1 if mode == "min" else -1, averages=averages, grace=grace, population=population, cutoff=cutoff
    )
    assert replayed(rule(mode, running_average=averages, **options), reports, lambda t: t) == expected


@given(runs(), st.booleans(), st.permutations(range(12)))
def test_decisions_do_not_depend_on_ids(reports: list[tuple[int, int, float]], averages: bool, ids: list[int]) -> None:
    straight = replayed(rule(running_average=averages, grace_population=2), reports, lambda t: t)
    assert replayed(rule(running_average=averages, grace_population=2), reports, lambda t: ids[t]) == straight


@given(runs(), SHARES)
def test_the_table_for_explain_says_who_was_good_enough(reports: list[tuple[int, int, float]], cutoff: float) -> None:
    scheduler = rule(grace_population=3, rank_cutoff=cutoff)
    play = Play(scheduler)
    for trial, epoch, loss in reports:
        answer = play.report(trial, epoch, loss)
        if answer == "x":
            continue
        row = next(row for row in scheduler.rung_table() if row["level"] == epoch)
        values = [value for value, _ in row["entries"]]
        own = next(value for value, other in row["entries"] if other == trial)
        assert values == sorted(values)
        assert (answer == "S") == (0 < row["cut"] <= values.index(own))


# --- around other schedulers


class Inner:
    """Keeps what it is shown; answers as a test says."""

    def __init__(self, answer: Any = None) -> None:
        self.objective = Objective.of(["loss", "cost"], ["min", "max"], resource_attr="epoch")
        self.space, self.seed = Space.of(SPACE), 3
        self.seen: list[str] = []
        self.answer = answer

    def observe(self, event: Event, ledger: Any) -> Any:
        self.seen.append(type(event).__name__)
        return self.answer(event) if self.answer and isinstance(event, TrialResult) else ()

    def propose(self, request: Any, ledger: Any) -> Any:
        return ("asked", request, ledger)


def test_the_other_scheduler_sees_everything_and_proposes() -> None:
    inner = Inner()
    scheduler = MedianStoppingRule(scheduler=inner, grace_population=1)
    assert scheduler.propose("request", "ledger") == ("asked", "request", "ledger")  # type: ignore[arg-type, comparison-overlap]
    assert (scheduler.objective, scheduler.space, scheduler.seed) == (inner.objective, inner.space, 3)
    play = Play(scheduler)
    assert [play.report(0, 1, 1.0, cost=1.0), play.report(1, 1, 2.0, cost=1.0)] == ["-", "-"]
    assert play.report(2, 1, 3.0, cost=1.0) == "S"
    play.show(TrialFinished(0.0, TrialId(0), 0))
    assert inner.seen == ["Suggested", "TrialStarted", "TrialResult"] * 3 + ["TrialStopped", "TrialFinished"]


def test_it_wants_to_see_what_the_other_scheduler_wants_and_what_it_needs_itself() -> None:
    inner = Inner()
    assert MedianStoppingRule(scheduler=inner).observes is None
    inner.observes = frozenset({Suggested})  # type: ignore[attr-defined]
    scheduler = MedianStoppingRule(scheduler=inner, grace_population=1)
    play = Play(scheduler)
    assert [play.report(trial, 1, float(trial), cost=1.0) for trial in range(3)] == ["-", "-", "S"]
    assert scheduler.observes == {Suggested, TrialResult, TrialStopped, TrialFinished, TrialFailed}
    assert inner.seen == ["Suggested"] * 3
    assert list(scheduler._sums) == [0, 1], "nothing is kept of trials that have ended"


def test_a_stop_of_the_rule_s_goes_before_what_the_other_says_of_that_trial_alone() -> None:
    answers = [Stop(TrialId(0), "for another reason"), Pause(TrialId(2), "at a rung")]
    scheduler = MedianStoppingRule(
        scheduler=Inner(lambda event: answers if event.trial == 2 else ()), grace_population=1
    )
    play = Play(scheduler)
    for trial in (0, 1):
        play.report(trial, 1, 1.0 + trial, cost=0.0)
    for number in (2, 3):
        play.show(Suggested(0.0, number, "start", TrialId(number), {"lr": 0.1, "layers": 1}))
        play.show(TrialStarted(0.0, TrialId(number), 0, number))
    found = play.show(TrialResult(0.0, TrialId(2), 0, 0, 1, {"loss": 9.0, "cost": 0.0}))
    why = "epoch 1: running average 9 has 2 of 3 before it, 1 allowed"
    assert list(found) == [Stop(TrialId(0), "for another reason"), Stop(TrialId(2), why)]
    answers[1] = Pause(TrialId(3), "at a rung")
    scheduler.scheduler.answer = lambda event: answers  # type: ignore[attr-defined]
    found = play.show(TrialResult(0.0, TrialId(3), 0, 0, 1, {"loss": 1.0, "cost": 0.0}))
    assert list(found) == answers, "the rule lets it pass"


def test_another_metric_of_the_scheduler_s_may_be_compared() -> None:
    play = Play(MedianStoppingRule(scheduler=Inner(), metric="cost", grace_population=1, running_average=False))
    assert [play.report(trial, 1, 0.0, cost=cost) for trial, cost in enumerate((3.0, 2.0, 1.0))] == ["-", "-", "S"]


def test_what_the_rule_stops_a_promoting_scheduler_never_resumes() -> None:
    def worse_and_worse(start: Any) -> Any:
        for epoch in range(1, 10):
            yield Report({"epoch": epoch, "loss": start.trial + epoch / 100})

    inner = ASHA({**SPACE, "epochs": 9}, "loss", resource_attr="epoch", max_resource_attr="epochs", type="promotion",
                 random_seed=1)  # fmt: skip
    run = Rehearsal(
        MedianStoppingRule(scheduler=inner, grace_population=2), worse_and_worse,
        stop_criterion=StoppingCriterion(max_num_trials_started=12),
    ).run()  # fmt: skip
    stopped = {one[1] for one in decisions(run.events) if one[0] == "result" and one[3] == "stop"}
    assert {row["level"]: row["waiting"] for row in inner.rung_table()}[1] == []
    assert stopped == set(range(2, 12))
    assert {event.trial for event in run.events if isinstance(event, TrialResumed)} == {0, 1}


def test_it_is_described_and_resumed_with_the_scheduler_in_it(lab: Any) -> None:
    scheduler = MedianStoppingRule(scheduler=lab.random_search(), running_average=False, grace_population=3)
    lab.run(lab.tuner(lab.home, scheduler, stop_criterion=StoppingCriterion(max_num_evaluations=60)))
    backend, criterion = ScriptedBackend(lab.script()), StoppingCriterion(max_num_trials_started=20)
    lab.run(Tuner.resume("run", home=lab.home, trial_backend=backend, stop_criterion=criterion, observers=[]))
    found = load("run", lab.home)
    assert found.spec.scheduler.name == "median-stopping-rule"
    assert found.spec.scheduler.options is not None
    assert found.spec.scheduler.options["scheduler"]["$component"]["name"] == "random-search"
    assert set(found.counts()) == {"stopped", "finished"}
    assert sum(found.counts().values()) == 20


def test_by_name_it_is_the_same_as_around_the_object() -> None:
    space = {**SPACE, "epochs": 9}
    common: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 4}
    named = MedianStoppingRule(
        space, "loss", "max", scheduler="asha", scheduler_options={"type": "promotion", "brackets": 2}, **common
    )
    around = MedianStoppingRule(scheduler=ASHA(space, "loss", "max", type="promotion", brackets=2, **common))
    again = build(describe(named, "offbeat.schedulers"))
    found = []
    for scheduler in (named, around, again):
        criterion = StoppingCriterion(max_num_trials_started=20)
        found.append(decisions(Rehearsal(scheduler, script, stop_criterion=criterion).run().events))
    assert found[0] == found[1] == found[2]


def script(start: Any) -> Any:
    for epoch in range(1, start.config["epochs"] + 1):
        yield Report({"epoch": epoch, "loss": start.config["lr"] * epoch})


def test_a_seed_that_was_left_open_is_described() -> None:
    first = MedianStoppingRule(SPACE, "loss", resource_attr="epoch")
    again = build(describe(first, "offbeat.schedulers"))
    assert again.seed == first.seed == again.scheduler.seed
    assert MedianStoppingRule(SPACE, "loss", resource_attr="epoch").seed != first.seed


def test_the_script_s_resource_may_be_known_to_the_rule_alone() -> None:
    scheduler = MedianStoppingRule(scheduler=RandomSearch(SPACE, "loss", random_seed=1), resource_attr="epoch")
    assert scheduler.objective.resource_attr == "epoch"
    assert MedianStoppingRule(SPACE, "loss", time_attr="step").objective.resource_attr == "step"


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({}, "needs config_space= to build"),
        ({"config_space": SPACE}, "needs metric="),
        ({"config_space": SPACE, "metric": "loss"}, "needs resource_attr=: the name"),
        ({"config_space": RandomSearch(SPACE, "loss")}, "as an argument of that name: MedianStoppingRule(scheduler="),
        ({"scheduler": RandomSearch}, "is a class; pass an object: RandomSearch(...)"),
        ({"scheduler": 3}, "scheduler=int is no scheduler: it has no 'observe'"),
        ({"scheduler": Inner(), "mode": "min"}, "mode= is for a scheduler given by name; pass it to Inner(...) itself"),
        ({"scheduler": Inner(), "scheduler_options": {"a": 1}}, "scheduler_options= is for a scheduler given by name"),
        ({"scheduler": Inner(), "metric": "los"}, "metric='los' is not a metric of the scheduler. Did you mean 'loss'?"),
        ({"scheduler": Inner(), "resource_attr": "step"}, "resource_attr='step', but the scheduler has 'epoch'"),
        ({"scheduler": Inner(), "rank_cutoff": 1.5}, "rank_cutoff=1.5: give a share"),
        ({"scheduler": Inner(), "rank_cutoff": float("nan")}, "rank_cutoff=nan"),
        ({"scheduler": Inner(), "grace_time": 0}, "grace_time=0: give a whole number from 1 up"),
        ({"scheduler": Inner(), "grace_population": 2.5}, "grace_population=2.5"),
        ({"scheduler": Inner(), "time_attr": "a", "resource_attr": "b"}, "mean the same argument"),
        ({"config_space": SPACE, "metric": "loss", "resource_attr": "epoch", "scheduler_options": {"mode": "max"}},
         "scheduler_options has 'mode', which is an argument of MedianStoppingRule itself"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_with_what_to_do(arguments: dict[str, Any], fragment: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        MedianStoppingRule(**arguments)
    assert fragment in str(caught.value)


def test_unknown_names_are_told_the_nearest() -> None:
    common: dict[str, Any] = {"metric": "loss", "resource_attr": "epoch"}
    with pytest.raises(UnknownPlugin, match="Did you mean 'random-search'"):
        MedianStoppingRule(SPACE, scheduler="random-serch", **common)
    with pytest.raises(UnknownArgument, match="random-search has no argument 'brackets'"):
        MedianStoppingRule(SPACE, scheduler_options={"brackets": 2}, **common)
    with pytest.raises(UnknownArgument, match="Did you mean 'rank_cutoff'"):
        MedianStoppingRule(SPACE, rank_cuttoff=0.5, **common)
    with pytest.raises(UnknownArgument, match="Use resource_attr="):
        MedianStoppingRule(SPACE, fidelity="epoch", metric="loss")
