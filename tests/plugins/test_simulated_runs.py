"""Whole experiments in simulated time: they repeat, go on where they were, and decide as real ones do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import BlackboxRepositoryBackend, LocalBackend, SimulatedBackend
from offbeat.blackbox import FunctionBlackbox
from offbeat.cli import main
from offbeat.config_space import uniform
from offbeat.errors import TooManyFailures
from offbeat.events import (
    Event,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialLost,
    TrialPaused,
    TrialResult,
    TrialResumed,
    TrialStarted,
    TrialStopped,
    wire_name,
)
from offbeat.optimizer.baselines import (
    ASHA,
    BOHB,
    DEHB,
    PASHA,
    REA,
    TPE,
    MedianStoppingRule,
    PopulationBasedTraining,
    RandomSearch,
    SyncBOHB,
    SyncHyperband,
)
from offbeat.results import load
from offbeat.testing.recording import RecordingObserver
from offbeat_plugins.blackboxes.digits import config_space

GOLDEN = Path(__file__).parents[1] / "golden"

RESOURCE = {"resource_attr": "epoch", "max_resource_attr": "epochs"}

SCHEDULERS: dict[str, Callable[[], Any]] = {
    "random-search": lambda: RandomSearch(config_space(), "val_error", random_seed=7, **RESOURCE),
    "asha-stopping": lambda: ASHA(config_space(), "val_error", random_seed=7, **RESOURCE),
    "asha-promotion": lambda: ASHA(config_space(), "val_error", random_seed=7, type="promotion", **RESOURCE),
    "tpe": lambda: TPE(config_space(), "val_error", random_seed=7, num_init_random=3, **RESOURCE),
    "rea": lambda: REA(config_space(), "val_error", random_seed=7, population_size=3, sample_size=2, **RESOURCE),
    "median-stopping-rule": lambda: MedianStoppingRule(
        config_space(), "val_error", random_seed=7, grace_population=3, **RESOURCE
    ),
    "pasha": lambda: PASHA(config_space(), "val_error", random_seed=7, **RESOURCE),
    "bohb": lambda: BOHB(config_space(), "val_error", random_seed=7, min_points=3, **RESOURCE),
    "sync-hyperband": lambda: SyncHyperband(config_space(), "val_error", random_seed=7, grace_period=3, **RESOURCE),
    "sync-bohb": lambda: SyncBOHB(config_space(), "val_error", random_seed=7, min_points=3, grace_period=3, **RESOURCE),
    "dehb": lambda: DEHB(config_space(), "val_error", random_seed=7, grace_period=3, **RESOURCE),
    "pbt": lambda: PopulationBasedTraining(config_space(), "val_error", random_seed=7, **RESOURCE),
}
TRIALS = {"random-search": 6, "tpe": 12, "rea": 12, "median-stopping-rule": 10, "bohb": 20, "sync-bohb": 20, "pbt": 10}
"""Of a golden transcript; 27 of those who stop most of them early."""


def digits(**options: Any) -> SimulatedBackend:
    return SimulatedBackend("digits", max_resource_attr="epochs", **options)


# --- golden transcripts


def line(event: Event) -> str | None:
    """An event about trials as a line for people."""
    at, name = f"{event.at:9.4f}", wire_name(event)
    match event:
        case Suggested(kind="start"):
            config = " ".join(f"{k}={v}" for k, v in (event.config or {}).items())
            why = f" | {event.why}" if event.why else ""
            return f"{at} suggested {event.trial} {config} until={event.until}{why}"
        case Suggested():
            return f"{at} suggested {event.kind} {event.trial} until={event.until} | {event.why}"
        case TrialResult():
            value = f"{event.metrics['val_error']:.6f}"
            why = f" | {event.why}" if event.why else ""
            return f"{at} result {event.trial}.{event.attempt} epoch {event.resource} {value} {event.verdict}{why}"
        case TrialStarted() | TrialResumed():
            return f"{at} {name} {event.trial}.{event.attempt} slot {event.slot}"
        case TrialPaused() | TrialStopped() | TrialFinished() | TrialFailed() | TrialLost():
            return f"{at} {name} {event.trial}.{event.attempt}"
        case _:
            return None


def transcript(found: list[Event]) -> list[str]:
    return [text for event in found if (text := line(event)) is not None]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_golden_transcript(lab: Any, name: str) -> None:
    """OFFBEAT_WRITE_GOLDEN=1 writes the transcripts anew and fails, so that nobody leaves it on."""
    stop = StoppingCriterion(max_num_trials_started=TRIALS.get(name, 27))
    lab.run(lab.tuner(lab.home, SCHEDULERS[name](), backend=digits(), stop_criterion=stop))
    found = transcript(lab.events(lab.home))
    file = GOLDEN / f"simulated-{name}.txt"
    if os.environ.get("OFFBEAT_WRITE_GOLDEN"):
        file.write_text("\n".join(found) + "\n", encoding="utf-8")
        pytest.fail(f"{file.name} was written; look at the difference, then run again without OFFBEAT_WRITE_GOLDEN")
    assert found == file.read_text(encoding="utf-8").splitlines()


# --- repeats


def digest_of(lab: Any, home: Path, make: Callable[[], Any], backend: Any, **options: Any) -> str:
    lab.run(lab.tuner(home, make(), backend=backend, **options))
    lab.check_closed(home)
    return str(lab.digest(home))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_seed_repeats_with_or_without_observers_at_any_durability(lab: Any, name: str) -> None:
    make = SCHEDULERS[name]
    first = digest_of(lab, lab.home / "a", make, digits())
    observers = [RecordingObserver(), "csv", RecordingObserver()]
    assert digest_of(lab, lab.home / "b", make, digits(), observers=observers) == first
    assert digest_of(lab, lab.home / "c", make, digits(), durability="end") == first
    assert digest_of(lab, lab.home / "d", make, digits(), durability="commit") == first


def test_faults_repeat_and_the_run_goes_through_them(lab: Any) -> None:
    faults = {"crashes_per_hour": 900.0, "preemptions_per_hour": 3600.0, "hangs_per_hour": 300.0, "max_silence": 0.5,
              "slow_workers": 0.5}  # fmt: skip
    make = SCHEDULERS["random-search"]
    options = {"stop_criterion": StoppingCriterion(max_num_trials_started=100), "max_retries": 2}
    first = digest_of(lab, lab.home / "a", make, digits(faults=faults), **options)
    assert digest_of(lab, lab.home / "b", make, digits(faults=faults), **options) == first
    found = lab.events(lab.home / "a")
    assert {"trial-lost", "trial-failed", "trial-finished"} <= {wire_name(event) for event in found}
    ledger = load("run", lab.home / "a").ledger
    assert all(record.status.ended for record in ledger)
    assert {record.resource for record in ledger if record.status.value == "finished"} == {27}


@pytest.mark.parametrize("workers", [1, 3, 64])
def test_simulated_time_is_counted_by_the_criterion(lab: Any, workers: int) -> None:
    stop = StoppingCriterion(max_wallclock_time=1.5, max_metric_value={"val_error": 2.0})
    lab.run(
        lab.tuner(lab.home, SCHEDULERS["asha-stopping"](), backend=digits(), stop_criterion=stop, n_workers=workers)
    )
    results = [event for event in lab.events(lab.home) if isinstance(event, TrialResult)]
    assert max(event.at for event in results if event.verdict != "late") <= 1.5
    assert len({event.trial for event in results}) >= workers


def test_the_number_of_workers_may_change(lab: Any) -> None:
    stop = StoppingCriterion(max_num_trials_started=8)
    lab.run(lab.tuner(lab.home, SCHEDULERS["random-search"](), backend=digits(), stop_criterion=stop, n_workers=2))
    more = StoppingCriterion(max_num_trials_started=30)
    tuner = Tuner.resume("run", home=lab.home, observers=[], stop_criterion=more, n_workers=7)
    lab.run(tuner)
    slots = {event.slot for event in lab.events(lab.home) if isinstance(event, TrialStarted)}
    assert slots == set(range(7))


def repository(**options: Any) -> BlackboxRepositoryBackend:
    return BlackboxRepositoryBackend("digits", max_resource_attr="epochs", **options)


@pytest.mark.asyncio
@pytest.mark.parametrize("make", [digits, repository])
@pytest.mark.parametrize("checkpoints", [True, False])
@pytest.mark.parametrize("name", SCHEDULERS)
async def test_interrupted_again_and_again_a_run_is_the_same_to_the_last_event(
    lab: Any, name: str, checkpoints: bool, make: Callable[..., Any]
) -> None:
    options = {
        "stop_criterion": StoppingCriterion(max_num_trials_started=12),
        "backend": make(support_checkpointing=checkpoints),
        "durability": "commit",
    }
    whole, cut = lab.home / "whole", lab.home / "cut"
    await lab.tuner(whole, SCHEDULERS[name](), **options).arun()
    tuner, sessions = lab.tuner(cut, SCHEDULERS[name](), **options), 0
    while True:
        sessions += 1
        async with tuner.session() as session:
            number = 0
            async for _ in session.events():
                number += 1
                if number == 7 + 11 * sessions:
                    break
        if load("run", cut).status == "done":
            break
        tuner = Tuner.resume("run", home=cut, observers=[], durability="commit")
    assert sessions > 3
    assert lab.digest(cut) == lab.digest(whole)
    found = lab.events(cut)
    assert [event.at for event in found] == sorted(event.at for event in found)


# --- simulated and real


SCRIPT = """
import argparse
from pathlib import Path
from offbeat.report import Reporter, checkpoint_dir

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--epochs", type=int)
args = parser.parse_args()
saved = Path(checkpoint_dir()) / "epoch"
saved.parent.mkdir(parents=True, exist_ok=True)
done = int(saved.read_text()) if saved.exists() else 0
report = Reporter()
for epoch in range(done + 1, args.epochs + 1):
    saved.write_text(str(epoch))
    report(epoch=epoch, loss=(args.rate - 0.3) ** 2 + 1 / epoch)
