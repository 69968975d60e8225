"""The conductor by itself: what each signal becomes, in events and commands."""

from __future__ import annotations

from typing import Any

import pytest

from offbeat import Continue, Pause, Resume, Start, Stop, StoppingCriterion
from offbeat import events as ev
from offbeat.conductor import EARLY, Conductor
from offbeat.errors import BackendFailed, MetricMismatch, PluginFailed, TooManyFailures
from offbeat.signals import (
    BackendBroken,
    DeleteCheckpoints,
    Ended,
    Garbled,
    PauseTrial,
    Reported,
    StartTrial,
    StopTrial,
)
from offbeat.trial import Status, TrialId


def answering(**answers: Any) -> Any:
    """An `observe` that answers a result of trial n with `answers[f"t{n}"]`."""

    def observe(event: Any, ledger: Any) -> Any:
        if isinstance(event, ev.TrialResult):
            return answers.get(f"t{event.trial}", ())
        return ()

    return observe


def test_a_run_from_first_start_to_closing(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=2), n_workers=2).begin()
    game.report(0, 1)
    game.end(0)
    game.report(1, 1)
    game.end(1)
    assert game.names() == [
        "experiment-opened",
        "proposal-requested", "suggested 0", "trial-started 0",
        "proposal-requested", "suggested 1", "trial-started 1",
        "trial-result 0", "trial-finished 0", "proposal-requested", "suggested -1",
        "trial-result 1", "proposal-requested", "suggested -1",
        "trial-finished 1", "proposal-requested", "suggested -1",
        "experiment-closed",
    ]  # fmt: skip
    assert game.conductor.closing == ("done", "the scheduler has nothing more to propose (search space exhausted)")
    assert [type(c) for c in game.commands] == [StartTrial, StartTrial]


def test_the_prefix_of_a_request_is_its_place(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=3)).begin()
    game.report(0, 1)
    game.end(0)
    places = [i for i, event in enumerate(game.events) if isinstance(event, ev.ProposalRequested)]
    assert [event.prefix for event in game.of(ev.ProposalRequested)] == places


def test_stop_is_commanded_and_ends_in_one_trial_stopped(lab: Any) -> None:
    game = lab.Game(lab.Toy(answering(t0=[Stop(TrialId(0), "bad")]), limit=1)).begin()
    game.report(0, 1)
    assert game.commands[-1] == StopTrial(TrialId(0), 0)
    game.report(0, 2)
    assert game.of(ev.TrialResult)[-1].verdict == "late"
    game.end(0, "ended")
    stopped = game.of(ev.TrialStopped)
    assert [(e.trial, e.by, e.why) for e in stopped] == [(0, "scheduler", "bad")]


def test_checkpoints_of_trials_that_will_not_go_on_are_deleted_if_asked_for(lab: Any) -> None:
    decisions = answering(t0=[Stop(TrialId(0))], t1=[Pause(TrialId(1))])
    game = lab.Game(lab.Toy(decisions, limit=4), n_workers=4).begin()
    game.conductor.delete_checkpoints = True
    for trial, how in ((0, "ended"), (1, "ended"), (2, "finished"), (3, "failed")):
        game.report(trial, 1, loss=1.0 if trial != 2 else 0.5)
        game.end(trial, how)
    # Trial 0 had the best result until trial 2 reported; the next decision is at the end of that.
    assert [c.trial for c in game.commands if isinstance(c, DeleteCheckpoints)] == [0, 3]
    assert [event.trial for event in game.of(ev.CheckpointDeleted)] == [0, 3]


def test_a_paused_trial_that_another_s_result_stops_loses_its_checkpoints(lab: Any) -> None:
    game = lab.Game(lab.Toy(answering(t0=[Pause(TrialId(0))], t1=[Stop(TrialId(0))]), limit=2)).begin()
    game.conductor.delete_checkpoints = True
    game.report(0, 1)
    game.end(0, "ended")
    game.report(1, 1, loss=0.5)
    assert game.ledger[TrialId(0)].status is Status.STOPPED
    assert [c.trial for c in game.commands if isinstance(c, DeleteCheckpoints)] == [0]


