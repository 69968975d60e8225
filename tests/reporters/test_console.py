"""The console observer: what it prints, that it never floods, and that it needs no extra."""

from __future__ import annotations

import asyncio
import builtins
import io
import sys
from typing import Any

import pytest

from offbeat.clock import ManualClock
from offbeat.events import (
    ComponentDescription,
    Event,
    ExperimentClosed,
    ExperimentSpec,
    Limits,
    LimitsChanged,
    MetricSpec,
    ReportRejected,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialResult,
    TrialStarted,
)
from offbeat.home import ExperimentFolder
from offbeat.protocols import Recorded
from offbeat.trial import Ledger, TrialId
from offbeat_reporters.console import Console


class Experiment:
    """A view whose ledger is the fold of the events that were sent."""

    def __init__(self, *, mode: Any = "min", seconds: float | None = 30.0) -> None:
        criterion = None
        if seconds is not None:
            criterion = ComponentDescription("offbeat.stoppers", "criterion", options={"max_wallclock_time": seconds})
        self.folder = ExperimentFolder("/nowhere/digits")
        self.spec = ExperimentSpec(
            name="digits",
            seed=1,
            metrics=(MetricSpec("error", mode),),
            resource_attr="epoch",
            max_t=27,
            space={"lr": {"domain": "loguniform"}, "epochs": {"constant": 27}},
            scheduler=ComponentDescription("offbeat.schedulers", "asha"),
            backend=ComponentDescription("offbeat.backends", "local"),
            limits=Limits(n_workers=2, stop_criterion=criterion),
        )
        self.ledger = Ledger("error", minimise=mode == "min")
        self.elapsed = 0.0
        self.seq = 0

    def record(self, *events: Event) -> list[Recorded]:
        recorded = []
        for event in events:
            self.ledger.apply(event)
            self.elapsed = event.at
            recorded.append(Recorded(self.seq, event))
            self.seq += 1
        return recorded

    def started(self, number: int, at: float, lr: float = 0.1) -> list[Recorded]:
        trial = TrialId(number)
        return self.record(
            Suggested(at, number, "start", trial, {"lr": lr, "epochs": 27}, 9), TrialStarted(at, trial, 0, number % 2)
        )

    def result(self, number: int, epoch: int, error: float, at: float) -> list[Recorded]:
        return self.record(TrialResult(at, TrialId(number), 0, epoch - 1, epoch, {"epoch": epoch, "error": error}))


class Watched:
    """A console on a text stream, driven in one event loop."""

    def __init__(self, experiment: Experiment, *, live: bool | None = None) -> None:
        self.out = io.StringIO()
        self.clock = ManualClock()
        self.console = Console(self.out, live=live, clock=self.clock)
        asyncio.run(self.console.start(experiment))

    def handle(self, events: list[Recorded]) -> None:
        asyncio.run(self.console.handle(events))

    def finish(self) -> None:
        asyncio.run(self.console.finish())

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


def test_a_run_in_plain_lines() -> None:
    experiment = Experiment()
    watched = Watched(experiment)
    watched.handle(experiment.started(0, 0.1, lr=0.123456))
    watched.handle(experiment.result(0, 1, 0.25, 1.0))
    watched.clock.advance(2)
    watched.handle(experiment.result(0, 2, 0.125, 2.0))
    watched.handle(experiment.record(TrialFinished(3.0, TrialId(0), 0)))
    watched.handle(experiment.record(ExperimentClosed(4.0, 0, "done", "30 s are over")))
    watched.finish()
    assert watched.lines == [
        "[    0.0 s] digits: asha on local, 2 workers, minimising error",
        "[    1.0 s] best: error 0.25, trial 0 at epoch 1  (lr=0.1235)",
        "[    2.0 s] best: error 0.125, trial 0 at epoch 2  (lr=0.1235)",
        "[    4.0 s] 1 finished; 2 results, 0.5/s; best error 0.125; 4 s of 30 s",
        "[    4.0 s] done: 30 s are over",
    ]


