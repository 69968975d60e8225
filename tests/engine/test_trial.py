"""The ledger: legal moves, and what each event does to a trial."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from offbeat import events as ev
from offbeat.trial import LEGAL_MOVES, IllegalMove, Ledger, Status, TrialId

MOVES = ("started", "resumed", "suggested", "stop", "pause", "finished", "failed", "retry", "lost", "stopped", "interrupted",
         "paused", "continue")  # fmt: skip
T = TrialId(0)


def ledger(*events: Any) -> Ledger:
    one = Ledger("loss")
    for event in (ev.Suggested(0.0, 0, "start", T, {"rate": 0.5}), *events):
        one.apply(event)
    return one


def started(at: float = 1.0, attempt: int = 0) -> ev.TrialStarted:
    return ev.TrialStarted(at, T, attempt, 0)


def result(at: float, seq: int, resource: int, verdict: Any = "continue", **metrics: Any) -> ev.TrialResult:
    return ev.TrialResult(at, T, 0, seq, resource, {"loss": 1.0, **metrics}, verdict)


def test_every_move_is_in_the_table_or_refused() -> None:
    for status, move in product(Status, MOVES):
        record = ledger()[T]
        record.status = status
        if (status, move) in LEGAL_MOVES:
            record.move(move)
            assert record.status is LEGAL_MOVES[status, move]
        else:
            with pytest.raises(IllegalMove, match=f"trial 0 is {status.value} and cannot be '{move}'"):
                record.move(move)


def test_what_has_ended_for_good_never_moves_again() -> None:
    assert not [move for status, move in LEGAL_MOVES if status.ended]


def test_time_resource_and_best_are_kept() -> None:
    one = ledger(
        started(), result(2.0, 0, 1, loss=3.0), result(3.0, 1, 2, loss=1.0), result(4.0, 2, 3, loss=2.0),
        ev.TrialFinished(6.0, T, 0),
    )  # fmt: skip
    record = one[T]
    assert (record.status, record.resource, record.reports) == (Status.FINISHED, 3, 3)
    assert (record.last, record.best) == ({"loss": 2.0}, {"loss": 1.0})
    assert (record.started_at, record.ended_at, record.active) == (1.0, 6.0, 5.0)
    assert one.slots == {}


def test_best_follows_the_sense_of_the_objective() -> None:
    one = Ledger("loss", minimise=False)
    for event in (
        ev.Suggested(0.0, 0, "start", T, {}),
        started(),
        result(2.0, 0, 1, loss=3.0),
        result(3.0, 1, 2, loss=1.0),
    ):
        one.apply(event)
    assert one[T].best == {"loss": 3.0}


def test_cost_adds_up_over_attempts() -> None:
    one = ledger(
        started(), result(2.0, 0, 1, st_worker_cost=2.0), result(3.0, 1, 2, st_worker_cost=5.0), ev.TrialLost(4.0, T, 0, "gone"),
        started(5.0, 1), ev.TrialResult(6.0, T, 1, 0, 3, {"loss": 1.0, "st_worker_cost": 1.5}),
    )  # fmt: skip
    assert one[T].cost == 6.5


def test_late_results_change_nothing_but_the_next_number() -> None:
    one = ledger(started(), result(2.0, 0, 1, "stop"), result(3.0, 1, 2, "late"))
    record = one[T]
    assert (record.status, record.resource, record.reports, record.next_seq) == (Status.STOPPING, 1, 1, 2)


def test_a_result_of_a_trial_that_does_not_run_is_illegal() -> None:
    with pytest.raises(IllegalMove):
        ledger(result(1.0, 0, 1))


def test_a_cut_off_trial_is_interrupted_and_one_told_to_stop_is_stopped() -> None:
    assert ledger(started(), ev.TrialStopped(2.0, T, 0, "experiment"))[T].status is Status.INTERRUPTED
    assert ledger(started(), result(2.0, 0, 1, "stop"), ev.TrialStopped(3.0, T, 0))[T].status is Status.STOPPED


def test_paused_trials_are_known_until_they_are_resumed_or_stopped() -> None:
    paused = (started(), result(2.0, 0, 1, "pause"), ev.TrialPaused(3.0, T, 0))
    assert ledger(*paused).paused == {T}
    one = ledger(*paused, ev.Suggested(4.0, 1, "resume", T, until=9), ev.TrialResumed(5.0, T, 1, 0))
    assert one.paused == set()
    assert (one[T].attempt, one[T].until) == (1, 9)


def test_events_that_concern_no_trial_pass() -> None:
    one = ledger()
    one.apply(ev.ExperimentClosed(1.0, 0, "done", ""))
    assert len(one) == 1
