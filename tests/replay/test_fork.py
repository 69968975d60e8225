"""Fork: a new experiment goes on from any event of another, and neither ever reaches the other."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from offbeat import AskTell, StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.backend import LocalBackend, SimulatedBackend
from offbeat.cli import main
from offbeat.config_space import uniform
from offbeat.errors import ExperimentExists, ExperimentNotFound, InvalidArgument, JournalDamaged, UnknownPlugin
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, decision_digest
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.parts import recorded_spec
from offbeat.replay import CannotShare, CheckpointsMissing, fork, replay, sharing, verify
from offbeat.replay.origin import Author, Origin, authors, origin_of
from offbeat.results import load
from offbeat.trial import Ledger
from offbeat_plugins.blackboxes.digits import config_space

RESOURCE: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 7}


def asha(**options: Any) -> Any:
    return ASHA(config_space(), "val_error", **{**RESOURCE, **options})


def digits(**options: Any) -> Any:
    return SimulatedBackend("digits", max_resource_attr="epochs", **options)


def run(lab: Any, home: Path, scheduler: Any, trials: int = 9, backend: Any = None, **options: Any) -> ExperimentFolder:
    stop = StoppingCriterion(max_num_trials_started=trials)
    lab.run(lab.tuner(home, scheduler, backend=backend or digits(), n_workers=3, **{"stop_criterion": stop, **options}))
    return ExperimentFolder(home / "run")


# --- a fork decides as its source did

LATE = {"delay_start": 1, "delay_stop": 2, "delay_complete_after_stop": 1, "delay_complete_after_final_report": 1}

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "random": ("random", {}, {}, {}),
    "stopping": ("stopping", {}, {}, {}),
    "promotion": ("promotion", {}, {}, {}),
    "delays": ("promotion", {}, LATE, {}),
    "no checkpoints": ("promotion", {}, {"support_checkpointing": False}, {}),
    "faults": ("stopping", {}, {"faults": "SPOT"}, {"max_retries": 1}),
    "nan": ("stopping", {"nonfinite": "ignore"}, {}, {"asynchronous_scheduling": False}),
    "time": ("promotion", {}, {}, {"stop_criterion": StoppingCriterion(max_wallclock_time=31.5)}),
}


def campaign(lab: Any, simulation: Any, case: str, every: int) -> None:
    kind, options, backend, limits = CASES[case]
    backend = {**backend, **({"faults": simulation.SPOT} if "faults" in backend else {})}

    def box() -> Any:
        return simulation.backend("tied", nan=True, seeds=2, **backend)

    home = simulation.fresh()
    source = run(lab, home, simulation.scheduler(kind, **options), trials=9, backend=box(), **limits)
    events = lab.events(home)
    expected = lab.digest(home)
    assert len(events) > 60
    for at in range(0, len(events), every):
        made = fork(source, at, f"from-{at}")
        lab.run(
            Tuner.resume(
                made.name,
                home=home,
                trial_backend=box(),
                scheduler=simulation.scheduler(kind, **options),
                observers=[],
                durability="end",
            )
        )
        assert lab.digest(home, made.name) == expected, at
        lab.check_closed(home, made.name)


@pytest.mark.parametrize("case", CASES)
def test_from_any_event_on_everything_is_decided_as_before(lab: Any, simulation: Any, case: str) -> None:
    campaign(lab, simulation, case, every=1 if case in ("stopping", "promotion") else 5)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES)
def test_from_every_event_on_everything_is_decided_as_before(lab: Any, simulation: Any, case: str) -> None:
    campaign(lab, simulation, case, every=1)


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_what_the_journal_describes_is_forked_by_name_alone(lab: Any, kind: str) -> None:
    source = run(lab, lab.home, asha(type=kind))
    count = len(lab.events(lab.home))
    for at in range(1, count, 23):
        made = fork("run", at, f"from-{at}", lab.home)
        lab.run(Tuner.resume(made.name, home=lab.home, observers=[]))
        assert lab.digest(lab.home, made.name) == lab.digest(lab.home)
        report = verify(made.folder)
        assert report.verified, report.sentence()
    assert len(lab.events(lab.home)) == count
    assert verify(source).verified


def test_provenance_stands_in_the_journal(lab: Any) -> None:
    source = run(lab, lab.home, asha())
    made = fork(source, 40, "other")
    origin = origin_of(recorded_spec(ExperimentFolder(made.folder)))
    spec = recorded_spec(source)
    assert origin == Origin(
        experiment="run", folder=str(source.path), event=40, digest=made.digest, scheduler=spec.scheduler, seed=7
    )
    assert made.digest == decision_digest(lab.events(lab.home)[1:41])
    assert [e.at for e in lab.events(lab.home, "other")] == [e.at for e in lab.events(lab.home)[:41]]
    assert lab.events(lab.home, "other")[1:] == lab.events(lab.home)[1:41]


def test_a_past_that_is_not_the_source_s_is_not_verified(lab: Any, written: Any) -> None:
    run(lab, lab.home, RandomSearch(config_space(), "val_error", **RESOURCE))
    fork("run", 60, "other", lab.home)
    events = lab.events(lab.home, "other")
    at = next(i for i, e in enumerate(events) if isinstance(e, ev.TrialResult))
    events[at] = structs.replace(events[at], metrics={**events[at].metrics, "val_error": 0.0})
    report = verify(written(lab.home / "forged", events))
    assert not report.verified
    assert "not those of the source" in report.problem


# --- other decisions from an event on


def test_another_seed_decides_otherwise_from_the_event_on(lab: Any) -> None:
    source = run(lab, lab.home, asha())
    made = fork(source, 50, "other", seed=8)
    assert made.seed == 8
    lab.run(Tuner.resume("other", home=lab.home, observers=[]))
    ours, theirs = lab.events(lab.home, "other"), lab.events(lab.home)
    assert ours[1:51] == theirs[1:51]
    assert [e for e in ours if isinstance(e, ev.Suggested)] != [e for e in theirs if isinstance(e, ev.Suggested)]
    report = verify(made.folder)
    assert report.verified, report.sentence()


def test_forks_of_forks_know_who_decided_what(lab: Any) -> None:
    run(lab, lab.home, asha(type="promotion"))
    for source, at, name, changes in (
        ("run", 60, "stops", {"options": {"type": "stopping", "reduction_factor": 2}}),
        ("stops", 90, "blind", {"scheduler": "random-search"}),
        ("blind", 75, "median", {"scheduler": "median-stopping-rule", "options": {"grace_population": 2}}),
        ("median", 30, "back", {"seed": 1}),
    ):
        made = fork(source, at, name, lab.home, **changes)  # type: ignore[arg-type]
        lab.run(Tuner.resume(name, home=lab.home, observers=[]))
        report = verify(name, lab.home)
        assert report.verified, report.sentence()
        assert replay(name, at, lab.home).trials == replay(source, at, lab.home).trials
        assert load(made.folder).status == "done"


def test_who_decided_what() -> None:
    def spec(seed: int, before: Origin | None) -> ev.ExperimentSpec:
        from msgspec import to_builtins

        return ev.ExperimentSpec(
            name="x", seed=seed, metrics=(), scheduler=component(seed), backend=component(0),
            limits=ev.Limits(n_workers=1), metadata={} if before is None else {"forked": to_builtins(before)},
        )  # fmt: skip

    def component(number: int) -> ev.ComponentDescription:
        return ev.ComponentDescription("offbeat.schedulers", f"s{number}")

    def origin(seed: int, event: int, before: Origin | None = None) -> Origin:
        return Origin(
            experiment="x", folder="", event=event, digest="", scheduler=component(seed), seed=seed, before=before
        )

    def found(seed: int, before: Origin | None) -> list[tuple[int, int | None]]:
        return [(one.seed, one.last) for one in authors(spec(seed, before))]

    assert authors(spec(1, None)) == [Author(component(1), 1, None)]
    assert found(2, origin(1, 50)) == [(1, 50), (2, None)]
    assert found(1, origin(1, 50)) == [(1, None)]
    assert found(3, origin(2, 80, origin(1, 50))) == [(1, 50), (2, 80), (3, None)]
    assert found(3, origin(2, 30, origin(1, 50))) == [(1, 30), (3, None)]
    assert found(1, origin(2, 80, origin(1, 50))) == [(1, 50), (2, 80), (1, None)]
    assert found(1, origin(2, 50, origin(1, 50))) == [(1, None)]


def test_a_scheduler_that_cannot_take_up_the_past_is_refused(lab: Any) -> None:
    """One that pauses would wait for trials that have gone on."""
    source = run(lab, lab.home, asha())
    at = next(i for i, e in enumerate(lab.events(lab.home)) if isinstance(e, ev.TrialResult) and e.resource == 1)
    with pytest.raises(InvalidArgument, match=f"at event {at} it pauses trial .* Fork at an event before {at}"):
        fork(source, at + 5, "other", options={"type": "promotion"})
    assert not (lab.home / "other").exists()
    assert fork(source, at - 1, "other", options={"type": "promotion"}).scheduler == "asha"
    lab.run(Tuner.resume("other", home=lab.home, observers=[]))
    assert verify("other", lab.home).verified


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"scheduler": "ashaa"}, UnknownPlugin, "Did you mean 'asha'"),
        ({"options": {"eta": 2}}, InvalidArgument, "reduction_factor"),
        ({"options": {"metric": "val_los"}}, InvalidArgument, "Did you mean 'val_error'|val_error"),
        ({"options": {"mode": "max"}}, InvalidArgument, r"val_error \(max\)"),
        ({"options": {"resource_attr": "step"}}, InvalidArgument, "'step'"),
        ({"options": {"config_space": {"x": uniform(0, 1), "epochs": 27}}}, InvalidArgument, "another space"),
        ({"scheduler": asha(), "seed": 3}, InvalidArgument, "given by name"),
    ],
)
def test_wrong_changes_are_named(lab: Any, changes: Any, error: Any, said: str) -> None:
    source = run(lab, lab.home, asha(), trials=4)
    with pytest.raises(error, match=said):
        fork(source, 20, "other", **changes)
    assert [path.name for path in lab.home.iterdir()] == ["run"]


def test_an_object_may_decide_from_here_on(lab: Any) -> None:
    source = run(lab, lab.home, asha(), trials=4)
    made = fork(source, 10, "other", scheduler=asha(grace_period=3, random_seed=1))
    assert made.seed == 1
    lab.run(Tuner.resume("other", home=lab.home, observers=[]))
    assert verify("other", lab.home).verified


def test_without_its_plugin_an_experiment_can_be_forked_and_not_changed(lab: Any, written: Any) -> None:
    run(lab, lab.home, asha(), trials=4)
    events = lab.events(lab.home)
    gone = ev.ComponentDescription("offbeat.schedulers", "ashes", distribution="acme", options={"metric": "val_error"})
    events[0] = structs.replace(events[0], spec=structs.replace(events[0].spec, scheduler=gone))
    source = written(lab.home / "lost", events)
    assert fork(source, 20, "copy").scheduler == "ashes"
    with pytest.raises(UnknownPlugin):
        Tuner.resume("copy", home=lab.home)
    with pytest.raises(InvalidArgument, match=r"cannot be changed.*ashes"):
        fork(source, 20, "other", options={"reduction_factor": 2})
    fork(source, 20, "other", scheduler="asha", options={"max_t": 27})
    lab.run(Tuner.resume("other", home=lab.home, observers=[]))
    assert load("other", lab.home).status == "done"
    assert "acme:ashes" in verify("other", lab.home).problem


# --- what cannot be forked


@pytest.mark.parametrize("at", [-1, 10_000, True, 2.5])
def test_an_event_that_is_not_there(lab: Any, at: Any) -> None:
    source = run(lab, lab.home, asha(), trials=3)
    with pytest.raises(InvalidArgument, match=r"numbered 0 to|from 0"):
        fork(source, at, "other")
    assert not (lab.home / "other").exists()


def test_names(lab: Any) -> None:
    source = run(lab, lab.home, asha(), trials=3)
    with pytest.raises(ExperimentExists):
        fork(source, 3, "run")
    with pytest.raises(InvalidArgument, match="not usable"):
        fork(source, 3, "../other")
    with pytest.raises(ExperimentNotFound):
        fork("nobody", 3, "other", lab.home)


def test_another_home(lab: Any, tmp_path: Path) -> None:
    source = run(lab, lab.home, asha(), trials=3)
    made = fork(str(source.path), 3, "other", tmp_path / "new")
    assert made.folder == tmp_path / "new" / "other"
    lab.run(Tuner.resume("other", home=tmp_path / "new", observers=[]))
    assert lab.digest(tmp_path / "new", "other") == lab.digest(lab.home)


def test_damage_is_an_error_and_leaves_nothing(lab: Any) -> None:
    source = run(lab, lab.home, asha(), trials=3)
    segment = source.journal / "00000000.jsonl"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    with pytest.raises(JournalDamaged):
        fork(source, 3, "other")
    assert [path.name for path in lab.home.iterdir()] == ["run"]


def test_a_running_experiment_can_be_forked(lab: Any, tmp_path: Path) -> None:
    run(lab, lab.home, asha(), trials=6)
    events = lab.events(lab.home)
    running = ExperimentFolder(tmp_path / "elsewhere" / "running")
    with Journal.create(running) as journal:
        journal.commit(events[:60], sync=False)
        made = fork(running, 50, "other")
        journal.commit(events[60:], sync=False)
    lab.run(Tuner.resume("other", home=made.folder.parent, observers=[]))
    assert lab.digest(made.folder.parent, "other") == lab.digest(lab.home)


def test_ask_and_tell_goes_on_from_a_fork(tmp_path: Path) -> None:
    with AskTell(RandomSearch({"x": uniform(0, 1)}, "loss", random_seed=1), "study", home=tmp_path) as study:
        for number in range(5):
            study.complete(study.ask() or 0, loss=number)
    at = next(r for r in range(99) if replay("study", r, tmp_path).step.what == "trial-finished")
    made = fork("study", at, "other", tmp_path)
    assert made.goes_on_with == "offbeat.AskTell(experiment='other')"
    with AskTell(experiment="other", home=tmp_path) as study:
        study.complete(study.ask() or 0, loss=7)
    assert [t.best for t in replay("other", home=tmp_path).trials] == [0, 7]
    assert replay("other", home=tmp_path).trials[1].config == replay("study", home=tmp_path).trials[1].config


# --- checkpoints

SCRIPT = """
    import sys
    from pathlib import Path
    from offbeat import Reporter
    from offbeat.report import checkpoint_dir
    x = float(sys.argv[sys.argv.index("--x") + 1])
    last = int(sys.argv[sys.argv.index("--epochs") + 1])
    file = Path(checkpoint_dir()) / "epoch.txt"
    epoch = int(file.read_text()) if file.exists() else 0
    report = Reporter()
    while epoch < last:
        epoch += 1
        file.write_text(str(epoch))
        report(epoch=epoch, loss=x / epoch)
