"""Ask and tell: the decisions of a tuner, durable answers, crashes, and what callers can do wrong."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat import AskTell, Stop, StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.asktell import AllOut, AskedTrial, StudyClosed, TrialNotOut
from offbeat.cli import main
from offbeat.clock import ManualClock
from offbeat.config_space import choice, loguniform, uniform
from offbeat.errors import (
    ExperimentLocked,
    ExperimentNotFound,
    InvalidArgument,
    JournalUnwritable,
    PluginFailed,
    TooManyFailures,
)
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, read_journal
from offbeat.optimizer.baselines import ASHA, MedianStoppingRule, RandomSearch
from offbeat.results import load
from offbeat.testing.backend_checks import resources
from offbeat.testing.rehearsal import decisions
from offbeat.testing.scripted import End, Report
from offbeat.trial import Ledger

SPACE = {"lr": loguniform(1e-4, 1.0), "epochs": 9}


def random_search(**options: Any) -> RandomSearch:
    return RandomSearch(SPACE, "loss", **{"resource_attr": "epoch", "random_seed": 3, **options})


def recorded(home: Path, name: str = "study") -> list[ev.Event]:
    return [entry.event for entry in read_journal(ExperimentFolder(home / name))]


def in_memory(study: AskTell) -> list[ev.Event]:
    """What a study in memory records from here on."""
    kept: list[ev.Event] = []
    desk = study._desk
    assert desk is not None
    take = desk.take

    def keeping() -> Any:
        events = take()
        kept.extend(events)
        return events

    desk.take = keeping  # type: ignore[method-assign]
    return kept


# --- the same decisions


SCHEDULERS: dict[str, Callable[[], Any]] = {
    "random": random_search,
    "asha": lambda: ASHA(SPACE, "loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=3),
    "promotion": lambda: ASHA(
        SPACE, "loss", resource_attr="epoch", max_resource_attr="epochs", type="promotion", random_seed=3, brackets=2
    ),
    "median": lambda: MedianStoppingRule(scheduler=random_search()),
}


def script(start: Any) -> Iterator[Any]:
    """Nine epochs; no two results at the same time; every 7th trial fails at epoch 4."""
    for epoch in range(1, start.config["epochs"] + 1):
        if start.trial % 7 == 6 and epoch == 4:
            yield End("failed", "exit status 1", seconds=0.001 + start.trial / 1000)
        yield Report({"epoch": epoch, "loss": start.config["lr"] / epoch}, 1 + sqrt(2 + start.trial) / 50)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_decisions_are_those_of_a_tuner(lab: Any, name: str) -> None:
    """The tuner's journal is acted out: who was started asks, who reported tells; the answers are the recorded ones."""
    lab.run(lab.tuner(lab.home, SCHEDULERS[name](), script))
    journal = lab.events(lab.home)
    told = 0
    study = AskTell(SCHEDULERS[name](), stop_criterion=StoppingCriterion(max_num_trials_started=20))
    events = in_memory(study)
    for event in journal:
        if isinstance(event, ev.TrialStarted | ev.TrialResumed):
            trial = study.ask()
            assert trial is not None
            assert (trial.id, trial.attempt, trial.slot) == (event.trial, event.attempt, event.slot)
            assert trial.resumes == (event.attempt > 0)
        elif isinstance(event, ev.TrialResult):
            verdict = "continue" if event.verdict == "repeat" else event.verdict
            assert study.tell(event.trial, **event.metrics) == verdict
            told += 1
        elif isinstance(event, ev.TrialFinished):
            study.complete(event.trial)
        elif isinstance(event, ev.TrialFailed):
            study.fail(event.trial, event.reason)
    assert told > 50

    def without_requests(found: list[ev.Event]) -> list[Any]:
        # A tuner asks on for free workers when nothing is left; nobody asks a study that.
        return [one[2:] if one[0] == "suggested" else one for one in decisions(found) if one[2] != "nothing"]

    assert without_requests(events) == without_requests(journal)
    assert study.ask() is None
    assert study.done
    assert study.reason == "max_num_trials_started=20 reached: 20 trials started"
    assert study.best().value == load("run", lab.home).best().value  # type: ignore[union-attr]


