"""Every multi-fidelity and population method as a user runs it: real processes with checkpoints, ask and tell, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from offbeat import AskTell, StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.backend import LocalBackend
from offbeat.cli import main
from offbeat.config_space import loguniform, randint, uniform
from offbeat.demo import SCRIPT
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal

DIGITS: dict[str, Any] = {
    "learning_rate": loguniform(0.01, 1.0),
    "hidden_1": randint(8, 24),
    "hidden_2": 8,
    "batch_size": 1024,
    "schedule": 4,
    "epochs": 4,
}

TRIALS = {"promotion": 6, "synchronous": 7, "evolving": 9, "population": 6}
"""Started on this machine; enough for the first rung to be complete, and 4 of those that stop what is behind."""


def test_real_processes_go_on_from_their_checkpoints(tmp_path: Path, method: Any) -> None:
    """What a trial has trained it is never made to train again: a resumed one, or a copy, begins behind its checkpoint."""
    options: dict[str, Any] = {"population": {"perturbation_interval": 1}, "median": {}}.get(
        method.kind, {"grace_period": 1, "reduction_factor": 2}
    )
    if method.kind in ("synchronous", "evolving"):
        options["grace_period"] = 2
    Tuner(
        LocalBackend(SCRIPT, preload=["numpy"]),
        method.make(DIGITS, "val_error", **options),
        StoppingCriterion(max_num_trials_started=TRIALS.get(method.kind, 4)),
        2,
        name="run",
        home=tmp_path,
        observers=[],
        prefetch=0,
    ).run()
    events = [one.event for one in read_journal(ExperimentFolder(tmp_path / "run"))]
    started = {e.trial: e for e in events if isinstance(e, ev.Suggested) and e.kind == "start"}
    epochs: dict[int, list[int]] = {trial: [] for trial in started}
    for event in events:
        assert not isinstance(event, ev.ReportRejected), event
        # A copy of a donor that has come to its end meanwhile has nothing left to train, and nothing to report.
        assert not isinstance(event, ev.TrialFailed) or started[event.trial].donor is not None, event
        if isinstance(event, ev.TrialResult) and event.verdict != "late":
            assert event.verdict != "repeat"
            epochs[event.trial].append(event.resource)
    assert isinstance(events[-1], ev.ExperimentClosed)
    assert events[-1].outcome == "done"
    resumed = [event.trial for event in events if isinstance(event, ev.TrialResumed)]
    if method.kind == "population":
        # A member that is told to pause may have trained on before it hears of it; what it says of that comes too late.
        assert all(reported == sorted(set(reported)) for reported in epochs.values())
        copies = [trial for trial, event in started.items() if event.donor is not None]
        assert all(epochs[trial][0] > 1 for trial in copies if epochs[trial])
        assert resumed or copies
        return
    assert all(reported == list(range(1, len(reported) + 1)) for reported in epochs.values())
    assert bool(resumed) == (method.kind in ("promotion", "synchronous", "evolving"))


def test_ask_and_tell(method: Any) -> None:
    with AskTell(method.make({"x": uniform(0, 1), "epochs": 9})) as study:
        wanted = 8 if method.model else 20
        for _ in range(6 * wanted):
            trial = study.ask()
            if trial is None or trial.id >= wanted:
                break
            decision = "continue"
            for epoch in range(trial.resource + 1, (trial.until or 9) + 1):
                decision = study.tell(trial, epoch=epoch, loss=(trial.config["x"] - 0.3) ** 2 + 1 / epoch)
                if decision != "continue":
                    break
            if decision == "continue":
                study.complete(trial)
        best = study.best()
    assert best.config["x"] == pytest.approx(0.3, abs=0.35)


def test_by_name_from_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path))
    options = [word for name, value in method.options.items() for word in ("--option", f"{name}={json.dumps(value)}")]
    trials = "8" if method.model else "30"
    argv = ["sim", "--scheduler", method.plugin, "--max-num-trials-started", trials, "--json", *options]
    assert main(argv) == 0
    (row,) = json.loads(capsys.readouterr().out)["experiments"]
    assert row["failed"] == 0
    assert 3 < row["trials"] <= int(trials)
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["experiments"] == [row]