class Resumed(Experiment):
    """A view that says which limits are in force, as the engine's does."""

    limits = Limits(n_workers=2)


def test_limits_in_force_after_a_resume_with_others() -> None:
    criterion = ComponentDescription("offbeat.stoppers", "criterion", options={"max_wallclock_time": 90.0})
    changed = Limits(n_workers=5, stop_criterion=criterion)
    for experiment in (Experiment(), Resumed()):
        watched = Watched(experiment)
        if isinstance(experiment, Resumed):
            experiment.limits = changed  # its event was skipped
        else:
            experiment.record()
            watched.handle(experiment.record(LimitsChanged(3.0, changed)))
        watched.handle(experiment.started(0, 4.0))
        watched.finish()
        assert "asha on local, 5 workers" in watched.lines[0]
        assert "4 s of 90 s" in watched.lines[-1]


def test_limits_in_a_combined_criterion() -> None:
    from offbeat.describe import describe
    from offbeat.stopping import PlateauStopper, StoppingCriterion
    from offbeat_reporters.progress import limit

    plateau, seconds = PlateauStopper("error"), StoppingCriterion(max_wallclock_time=9)
    for criterion, expected in ((plateau | seconds, ("max_wallclock_time", 9.0)), (plateau & seconds, None)):
        assert limit(Limits(n_workers=1, stop_criterion=describe(criterion, "offbeat.stoppers"))) == expected


def test_live_table_begins_with_the_limits_in_force() -> None:
    pytest.importorskip("rich")
    experiment = Resumed()
    experiment.limits = Limits(n_workers=6)
    watched = Watched(experiment, live=True)
    watched.finish()
    assert "6 workers" in watched.out.getvalue()


def test_maximised_metric() -> None:
    experiment = Experiment(mode="max")
    watched = Watched(experiment)
    watched.handle(experiment.started(0, 0.0) + experiment.started(1, 0.0))
    watched.handle(experiment.result(0, 1, 0.25, 1.0) + experiment.result(1, 1, 0.5, 1.0))
    assert "maximising error" in watched.lines[0]
    assert "best: error 0.5, trial 1" in watched.lines[1]


def test_thousand_incumbents_in_an_instant_are_one_line() -> None:
    experiment = Experiment()
    watched = Watched(experiment)
    watched.handle(experiment.started(0, 0.0))
    for epoch in range(1, 1001):
        watched.handle(experiment.result(0, epoch, 1 / epoch, epoch * 100.0))  # much simulated time, no real time
    watched.finish()
    assert len(watched.lines) == 4
    assert "error 0.001," in watched.lines[2]


def test_heartbeat_every_ten_seconds() -> None:
    experiment = Experiment()
    watched = Watched(experiment)
    watched.handle(experiment.started(0, 0.0) + experiment.result(0, 1, 0.5, 0.5))
    for tenth in range(1, 301):
        watched.clock.advance(0.1)
        watched.handle(experiment.result(0, tenth + 1, 0.5 + tenth, tenth / 10 + 0.5))
    heartbeats = [line for line in watched.lines if "results," in line]
    assert 2 <= len(heartbeats) <= 3


def test_failures_show_the_last_line_of_stderr_and_do_not_flood() -> None:
    experiment = Experiment()
    watched = Watched(experiment)
    detail = "Traceback (most recent call last):\n  File ...\nModuleNotFoundError: No module named 'torch'\n"
    for number in range(100):
        watched.handle(experiment.started(number, 0.0))
        watched.handle(experiment.record(TrialFailed(1.0, TrialId(number), 0, "exit status 1", detail)))
    assert "trial 0 failed: exit status 1: ModuleNotFoundError: No module named 'torch'" in watched.lines[1]
    assert len(watched.lines) == 6
    assert watched.lines[-1].endswith("(further ones are only counted; see: offbeat show digits)")