def test_a_loop_by_hand() -> None:
    stopped = 0
    with AskTell(SCHEDULERS["asha"](), stop_criterion=StoppingCriterion(max_num_trials_started=30)) as study:
        while (trial := study.ask()) is not None:
            for epoch in range(1, trial.config["epochs"] + 1):
                if study.tell(trial, epoch=epoch, loss=trial.config["lr"] / epoch) != "continue":
                    stopped += 1
                    break
            else:
                study.complete(trial)
    assert len(study.ledger) == 30
    assert 5 < stopped < 30
    best = study.best()
    assert best is not None
    assert best.value == min(record.best["loss"] for record in study.ledger if record.best)
    assert best.config == study.ledger[best.trial.id].config
    assert (best.metric, best.checkpoints) == ("loss", None)


def test_paused_trials_are_handed_out_again_up_to_where_they_are_to_run() -> None:
    study = AskTell(SCHEDULERS["promotion"]())
    seen: list[AskedTrial] = []
    for _ in range(12):
        trial = study.ask()
        assert trial is not None
        seen.append(trial)
        assert trial.config["epochs"] == trial.until
        for epoch in range(trial.resource + 1, trial.until + 1):  # type: ignore[operator]
            decision = study.tell(trial, epoch=epoch, loss=trial.config["lr"])
        if decision == "continue":
            assert trial.until == 9, "a script that knows its end is not stopped there"
            study.complete(trial)
        else:
            assert decision == "pause"
    resumed = [trial for trial in seen if trial.resumes]
    assert resumed
    assert all(trial.attempt > 0 and trial.resource in (1, 3) and trial.until in (3, 9) for trial in resumed)
    first = next(trial for trial in seen if trial.id == resumed[0].id)
    assert first.seed == resumed[0].seed


def test_one_trial_at_a_time_is_asked_for_and_only_when_it_is_wanted() -> None:
    """What is told between two asks is known to the second one: nothing is proposed ahead."""
    study = AskTell(random_search())
    events = in_memory(study)
    first = study.ask()
    study.tell(first, epoch=1, loss=1.0)
    study.ask()
    names = [ev.wire_name(event) for event in events]
    assert names == ["proposal-requested", "suggested", "trial-started", "trial-result", *names[:3]]
    assert [event.slot for event in events if isinstance(event, ev.TrialStarted)] == [0, 1]


def test_another_trial_s_result_may_stop_one_that_is_out(lab: Any) -> None:
    def observe(event: Any, ledger: Any) -> Any:
        return [Stop(ledger[0].id, "1 is better")] if isinstance(event, ev.TrialResult) and event.trial == 1 else ()

    study = AskTell(lab.Toy(observe=observe))
    events = in_memory(study)
    for _ in range(3):
        study.ask()
    study.tell(0, epoch=1, loss=1.0)
    assert study.tell(1, epoch=1, loss=0.5) == "continue"
    assert [trial.id for trial in study.out] == [0, 1, 2], "nobody has told its client yet"
    assert study.tell(0, epoch=2, loss=0.9) == "stop"
    assert [event.verdict for event in events if isinstance(event, ev.TrialResult)] == ["continue", "continue", "late"]
    assert study.ledger[0].status.value == "stopped"
    assert study.ledger[0].reason == "1 is better"
    study.tell(1, epoch=2, loss=0.5)
    assert [trial.id for trial in study.out] == [1, 2]


@pytest.mark.parametrize("last_word", ["complete", "fail", "lost"])
def test_whatever_the_client_of_a_recalled_trial_says_it_was_stopped(lab: Any, last_word: str) -> None:
    def observe(event: Any, ledger: Any) -> Any:
        return [Stop(ledger[0].id, "enough")] if isinstance(event, ev.TrialResult) and event.trial == 1 else ()

    study = AskTell(lab.Toy(observe=observe))
    study.ask(), study.ask()
    study.tell(1, epoch=1, loss=0.5)
    getattr(study, last_word)(0)
    assert study.ledger[0].status.value == "stopped"


# --- ends, and limits


def test_a_space_that_is_used_up() -> None:
    study = AskTell(RandomSearch({"kind": choice(["a", "b"])}, "loss", random_seed=0))
    first, second = study.ask(), study.ask()
    assert {first.config["kind"], second.config["kind"]} == {"a", "b"}  # type: ignore[union-attr]
    assert study.ask() is None
    assert not study.done, "a trial that is out might change that, for all one knows"
    study.complete(first, loss=1.0)
    study.complete(second, loss=2.0)
    assert study.ask() is None
    assert study.done
    assert "search space exhausted" in study.reason


