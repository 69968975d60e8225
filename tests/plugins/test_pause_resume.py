"""Pausing and going on with real processes: from checkpoints and without, on other workers, after an engine's death."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.cli import main
from offbeat.config_space import uniform
from offbeat.events import Event
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.optimizer.baselines import ASHA, PopulationBasedTraining, SyncHyperband
from offbeat.replay import verify
from offbeat.trial import TrialId

SAVING = """
    import json, os
    from offbeat import report
    config = report.config()
    path = os.path.join(report.checkpoint_dir(), "state")
    done = 0
    if {saves} and os.path.exists(path):
        done = json.loads(open(path).read(64))
    reporter = report.Reporter()
    for epoch in range(done + 1, config["epochs"] + 1):
        if {saves}:
            with open(path + ".new", "w") as file:
                file.write(str(epoch).ljust({size}))
            os.replace(path + ".new", path)
        reporter(epoch=epoch, loss=config["x"] + 1 / epoch, began=done)
"""

SPACE = {"x": uniform(0, 1), "epochs": 9}
OPTIONS: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 2}

SCHEDULERS: Mapping[str, Any] = {
    "promotion": lambda: ASHA(SPACE, "loss", type="promotion", **OPTIONS),
    "synchronous": lambda: SyncHyperband(SPACE, "loss", brackets=1, **OPTIONS),
    "population": lambda: PopulationBasedTraining(
        SPACE, "loss", population_size=3, perturbation_interval=3, **OPTIONS
    ),
}  # fmt: skip


def script(local: Any, *, saves: bool = True, size: int = 4) -> Path:
    return Path(local.script(SAVING.replace("{saves}", str(saves)).replace("{size}", str(size))))


async def run(local: Any, scheduler: Any, train: Path, **options: Any) -> list[Event]:
    settings: dict[str, Any] = {
        "stop_criterion": StoppingCriterion(max_num_trials_started=9), "n_workers": 1, "name": "run", "observers": [],
        "home": local.path / "home", **options,
    }  # fmt: skip
    backend = options.pop("backend", None) or local.backend(train)
    settings.pop("backend", None)
    await Tuner(backend, scheduler, **settings).arun()
    return events(local)


def events(local: Any) -> list[Event]:
    from offbeat.journal import read_journal

    return [recorded.event for recorded in read_journal(ExperimentFolder(local.path / "home" / "run"))]


def results(found: list[Event], verdict: str = "") -> list[ev.TrialResult]:
    kinds = (verdict,) if verdict else ("continue", "stop", "pause")
    return [event for event in found if isinstance(event, ev.TrialResult) and event.verdict in kinds]


def trials(found: Sequence[Any]) -> set[TrialId]:
    return {event.trial for event in found}


def check_counted_once(found: list[Event]) -> None:
    for trial in {event.trial for event in results(found)}:
        levels = [event.resource for event in results(found) if event.trial == trial]
        assert levels == sorted(set(levels)), trial


@pytest.mark.asyncio
@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("workers", [1, 3])
async def test_they_go_on_behind_their_own_checkpoints(local: Any, name: str, workers: int) -> None:
    found = await run(local, SCHEDULERS[name](), script(local), n_workers=workers)
    check_counted_once(found)
    resumed = {(event.trial, event.attempt): event.slot for event in found if isinstance(event, ev.TrialResumed)}
    if name != "population" or workers == 1:
        assert resumed, "nobody was paused"
    assert not results(found, "repeat")
    for event in results(found):
        if event.attempt:
            before = [r.resource for r in results(found) if r.trial == event.trial and r.attempt < event.attempt]
            # It may have saved an epoch whose report was never sent.
            assert event.metrics["began"] >= max(before)


@pytest.mark.asyncio
async def test_a_trial_goes_on_on_whichever_worker_is_free(local: Any) -> None:
    found = await run(local, SCHEDULERS["promotion"](), script(local), n_workers=3)
    slots: dict[TrialId, set[int]] = {}
    for event in found:
        if isinstance(event, ev.TrialStarted | ev.TrialResumed):
            slots.setdefault(event.trial, set()).add(event.slot)
    moved = [trial for trial, used in slots.items() if len(used) > 1]
    if not moved:
        pytest.skip("by chance each trial met its own worker again")
    for event in results(found):
        if event.trial in moved and event.attempt:
            assert event.metrics["began"] > 0


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["promotion", "synchronous"])
async def test_without_checkpoints_they_begin_again_and_nothing_counts_twice(local: Any, name: str) -> None:
    """What is decided does not depend on it, and every level of a resumed trial is reported again, as a repeat."""
    found = await run(local, SCHEDULERS[name](), script(local, saves=False))
    check_counted_once(found)
    repeats = results(found, "repeat")
    assert repeats
    assert all(event.metrics["began"] == 0 for event in results(found))
    other = await run(local, SCHEDULERS[name](), script(local), name="other")
    del other
    with_them = [r.event for r in _read(local, "other")]
    assert [decided(event) for event in results(found)] == [decided(event) for event in results(with_them)]


def _read(local: Any, name: str) -> list[Any]:
    from offbeat.journal import read_journal

    return list(read_journal(ExperimentFolder(local.path / "home" / name)))


def decided(event: ev.TrialResult) -> tuple[Any, ...]:
    return event.trial, event.resource, event.metrics["loss"], event.verdict, event.why


# --- the engine dies between pause and resume


def test_paused_trials_go_on_after_the_engine_was_killed(engine: Any, lab: Any) -> None:
    """SIGKILL behind the first pause: who was paused goes on from its checkpoint under the next engine."""
    import signal

    one = engine(fresh=True, trials=8)
    count = 0
    while True:
        count += 10
        assert one.until(count), "the run ended before anybody was paused"
        found = lab.events(one.home)
        if sum(isinstance(event, ev.TrialPaused) for event in found) >= 2:
            break
    one.process.send_signal(signal.SIGKILL)
    one.end()
    before = lab.events(one.home)
    again = engine(resume=True, trials=8)
    assert again.end() == 0, again.error()
    after = lab.events(one.home)[len(before) :]
    check_counted_once(lab.events(one.home))
    reached = {trial: max(e.resource for e in results(before) if e.trial == trial) for trial in trials(results(before))}
    gone_on = trials([e for e in after if isinstance(e, ev.TrialStarted | ev.TrialResumed)]) & reached.keys()
    assert gone_on
    for trial in gone_on & trials([e for e in after if isinstance(e, ev.TrialResult)]):
        first = next(e for e in after if isinstance(e, ev.TrialResult) and e.trial == trial)
        # The script saves behind its report: the last epoch may be repeated, never the first ones.
        assert first.metrics["epoch"] >= reached[trial]
    again.nobody_left()


# --- the budget


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["promotion", "synchronous"])
async def test_the_budget_holds_on_the_disk(local: Any, name: str) -> None:
    """Looked at after each event, the checkpoints take the budget and one more at most."""
    size, budget = 1000, 5000
    home = local.path / "home"
    most = 0

    class Looking:
        async def handle(self, events: Any) -> None:
            nonlocal most
            most = max(most, used(home))

    found = await run(
        local, SCHEDULERS[name](), script(local, size=size), checkpoint_budget=budget, observers=[Looking()], n_workers=2,
        stop_criterion=StoppingCriterion(max_num_trials_started=12),
    )  # fmt: skip
    gone = [event.trial for event in found if isinstance(event, ev.CheckpointDeleted)]
    assert gone
    # Half-written new files are beside the old ones.
    assert most <= budget + size + 2 * size
    assert used(home) <= budget
    assert {event.size for event in found if isinstance(event, ev.CheckpointSaved)} <= {size, 2 * size}
    check_counted_once(found)
    assert not list(home.glob("run/trials/*/checkpoints.*"))
    assert verify("run", home=home).verified
    best = min(results(found), key=lambda event: event.metrics["loss"])
    assert (home / "run" / "trials" / str(best.trial) / "checkpoints" / "state").exists()


def used(home: Path) -> int:
    total = 0
    for file in home.glob("run/trials/*/checkpoints/*"):
        try:
            total += file.stat().st_size
        except FileNotFoundError:  # replaced in this moment
            continue
    return total


@pytest.mark.asyncio
async def test_a_deletion_that_a_dead_engine_did_not_finish_is_finished(local: Any) -> None:
    """The engine dies behind the event, before the deletion, in the middle of it, or behind it: none is left of it."""
    home, train = local.path / "home", script(local, size=1000)
    found = await run(local, SCHEDULERS["promotion"](), train, checkpoint_budget=3000)
    places = [i for i, event in enumerate(found) if isinstance(event, ev.CheckpointDeleted)]
    assert places
    deleted = found[places[0]].trial  # type: ignore[attr-defined]
    for state in ("before", "middle", "behind"):
        shutil.rmtree(home / "run")
        folder = ExperimentFolder(home / "run")
        with Journal.create(folder) as journal:
            journal.commit(found[: places[0] + 1], sync=False)
        own = folder.checkpoints(deleted)
        own.parent.mkdir(parents=True)
        if state != "behind":
            there = own if state == "before" else own.with_name("checkpoints.deleted-12345-abcd")
            there.mkdir()
            (there / "state").write_text("3")
        tuner = Tuner.resume(
            "run", home=home, observers=[], trial_backend=local.backend(train),
            stop_criterion=StoppingCriterion(max_num_evaluations=1),
        )  # fmt: skip
        await tuner.arun()
        again = [event for event in events(local) if isinstance(event, ev.TrialResumed) and event.trial == deleted]
        assert not list(own.parent.glob("*deleted*")), state
        assert own.exists() == bool(again), state


# --- copies of donors


@pytest.mark.asyncio
async def test_a_copy_that_a_kill_cut_off_is_swept_and_made_again(local: Any) -> None:
    from offbeat.signals import StartTrial

    train = local.script("""
        import os
        from offbeat import report
        folder = report.checkpoint_dir()
        report.Reporter()(loss=1.0, seen=",".join(sorted(os.listdir(folder))))
        open(os.path.join(folder, "mine"), "w").close()
    """)
    donor = local.folder.checkpoints(0)
    donor.mkdir(parents=True)
    (donor / "weights").write_text("x" * 100)
    half = local.folder.trial(1) / "checkpoints.copying-4711"
    half.mkdir(parents=True)
    (half / "weights").write_text("x")
    async with local.open(local.backend(train)) as session:
        session.submit(StartTrial(trial=TrialId(1), attempt=1, config={}, donor=TrialId(0), resume=True))
        seen = await local.until(session, local.ended)
    assert local.reports(seen, 1)[0].metrics["seen"] == "weights"
    assert sorted(path.name for path in local.folder.trial(1).iterdir()) == ["1", "checkpoints"]


# --- the best one's


@pytest.mark.asyncio
async def test_the_path_and_a_copy_of_the_best_checkpoint(local: Any, capsys: pytest.CaptureFixture[str]) -> None:
    home = local.path / "home"
    found = await run(local, SCHEDULERS["promotion"](), script(local), backend=local.backend(script(local)))
    best = min(results(found), key=lambda event: event.metrics["loss"])
    common = ["best", "run", "--home", str(home)]
    assert main([*common, "--checkpoint"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == home / "run" / "trials" / str(best.trial) / "checkpoints"
    copy = local.path / "models" / "best"
    assert main([*common, "--checkpoint", str(copy)]) == 0
    assert Path(capsys.readouterr().out.strip()) == copy
    assert (copy / "state").read_text() == (path / "state").read_text()
    assert main([*common, "--checkpoint", str(copy)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*common, "--checkpoint", "-n", "3"]) == 2
    assert "leave -n out" in capsys.readouterr().err
    shutil.rmtree(path)
    assert main([*common, "--checkpoint"]) == 2
    assert "has no checkpoint" in capsys.readouterr().err
