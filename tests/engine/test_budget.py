from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.budget import Usage
from offbeat.events import (
    Event,
    ExperimentOpened,
    TrialFailed,
    TrialFinished,
    TrialLost,
    TrialPaused,
    TrialResult,
    TrialResumed,
    TrialStarted,
    TrialStopped,
)
from offbeat.trial import TrialId

T = TrialId


def after(*events: Event, watched: tuple[str, ...] = ()) -> Usage:
    usage = Usage(watched)
    for event in events:
        usage.apply(event)
    return usage


def result(trial: int, verdict: Any = "continue", at: float = 0.0, **metrics: Any) -> TrialResult:
    return TrialResult(at, T(trial), 0, 0, 1, metrics, verdict)


def test_nothing_is_used_at_first() -> None:
    usage = Usage()
    assert (usage.elapsed, usage.started, usage.finished, usage.results, usage.cost) == (0.0, 0, 0, 0, 0.0)


def test_a_trial_counts_as_started_once_however_many_attempts_it_takes() -> None:
    usage = after(
        TrialStarted(0.0, T(0), 0, 0),
        TrialLost(1.0, T(0), 0, "node gone"),
        TrialStarted(2.0, T(0), 1, 0),
        TrialPaused(3.0, T(0), 1),
        TrialResumed(4.0, T(0), 2, 0),
        TrialStarted(4.0, T(1), 0, 1),
    )
    assert usage.started == 2
    assert usage.finished == 0


def test_ends_are_told_apart() -> None:
    usage = after(
        TrialFinished(0.0, T(0), 0),
        TrialStopped(0.0, T(1), 0, "scheduler"),
        TrialStopped(0.0, T(2), 0, "user"),
        TrialStopped(0.0, T(3), 0, "experiment"),
        TrialFailed(0.0, T(4), 0, "exit status 1", retry=True),
        TrialFailed(0.0, T(4), 1, "exit status 1"),
        TrialPaused(0.0, T(5), 0),
    )
    assert (usage.completed, usage.stopped, usage.failed, usage.finished) == (1, 2, 1, 4)


def test_results_count_unless_late_or_repeated() -> None:
    usage = after(*(result(0, verdict) for verdict in ("continue", "stop", "pause", "late", "repeat")))
    assert usage.results == 3


def test_time_is_the_latest_seen_and_may_be_set() -> None:
    usage = after(ExperimentOpened(3.0, 0), result(0, at=2.0))
    assert usage.elapsed == 3.0
    usage.elapsed = 9.0
    usage.apply(result(0, at=8.0))
    assert usage.elapsed == 9.0


def test_cost_adds_up_over_attempts_and_trials() -> None:
    usage = after(
        TrialStarted(0.0, T(0), 0, 0),
        result(0, st_worker_cost=1.0),
        result(0, st_worker_cost=2.5),
        result(1, st_worker_cost=4.0),
        TrialLost(0.0, T(0), 0, "node gone"),
        TrialStarted(0.0, T(0), 1, 0),
        result(0, "repeat", st_worker_cost=0.5),
        result(0, st_worker_cost=1.5),
        result(0, "late", st_worker_cost=9.0),
        result(0, st_worker_cost="nan"),
        result(0),
    )
    assert usage.cost == 2.5 + 4.0 + 1.5


def test_watched_metrics_skip_what_is_no_finite_number() -> None:
    usage = after(
        *(result(0, loss=value) for value in (2.0, "nan", float("inf"), True, None, 1, 3.5, [1])),
        result(0, other=0.0),
        result(0, "late", loss=-9.0),
        result(0, "repeat", loss=-9.0),
        watched=("loss",),
    )
    seen = usage.metrics["loss"]
    assert (seen.lowest, seen.highest) == (1, 3.5)
    assert set(usage.metrics) == {"loss"}


def test_history_has_one_entry_per_end_of_a_trial_that_reported() -> None:
    usage = after(
        result(0, loss=3.0),
        result(1, loss=2.0),
        TrialPaused(0.0, T(0), 0),
        result(1, loss=1.0),
        TrialFinished(0.0, T(1), 0),
        TrialFailed(0.0, T(2), 0, "reported nothing"),
        TrialStopped(0.0, T(3), 0, "experiment"),
        TrialResumed(0.0, T(0), 1, 0),
        TrialStopped(0.0, T(0), 1),
        result(0, loss=4.0),
        TrialFailed(0.0, T(0), 2, "exit status 1", retry=True),
        watched=("loss",),
    )
    assert usage.metrics["loss"].history == [(2.0, 3.0), (1.0, 3.0)]


@given(st.lists(st.floats(-5, 5), max_size=30))
def test_lowest_and_highest_are_min_and_max(values: list[float]) -> None:
    seen = after(*(result(0, loss=value) for value in values), watched=("loss",)).metrics["loss"]
    assert (seen.lowest, seen.highest) == ((min(values), max(values)) if values else (None, None))


def test_a_metric_may_be_watched_later() -> None:
    usage = after(result(0, loss=1.0))
    usage.watch(["loss"])
    usage.apply(result(0, loss=2.0))
    usage.watch(["loss", "accuracy"])
    assert usage.metrics["loss"].lowest == 2.0
    assert usage.metrics["accuracy"].lowest is None


def test_the_fold_is_the_same_in_one_go_or_with_a_break() -> None:
    events = [
        TrialStarted(0.0, T(0), 0, 0),
        result(0, at=1.0, loss=1.0, st_worker_cost=0.25),
        TrialFinished(2.0, T(0), 0),
    ]
    whole = after(*events, watched=("loss",))
    assert (whole.elapsed, whole.started, whole.completed, whole.results, whole.cost) == (2.0, 1, 1, 1, 0.25)
    with pytest.raises(AttributeError):
        whole.unknown = 1  # type: ignore[attr-defined]