def test_a_criterion_recalls_what_is_out() -> None:
    study = AskTell(random_search(), stop_criterion=StoppingCriterion(max_num_evaluations=3))
    for _ in range(3):
        study.ask()
    assert [study.tell(trial, epoch=1, loss=1.0) for trial in range(3)] == ["continue", "continue", "stop"]
    assert study.ask() is None
    assert study.done
    assert study.tell(0, epoch=2, loss=1.0) == "stop"
    study.complete(1)
    assert [record.status.value for record in study.ledger] == ["interrupted", "finished", "interrupted"]


def test_a_criterion_by_time_holds_whoever_comes_first() -> None:
    for asks in (True, False):
        clock = ManualClock()
        study = AskTell(random_search(), stop_criterion=StoppingCriterion(max_wallclock_time=10), clock=clock)
        trial = study.ask()
        clock.advance(9)
        assert study.tell(trial, epoch=1, loss=1.0) == "continue"
        clock.advance(2)
        assert not asks or study.ask() is None
        assert study.tell(trial, epoch=2, loss=1.0) == "stop"
        assert study.done


def test_a_trial_that_the_criterion_would_recall_at_once_is_not_handed_out(lab: Any) -> None:
    """The time is over while the scheduler thinks: what it proposes is started, if at all, and given back."""
    clock = ManualClock()

    def propose(request: Any, ledger: Any) -> Any:
        from offbeat import Start

        clock.advance(11)
        return Start(config={"rate": 0.5})

    study = AskTell(lab.Toy(propose=propose), stop_criterion=StoppingCriterion(max_wallclock_time=10), clock=clock)
    assert study.ask() is None
    assert study.done
    assert study.out == []


def test_no_more_are_out_than_may_be() -> None:
    study = AskTell(random_search(), n_workers=2)
    study.ask(), study.ask()
    with pytest.raises(
        AllOut, match=r"All 2 trials that may be out at once are out \(0, 1\): complete or fail one first"
    ):
        study.ask()
    study.fail(0, "it exploded")
    trial = study.ask()
    assert trial is not None
    assert (trial.id, trial.slot) == (2, 0)


def test_failures_are_counted_retried_and_have_a_limit() -> None:
    study = AskTell(random_search(), max_retries=1, max_failures=1)
    study.ask()
    study.fail(0, "no GPU")
    trial = study.ask()
    assert trial is not None
    assert (trial.id, trial.attempt, trial.resumes) == (0, 1, True)
    study.fail(trial)
    assert study.ledger[0].reason == "no reason was told"
    study.ask()
    study.fail(1, "no GPU")
    study.ask()
    with pytest.raises(TooManyFailures, match="2 of 2 trials failed, the last one with: no GPU again"):
        study.fail(1, "no GPU again")
    with pytest.raises(TooManyFailures):
        study.ask()
    study.close()


def test_a_lost_trial_is_handed_out_again() -> None:
    study = AskTell(random_search())
    first = study.ask()
    study.tell(first, epoch=1, loss=1.0)
    study.lost(first)
    assert study.ledger[0].reason == "whoever had it is gone"
    again = study.ask()
    assert again is not None
    assert (again.id, again.attempt, again.resumes, again.resource) == (0, 1, True, 1)
    assert study.tell(again, epoch=1, loss=1.0) == "continue", "it may have begun anew"
    assert study.ledger[0].reports == 1, "and what it repeats does not count"
    assert study.tell(again, epoch=2, loss=0.5) == "continue"


# --- values


@pytest.mark.parametrize(
    ("policy", "decision", "status"), [("fail", "stop", "failed"), ("ignore", "continue", "running")]
)
def test_values_that_are_not_finite_follow_their_policy(policy: Any, decision: str, status: str) -> None:
    study = AskTell(random_search(nonfinite=policy))
    study.ask()
    study.tell(0, epoch=1, loss=1.0)
    assert study.tell(0, epoch=2, loss=float("nan")) == decision
    assert study.ledger[0].status.value == status
    assert study.ledger[0].rejected == 1
    assert study.best().value == 1.0  # type: ignore[union-attr]


def test_the_worst_value_may_stand_for_nan_and_numpy_s_scalars_are_numbers() -> None:
    study = AskTell(random_search(nonfinite="worst"))
    study.ask()
    study.tell(0, epoch=np.int64(1), loss=np.float32(0.5), flag=np.bool_(True), note="x")
    assert study.ledger[0].last == {"epoch": 1, "loss": 0.5, "flag": True, "note": "x"}
    study.tell(0, epoch=2, loss=float("inf"))
    assert study.ledger[0].last["loss"] == 0.5