def test_a_trial_that_was_told_to_pause_and_ends_by_itself_is_paused(lab: Any) -> None:
    game = lab.Game(lab.Toy(answering(t0=[Pause(TrialId(0))]), limit=1)).begin()
    game.report(0, 1)
    assert game.commands[-1] == PauseTrial(TrialId(0), 0)
    game.end(0, "finished")
    assert game.ledger[TrialId(0)].status is Status.PAUSED


def test_a_paused_trial_is_resumed_as_its_next_attempt(lab: Any) -> None:
    def propose(request: Any, ledger: Any) -> Any:
        paused = ledger.having(Status.PAUSED)
        if paused:
            return Resume(trial=paused[0].id, until=9)
        return Start(config={"rate": 0.5}) if not len(ledger) else None

    game = lab.Game(lab.Toy(answering(t0=[Pause(TrialId(0))]), propose)).begin()
    game.report(0, 1)
    game.end(0, "ended")
    assert game.names()[-3:] == ["trial-resumed 0", "proposal-requested", "suggested -1"]
    start = game.commands[-1]
    assert (start.trial, start.attempt, start.resume) == (0, 1, True)
    game.report(0, 1)
    assert game.of(ev.TrialResult)[-1].verdict == "repeat"
    game.report(0, 2)
    assert game.of(ev.TrialResult)[-1].verdict == "pause"


def test_decisions_on_other_trials_stand_in_the_result(lab: Any) -> None:
    both = [Continue(TrialId(0), "fine"), Stop(TrialId(1), "worse"), Stop(TrialId(1), "again")]
    game = lab.Game(lab.Toy(answering(t0=both), limit=2)).begin()
    game.report(0, 1)
    result = game.of(ev.TrialResult)[-1]
    assert (result.verdict, result.why, result.others) == ("continue", "fine", ((1, "stop", "worse"),))
    assert game.commands[-1] == StopTrial(TrialId(1), 0)
    assert game.ledger[TrialId(1)].status is Status.STOPPING


def test_the_scheduler_never_sees_verdicts_and_cannot_change_the_record(lab: Any) -> None:
    shown = []

    def observe(event: Any, ledger: Any) -> Any:
        if isinstance(event, ev.TrialResult):
            shown.append((event.verdict, event.why, event.others))
            event.metrics.clear()
            return [Stop(event.trial, "x")]
        return ()

    game = lab.Game(lab.Toy(observe, limit=1)).begin()
    game.report(0, 1, loss=2.0)
    assert shown == [("continue", "", ())]
    assert game.of(ev.TrialResult)[0].metrics == {"epoch": 1, "loss": 2.0}
    assert game.ledger[TrialId(0)].last == {"epoch": 1, "loss": 2.0}


@pytest.mark.parametrize(
    "answer",
    [
        lambda e: Stop(e.trial),
        lambda e: (Stop(e.trial) for _ in range(1)),
        lambda e: [None],
        lambda e: ["stop"],
        lambda e: [Stop(TrialId(99))],
        lambda e: [Stop("0")],  # type: ignore[arg-type]
        lambda e: [Stop(e.trial, why=3)],  # type: ignore[arg-type]
        lambda e: {"stop": e.trial},
    ],
)
def test_a_wrong_answer_ends_the_session_and_says_what_was_answered(lab: Any, answer: Any) -> None:
    def observe(event: Any, ledger: Any) -> Any:
        return answer(event) if isinstance(event, ev.TrialResult) else ()

    game = lab.Game(lab.Toy(observe, limit=1)).begin()
    game.report(0, 1)
    assert isinstance(game.conductor.error, PluginFailed)
    assert game.names()[-2:] == ["trial-result 0", "plugin-failed"]
    assert game.commands[-1] == StopTrial(TrialId(0), 0)
    game.end(0, "ended")
    assert game.ledger[TrialId(0)].status is Status.INTERRUPTED
    assert game.conductor.closed


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("kind", [ev.Suggested, ev.TrialStarted, ev.TrialResult, ev.TrialFinished])
def test_a_raising_observe_ends_the_session_with_the_start_before_the_stop(lab: Any, kind: Any, error: Any) -> None:
    def observe(event: Any, ledger: Any) -> Any:
        if isinstance(event, kind):
            raise error
        return ()

    game = lab.Game(lab.Toy(observe, limit=3), n_workers=1).begin()
    if kind in (ev.TrialResult, ev.TrialFinished):
        game.report(0, 1)
    if kind is ev.TrialFinished:
        game.end(0)
    elif kind is not ev.Suggested:
        assert [type(c) for c in game.commands] == [StartTrial, StopTrial]
        game.end(0, "ended")
    assert game.conductor.closed
    assert game.names()[-1] == "experiment-closed"
    assert isinstance(game.conductor.error, PluginFailed)
    assert game.of(ev.PluginFailed)[0].traceback


