"""Verify: accepts whatever the engine wrote, and names the first event that says something else than follows."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from offbeat import AskTell, StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.cli import main
from offbeat.decisions import Start
from offbeat.errors import InvalidArgument
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, decision_digest
from offbeat.optimizer.baselines import ASHA, GridSearch, MedianStoppingRule, RandomSearch
from offbeat.protocols import Objective
from offbeat.replay import verify
from offbeat.space import Space
from offbeat.trial import TrialId
from offbeat_plugins.blackboxes.digits import config_space

RESOURCE: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 7}

SCHEDULERS: dict[str, Callable[[], Any]] = {
    "random": lambda: RandomSearch(config_space(), "val_error", **RESOURCE),
    "grid": lambda: GridSearch(config_space(), "val_error", **RESOURCE),
    "stopping": lambda: ASHA(config_space(), "val_error", **RESOURCE),
    "promotion": lambda: ASHA(config_space(), "val_error", type="promotion", **RESOURCE),
    "brackets": lambda: ASHA(config_space(), "val_error", brackets=3, rung_system_per_bracket=True, **RESOURCE),
    "paper": lambda: ASHA(config_space(), "val_error", type="promotion", rule="paper", brackets=2, **RESOURCE),
    "median": lambda: MedianStoppingRule(config_space(), "val_error", **RESOURCE),
    "median of asha": lambda: MedianStoppingRule(scheduler=SCHEDULERS["stopping"](), running_average=False),
}


def run(lab: Any, home: Path, name: str = "stopping", trials: int = 20, **options: Any) -> ExperimentFolder:
    from offbeat.backend import SimulatedBackend

    backend = SimulatedBackend("digits", max_resource_attr="epochs", **options.pop("backend", {}))
    stop = StoppingCriterion(max_num_trials_started=trials)
    lab.run(lab.tuner(home, SCHEDULERS[name](), backend=backend, **{"stop_criterion": stop, **options}))
    return ExperimentFolder(home / "run")


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_is_verified(lab: Any, name: str) -> None:
    folder = run(lab, lab.home, name)
    report = verify(folder)
    assert report.verified, report.sentence()
    found = lab.events(lab.home)
    assert report.events == len(found)
    assert report.decisions == report.results == sum(isinstance(e, ev.TrialResult) for e in found)
    assert report.proposals == sum(isinstance(e, ev.Suggested) for e in found)
    assert report.digest == decision_digest(found)
    assert (report.near, report.taken, report.differences) == (0, 0, 0)
    assert report.sentence().startswith("Verified: ")


@pytest.mark.parametrize("kind", ["random", "stopping", "promotion"])
def test_faults_and_crashes_are_verified(lab: Any, simulation: Any, kind: str) -> None:
    """Failures, retries, preemptions, NaN, late reports, delays; then taken up again from the middle, twice."""
    options = {"nan": True, "seeds": 2, "faults": simulation.SPOT, "delay_stop": 1}
    make = {"max_retries": 1, "stop_criterion": StoppingCriterion(max_num_trials_started=25)}
    scheduler = simulation.scheduler(kind, nonfinite="ignore")
    lab.run(lab.tuner(lab.home, scheduler, backend=simulation.backend(**options), **make))
    found = lab.events(lab.home)
    folder = ExperimentFolder(lab.home / "run")
    fresh = lambda: simulation.scheduler(kind, nonfinite="ignore")  # noqa: E731
    assert verify(folder, scheduler=fresh()).verified
    for cut in (len(found) // 3, len(found) // 2):
        home = simulation.fresh()
        simulation.resumed(lab, home, found[:cut], trial_backend=simulation.backend(**options))
        report = verify(ExperimentFolder(home / "run"), scheduler=fresh())
        assert report.verified, report.sentence()
        assert report.proposals > 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31 - 1))
def test_legal_histories_are_verified(seed: int, tmp_path: Path, written: Any) -> None:
    """A scheduler with every whim there is: others stopped, donors, resumptions, policies, an instruction."""
    from offbeat.testing.histories import Whimsical, event_history

    events = event_history(seed)
    scheduler = Whimsical(seed)
    spec = ev.ExperimentSpec(
        name="whims", seed=seed, metrics=scheduler.objective.metrics, resource_attr="epoch", max_t=5,
        space=scheduler.space.to_json(), scheduler=ev.ComponentDescription("offbeat.schedulers", "whimsical"),
        backend=ev.ComponentDescription("offbeat.backends", "scripted"), limits=ev.Limits(n_workers=3, max_retries=1),
    )  # fmt: skip
    assert isinstance(events[0], ev.ExperimentOpened)
    shutil.rmtree(tmp_path / "whims", ignore_errors=True)
    folder = written(tmp_path / "whims", [structs.replace(events[0], spec=spec), *events[1:]])
    report = verify(folder, scheduler=Whimsical(seed))
    assert report.verified, report.sentence()


def test_ask_and_tell_is_verified(tmp_path: Path) -> None:
    scheduler = SCHEDULERS["stopping"]()
    with AskTell(
        scheduler, "study", home=tmp_path, stop_criterion=StoppingCriterion(max_num_trials_started=9)
    ) as study:
        while (trial := study.ask()) is not None:
            for epoch in range(1, 28):
                if study.tell(trial, epoch=epoch, val_error=1 / (trial.id + epoch)) != "continue":
                    break
            else:
                study.complete(trial)
    report = verify("study", tmp_path)
    assert report.verified, report.sentence()
    assert report.decisions > 9


def test_local_trials_with_instructions_and_other_limits_are_verified(lab: Any, local: Any) -> None:
    """Real processes, a run that is stopped and resumed, configurations from outside, other limits, a failure."""
    script = local.script(
        """
        import sys
        from offbeat import Reporter
        x = float(sys.argv[sys.argv.index("--x") + 1])
        report = Reporter()
        for epoch in (1, 2, 3):
            report(epoch=epoch, loss=x / epoch)
            if 0.24 < x < 0.26:
                sys.exit(3)
        """
    )
    from offbeat.config_space import uniform

    scheduler = ASHA({"x": uniform(0, 1)}, "loss", resource_attr="epoch", max_t=3, random_seed=1)

    async def play() -> None:
        tuner = Tuner(
            local.backend(script), scheduler, StoppingCriterion(max_num_trials_started=5), 2,
            name="run", home=lab.home, observers=[],
        )  # fmt: skip
        async with tuner.session() as session:
            await session.enqueue({"x": 0.25}, {"x": 0.5}, why="a hunch")
            await session.change(n_workers=1, max_retries=1)
            await session.wait()

    asyncio.run(play())
    lab.run(
        Tuner.resume("run", home=lab.home, observers=[], stop_criterion=StoppingCriterion(max_num_trials_started=7))
    )
    report = verify("run", lab.home)
    assert report.verified, report.sentence()
    assert any(isinstance(e, ev.TrialFailed) for e in lab.events(lab.home))
    assert any(isinstance(e, ev.LimitsChanged) for e in lab.events(lab.home))


def test_coroutines_are_verified(lab: Any) -> None:
    from offbeat.backend import CoroutineBackend
    from offbeat.config_space import uniform

    async def objective(trial: Any) -> None:
        for epoch in range(1, 10):
            await asyncio.sleep(0)
            await trial.report(epoch=epoch, loss=(trial.config["x"] - 0.3) ** 2 + 1 / epoch)

    scheduler = ASHA({"x": uniform(0, 1)}, "loss", resource_attr="epoch", max_t=9, random_seed=1, type="promotion")
    stop = StoppingCriterion(max_num_trials_started=20)
    lab.run(Tuner(CoroutineBackend(objective), scheduler, stop, 3, name="run", home=lab.home, observers=[]))
    report = verify("run", lab.home)
    assert report.verified, report.sentence()
    assert report.decisions >= 20


def test_the_demo_is_verified(tmp_path: Path) -> None:
    """The network on digits, as real processes: what `offbeat demo` runs."""
    assert main(["demo", "--seconds", "2", "--name", "demo", "--home", str(tmp_path)]) == 0
    assert main(["verify", "demo", "--home", str(tmp_path)]) == 0


# --- tampered journals, with every hash in order


def flipped(event: ev.Event, lot: int) -> ev.Event | None:
    """The event with one thing changed that a scheduler decided, None if there is none."""
    if isinstance(event, ev.TrialResult) and event.verdict in ("continue", "stop", "pause"):
        if lot % 2 and event.why:
            return structs.replace(event, why=event.why + "!")
        return structs.replace(event, why="because I say so" if event.why == "" else "")
    if isinstance(event, ev.Suggested) and event.config is not None:
        names = sorted(event.config)
        name = names[lot % len(names)]
        values = {"learning_rate": 0.003, "momentum": 0.9, "batch_size": 32, "hidden_1": 48, "dropout": 0.3}
        others = {"learning_rate": 0.01, "momentum": 0.0, "batch_size": 128, "hidden_1": 16, "dropout": 0.0}
        other = values[name] if event.config[name] != values[name] else others[name]
        return structs.replace(event, config={**event.config, name: other})
    if isinstance(event, ev.Suggested) and event.kind == "resume":
        return structs.replace(event, until=(event.until or 0) + 1)
    return None


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[ev.Event]]:
    """Small runs to tamper with."""
    from offbeat.journal import read_journal

    found = {}
    for name, make in SCHEDULERS.items():
        home = tmp_path_factory.mktemp("recorded")
        tuner = Tuner(
            _digits(), make(), StoppingCriterion(max_num_trials_started=9), 3,
            name="run", home=home, observers=[],
        )  # fmt: skip
        tuner.run()
        found[name] = [one.event for one in read_journal(ExperimentFolder(home / "run"))]
    return found


def _digits() -> Any:
    from offbeat.backend import SimulatedBackend

    return SimulatedBackend("digits", max_resource_attr="epochs")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(SCHEDULERS)), place=st.floats(0, 0.999), lot=st.integers(0, 9))
def test_a_flipped_decision_or_config_is_named_at_its_event(
    name: str, place: float, lot: int, recorded: Any, tmp_path: Path, written: Any
) -> None:
    events = list(recorded[name])
    places = [i for i, event in enumerate(events) if flipped(event, lot) is not None]
    at = places[int(place * len(places))]
    original, events[at] = events[at], flipped(events[at], lot)
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    report = verify(written(tmp_path / "run", events))
    assert not report.verified
    assert report.difference is not None
    assert report.difference.event == at
    assert report.difference.what == ev.wire_name(original)
    assert report.difference.digest_recorded == decision_digest(events[: at + 1])
    assert report.difference.digest_recomputed == decision_digest([*events[:at], original])


def test_a_flipped_verdict_is_named(recorded: Any, tmp_path: Path, written: Any) -> None:
    """The trial that was stopped goes on: what follows would not even be legal, and the decision is named first."""
    events = list(recorded["stopping"])
    at = next(i for i, e in enumerate(events) if isinstance(e, ev.TrialResult) and e.verdict == "stop" and i > 20)
    events[at] = structs.replace(events[at], verdict="continue")  # type: ignore[type-var]
    one = verify(written(tmp_path / "run", events)).difference
    assert one is not None
    assert (one.event, one.recorded, one.recomputed) == (at, {"verdict": "continue"}, {"verdict": "stop"})


def test_a_flipped_metric_is_named_where_a_decision_depends_on_it(recorded: Any, tmp_path: Path, written: Any) -> None:
    """At a rung: the same trial would have been decided upon in another way."""
    tried = 0
    for at, event in enumerate(recorded["stopping"]):
        if not isinstance(event, ev.TrialResult) or not event.why.startswith("rung"):
            continue
        if "1st of 1," in event.why:
            continue
        events = list(recorded["stopping"])
        worst = 1.0 if "1st" in event.why else -1.0
        events[at] = structs.replace(event, metrics={**event.metrics, "val_error": worst})
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        one = verify(written(tmp_path / "run", events)).difference
        assert one is not None
        assert one.event == at
        tried += 1
    assert tried >= 9


def test_a_resource_that_was_not_reported_is_named(recorded: Any, tmp_path: Path, written: Any) -> None:
    events = list(recorded["random"])
    at = next(i for i, e in enumerate(events) if isinstance(e, ev.TrialResult) and e.resource == 5)
    events[at] = structs.replace(events[at], metrics={**events[at].metrics, "epoch": 6})  # type: ignore[attr-defined]
    one = verify(written(tmp_path / "run", events)).difference
    assert one is not None
    assert one.event == at


def test_events_that_do_not_fit_are_named(recorded: Any, tmp_path: Path, written: Any) -> None:
    events = list(recorded["random"])
    at = next(i for i, e in enumerate(events) if isinstance(e, ev.TrialFinished))
    report = verify(written(tmp_path / "run", [*events[: at + 1], events[at], *events[at + 1 :]]))
    assert not report.verified
    assert f"event {at + 1}, trial-finished, does not fit" in report.problem


@pytest.mark.parametrize("field", ["number", "slot"])
def test_a_request_out_of_order_is_named(field: str, recorded: Any, tmp_path: Path, written: Any) -> None:
    events = list(recorded["random"])
    at = [i for i, e in enumerate(events) if isinstance(e, ev.ProposalRequested)][3]
    events[at] = structs.replace(events[at], **{field: 99})
    one = verify(written(tmp_path / "run", events)).difference
    assert one is not None
    assert one.event == at


# --- what may be wrong with a journal, a plugin, the time


def test_a_journal_damaged_in_the_middle_is_named_with_its_offset(lab: Any) -> None:
    folder = run(lab, lab.home, durability="commit")
    segment = folder.journal / "00000000.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    middle = len(lines) // 2
    offset = sum(map(len, lines[:middle]))
    data = bytearray(b"".join(lines))
    data[offset + 20] ^= 1
    segment.write_bytes(data)
    report = verify(folder)
    assert not report.verified
    assert f"Journal damaged at byte {offset} " in report.problem
    assert report.events == sum(json.loads(line)["n"] for line in lines[1:middle])
    assert report.decisions == report.results > 0
    assert main(["verify", "run", "--home", str(lab.home)]) == 1


def test_a_torn_tail_is_no_event_and_is_told(lab: Any) -> None:
    folder = run(lab, lab.home)
    count = verify(folder).events
    with (folder.journal / "00000000.jsonl").open("ab") as file:
        file.write(b'{"seq":99,"n":1,"ep')
    report = verify(folder)
    assert report.verified
    assert (report.events, report.torn) == (count, 19)
    assert any("19 bytes" in note for note in report.notes)


def test_a_missing_head_is_named(lab: Any) -> None:
    folder = run(lab, lab.home)
    folder.head.unlink()
    assert "the head is missing" in verify(folder).problem


def test_a_cut_journal_is_named(lab: Any) -> None:
    folder = run(lab, lab.home, durability="commit")
    segment = folder.journal / "00000000.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:-1]))
    assert "head.json says" in verify(folder).problem


def test_an_unfinished_experiment_is_verified_as_far_as_it_goes(
    recorded: Any, tmp_path: Path, written: Callable[..., ExperimentFolder]
) -> None:
    for end in range(1, len(recorded["promotion"]), 29):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        report = verify(written(tmp_path / "run", recorded["promotion"][:end]))
        assert report.verified, report.sentence()
        assert report.status == "crashed"
        assert report.events == end


def test_a_running_experiment_is_only_read(recorded: Any, tmp_path: Path) -> None:
    """While an engine holds the lock and writes on."""
    events = recorded["promotion"]
    folder = ExperimentFolder(tmp_path / "run")
    with Journal.create(folder) as journal:
        journal.commit(events[:50], sync=False)
        before = {path.name: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
        report = verify(folder)
        assert report.verified
        assert report.status == "running"
        assert "up to event 49" in " ".join(report.notes)
        assert {path.name: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before
        journal.commit(events[50:], sync=False)
        assert verify(folder).events == len(events)


def with_scheduler(events: list[ev.Event], **changes: Any) -> list[ev.Event]:
    first = events[0]
    assert isinstance(first, ev.ExperimentOpened)
    assert first.spec is not None
    description = structs.replace(first.spec.scheduler, **changes)
    return [structs.replace(first, spec=structs.replace(first.spec, scheduler=description)), *events[1:]]


def test_a_missing_plugin_is_an_error_and_not_a_proof(recorded: Any, tmp_path: Path, written: Any) -> None:
    report = verify(written(tmp_path / "run", with_scheduler(recorded["random"], name="ashes", distribution="acme")))
    assert not report.verified
    assert "'acme:ashes'" in report.problem
    assert report.events == len(recorded["random"])
    # What does not need the scheduler is counted all the same.
    assert report.status == "done"
    whole = verify(written(tmp_path / "whole", recorded["random"]))
    assert (report.trials, report.results) == (whole.trials, whole.results)
    assert report.trials > 0
    assert report.decisions == report.proposals == 0
    assert main(["verify", "run", "--home", str(tmp_path)]) == 1


def test_a_plugin_of_another_version_is_noted(recorded: Any, tmp_path: Path, written: Any) -> None:
    report = verify(written(tmp_path / "run", with_scheduler(recorded["random"], version="0.0.1")))
    assert report.verified
    assert "was of offbeat 0.0.1" in report.notes[0]


def test_options_that_a_plugin_does_not_take_any_more_are_named(recorded: Any, tmp_path: Path, written: Any) -> None:
    report = verify(written(tmp_path / "run", with_scheduler(recorded["random"], options={"eta": 3})))
    assert not report.verified
    assert "random-search" in report.problem


def three_epochs(start: Any) -> Any:
    from offbeat.testing.scripted import Report

    for epoch in (1, 2, 3):
        yield Report({"epoch": epoch, "loss": start.config["rate"] / epoch}, 1.0 + start.trial % 3)


def test_a_scheduler_that_the_journal_cannot_describe_has_to_be_passed(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.Toy(limit=5), three_epochs))
    report = verify("run", lab.home)
    assert not report.verified
    assert "pass the same object as scheduler=" in report.problem
    assert verify("run", lab.home, scheduler=lab.Toy(limit=5)).verified
    assert verify("run", lab.home, scheduler=lab.Toy(limit=4)).differences > 0


def test_a_scheduler_that_failed_is_no_difference(lab: Any) -> None:
    def observe(event: Any, ledger: Any) -> Any:
        if isinstance(event, ev.TrialResult) and event.trial == 2 and event.resource == 3:
            raise ValueError("no more")
        return ()

    from offbeat.errors import PluginFailed

    with pytest.raises(PluginFailed):
        lab.run(lab.tuner(lab.home, lab.Toy(observe), three_epochs))
    report = verify("run", lab.home, scheduler=lab.Toy(observe))
    assert not report.verified
    assert report.difference is None
    assert "the scheduler fails at event" in report.problem
    mended = verify("run", lab.home, scheduler=lab.Toy())
    assert mended.verified, mended.sentence()


class Note(ev.Event, frozen=True, gc=False, array_like=True, tag="acme/note"):
    text: str


def test_events_of_plugins_pass(recorded: Any, tmp_path: Path, written: Any) -> None:
    events = list(recorded["promotion"])
    for place in (100, 50, 3):
        events.insert(place, Note(events[place].at, "hello"))
    # Events count what lay before them; nothing else looks at their places.
    report = verify(written(tmp_path / "run", events))
    assert report.verified, report.sentence()
    assert report.events == len(events)
    from offbeat.replay import fork, replay

    step = replay(tmp_path / "run", 50 + 1).step
    assert (step.what, step.text) == ("acme/note", "an event of a plugin")
    assert fork(tmp_path / "run", 60, "other").event == 60


# --- proposals of models


class Model:
    """Proposes what a number outside says, as a model would whose linear algebra differs from machine to machine."""

    def __init__(self, off: float = 0.0, *, tags: dict[str, Any] | None = None, portable: bool = True) -> None:
        from offbeat.config_space import uniform

        self.objective = Objective.of("loss", resource_attr="epoch")
        self.space = Space.of({"rate": uniform(0, 1)})
        self.seed, self.off, self.tags, self.portable = 0, off, tags or {}, portable

    def observe(self, event: Any, ledger: Any) -> Any:
        return ()

    async def propose(self, request: Any, ledger: Any) -> Any:
        await asyncio.sleep(0)
        return Start(config={"rate": 0.5 + request.number / 1000 + self.off}, tags=dict(self.tags))


@pytest.mark.parametrize(
    ("options", "off", "expected"),
    [
        ({}, 0.0, "same"),
        ({}, 1e-9, "different"),
        ({"tags": {"model": "gp"}}, 1e-9, "near"),
        ({"portable": False}, 1e-9, "near"),
        ({"portable": False}, 1e-3, "different"),
        ({"tags": {"fallback": "deadline"}}, 1e-3, "taken"),
    ],
)
def test_what_a_model_proposed(lab: Any, options: Any, off: float, expected: str) -> None:
    stop = StoppingCriterion(max_num_trials_started=6)
    lab.run(lab.tuner(lab.home, Model(**options), three_epochs, stop_criterion=stop))
    report = verify("run", lab.home, scheduler=Model(off, **options))
    assert report.verified == (expected != "different"), report.sentence()
    assert report.near == (6 if expected == "near" else 0)
    assert report.taken == (6 if expected == "taken" else 0)
    if expected == "taken":
        assert "taken as recorded" in report.sentence()
    assert verify("run", lab.home, scheduler=Model(off, **options), tolerance=0.5).verified == (
        expected != "different" or not options.get("portable", True)
    )


def test_a_proposal_that_took_its_time_is_taken_and_counted(recorded: Any, tmp_path: Path, written: Any) -> None:
    """Reports came in while the model thought: nobody knows which of them it had seen."""
    spec = recorded["random"][0].spec
    model = Model()
    spec = structs.replace(
        spec, metrics=model.objective.metrics, space=model.space.to_json(), seed=0,
        scheduler=ev.ComponentDescription("offbeat.schedulers", "model"),
    )  # fmt: skip
    trial = TrialId(0)
    events = [
        structs.replace(recorded["random"][0], spec=spec),
        ev.ProposalRequested(0.0, 0, 0, 1),
        ev.Suggested(0.0, 0, "start", trial, {"rate": 0.5}),
        ev.TrialStarted(0.0, trial, 0, 0),
        ev.ProposalRequested(0.0, 1, 1, 4),
        ev.TrialResult(1.0, trial, 0, 0, 1, {"epoch": 1, "loss": 1.0}),
        ev.Suggested(2.0, 1, "start", TrialId(1), {"rate": 0.25}),
    ]
    report = verify(written(tmp_path / "run", events), scheduler=Model())
    assert report.verified
    assert (report.proposals, report.taken) == (1, 1)
    assert "1 more cannot be made again" in report.sentence()


def test_verify_works_while_a_loop_runs(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, Model(), three_epochs))

    async def inside() -> bool:
        return verify("run", lab.home, scheduler=Model()).verified

    assert asyncio.run(inside())


@pytest.mark.parametrize("tolerance", [-1, 1, float("nan"), True, "a"])
def test_a_wrong_tolerance_is_refused(tolerance: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="tolerance"):
        verify("x", tmp_path, tolerance=tolerance)


# --- the command


def test_the_command(lab: Any, capsys: pytest.CaptureFixture[str], recorded: Any, written: Any) -> None:
    run(lab, lab.home, trials=9, n_workers=3)
    home = ["--home", str(lab.home)]
    assert main(["verify", "run", *home]) == 0
    said = capsys.readouterr().out
    assert "Verified: the journal is whole" in said
    assert main(["verify", "run", "--json", *home]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verified"] is True
    assert f"Decision digest {report['digest']}" in said
    assert main(["verify", "run", "--digest", report["digest"], *home]) == 0
    assert main(["verify", "run", "--digest", "0" * 32, *home]) == 1
    assert "not 00000000" in capsys.readouterr().out
    events = list(recorded["stopping"])
    at = next(i for i, event in enumerate(events) if isinstance(event, ev.Suggested))
    events[at] = flipped(events[at], 0)
    written(lab.home / "forged", events)
    assert main(["verify", "forged", *home]) == 1
    said = capsys.readouterr().out
    assert f"event {at}, suggested of trial 0" in said
    assert "recomputed" in said
    assert f"offbeat replay forged --at {at}" in said
    assert main(["verify", "nobody", *home]) == 2