def test_the_best_of_max_and_the_first_of_equals() -> None:
    study = AskTell(RandomSearch(SPACE, ["gain", "cost"], ["max", "min"], random_seed=0))
    assert study.best() is None
    for gain in (1.0, 3.0, 3.0, 2.0):
        study.complete(study.ask(), gain=gain, cost=1.0)
    best = study.best()
    assert best is not None
    assert (best.trial.id, best.metric, best.value) == (1, "gain", 3.0)


# --- what callers can do wrong


@pytest.mark.parametrize(
    ("metrics", "error", "fragment"),
    [
        (
            {"epoch": 2, "los": 1.0},
            InvalidArgument,
            "trial 0 was not taken: metric 'loss' is missing. Did you mean 'los'?",
        ),
        ({"loss": 1.0}, InvalidArgument, "resource 'epoch' is missing"),
        ({"epoch": 0, "loss": 1.0}, InvalidArgument, "epoch=0 is not a whole number from 1 up"),
        ({"epoch": 2.5, "loss": 1.0}, InvalidArgument, "epoch=2.5 is not a whole number from 1 up"),
        ({"epoch": 1, "loss": 1.0}, InvalidArgument, "trial 0 was not taken: epoch went back from 1 to 1."),
        ({"epoch": 2, "loss": "low"}, InvalidArgument, "loss='low' is not a number"),
        ({"epoch": 2, "loss": float("nan"), "epok": 1}, None, ""),
        ({"epoch": 2, "loss": None}, ValueError, "The value of 'loss' is None"),
        ({"epoch": 2, "loss": [1.0]}, TypeError, "The value of 'loss' is a list"),
        ({"epoch": 2, "loss": 1.0, "st_cost": 1}, ValueError, "The name 'st_cost' cannot be reported"),
        ({"epoch": 2, "loss": 1.0, "text": "x" * 70_000}, ValueError, "Its longest entry is 'text'"),
        ({"epoch": 2, "loss": 1.0, "text": "\ud800"}, ValueError, "not valid Unicode"),
    ],
)
def test_a_result_that_cannot_be_used_is_refused_and_nothing_is_lost(
    metrics: dict[str, Any], error: type[Exception] | None, fragment: str
) -> None:
    study = AskTell(random_search(nonfinite="ignore"))
    study.ask()
    study.tell(0, epoch=1, loss=1.0)
    events = in_memory(study)
    if error is None:
        assert study.tell(0, **metrics) == "continue"
        return
    with pytest.raises(error) as caught:
        study.tell(0, **metrics)
    assert fragment in str(caught.value)
    assert events == []
    assert study.tell(0, epoch=2, loss=0.5) == "continue"


def test_the_first_result_of_all_may_be_wrong_without_ending_the_study() -> None:
    study = AskTell(random_search())
    study.ask()
    with pytest.raises(InvalidArgument, match="metric 'loss' is missing"):
        study.tell(0, epoch=1, lost=1.0)
    assert not study.done
    assert study.tell(0, epoch=1, loss=1.0) == "continue"


def test_telling_about_trials_that_nobody_has(lab: Any) -> None:
    study = AskTell(SCHEDULERS["promotion"](), max_retries=1)

    def refused(trial: Any, fragment: str) -> None:
        for call in (lambda: study.tell(trial, epoch=9, loss=1.0), lambda: study.complete(trial),
                     lambda: study.fail(trial, "x"), lambda: study.lost(trial)):  # fmt: skip
            with pytest.raises(TrialNotOut) as caught:
                call()
            assert fragment in str(caught.value)

    refused(0, "There is no trial 0: no trial was handed out so far.")
    first, second = study.ask(), study.ask()
    refused(2, "There is no trial 2: trials 0 to 1 were handed out so far.")
    refused("1", "There is no trial '1'")
    refused(AskedTrial(1, 1), "attempt 1 does not count any more")
    assert study.tell(first, epoch=1, loss=1.0) == "pause"
    refused(first, "Trial 0 is paused: ask() hands it out again if it is to go on.")
    study.fail(second, "x")
    refused(second, "Trial 1 was given back and waits to be handed out again by ask().")
    again = study.ask()
    assert again is not None
    assert (again.id, again.attempt) == (1, 1)
    refused(second, "Trial 1 was handed out again since, as attempt 1; attempt 0 does not count any more.")
    study.fail(again, "y")
    refused(again, "Trial 1 has ended: failed (y).")