"""


def decisions(found: list[Event]) -> list[tuple[Any, ...]]:
    """What was decided on what, without times and what came too late."""
    kept: list[tuple[Any, ...]] = []
    for event in found:
        if isinstance(event, TrialResult) and event.verdict != "late":
            kept.append((event.trial, event.attempt, event.resource, event.metrics["loss"], event.verdict, event.why))
        elif isinstance(event, Suggested):
            kept.append((event.kind, event.trial, event.config, event.until, event.why))
        elif isinstance(event, TrialPaused | TrialStopped | TrialFinished | TrialFailed):
            kept.append((wire_name(event), event.trial, event.attempt))
    return kept


@pytest.mark.parametrize("kind", ["random", "stopping", "promotion"])
def test_the_local_backend_decides_alike(lab: Any, kind: Any) -> None:
    space = {"rate": uniform(0, 1), "epochs": 9}

    def function(config: Mapping[str, Any], level: int, seed: int) -> dict[str, Any]:
        return {"loss": (config["rate"] - 0.3) ** 2 + 1 / level, "elapsed": level}

    def scheduler() -> Any:
        if kind == "random":
            return RandomSearch(space, "loss", random_seed=1, **RESOURCE)
        return ASHA(space, "loss", type=kind, random_seed=1, **RESOURCE)

    box = FunctionBlackbox(function, space, levels=9, objectives=["loss"])
    options = {"n_workers": 1, "stop_criterion": StoppingCriterion(max_num_trials_started=8)}
    lab.run(
        lab.tuner(lab.home / "a", scheduler(), backend=SimulatedBackend(box, max_resource_attr="epochs"), **options)
    )
    script = lab.home / "train.py"
    script.write_text(SCRIPT)
    lab.run(lab.tuner(lab.home / "b", scheduler(), backend=LocalBackend(script), **options))
    assert decisions(lab.events(lab.home / "a")) == decisions(lab.events(lab.home / "b"))


# --- what users write


def test_the_talk_s_listing_on_the_shipped_table(lab: Any) -> None:
    trial_backend = BlackboxRepositoryBackend(
        blackbox_name="digits",
        dataset="digits",
    )
    tuner = Tuner(
        trial_backend=trial_backend,
        scheduler=RandomSearch(config_space(), metric="val_loss", nonfinite="worst", random_seed=0),
        stop_criterion=StoppingCriterion(max_wallclock_time=30),
        n_workers=4,
        observers=[],
        home=lab.home,
        name="talk",
    )
    outcome = tuner.run()
    best = load(outcome.folder).best()
    assert best is not None
    assert best.value < 0.1
    recorded = Tuner.resume("talk", home=lab.home).trial_backend
    assert isinstance(recorded, BlackboxRepositoryBackend)


def test_a_configuration_that_no_trial_can_have_ends_the_run(lab: Any) -> None:
    space = {"learning_rate": uniform(0, 1), "epochs": 27}
    with pytest.raises(TooManyFailures, match="needs hyperparameter 'batch_size'"):
        lab.run(lab.tuner(lab.home, RandomSearch(space, "val_error", random_seed=0), backend=digits()))


def test_resume_rebuilds_the_backend_with_its_faults(lab: Any) -> None:
    stop = StoppingCriterion(max_num_trials_started=3)
    backend = digits(faults="spot-5%", fault_seed=4, seed=1, delay_start=0.5)
    lab.run(lab.tuner(lab.home, SCHEDULERS["random-search"](), backend=backend, stop_criterion=stop))
    again = Tuner.resume("run", home=lab.home).trial_backend
    assert isinstance(again, SimulatedBackend)
    assert again.faults == backend.faults
    assert again._timing == backend._timing
    assert again._seed == 1


# --- offbeat sim


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert main(["sim", *argv]) == 0
    return capsys.readouterr().out


def test_sim(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path))
    argv = ("--blackbox", "digits", "--scheduler", "asha", "--workers", "4", "--max-wallclock-time", "3600")
    text = said(capsys, *argv, "--faults", "spot-5%")
    assert "val_error" in text
    assert "Best:  --learning_rate" in text
    first = json.loads(said(capsys, *argv, "--seeds", "3", "--json"))
    assert [row["seed"] for row in first["experiments"]] == [0, 1, 2]
    assert first["mean"]["best"] == pytest.approx(sum(row["best"] for row in first["experiments"]) / 3)
    assert json.loads(said(capsys, *argv, "--seeds", "3", "--json")) == first
    assert not list(tmp_path.iterdir())


def test_sim_of_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(
        """
        [experiment]
        seed = 5
        workers = 8
        [backend]
        plugin = "simulated"
        blackbox = "digits"
        dollars_per_hour = 3600
        [scheduler]
        plugin = "random-search"
        metric = "val_loss"
        nonfinite = "worst"
        [space]
        learning_rate = {domain = "logordinal", values = [0.01, 0.03]}
        momentum = {domain = "ordinal", values = [0.0, 0.9]}
        batch_size = {domain = "ordinal", values = [32, 128]}
        hidden_1 = {domain = "choice", values = [16, 48, 144]}
        dropout = 0.3
        [stop]
        max_num_trials_started = 20
        """
    )
    row = json.loads(said(capsys, str(file), "--name", "kept", "--home", str(tmp_path / "home"), "--json"))
    (row,) = row["experiments"]
    assert (row["name"], row["metric"], row["trials"], row["failed"]) == ("kept", "val_loss", 20, 0)
    assert row["cost"] == pytest.approx(3600 * row["worker_hours"])
    assert load("kept", tmp_path / "home").spec.seed == 5


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["--blackbox", "digitz"], "Did you mean 'digits'"),
        (["--dataset", "cifar"], "no data set 'cifar'"),
        (["--metric", "val_eror"], "Did you mean 'val_error'"),
        (["--faults", "spt-5%"], "Did you mean 'spot'"),
        (["--scheduler", "ashaa"], "Did you mean 'asha'"),
        (["--backend-option", "delay_strat=3"], "Did you mean 'delay_start'"),
        (["--seeds", "0"], "--seeds 0"),
        (["nowhere.toml"], "no file 'nowhere.toml'"),
    ],
)
def test_sim_with_wrong_input(capsys: pytest.CaptureFixture[str], argv: list[str], hint: str) -> None:
    assert main(["sim", *argv]) == 2
    assert hint in capsys.readouterr().err