"""


@pytest.fixture
def trained(lab: Any, local: Any) -> ExperimentFolder:
    """Real trials that pause at 1 and 3 and keep a checkpoint; ended when four were started."""
    scheduler = ASHA(
        {"x": uniform(0, 1), "epochs": 9}, "loss", type="promotion", resource_attr="epoch", max_resource_attr="epochs",
        random_seed=1,
    )  # fmt: skip
    stop = StoppingCriterion(max_num_trials_started=6)
    backend = LocalBackend(local.script(SCRIPT))
    lab.run(lab.tuner(lab.home, scheduler, backend=backend, stop_criterion=stop, n_workers=1))
    return ExperimentFolder(lab.home / "run")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_fork_goes_on_from_checkpoints_and_the_source_stays_as_it_is(lab: Any, trained: ExperimentFolder) -> None:
    last = len(lab.events(lab.home)) - 1
    before = files(trained.path)
    made = fork(trained, last, "other")
    assert made.shared == tuple(range(6))
    assert made.begin_again == ()
    assert made.bytes == sum(len(data) for name, data in before.items() if "checkpoints" in name)
    assert files(made.folder / "trials" / "0") == {
        name.removeprefix("trials/0/"): data for name, data in before.items() if name.startswith("trials/0/checkpoints")
    }
    stop = StoppingCriterion(max_num_trials_started=10)
    lab.run(Tuner.resume("other", home=lab.home, observers=[], stop_criterion=stop))
    assert files(trained.path) == before
    report = verify("other", lab.home)
    assert report.verified, report.sentence()
    resumed = [e for e in lab.events(lab.home, "other")[last:] if isinstance(e, ev.TrialResumed)]
    assert resumed, "nobody was promoted: the test needs more trials"
    for event in lab.events(lab.home, "other"):
        assert not (isinstance(event, ev.TrialResult) and event.verdict == "repeat")


def test_a_write_in_place_reaches_nobody_else(lab: Any, trained: ExperimentFolder) -> None:
    made = ExperimentFolder(fork(trained, len(lab.events(lab.home)) - 1, "other").folder)
    for one, other in ((made, trained), (trained, made)):
        file, same = (folder.checkpoints(0) / "epoch.txt" for folder in (one, other))
        before = same.read_bytes()
        with file.open("r+b") as opened:
            opened.write(b"?")
        assert same.read_bytes() == before


def test_what_nobody_writes_to_any_more_is_stored_once(
    lab: Any, trained: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where files cannot be cloned, those of ended trials have a second name, and those that go on are copied."""
    monkeypatch.setattr(sharing, "_cloned", lambda source, target: False)
    lab.run(
        Tuner.resume("run", home=lab.home, observers=[], stop_criterion=StoppingCriterion(max_num_trials_started=40))
    )
    last = len(lab.events(lab.home)) - 1
    ledger = Ledger()
    for event in lab.events(lab.home):
        ledger.apply(event)
    ended = {int(record.id) for record in ledger if record.status.ended}
    before = files(trained.path)
    made = fork(trained, last, "other")
    assert ended, "nobody reached the end: the test needs more trials"
    assert ended < set(made.shared)
    sizes = {trial: (trained.checkpoints(trial) / "epoch.txt").stat().st_size for trial in made.shared}
    assert made.copied == sum(size for trial, size in sizes.items() if trial not in ended)
    assert made.bytes == sum(sizes.values())
    other = ExperimentFolder(made.folder)
    for trial in made.shared:
        ours, theirs = (folder.checkpoints(trial) / "epoch.txt" for folder in (other, trained))
        assert ours.samefile(theirs) == (trial in ended)
        assert ours.read_bytes() == theirs.read_bytes()
    lab.run(
        Tuner.resume("other", home=lab.home, observers=[], stop_criterion=StoppingCriterion(max_num_trials_started=50))
    )
    assert files(trained.path) == before
    shutil.rmtree(other.path)
    assert files(trained.path) == before


