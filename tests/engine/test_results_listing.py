"""Listings of experiments: each filter, and folders that hold half of one, a broken one, or none."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat import list_experiments, load_experiment
from offbeat.clock import SystemClock
from offbeat.errors import ExperimentNotFound, InvalidArgument
from offbeat.events import (
    ComponentDescription,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    Host,
    Limits,
    MetricSpec,
    Suggested,
    TrialResult,
    TrialStarted,
)
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.results.listing import as_moment
from offbeat.testing.histories import event_history
from offbeat.trial import TrialId

NOW = SystemClock().wall()


def make(home: Path, name: str, *, age: float = 0.0, outcome: str = "", **fields: Any) -> ExperimentFolder:
    """An experiment whose session began `age` seconds ago."""
    scheduler = ComponentDescription("offbeat.schedulers", fields.pop("scheduler", "asha"))
    backend = ComponentDescription("offbeat.backends", fields.pop("backend", "local"))
    metrics = tuple(MetricSpec(one) for one in fields.pop("metrics", ["loss"]))
    spec = ExperimentSpec(
        name=name, seed=1, metrics=metrics, scheduler=scheduler, backend=backend, limits=Limits(n_workers=1)
    )
    folder = ExperimentFolder(home / name)
    trial = TrialId(0)
    events: list[Any] = [
        ExperimentOpened(0.0, 0, spec, Host(wall_time=NOW - age)),
        Suggested(0.0, 0, "start", trial, {"lr": 0.1}),
        TrialStarted(0.0, trial, 0, 0),
        TrialResult(1.0, trial, 0, 0, 0, {metric.name: 0.5 for metric in metrics}),
    ]
    if outcome:
        events.append(ExperimentClosed(2.0, 0, outcome, "why"))  # type: ignore[arg-type]
    with Journal.create(folder) as journal:
        journal.commit(events, sync=False)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path))
    make(tmp_path, "digits-1", outcome="done")
    make(tmp_path, "digits-2", outcome="failed", scheduler="bore", age=7200)
    make(tmp_path, "text-1", backend="simulated", metrics=["error", "size"], age=200_000)
    return tmp_path


def found(**filters: Any) -> list[str]:
    return [one.name for one in list_experiments(**filters)]


def test_filters(home: Path) -> None:
    assert found() == ["digits-1", "digits-2", "text-1"]
    assert found(name="digits-*") == ["digits-1", "digits-2"]
    assert found(name="digits-1") == ["digits-1"]
    assert found(name=["*-1", "nothing"]) == ["digits-1", "text-1"]
    assert found(name="DIGITS-*") == []
    assert found(scheduler="bore") == ["digits-2"]
    assert found(scheduler={"bore", "asha"}) == ["digits-1", "digits-2", "text-1"]
    assert found(backend="simulated") == ["text-1"]
    assert found(metric="size") == ["text-1"]
    assert found(metric=["size", "loss"]) == ["digits-1", "digits-2", "text-1"]
    assert found(status="crashed") == ["text-1"]
    assert found(status=["done", "failed"]) == ["digits-1", "digits-2"]
    assert found(since="1h") == ["digits-1"]
    assert found(since=timedelta(days=1)) == ["digits-1", "digits-2"]
    assert found(since=0) == ["digits-1", "digits-2", "text-1"]
    assert found(name="digits-*", status="failed", metric="loss", since="1d", scheduler="bore") == ["digits-2"]
    with Journal.open(ExperimentFolder(home / "text-1")):
        # Old, but at work.
        assert found(since="1h") == ["digits-1", "text-1"]
        assert found(status="running") == ["text-1"]


def test_filters_that_cannot_be_say_what_can(home: Path) -> None:
    with pytest.raises(InvalidArgument, match="Did you mean 'running'"):
        list_experiments(status="runing")
    for argument in ("name", "metric", "scheduler", "backend", "status"):
        for value in (5, [5], b"done"):
            with pytest.raises(InvalidArgument, match=f"{argument}=.*give a text"):
                list_experiments(**{argument: value})  # type: ignore[arg-type]
    for wrong in ("yesterday", "", "12 parsecs", True, float("nan"), [1]):
        with pytest.raises(InvalidArgument, match="since="):
            list_experiments(since=wrong)  # type: ignore[arg-type]


def test_points_in_time() -> None:
    at = datetime(2026, 11, 23, 14, 30)
    assert as_moment("2026-11-23 14:30", 0.0) == as_moment("2026-11-23T14:30", 0.0) == at.timestamp()
    assert as_moment("2026-11-23T14:30+00:00", 0.0) == datetime(2026, 11, 23, 14, 30, tzinfo=UTC).timestamp()
    assert as_moment(date(2026, 11, 23), 0.0) == as_moment("2026-11-23", 0.0) == datetime(2026, 11, 23).timestamp()
    assert as_moment(at, 0.0) == at.timestamp()
    assert as_moment(12.5, 0.0) == 12.5
    ages = {"90s": 90, "30m": 1800, "12h": 43200, "2d": 172800, "1.5 d": 129600, "1w": 604800}
    assert {text: as_moment(text, 1e9) - 1e9 for text in ages} == {text: -age for text, age in ages.items()}


def test_summaries_load_and_are_json(home: Path) -> None:
    listing = list_experiments()
    first = listing[0]
    assert (first.name, first.status, first.trials, first.results, first.metric) == ("digits-1", "done", 1, 1, "loss")
    assert load_experiment(first.path).summary() == first
    assert msgspec.json.decode(msgspec.json.encode(first))["best"]["value"] == 0.5
    assert [one.name for one in listing[1:]] == ["digits-2", "text-1"]
    assert repr(listing).splitlines()[0] == f"3 experiments in {home}"


def break_half(home: Path) -> None:
    Journal.create(ExperimentFolder(home / "half")).close()


def break_empty(home: Path) -> None:
    (home / "empty" / "journal").mkdir(parents=True)


def break_bytes(home: Path) -> None:
    segment = make(home, "bytes").journal / "00000000.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"lr"', b'"rl"', 1))


def break_garbage(home: Path) -> None:
    (home / "garbage" / "journal").mkdir(parents=True)
    (home / "garbage" / "journal" / "00000000.jsonl").write_bytes(os.urandom(4096) + b"\n")


def break_shape(home: Path) -> None:
    with Journal.create(ExperimentFolder(home / "shape")) as journal:
        journal.commit([event_history(1)[0], TrialStarted(0.0, TrialId(3), 0, 0)], sync=False)


def break_file(home: Path) -> None:
    (home / "file" / "journal" / "00000000.jsonl").mkdir(parents=True)


BROKEN = (break_half, break_empty, break_bytes, break_garbage, break_shape, break_file)


@pytest.mark.parametrize("spoil", BROKEN, ids=lambda spoil: spoil.__name__.removeprefix("break_"))
def test_what_cannot_be_read_is_named_and_the_rest_is_listed(home: Path, spoil: Any) -> None:
    spoil(home)
    listing = list_experiments()
    assert [one.name for one in listing] == ["digits-1", "digits-2", "text-1"]
    (skipped,) = listing.skipped
    name = spoil.__name__.removeprefix("break_")
    assert (skipped.name, skipped.path) == (name, str(home / name))
    assert str(home / name) in skipped.reason
    assert f"{name}: unreadable" in repr(listing)
    assert list_experiments("digits-*").skipped == ()


def test_what_is_no_experiment_at_all_is_passed_over(home: Path) -> None:
    (home / "notes.txt").write_text("mine")
    (home / "photos").mkdir()
    (home / "loop").symlink_to(home / "loop")
    (home / "journal").write_text("a file of that name")
    assert list_experiments().skipped == ()
    assert list_experiments(home=home / "nowhere").home == str(home / "nowhere")
    assert len(list_experiments(home=home / "nowhere")) == 0


@given(seed=st.integers(0, 40), cut=st.floats(0, 1))
def test_any_beginning_of_a_journal_is_listed_or_named(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cut: float
) -> None:
    """An engine writes event by event; a listing may come at any moment."""
    events = event_history(seed)
    home = tmp_path_factory.mktemp("home")
    with Journal.create(ExperimentFolder(home / "e")) as journal:
        part = events[: int(cut * len(events))]
        if part:
            journal.commit(part, sync=False)
        listing = list_experiments(home=home)
        assert (len(listing), len(listing.skipped)) == ((1, 0) if part else (0, 1))
        if part:
            assert (listing[0].status, listing[0].events) == ("running", len(part))


def test_an_unknown_name_or_path_is_answered_with_the_nearest(home: Path) -> None:
    with pytest.raises(ExperimentNotFound, match="Did you mean 'digits-1'"):
        load_experiment("digit-1")
    with pytest.raises(ExperimentNotFound, match="Did you mean 'digits-1'"):
        load_experiment(home / "digit-1")
    assert load_experiment(home / "digits-1").name == "digits-1"
    with pytest.raises(ExperimentNotFound, match="No experiment 'nowhere'"):
        load_experiment("/nowhere")