def test_reports_that_were_not_usable_are_counted() -> None:
    experiment = Experiment()
    watched = Watched(experiment)
    watched.handle(experiment.started(0, 0.0))
    watched.handle(experiment.record(ReportRejected(1.0, TrialId(0), 0, "not JSON", "{", 3)))
    watched.finish()
    assert "trial 0: report not usable: not JSON" in watched.lines[1]
    assert "3 reports not usable" in watched.lines[-1]


def test_events_may_be_missing() -> None:
    experiment = Experiment()
    watched = Watched(experiment)
    for number in range(50):
        experiment.started(number, 0.0)
        experiment.result(number, 1, 1 / (1 + number), 1.0)
        experiment.record(TrialFinished(2.0, TrialId(number), 0))
    watched.finish()
    assert "best: error 0.02, trial 49 at epoch 1" in watched.lines[1]
    assert "50 finished; 50 results" in watched.lines[2]


def test_plain_lines_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_rich(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "rich":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for module in [name for name in sys.modules if name.partition(".")[0] == "rich" or name.endswith("live_table")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_rich)
    experiment = Experiment()
    watched = Watched(experiment, live=True)
    watched.handle(experiment.started(0, 0.0))
    watched.finish()
    assert len(watched.lines) == 2


def test_live_table_shows_what_matters() -> None:
    pytest.importorskip("rich")
    from rich.console import Console as RichConsole

    from offbeat_reporters.live_table import LiveTable
    from offbeat_reporters.progress import Gatherer

    experiment = Experiment()
    gatherer = Gatherer(experiment)
    experiment.started(0, 0.0, lr=0.123456)
    experiment.started(1, 0.0, lr=0.5)
    experiment.result(0, 1, 0.25, 1.0)
    gatherer.look()
    experiment.result(0, 2, 0.125, 12.0)
    experiment.record(ReportRejected(12.0, TrialId(1), 0, "not JSON"))
    table = LiveTable(io.StringIO(), experiment, gatherer.look())
    table.notices.append("trial 7 failed: exit status 1")
    screen = RichConsole(file=io.StringIO(), width=100, record=True)
    screen.print(table.picture())
    text = screen.export_text()
    for expected in (
        "digits", "asha on local, 2 workers", "12.0 of 30 s", "error 0.125", "trial 0 at epoch 2", "2 running",
        "1 reports not usable", "2/9", "0.1235", "trial 7 failed: exit status 1",
    ):  # fmt: skip
        assert expected in text
    assert "epochs" not in text  # a constant says nothing


def test_what_trials_say_cannot_move_the_cursor_or_be_read_as_markup() -> None:
    experiment = Experiment()
    watched = Watched(experiment)
    lines = experiment.record(
        Suggested(0.0, 0, "start", TrialId(0), {"act": "\x1b[2J[/red]", "lr": 0.1}), TrialStarted(0.0, TrialId(0), 0, 0)
    )
    watched.handle(lines + experiment.result(0, 1, 0.5, 1.0))
    watched.handle(experiment.record(TrialFailed(1.0, TrialId(0), 0, "exit status 1", "\x1b]0;title\x07 [/red]\r")))
    assert "\x1b" not in watched.out.getvalue()
    assert "[/red]" in watched.lines[1]

    pytest.importorskip("rich")
    table = Watched(experiment, live=True)
    table.handle(experiment.record(ReportRejected(1.0, TrialId(0), 0, "no number: \x1b[31m[/red]")))
    table.finish()
    assert "[/red]" in table.out.getvalue()
    assert "\x1b[31m" not in table.out.getvalue()


def test_live_table_stops_drawing_at_the_end() -> None:
    pytest.importorskip("rich")
    experiment = Experiment(seconds=None)
    watched = Watched(experiment, live=True)
    watched.handle(experiment.started(0, 0.0) + experiment.result(0, 1, 0.25, 1.0))
    watched.handle(experiment.record(LimitsChanged(1.0, Limits(n_workers=3))))
    watched.handle(experiment.record(ExperimentClosed(1.0, 0, "interrupted", "SIGINT")))
    watched.finish()
    assert "3 workers" in watched.out.getvalue()
    assert "interrupted: SIGINT" in watched.out.getvalue()