@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.EMLINK, errno.EPERM])
def test_what_cannot_have_a_second_name_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    def refused(self: Path, target: Path) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(sharing, "_cloned", lambda source, target: False)
    monkeypatch.setattr(Path, "hardlink_to", refused)
    source = tmp_path / "source"
    source.mkdir()
    (source / "model").write_bytes(b"weights")
    assert sharing.share(source, tmp_path / "target", tmp_path, ended=True) == (7, 7)
    assert files(tmp_path / "target") == {"model": b"weights"}
    assert not (tmp_path / "target" / "model").samefile(source / "model")


def test_checkpoints_of_a_later_time_are_not_taken_back(lab: Any, trained: ExperimentFolder) -> None:
    """A trial that was promoted later begins again in a fork from before; its old levels are not counted twice."""
    events = lab.events(lab.home)
    resumed = next(i for i, e in enumerate(events) if isinstance(e, ev.TrialResumed))
    trial = events[resumed].trial  # type: ignore[attr-defined]
    paused = next(i for i, e in enumerate(events) if isinstance(e, ev.TrialPaused) and e.trial == trial)
    made = fork(trained, paused, "other")
    assert trial in made.begin_again
    assert trial not in made.shared
    lab.run(Tuner.resume("other", home=lab.home, observers=[]))
    ours = [e for e in lab.events(lab.home, "other") if isinstance(e, ev.TrialResult) and e.trial == trial]
    counted = [e.resource for e in ours if e.verdict != "repeat"]
    assert counted == sorted(set(counted))
    assert any(e.verdict == "repeat" for e in ours) or len(counted) == 1
    assert verify("other", lab.home).verified