def test_three_failed_proposals_in_a_row_end_the_session_two_do_not(lab: Any) -> None:
    failures = 2

    def propose(request: Any, ledger: Any) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise SystemExit
        return Start(config={"rate": 0.5}) if not len(ledger) else None

    game = lab.Game(lab.Toy(None, propose), n_workers=1).begin()
    assert game.names()[-1] == "trial-started 0"
    assert len(game.of(ev.ProposalRequested)) == 1
    failures = 3
    game.report(0, 1)
    game.end(0)
    assert isinstance(game.conductor.error, PluginFailed)
    assert game.names()[-4:] == ["plugin-failed", "plugin-failed", "plugin-failed", "experiment-closed"]


@pytest.mark.parametrize(
    "proposal",
    [
        "start", 3, Start(config={"rate": 7.0}), Start(config={"rat": 0.5}), Start(config={}),
        Start(config=None), Start(config={"rate": 0.5}, until=0), Start(config={"rate": 0.5}, until=1.5),  # type: ignore[arg-type]
        Start(config={"rate": 0.5}, tags={"x": object()}), Start(config={"rate": 0.5}, why=3),  # type: ignore[arg-type]
        Start(config={"rate": 0.5}, donor=TrialId(9)), Resume(trial=TrialId(0)), Resume(trial=TrialId(9)),
        Resume(trial="x"), Start(config={"rate": float("nan")}),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_proposal_that_cannot_be_carried_out_is_a_failed_one(lab: Any, proposal: Any) -> None:
    game = lab.Game(lab.Toy(None, lambda request, ledger: proposal)).begin()
    assert len(game.of(ev.PluginFailed)) == 3
    assert not len(game.ledger)
    assert game.conductor.closed


def test_numpy_numbers_in_answers_become_plain_ones(lab: Any) -> None:
    import msgspec
    import numpy as np

    def propose(request: Any, ledger: Any) -> Any:
        if len(ledger) < 2:
            return Start(config={"rate": np.float64(0.5)}, until=np.int64(3), donor=None)  # type: ignore[arg-type]
        return None

    game = lab.Game(lab.Toy(answering(t0=[Stop(np.int64(1), "x")]), propose)).begin()  # type: ignore[arg-type]
    game.report(0, 1)
    for event in game.events:
        msgspec.json.encode(event)
    assert game.of(ev.TrialResult)[0].others == ((1, "stop", "x"),)


def test_reports_are_shown_once_and_in_order(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 3, seq=2)
    game.report(0, 2, seq=1)
    assert not game.of(ev.TrialResult)
    game.report(0, 1, seq=0)
    game.report(0, 1, seq=0)
    game.report(0, 2, seq=1)
    assert [event.seq for event in game.of(ev.TrialResult)] == [0, 1, 2]


def test_of_two_copies_of_a_waiting_report_the_first_counts(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 2, seq=1, loss=1.0)
    game.report(0, 2, seq=1, loss=2.0)
    game.report(0, 1, seq=0, loss=3.0)
    assert [event.metrics["loss"] for event in game.of(ev.TrialResult)] == [3.0, 1.0]


def test_a_straggler_that_never_comes_is_not_waited_for_beyond_the_end(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 2, seq=1)
    game.report(0, 4, seq=3)
    game.end(0)
    assert [(e.seq, e.verdict) for e in game.of(ev.TrialResult)] == [(1, "continue"), (3, "continue")]
    assert game.ledger[TrialId(0)].status is Status.FINISHED


def test_a_backend_that_counts_reports_from_one_is_not_held_for_ever(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    for i in range(1, EARLY + 3):
        game.report(0, i, seq=i)
    assert len(game.of(ev.TrialResult)) == EARLY + 2


def test_early_reports_of_an_attempt_that_was_lost_count_in_it_and_not_in_the_next(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 2, seq=1)
    game.end(0, "lost", "node gone")
    assert [(e.attempt, e.seq) for e in game.of(ev.TrialResult)] == [(0, 1)]
    assert game.names()[-2:] == ["trial-lost 0", "trial-started 0"] or "trial-started 0" in game.names()
    assert game.ledger[TrialId(0)].attempt == 1
    game.report(0, 3)
    assert game.of(ev.TrialResult)[-1].attempt == 1


def test_reports_of_an_attempt_before_are_recorded_and_not_counted(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 1)
    game.end(0, "lost")
    game.report(0, 2, seq=1, attempt=0)
    late = game.of(ev.TrialResult)[-1]
    assert (late.verdict, late.attempt) == ("late", 0)
    assert game.ledger[TrialId(0)].resource == 1
    assert game.ledger[TrialId(0)].next_seq == 0
    assert len([e for e in game.conductor.scheduler.seen if isinstance(e, ev.TrialResult)]) == 1


def test_signals_about_nothing_known_change_nothing(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    before = list(game.events)
    for signal in (
        Reported(TrialId(7), 0, 0, {"loss": 1.0, "epoch": 1}),
        Reported(TrialId(0), 5, 0, {"loss": 1.0, "epoch": 1}),
        Ended(TrialId(7), 0, "finished"),
        Ended(TrialId(0), 4, "finished"),
        Garbled(TrialId(7), 0, "x"),
    ):
        game.signal(signal)
    assert game.events == before


def test_an_end_told_twice_counts_once(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 1)
    game.end(0)
    events = len(game.events)
    game.end(0)
    assert len(game.events) == events


def test_going_back_is_refused_in_the_first_attempt_and_a_repeat_in_later_ones(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 3)
    game.report(0, 2)
    assert "went back from 3 to 2" in game.of(ev.ReportRejected)[-1].reason
    game.end(0, "lost")
    game.report(0, 2)
    assert game.of(ev.TrialResult)[-1].verdict == "repeat"
    game.report(0, 4)
    assert game.of(ev.TrialResult)[-1].verdict == "continue"


def test_retries_come_before_new_trials_and_do_not_count_as_failures(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=3), n_workers=1, max_retries=1, max_failures=0).begin()
    game.report(0, 1)
    game.end(0, "failed", "exit status 1")
    assert game.of(ev.TrialFailed)[-1].retry
    assert game.ledger[TrialId(0)].attempt == 1
    assert game.conductor.error is None
    game.end(0, "failed", "exit status 1")
    assert not game.of(ev.TrialFailed)[-1].retry
    assert isinstance(game.conductor.error, TooManyFailures)


def test_max_failures_as_a_count_is_exact(lab: Any) -> None:
    game = lab.Game(lab.Toy(), n_workers=1, max_failures=2).begin()
    for trial in range(2):
        game.report(trial, 1)
        game.end(trial, "failed", "no")
    assert game.conductor.error is None
    game.report(2, 1)
    game.end(2, "failed", "no")
    assert str(game.conductor.error) == "3 of 3 trials failed, the last one with: no"
    assert game.conductor.closed


def test_max_failures_as_a_share_is_judged_from_ten_ended_trials_on(lab: Any) -> None:
    game = lab.Game(lab.Toy(), n_workers=1, max_failures=0.5).begin()
    for trial in range(10):
        game.report(trial, 1)
        game.end(trial, "failed" if trial < 6 else "finished", "no")
    assert game.conductor.error is None
    game.report(10, 1)
    game.end(10, "failed", "no")
    assert isinstance(game.conductor.error, TooManyFailures)


def test_a_run_in_which_nothing_ever_reports_is_hopeless(lab: Any) -> None:
    game = lab.Game(lab.Toy(), n_workers=4).begin()
    for trial in range(4):
        assert game.conductor.error is None
        game.end(trial)
    assert isinstance(game.conductor.error, TooManyFailures)
    assert "report(loss=...)" in str(game.conductor.error)


def test_a_first_report_without_the_metric_ends_the_run_a_later_one_is_only_refused(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 1, los=1.0)
    assert isinstance(game.conductor.error, MetricMismatch)
    assert "'los'" in str(game.conductor.error)
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 1)
    game.report(0, 2, los=1.0)
    assert game.conductor.error is None
    assert game.names()[-1] == "report-rejected 0"


def test_a_nan_that_fails_a_trial_is_in_the_fold(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    game.report(0, 1)
    game.report(0, 2, loss=float("nan"))
    assert game.commands[-1] == StopTrial(TrialId(0), 0)
    told = lab.Game(lab.Toy(limit=1), past=game.events).conductor.alive()
    assert [(a.command, a.command_at) for a in told] == [("stop", game.now)]
    game.report(0, 3)
    assert game.of(ev.TrialResult)[-1].verdict == "late"
    game.end(0, "ended")
    failed = game.of(ev.TrialFailed)[-1]
    assert (failed.reason, failed.retry) == ("loss is nan", False)


def test_a_broken_backend_loses_all_attempts_and_closes(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=2)).begin()
    game.signal(BackendBroken("supervisor died"))
    assert isinstance(game.conductor.error, BackendFailed)
    assert game.names()[-3:] == ["trial-lost 0", "trial-lost 1", "experiment-closed"]


def test_adopted_attempts_go_on_the_others_are_lost_and_queued(lab: Any) -> None:
    past = lab.Game(lab.Toy(limit=2)).begin().events
    game = lab.Game(lab.Toy(limit=2), past=past)
    alive = game.conductor.alive()
    assert [attempt.start.trial for attempt in alive] == [0, 1]
    game.conductor.adopted(game.now, [TrialId(1)])
    game.begin()
    assert game.names()[:3] == ["experiment-opened", "trial-lost 0", "trial-started 0"]
    assert game.ledger[TrialId(0)].attempt == 1
    assert game.ledger[TrialId(1)].attempt == 0


def test_a_closed_experiment_opened_again_with_the_same_limits_closes_at_once(lab: Any) -> None:
    stop = StoppingCriterion(max_num_evaluations=1)
    game = lab.Game(lab.Toy(), stop).begin()
    game.report(0, 1)
    game.end(0, "ended")
    game.end(1, "ended")
    assert game.conductor.closed
    again = lab.Game(lab.Toy(), stop, past=game.events).begin()
    assert again.names() == ["experiment-opened", "experiment-closed"]
    more = lab.Game(lab.Toy(), StoppingCriterion(max_num_evaluations=2), past=game.events).begin()
    assert more.names() == ["experiment-opened", "trial-started 0", "trial-started 1"]


def test_fewer_workers_let_those_beyond_end_and_start_none(lab: Any) -> None:
    past = lab.Game(lab.Toy(), n_workers=4).begin().events
    game = lab.Game(lab.Toy(), past=past, n_workers=4)
    limits = ev.Limits(n_workers=2)
    game.conductor.change_limits(game.now, limits)
    game.conductor.adopted(game.now, [TrialId(i) for i in range(4)])
    game.begin()
    for trial in (0, 1):
        game.report(trial, 1)
        game.end(trial)
    assert len(game.ledger) == 4
    game.report(2, 1)
    game.end(2)
    started = game.of(ev.TrialStarted)
    assert [(e.trial, e.slot) for e in started] == [(4, 0)]


def test_an_open_request_of_stricter_limits_is_not_answered_under_wider_ones(lab: Any) -> None:
    """Died between a request that might not start anything and its answer; resumed with a higher limit."""

    def never(request: Any, ledger: Any) -> Any:
        raise RuntimeError

    game = lab.Game(
        lab.Toy(answering(t0=[Pause(TrialId(0))])), StoppingCriterion(max_num_trials_started=1), n_workers=1
    )
    game.begin()
    game.report(0, 1)
    game.conductor.scheduler._propose = never
    game.end(0, "ended")
    index = next(i for i, e in enumerate(game.events) if isinstance(e, ev.ProposalRequested) and not e.may_start)
    wider = StoppingCriterion(max_num_trials_started=2)
    again = lab.Game(lab.Toy(), wider, past=game.events[: index + 1], n_workers=1)
    again.conductor.change_limits(again.now, ev.Limits(n_workers=1))
    again.begin()
    assert again.names()[-1] == "trial-started 1"


def test_trials_started_never_exceed_their_limit_also_where_one_waits_to_be_started(lab: Any) -> None:
    past = lab.Game(lab.Toy(), n_workers=2).begin().events[:-1]
    assert [type(e) for e in past[-1:]] == [ev.Suggested]
    game = lab.Game(lab.Toy(), StoppingCriterion(max_num_trials_started=1), past=past, n_workers=2)
    game.conductor.adopted(game.now, [TrialId(0)])
    game.begin()
    assert not game.of(ev.TrialStarted)
    game.report(0, 1)
    game.end(0)
    assert game.conductor.closed


def test_a_whole_batch_starts_only_when_all_workers_are_free(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=5), n_workers=2, asynchronous=False).begin()
    game.report(0, 1)
    game.end(0)
    assert len(game.ledger) == 2
    game.report(1, 1)
    game.end(1)
    assert len(game.ledger) == 4
    for trial in (2, 3):
        game.report(trial, 1)
        game.end(trial)
    game.report(4, 1)
    game.end(4)
    assert game.conductor.closed
    assert game.conductor.closing == ("done", "the scheduler has nothing more to propose (search space exhausted)")


def test_waiting_for_trials_lets_them_end_and_starts_none(lab: Any) -> None:
    game = lab.Game(lab.Toy(), StoppingCriterion(max_num_evaluations=1), wait_for_trials=True).begin()
    game.report(0, 1)
    assert not any(isinstance(c, StopTrial) for c in game.commands)
    game.report(0, 2)
    assert game.of(ev.TrialResult)[-1].verdict == "continue"
    game.end(0)
    assert not game.conductor.closed
    game.report(1, 1)
    game.end(1)
    assert game.conductor.closed
    assert game.ledger.having(Status.FINISHED) == list(game.ledger)


def test_a_repeat_that_spends_the_last_money_ends_the_run(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1), StoppingCriterion(max_cost=10)).begin()
    game.report(0, 1, loss=1.0, st_worker_cost=6.0)
    game.end(0, "lost")
    game.report(0, 1, loss=1.0, st_worker_cost=5.0)
    assert game.of(ev.TrialResult)[-1].verdict == "repeat"
    assert game.conductor.closing is not None
    assert "max_cost" in game.conductor.closing[1]


