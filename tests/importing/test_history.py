"""What an importer answers becomes a journal: every event passes the engine's own fold, and the folder appears whole."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat import events as ev
from offbeat.config_space import uniform
from offbeat.errors import ExperimentExists, InvalidArgument, InvalidConfig
from offbeat.importing.foreign import Foreign, ForeignResult, ForeignTrial, Stretch
from offbeat.importing.history import events_of
from offbeat.importing.writing import written
from offbeat.results import load
from offbeat.space import Space
from offbeat.trial import Ledger, Status
from offbeat.tuner import Tuner

SPACE = Space({"x": uniform(0, 1)})


def stretch(began: float, levels: list[tuple[int, Any]], how: Any = "finished", seconds: float = 1.0) -> Stretch:
    results = tuple(ForeignResult(began + seconds * i, {"epoch": e, "loss": v}) for i, (e, v) in enumerate(levels, 1))
    return Stretch(started=began, ended=began + seconds * len(levels), results=results, how=how, why="so it was")


def foreign(*trials: tuple[Stretch, ...] | Stretch, **options: Any) -> Foreign:
    found = [
        ForeignTrial(origin=f"t{i}", config={"x": i / 10}, stretches=one if isinstance(one, tuple) else (one,))
        for i, one in enumerate(trials)
    ]
    settings = {
        "tool": "tool", "version": "1", "source": "/a", "digest": "d", "name": "a study!", "space": SPACE,
        "objectives": {"loss": "min"}, "resource_attr": "epoch", "max_t": 9, "trials": tuple(found),
    }  # fmt: skip
    return Foreign(**{**settings, **options})


def folded(one: Foreign) -> Ledger:
    ledger = Ledger("loss")
    for event in events_of(one, "a"):
        ledger.apply(event)
    return ledger


def test_ends_are_what_they_were() -> None:
    ledger = folded(
        foreign(
            stretch(0, [(1, 1.0), (2, 0.5)]),
            stretch(0.5, [(1, 2.0)], "stopped"),
            stretch(1, [(1, 3.0)], "failed"),
            stretch(2, [(1, 4.0)], "paused"),
            stretch(3, [(1, 5.0)], "open"),
            stretch(4, [], "stopped"),
            stretch(4, []),
        )
    )
    statuses = [record.status for record in ledger]
    assert statuses == [
        Status.FINISHED, Status.STOPPED, Status.FAILED, Status.PAUSED, Status.INTERRUPTED, Status.STOPPED, Status.FAILED,
    ]  # fmt: skip
    assert [record.resource for record in ledger] == [2, 1, 1, 1, 1, 0, 0]
    assert ledger.trials[1].reason == "so it was"  # type: ignore[index]
    assert not ledger.slots


def test_trials_are_numbered_by_their_starts_and_times_count_from_the_first() -> None:
    events = events_of(foreign(stretch(107, [(1, 1.0)]), stretch(100, [(1, 2.0)]), epoch=1000.0), "a")
    starts = [event for event in events if isinstance(event, ev.TrialStarted)]
    origins = [event.tags["origin"] for event in events if isinstance(event, ev.Suggested)]
    assert origins == ["t1", "t0"]
    assert [event.at for event in starts] == [0.0, 7.0]
    opened = events[0]
    assert isinstance(opened, ev.ExperimentOpened)
    assert opened.host.wall_time == 1100.0
    assert isinstance(events[-1], ev.ExperimentClosed)
    assert all(a.at <= b.at for a, b in pairwise(events))


def test_a_paused_trial_goes_on_and_levels_count_once() -> None:
    one = foreign((stretch(0, [(1, 1.0)], "paused"), stretch(5, [(1, 1.5), (2, 0.5)])))
    events = events_of(one, "a")
    names = [ev.wire_name(event) for event in events]
    assert names == [
        "experiment-opened", "suggested", "trial-started", "trial-result", "trial-paused", "suggested", "trial-resumed",
        "trial-result", "trial-result", "trial-finished", "experiment-closed",
    ]  # fmt: skip
    verdicts = [event.verdict for event in events if isinstance(event, ev.TrialResult)]
    assert verdicts == ["pause", "repeat", "continue"]


def test_a_pause_without_a_result_is_an_attempt_that_was_lost() -> None:
    ledger = folded(foreign((stretch(0, [], "paused"), stretch(5, [(1, 1.5)]))))
    assert [(record.status, record.attempt) for record in ledger] == [(Status.FINISHED, 1)]


def test_unusable_reports_are_kept_apart() -> None:
    events = events_of(foreign(stretch(0, [(1, float("nan")), (2, 1.0), (2, 0.1), (3, "text"), (4, 0.2)])), "a")
    rejected = [event.reason for event in events if isinstance(event, ev.ReportRejected)]
    assert rejected == ["loss is nan (policy: ignore)", "loss='text' is not a number"]
    counted = [(e.resource, e.verdict) for e in events if isinstance(e, ev.TrialResult)]
    assert counted == [(2, "continue"), (2, "repeat"), (4, "continue")]


def test_workers_are_the_most_that_ran_at_once() -> None:
    events = events_of(foreign(*(stretch(i / 10, [(1, 1.0)]) for i in range(3)), stretch(50, [(1, 1.0)])), "a")
    opened = events[0]
    assert isinstance(opened, ev.ExperimentOpened)
    assert opened.spec is not None
    assert opened.spec.limits.n_workers == 3


def test_nothing_usable_is_an_error_that_says_why() -> None:
    with pytest.raises(InvalidArgument, match=r"no result that could be used; the first one: metric 'loss' is missing"):
        events_of(foreign(Stretch(started=0, ended=1, results=(ForeignResult(1, {"epoch": 1, "los": 2.0}),))), "a")


def test_a_configuration_outside_of_the_space_names_the_trial() -> None:
    outside = foreign(stretch(0, [(1, 1.0)]), space=Space({"x": uniform(0.5, 1)}))
    with pytest.raises(InvalidConfig, match=r"Trial t0 does not lie in the space.*space="):
        events_of(outside, "a")


def test_an_impossible_history_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="tells of what cannot be"):
        # It had finished, and yet there is another execution.
        events_of(foreign((stretch(0, [(1, 1.0)], "stopped"), stretch(5, [(2, 1.0)]))), "a")


hows = st.sampled_from(["finished", "stopped", "failed", "paused", "open"])
results = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([1.0, float("nan"), "x"])), max_size=4)
spans = st.builds(stretch, st.floats(0, 9), results, hows)
attempts = st.builds(
    lambda before, last: (*before, last),
    st.lists(st.builds(stretch, st.floats(0, 9), results, st.sampled_from(["paused", "failed"])), max_size=2),
    spans,
)


@given(st.lists(attempts, min_size=1, max_size=5))
def test_whatever_is_told_the_journal_is_legal_or_refused(trials: list[tuple[Stretch, ...]]) -> None:
    one = foreign(*trials)
    usable = any(
        isinstance(r.metrics["loss"], float) and r.metrics["loss"] == 1.0 and r.metrics["epoch"] >= 1
        for trial in trials
        for part in trial
        for r in part.results
    )
    if not usable:
        with pytest.raises(InvalidArgument):
            events_of(one, "a")
        return
    ledger = folded(one)
    assert len(ledger) == len(trials)
    assert not ledger.slots


def test_the_folder_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = foreign(stretch(0, [(1, 1.0)]))
    folder = written(one, None, tmp_path)
    assert folder.name == "a-study"
    with pytest.raises(ExperimentExists):
        written(one, "a-study", tmp_path)
    from offbeat.journal import Journal

    def full(self: Journal, events: Any, *, sync: bool) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Journal, "commit", full)
    with pytest.raises(OSError, match="no space left"):
        written(one, "another", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a-study"]


def test_it_reads_like_any_other_and_cannot_be_resumed(tmp_path: Path) -> None:
    one = foreign(stretch(0, [(1, 1.0), (2, 0.5)]), stretch(0, [(1, 2.0)], "stopped"), notes=("a guess",))
    experiment = load(written(one, "past", tmp_path))
    assert experiment.status == "done"
    assert experiment.spec.metadata["imported"] == {
        "tool": "tool", "version": "1", "source": "/a", "digest": "d", "name": "a study!", "notes": ["a guess"],
    }  # fmt: skip
    best = experiment.best()
    assert best is not None
    assert (best.value, best.resource) == (0.5, 2)
    assert [point.value for point in experiment.curve(0)] == [1.0, 0.5]
    with pytest.raises(InvalidArgument, match="imported from tool 1 and cannot be resumed"):
        Tuner.resume("past", home=tmp_path)