def test_complete_needs_something_that_was_told() -> None:
    study = AskTell(random_search())
    trial = study.ask()
    with pytest.raises(InvalidArgument, match=r"Nothing was told about trial 0 yet: tell\(trial, loss=\.\.\.\)"):
        study.complete(trial)
    study.complete(trial, epoch=1, loss=1.0)
    with pytest.raises(TrialNotOut, match=r"Trial 0 has ended: finished \(ran to its end\)"):
        study.tell(trial, epoch=2, loss=1.0)
    with pytest.raises(TrialNotOut):
        study.complete(trial)


def test_complete_with_a_result_that_stops_the_trial() -> None:
    study = AskTell(SCHEDULERS["asha"]())
    for loss in (1.0, 2.0):
        study.complete(study.ask(), epoch=1, loss=loss)
    assert [record.status.value for record in study.ledger] == ["finished", "stopped"]


def test_after_the_end_there_is_nothing_but_what_can_be_read(lab: Any) -> None:
    study = AskTell(random_search())
    trial = study.ask()
    study.tell(trial, epoch=1, loss=1.0)
    study.close()
    study.close()
    for call in (study.ask, lambda: study.tell(trial, epoch=2, loss=1.0), lambda: study.complete(trial)):
        with pytest.raises(StudyClosed, match=r"The study was closed: make a new one\."):
            call()
    assert study.best().value == 1.0  # type: ignore[union-attr]
    assert study.ledger[0].status.value == "interrupted"
    named = AskTell(random_search(), "study", home=lab.home)
    named.close()
    with pytest.raises(StudyClosed, match=r"AskTell\(experiment='.*study'\) opens it again"):
        named.ask()


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({}, "Give a scheduler, or the experiment whose scheduler is to go on."),
        (
            {"scheduler": "study"},
            "scheduler='study': give the scheduler as an object first; experiment='study' alone goes on",
        ),
        ({"scheduler": RandomSearch}, "is a class; pass an object: RandomSearch(...)"),
        ({"n_workers": 0}, "n_workers=0: give a whole number from 1 up."),
        ({"max_retries": -1}, "max_retries=-1"),
        ({"experiment": "no/such name!"}, "is not usable"),
        ({"experiment": "what?"}, "is not usable"),
        ({"metadata": 3}, "metadata=3"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], fragment: str) -> None:
    if arguments and "scheduler" not in arguments:
        arguments = {"scheduler": random_search(), **arguments}
    with pytest.raises(InvalidArgument) as caught:
        AskTell(**arguments)
    assert fragment in str(caught.value)


# --- schedulers that take their time, or fail


class Slow:
    """Proposes as a coroutine, and notes on which loop."""

    def __init__(self, scheduler: Any) -> None:
        self.inner, self.loops = scheduler, set[int]()
        self.objective, self.space, self.seed = scheduler.objective, scheduler.space, scheduler.seed
        self.observe = scheduler.observe

    async def propose(self, request: Any, ledger: Any) -> Any:
        self.loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        return self.inner.propose(request, ledger)


def test_asynchronous_proposals_run_on_one_loop_of_the_study_s_own() -> None:
    scheduler, plain = Slow(random_search()), AskTell(random_search())
    before = resources()
    with AskTell(scheduler) as study:
        assert [study.ask().config for _ in range(5)] == [plain.ask().config for _ in range(5)]  # type: ignore[union-attr]
    assert len(scheduler.loops) == 1
    assert {name: len(found) for name, found in resources().items()} == {k: len(v) for k, v in before.items()}


def test_asynchronous_proposals_in_a_running_loop_are_told_what_to_use() -> None:
    study, plain = AskTell(Slow(random_search())), AskTell(random_search())

    async def cell() -> None:
        with pytest.raises(InvalidArgument, match=r"use AsyncAskTell and `await study\.ask\(\)`"):
            study.ask()

    asyncio.run(cell())
    assert study.ask() == plain.ask(), "the request is still open"
    study.close()