@pytest.mark.parametrize("cost", ["nan", "many", True, float("inf")])
def test_a_cost_that_is_no_number_harms_nothing(lab: Any, cost: Any) -> None:
    game = lab.Game(lab.Toy(limit=1), StoppingCriterion(max_cost=10)).begin()
    game.report(0, 1, loss=1.0, st_worker_cost=cost)
    assert game.ledger[TrialId(0)].cost == 0.0
    assert game.conductor.error is None


def test_a_criterion_that_raises_ends_the_session_resumable(lab: Any) -> None:
    from offbeat.stopping import as_stopper

    game = lab.Game(lab.Toy(), as_stopper(lambda usage: usage.results > 0 and 1 / 0)).begin()
    assert game.conductor.error is None
    game.report(0, 1)
    assert isinstance(game.conductor.error, PluginFailed)
    assert game.of(ev.PluginFailed)[0].group == "offbeat.stoppers"


def test_time_never_goes_back(lab: Any) -> None:
    game = lab.Game(lab.Toy(), StoppingCriterion(max_wallclock_time=10)).begin()
    game.conductor.tick(9.0)
    game.conductor.tick(3.0)
    assert game.conductor.state.usage.elapsed == 9.0
    assert game.conductor.limits.until == 10


def test_what_observe_raises_when_a_journal_is_read_again_names_plugin_and_event(lab: Any) -> None:
    def observe(event: Any, ledger: Any) -> Any:
        raise ValueError("mended wrongly")

    past = lab.Game(lab.Toy()).begin().events
    with pytest.raises(
        PluginFailed, match=r"'toy' failed in observe\(suggested\), event 2 of the journal.*mended wrongly"
    ):
        lab.Game(lab.Toy(observe), past=past)


