"""Replay: the state at any event is the one that the engine had, and it can be looked at whatever is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from offbeat import StoppingCriterion
from offbeat import events as ev
from offbeat.backend import SimulatedBackend
from offbeat.cli import main
from offbeat.errors import ExperimentNotFound, InvalidArgument, JournalDamaged
from offbeat.home import ExperimentFolder
from offbeat.optimizer.baselines import ASHA
from offbeat.parts import recorded_spec
from offbeat.replay import replay
from offbeat.results import load
from offbeat.state import State
from offbeat_plugins.blackboxes.digits import config_space


def promotion() -> Any:
    return ASHA(
        config_space(), "val_error", type="promotion", resource_attr="epoch", max_resource_attr="epochs", random_seed=7
    )


@pytest.fixture
def folder(lab: Any) -> ExperimentFolder:
    backend = SimulatedBackend("digits", max_resource_attr="epochs", faults="crash-2%", fault_seed=1)
    stop = StoppingCriterion(max_num_trials_started=9)
    lab.run(lab.tuner(lab.home, promotion(), backend=backend, stop_criterion=stop, max_retries=1))
    return ExperimentFolder(lab.home / "run")


def test_every_event_shows_the_state_that_the_engine_had(lab: Any, folder: ExperimentFolder) -> None:
    events = lab.events(lab.home)
    scheduler = promotion()
    state = State(recorded_spec(folder), scheduler, None)
    best: tuple[float, int] | None = None
    for number, event in enumerate(events):
        state.fold(event)
        if isinstance(event, ev.TrialResult) and event.verdict in ("continue", "stop", "pause"):
            value = event.metrics["val_error"]
            best = (value, number) if best is None or value < best[0] else best
        moment = replay(folder, number, steps=2)
        assert (moment.event, moment.events, moment.at) == (number, len(events), state.usage.elapsed)
        assert moment.step.what == ev.wire_name(event)
        assert [(t.trial, t.status, t.attempt, t.resource, t.reports, dict(t.config)) for t in moment.trials] == [
            (r.id, r.status.value, r.attempt, r.resource, r.reports, r.config) for r in state.ledger
        ]
        assert list(moment.running) == sorted(state.ledger.slots.values())
        assert list(moment.queued) == list(state.queue)
        assert list(moment.paused) == sorted(state.ledger.paused)
        assert list(moment.rungs or ()) == scheduler.rung_table()
        assert (moment.incumbent is None) == (best is None)
        if moment.incumbent is not None and best is not None:
            assert (moment.incumbent.value, moment.incumbent.event) == best
        assert [step.event for step in moment.before] == list(range(max(0, number - 2), number))
        assert [step.event for step in moment.after] == list(range(number + 1, min(number + 3, len(events))))


def test_a_moment_does_not_change(folder: ExperimentFolder) -> None:
    moment = replay(folder, 30)
    with pytest.raises(AttributeError):
        moment.event = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        moment.trials[0].status = "gone"  # type: ignore[misc]


def test_the_last_event_is_the_default(lab: Any, folder: ExperimentFolder) -> None:
    assert replay(folder) == replay(folder, len(lab.events(lab.home)) - 1)


def test_every_step_has_words(lab: Any, folder: ExperimentFolder) -> None:
    count = len(lab.events(lab.home))
    steps = replay(folder, 0, steps=count).after
    assert len(steps) == count - 1
    assert all(step.text for step in steps)
    decided = next(step for step in steps if step.what == "trial-result" and "rung" in step.text)
    assert "paused, because: rung 1: " in decided.text


@pytest.mark.parametrize("at", [10_000, -1, True, 1.5, "3"])
def test_an_event_that_is_not_there_is_refused(folder: ExperimentFolder, at: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"numbered 0 to|from 0"):
        replay(folder, at)


def test_an_experiment_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentNotFound):
        replay("nobody", home=tmp_path)


def test_without_its_plugin_everything_but_the_rungs_is_shown(lab: Any, folder: ExperimentFolder, written: Any) -> None:
    events = lab.events(lab.home)
    spec = structs.replace(events[0].spec, scheduler=ev.ComponentDescription("offbeat.schedulers", "ashes", options={}))
    other = written(lab.home / "other", [structs.replace(events[0], spec=spec), *events[1:]])
    for at in (40, len(events) - 1):
        moment, whole = replay(other, at), replay(folder, at)
        assert moment.rungs is None
        assert "ashes" in moment.notes[0]
        assert (moment.trials, moment.incumbent) == (whole.trials, whole.incumbent)


def test_damage_is_an_error_and_a_torn_tail_is_not(folder: ExperimentFolder) -> None:
    segment = folder.journal / "00000000.jsonl"
    data = segment.read_bytes()
    segment.write_bytes(data + b'{"seq"')
    assert replay(folder, 3).event == 3
    segment.write_bytes(data[:-40] + b"x" + data[-39:])
    with pytest.raises(JournalDamaged):
        replay(folder, 3)


def test_the_command(lab: Any, folder: ExperimentFolder, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(lab.home)]
    events = lab.events(lab.home)
    at = next(i for i, e in enumerate(events) if isinstance(e, ev.TrialResult) and e.why.startswith("rung 3"))
    assert main(["replay", "run", "--at", str(at), *home]) == 0
    said = capsys.readouterr().out
    assert f"> {at:>5} " in said
    assert "paused, because: rung 3" in said
    assert "Best so far: val_error" in said
    assert "Next:" in said
    assert main(["replay", "run", "--at", str(at), "--json", "-n", "3", *home]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["event"], found["step"]["what"]) == (at, "trial-result")
    assert len(found["trials"]) == len(replay(folder, at).trials)
    assert main(["replay", "run", "--at", "99999", *home]) == 2
    assert "numbered 0 to" in capsys.readouterr().err
    assert main(["replay", "run", "--steps", "-1", *home]) == 2


def test_explain_leads_to_the_event(lab: Any, folder: ExperimentFolder, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(lab.home)]
    assert main(["explain", "run", "0", "--json", *home]) == 0
    last = json.loads(capsys.readouterr().out)["steps"][-1]["seq"]
    assert main(["explain", "run", "0", *home]) == 0
    assert f"offbeat replay run --at {last}" in capsys.readouterr().out
    assert replay(folder, last).step.trial == 0


def test_explain_of_a_fork_has_the_rungs_of_whoever_decided(lab: Any, folder: ExperimentFolder) -> None:
    """Up to the event those of the source, whose ranks the reasons name; then those of the new scheduler."""
    from offbeat import Tuner
    from offbeat.cli.explain import story
    from offbeat.replay import fork

    fork(folder, 60, "other", options={"type": "stopping", "reduction_factor": 2})
    lab.run(Tuner.resume("other", home=lab.home, observers=[]))
    loaded = load("other", lab.home)
    levels = set()
    for trial in range(len(loaded.ledger)):
        for step in story(loaded, trial):
            if "rung" not in step or step["event"] != "trial-result" or " of " not in step["text"]:
                continue
            rank = int(re.search(r"rung \d+: (\d+)\w\w of", step["text"])[1])  # type: ignore[index]
            place = next(i for i, (_, other) in enumerate(step["rung"]["entries"], 1) if other == trial)
            values = [value for value, _ in step["rung"]["entries"]]
            assert rank == values.index(values[place - 1]) + 1
            levels.add(step["rung"]["level"])
    assert levels >= {3, 4}