def test_a_proposal_that_hangs_or_raises_is_asked_for_again_and_then_ends_the_study(lab: Any) -> None:
    async def hangs(request: Any, ledger: Any) -> Any:
        await asyncio.Event().wait()

    with (
        AskTell(lab.Toy(propose=hangs), proposal_deadline=0.01) as study,
        pytest.raises(PluginFailed, match=r"no answer within 0\.01 s"),
    ):
        study.ask()
    calls: list[int] = []

    def raises(request: Any, ledger: Any) -> Any:
        from offbeat import Start

        calls.append(request.number)
        if len(calls) < 3:
            raise ZeroDivisionError
        return Start(config={"rate": 0.5})

    study = AskTell(lab.Toy(propose=raises))
    assert study.ask().id == 0  # type: ignore[union-attr]
    assert calls == [0, 0, 0]
    study = AskTell(lab.Toy(observe=lambda event, ledger: 1 / 0 if isinstance(event, ev.TrialResult) else ()))
    study.ask()
    for _ in range(2):
        with pytest.raises(PluginFailed, match="ZeroDivisionError"):
            study.tell(0, epoch=1, loss=1.0)
    study.close()


def test_a_proposal_that_was_interrupted_is_asked_for_again(lab: Any) -> None:
    plain = random_search()
    interrupts = [KeyboardInterrupt]

    def propose(request: Any, ledger: Any) -> Any:
        if interrupts:
            raise interrupts.pop()
        return plain.propose(request, ledger)

    scheduler = Slow(plain)
    scheduler.propose = propose  # type: ignore[method-assign]
    study = AskTell(scheduler)
    with pytest.raises(KeyboardInterrupt):
        study.ask()
    assert study.ask() == AskTell(random_search()).ask()


# --- on the disk