def test_closing_twice_closes_once(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=1)).begin()
    conductor: Conductor = game.conductor
    conductor.close(1.0, "interrupted", "first")
    conductor.close(2.0, "done", "second")
    game.turn()
    assert [type(c) for c in game.commands] == [StartTrial, StopTrial]
    game.end(0, "ended")
    conductor.close(9.0, "done", "third")
    game.take()
    assert [(e.outcome, e.reason) for e in game.of(ev.ExperimentClosed)] == [("interrupted", "first")]


def cut_off(lab: Any) -> Any:
    """Two trials that a limit has ended, before either has reported."""
    game = lab.Game(lab.Toy(), StoppingCriterion(max_wallclock_time=1.5)).begin()
    game.now = 1.5
    game.conductor.tick(game.now)
    game.take()
    assert [type(c) for c in game.commands] == [StartTrial, StartTrial, StopTrial, StopTrial]
    return game


def test_a_trial_that_was_cut_off_before_its_first_report_has_not_failed(lab: Any) -> None:
    game = cut_off(lab)
    game.report(0, 1)
    game.end(0)
    game.end(1)
    assert [event.verdict for event in game.of(ev.TrialResult)] == ["late"]
    assert [(e.trial, e.by, e.why) for e in game.of(ev.TrialStopped)] == [
        (0, "experiment", "the session ended (done)"),
        (1, "experiment", "the session ended (done)"),
    ]
    assert {record.status for record in game.ledger} == {Status.INTERRUPTED}
    assert game.conductor.closed
    assert game.conductor.error is None