def test_a_missing_checkpoint_is_an_error(lab: Any, trained: ExperimentFolder) -> None:
    last = len(lab.events(lab.home)) - 1
    waits = replay(trained).paused[0]
    shutil.rmtree(trained.checkpoints(waits))
    with pytest.raises(CheckpointsMissing, match=f"Trial {waits} of 'run'.*--without-checkpoints"):
        fork(trained, last, "other")
    assert [path.name for path in lab.home.iterdir() if "other" in path.name] == []
    made = fork(trained, last, "other", without_checkpoints=True)
    assert made.shared == ()
    assert waits in made.begin_again


def test_a_full_disk_is_an_error_and_leaves_nothing(
    lab: Any, trained: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def full(source: Any, target: Any, length: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        target.write(source.read())

    monkeypatch.setattr(sharing, "_cloned", lambda source, target: False)
    monkeypatch.setattr(sharing.shutil, "copyfileobj", full)
    with pytest.raises(CannotShare, match=r"epoch.txt: No space left on device \(.* MB free on .*make room"):
        fork(trained, len(lab.events(lab.home)) - 1, "other")
    assert calls == 3
    assert [path.name for path in lab.home.iterdir() if "other" in path.name] == []


def test_a_checkpoint_that_is_being_written_is_not_copied(
    lab: Any, trained: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(source: Any, target: Any, length: int) -> None:
        target.write(source.read())
        with Path(source.name).open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(sharing, "_cloned", lambda source, target: False)
    monkeypatch.setattr(sharing.shutil, "copyfileobj", slow)
    with pytest.raises(CannotShare, match="is being written to"):
        fork(trained, len(lab.events(lab.home)) - 1, "other")
    assert not (lab.home / "other").exists()


def test_links_do_not_lead_back(lab: Any, trained: ExperimentFolder, tmp_path: Path) -> None:
    own = trained.checkpoints(0)
    outside = tmp_path / "weights.bin"
    outside.write_bytes(b"base")
    (own / "latest").symlink_to("epoch.txt")
    (own / "absolute").symlink_to(own / "epoch.txt")
    (own / "other").symlink_to(trained.checkpoints(1) / "epoch.txt")
    (own / "base").symlink_to(outside)
    os.mkfifo(own / "pipe")
    made = ExperimentFolder(fork(trained, len(lab.events(lab.home)) - 1, "other").folder)
    copy = made.checkpoints(0)
    assert (copy / "latest").readlink() == Path("epoch.txt")
    assert not (copy / "absolute").is_symlink()
    assert not (copy / "other").is_symlink()
    assert (copy / "base").readlink() == outside
    assert not (copy / "pipe").exists()
    (copy / "latest").write_text("99")
    (copy / "absolute").write_text("99")
    (copy / "other").write_text("99")
    assert (own / "epoch.txt").read_text() != "99"
    assert (trained.checkpoints(1) / "epoch.txt").read_text() != "99"


# --- the command


def test_the_command(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(lab, lab.home, asha(), trials=5)
    home = ["--home", str(lab.home)]
    assert main(["fork", "run", "--at", "30", "--name", "other", *home]) == 0
    said = capsys.readouterr().out
    assert "other: events 0 to 30 of run, asha, seed 7" in said
    assert said.endswith("Go on with  offbeat resume other\n")
    assert main(["fork", "run", "--at", "30", "--name", "third", "--option", "grace_period=3", "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out)["goes_on_with"] == "offbeat resume third"
    assert main(["resume", "third", "--quiet", *home]) == 0
    assert main(["verify", "third", *home]) == 0
    assert main(["fork", "run", "--at", "30", "--name", "other", *home]) == 2
    assert main(["fork", "run", "--at", "99999", "--name", "fourth", *home]) == 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["fork", "run", "--name", "fifth", *home])