def test_every_answer_is_on_the_disk_before_it_is_given(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[ev.Event] = []
    commit = Journal.commit

    def noted(self: Any, events: Any, *, sync: bool) -> None:
        commit(self, events, sync=sync)
        assert sync
        synced.extend(events)

    monkeypatch.setattr(Journal, "commit", noted)
    with AskTell(SCHEDULERS["asha"](), "study", home=lab.home) as study:
        for loss in (1.0, 2.0):
            trial = study.ask()
            assert trial is not None
            assert isinstance(synced[-1], ev.TrialStarted)
            assert synced[-1].trial == trial.id
            study.tell(trial, epoch=1, loss=loss)
            assert any(isinstance(event, ev.TrialResult) and event.trial == trial.id for event in synced)
        study.complete(0)
        assert isinstance(synced[-1], ev.TrialFinished)
    assert synced == recorded(lab.home)
    lab.check_closed(lab.home, "study")


def test_a_disk_that_refuses_ends_the_study_and_frees_the_experiment(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    study = AskTell(random_search(), "study", home=lab.home)
    study.ask()
    commit = Journal.commit

    def full(self: Any, events: Any, *, sync: bool) -> None:
        raise JournalUnwritable("journal", "no space left on device")

    monkeypatch.setattr(Journal, "commit", full)
    for call in (lambda: study.tell(0, epoch=1, loss=1.0), study.ask, lambda: study.tell(0, epoch=1, loss=1.0)):
        with pytest.raises(JournalUnwritable, match="no space left"):
            call()
    study.close()
    monkeypatch.setattr(Journal, "commit", commit)
    with AskTell(random_search(), "study", home=lab.home) as again:
        trial = again.ask()
        assert trial is not None
        assert (trial.id, trial.attempt) == (0, 1)
        assert again.ledger[0].reports == 0, "what was never answered never happened"


def crashed(home: Path, name: str, number: int) -> Path:
    """The experiment as a crash would leave it now, in a home of its own."""
    other = home / f"crash-{number}"
    shutil.copytree(home / name, other / name)
    return other


def test_a_crash_after_any_answer_goes_on_where_it_was(lab: Any) -> None:
    """A new process goes on with clients that live on as if nothing had happened, or hands their trials out again."""

    def make() -> ASHA:
        return ASHA(SPACE, "loss", resource_attr="epoch", max_resource_attr="epochs", type="promotion", random_seed=3)

    story: list[Callable[[AskTell], Any]] = [
        lambda s: s.ask(), lambda s: s.ask(), lambda s: s.tell(0, epoch=1, loss=1.0), lambda s: s.ask(),
        lambda s: s.tell(1, epoch=1, loss=0.5), lambda s: s.ask(), lambda s: s.fail(2, "x"),
        lambda s: s.tell(1, epoch=2, loss=0.4), lambda s: s.tell(1, epoch=3, loss=0.3), lambda s: s.ask(),
        lambda s: s.complete(3, epoch=1, loss=0.7), lambda s: s.ask(),
    ]  # fmt: skip
    undisturbed = AskTell(make())
    expected = [step(undisturbed) for step in story]
    assert expected[2] == expected[4] == expected[8] == "pause"
    assert expected[5].resumes

    study = AskTell(make(), "study", home=lab.home)
    for number, step in enumerate(story):
        assert step(study) == expected[number]
        with AskTell(make(), "study", home=crashed(lab.home, "study", number), adopt=True) as adopted:
            assert adopted.out == study.out
            assert [following(adopted) for following in story[number + 1 :]] == expected[number + 1 :]
        with AskTell(make(), "study", home=crashed(lab.home, "study", 100 + number)) as again:
            assert again.out == []
            for trial in study.out:
                with pytest.raises(TrialNotOut, match="was given back and waits"):
                    again.tell(trial, epoch=9, loss=0.0)
            handed = [again.ask() for _ in study.out]
            assert [(one.id, one.attempt, one.resumes) for one in handed if one] == [
                (trial.id, trial.attempt + 1, True) for trial in study.out
            ]
    study.close()


def test_closed_in_good_order_it_goes_on_too(lab: Any) -> None:
    with AskTell(random_search(), "study", home=lab.home, n_workers=3, metadata={"who": "me"}) as study:
        trial = study.ask()
        study.tell(trial, epoch=1, loss=0.5)
        study.complete(study.ask(), epoch=1, loss=0.25)
    lab.check_closed(lab.home, "study")
    with AskTell(experiment="study", home=lab.home) as again:
        assert again.best().value == 0.25  # type: ignore[union-attr]
        assert again.best().trial.id == 1  # type: ignore[union-attr]
        handed = again.ask()
        assert handed is not None
        assert (handed.id, handed.attempt, handed.resource) == (0, 1, 1)
        again.ask(), again.ask()
        with pytest.raises(AllOut, match="All 3 trials"):
            again.ask()
    found = load("study", lab.home)
    assert [session.outcome for session in found.sessions] == ["interrupted"] * 2
    assert found.spec.metadata == {"who": "me"}
    with AskTell(experiment="study", home=lab.home, n_workers=None) as wide:
        assert len([wide.ask() for _ in range(6)]) == 6
    assert any(isinstance(event, ev.LimitsChanged) for event in recorded(lab.home))


def test_a_walk_at_random_through_everything_and_many_crashes(lab: Any) -> None:
    """Whatever is called in whatever order: nothing but the stated errors, and the journal tells the same trials."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        home = lab.home / str(seed)
        name = list(SCHEDULERS)[seed % 4]
        options: dict[str, Any] = {"n_workers": 4, "max_retries": 1, "home": home}
        study = AskTell(SCHEDULERS[name](), "study", **options)
        for step in range(70):
            trial = int(rng.integers(0, max(1, len(study.ledger))))
            try:
                match rng.choice(["ask", "tell", "tell", "tell", "complete", "fail", "lost", "crash"]):
                    case "ask":
                        study.ask()
                    case "tell":
                        epoch = study.ledger[trial].resource + 1 if len(study.ledger) else 1
                        study.tell(trial, epoch=epoch, loss=float(rng.random()))
                    case "complete":
                        study.complete(trial)
                    case "fail":
                        study.fail(trial, "x")
                    case "lost":
                        study.lost(trial)
                    case _:
                        table = trials(study)
                        options["home"] = home = crashed(home, "study", step)
                        study.close()
                        study = AskTell(SCHEDULERS[name](), "study", adopt=True, **options)
                        assert trials(study) == table
            except (AllOut, TrialNotOut, InvalidArgument):
                pass
        study.close()
        lab.check_closed(home, "study")
        ledger = Ledger("loss")
        for event in recorded(home):
            ledger.apply(event)
        assert [repr(record) for record in ledger] == [repr(record) for record in study.ledger]


def trials(study: AskTell) -> list[Any]:
    return [
        (r.id, r.status, r.attempt, r.resource, r.reports, r.last, r.best, r.reason) for r in study.ledger
    ] + study.out


def test_leaves_neither_threads_nor_files(lab: Any) -> None:
    AskTell(random_search(), "first", home=lab.home).close()
    before = resources()
    with AskTell(Slow(random_search()), "study", home=lab.home) as study:
        study.complete(study.ask(), epoch=1, loss=1.0)
    assert {name: len(found) for name, found in resources().items()} == {k: len(v) for k, v in before.items()}


def test_opened_twice_the_second_is_refused(lab: Any) -> None:
    with AskTell(random_search(), "study", home=lab.home) as study:
        with pytest.raises(ExperimentLocked):
            AskTell(random_search(), "study", home=lab.home)
        assert study.ask() is not None


@pytest.mark.parametrize(
    ("scheduler", "fragment"),
    [
        (lambda: random_search(random_seed=4), "differs from the recorded one in random_seed: 4 instead of 3"),
        (lambda: random_search(random_seed=None), "in random_seed"),
        (
            lambda: RandomSearch({**SPACE, "b": uniform(0, 1)}, "loss", resource_attr="epoch", random_seed=3),
            "in the space",
        ),
        (SCHEDULERS["asha"], "recorded with 'random-search', not 'asha'"),
    ],
)
def test_another_scheduler_is_refused(lab: Any, scheduler: Any, fragment: str) -> None:
    AskTell(random_search(), "study", home=lab.home).close()
    with pytest.raises(InvalidArgument) as caught:
        AskTell(scheduler(), "study", home=lab.home)
    assert fragment in str(caught.value)
    AskTell(random_search(), "study", home=lab.home).close()


def test_an_experiment_that_is_not_there(lab: Any) -> None:
    AskTell(random_search(), "study", home=lab.home).close()
    with pytest.raises(ExperimentNotFound, match="Did you mean 'study'"):
        AskTell(experiment="studi", home=lab.home)


def test_by_path_it_may_lie_anywhere(lab: Any) -> None:
    place = lab.home / "deep" / "down"
    with AskTell(random_search(), place) as study:
        assert (study.name, study.folder) == ("down", place)
        study.ask()
    with AskTell(experiment=str(place)) as again:
        assert again.ask().attempt == 1  # type: ignore[union-attr]
    assert load(place).counts() == {"interrupted": 1}


def test_a_crash_before_the_first_event_has_not_used_the_name_up(lab: Any) -> None:
    Journal.create(ExperimentFolder(lab.home / "study")).close()
    with AskTell(random_search(), "study", home=lab.home) as study:
        assert study.ask() is not None


def test_a_tuner_and_a_study_do_not_go_on_with_each_other(lab: Any) -> None:
    AskTell(random_search(), "study", home=lab.home).close()
    with pytest.raises(InvalidArgument, match=r"go on with offbeat\.AskTell\(experiment=\.\.\.\)"):
        Tuner.resume("study", home=lab.home)
    lab.run(lab.tuner(lab.home, lab.random_search()))
    with pytest.raises(InvalidArgument, match=r"executed by a backend .*: go on with `offbeat resume run`"):
        AskTell(lab.random_search(), "run", home=lab.home)


def test_the_command_line_shows_it(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with AskTell(SCHEDULERS["asha"](), "study", home=lab.home) as study:
        for loss in (0.5, 0.75):
            study.complete(study.ask(), epoch=1, loss=loss)
        study.ask()
        crash = crashed(lab.home, "study", 0)
    for command in ("show", "status"):
        assert main([command, "study", "--home", str(crash)]) == 0
        assert "go on with: offbeat.AskTell(experiment='study')" in capsys.readouterr().out
    for command in (["show", "study"], ["best", "study"], ["ls"], ["explain", "study", "1"], ["status", "study"]):
        assert main([*command, "--home", str(lab.home)]) == 0, command
    shown = capsys.readouterr().out
    assert "backend    ask-tell" in shown
    assert "any number of workers" in shown
    assert "rung 1: 2nd of 2, cut at 1" in shown
    assert main(["resume", "study", "--home", str(lab.home)]) == 2
    assert "offbeat.AskTell(experiment=...)" in capsys.readouterr().err


# --- threads


def test_threads_may_share_it() -> None:
    study = AskTell(SCHEDULERS["asha"](), stop_criterion=StoppingCriterion(max_num_trials_started=200))
    seen: list[tuple[int, int]] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while (trial := study.ask()) is not None:
                seen.append((trial.id, trial.attempt))
                for epoch in range(1, 10):
                    if study.tell(trial, epoch=epoch, loss=trial.config["lr"] / epoch) != "continue":
                        break
                else:
                    study.complete(trial)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(seen) == [(number, 0) for number in range(200)]