def test_a_trial_that_was_cut_off_and_crashes_has_failed(lab: Any) -> None:
    game = cut_off(lab)
    game.end(0, "failed", "out of memory")
    game.end(1, "ended")
    assert [event.reason for event in game.of(ev.TrialFailed)] == ["out of memory"]
    assert game.ledger[TrialId(1)].status is Status.INTERRUPTED


def test_a_trial_whose_reports_all_came_late_has_not_failed_for_saying_nothing(lab: Any) -> None:
    """Cut off by the end of a session, it saved its work and reported too late; resumed, it has nothing left to say."""
    stop = StoppingCriterion(max_num_evaluations=1)
    game = lab.Game(lab.random_search(), stop, n_workers=2).begin()
    game.report(0, 1)
    game.report(1, 1)
    game.end(0, "ended")
    game.end(1, "ended")
    again = lab.Game(
        lab.random_search(), StoppingCriterion(max_num_evaluations=9), past=game.events, n_workers=2
    ).begin()
    again.end(1, "finished")
    assert again.names()[-4:].count("trial-finished 1") == 1
    assert again.conductor.state.usage.failed == 0


def test_results_below_what_is_due_are_not_shown_live_or_again(lab: Any) -> None:
    def due() -> Any:
        scheduler = lab.Toy()
        scheduler.due = {TrialId(0): 3}
        return scheduler

    def shown(scheduler: Any) -> list[tuple[int, int]]:
        return [(event.trial, event.resource) for event in scheduler.seen if isinstance(event, ev.TrialResult)]

    live, again = due(), due()
    game = lab.Game(live).begin()
    for trial, epoch in ((0, 1), (1, 1), (0, 2), (0, 3), (1, 2), (0, 4)):
        game.report(trial, epoch)
    assert shown(live) == [(1, 1), (0, 3), (1, 2), (0, 4)]
    lab.Game(again, past=game.events)
    assert shown(again) == shown(live)
    assert [event.resource for event in game.of(ev.TrialResult)] == [1, 1, 2, 3, 2, 4], "all of them are written down"
