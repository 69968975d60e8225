"""Makes the golden journals of this version: real runs, small, kept for all later versions to replay.

    python tests/golden/make_journals.py             before a release: all of them, into journals/<version>/
    python tests/golden/make_journals.py --missing   after a scheduler was added: those that are not there yet

Nothing is ever overwritten: what a released version wrote stays as it is, and `tests/replay/test_golden_journals.py` holds
every later version to it. Each folder is an experiment, as it lay on the disk but for the machine's name and paths (they are
replaced, and the hashes made anew by the journal's own writer), with `expected.json` beside: counts, the decision digest, and
digests of the state at some events.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

import offbeat
from offbeat import AskTell, StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.backend import LocalBackend, SimulatedBackend
from offbeat.config_space import uniform
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, decision_digest, read_journal
from offbeat.optimizer.baselines import (
    ASHA,
    BOHB,
    DEHB,
    PASHA,
    AutomaticTerminationCriterion,
    BayesianOptimization,
    GridSearch,
    MedianStoppingRule,
    RandomSearch,
    SyncHyperband,
)
from offbeat.parts import recorded_spec
from offbeat.protocols import Scheduler
from offbeat.replay.rebuilding import rebuilt
from offbeat.state import State
from offbeat_plugins.blackboxes.digits import config_space

JOURNALS = Path(__file__).with_name("journals")

RESOURCE: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 5}

SCRIPT = """
    import sys
    import time
    from offbeat import Reporter
    x = float(sys.argv[sys.argv.index("--x") + 1])
    last = int(sys.argv[sys.argv.index("--epochs") + 1])
    report = Reporter()
    for epoch in range(1, last + 1):
        time.sleep(0.02)
        if x == 0.75:
            sys.exit(3)
        report(epoch=epoch, loss=float("nan") if x == 0.25 and epoch == 2 else x + 1 / epoch)
"""


def simulated(
    home: Path,
    scheduler: Scheduler,
    trials: int,
    *,
    cuts: tuple[int, ...] = (),
    faults: str | None = None,
    delay_stop: float = 0.0,
    **limits: Any,
) -> None:
    """A run on the shipped table; it dies behind each of the events named by `cuts` and is taken up, then with more workers."""
    backend = SimulatedBackend(
        "digits",
        max_resource_attr="epochs",
        faults=faults,
        fault_seed=2 if faults else None,
        delay_stop=delay_stop,
    )
    stop = StoppingCriterion(max_num_trials_started=trials)
    name = "run"
    tuner = Tuner(backend, scheduler, stop, 3, name=name, home=home, observers=[], durability="commit", **limits)
    tuner.run()
    for number, cut in enumerate(cuts):
        past = [one.event for one in islice(read_journal(ExperimentFolder(home / name)), cut)]
        shutil.rmtree(home / name)
        with Journal.create(ExperimentFolder(home / name)) as journal:
            journal.commit(past, sync=False)
        Tuner.resume(name, home=home, observers=[], durability="commit", n_workers=4 + number).run()


def local(home: Path) -> None:
    """Real processes: a failure, a retry, NaN, configurations from outside, other limits, a stopped trial, a resumption."""
    script = home / "train.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    scheduler = ASHA({"x": uniform(0, 1), "epochs": 4}, "loss", grace_period=2, nonfinite="worst", **RESOURCE)

    async def play() -> None:
        tuner = Tuner(
            LocalBackend(script), scheduler, StoppingCriterion(max_num_trials_started=6), 2, name="run", home=home,
            observers=[], max_retries=1,
        )  # fmt: skip
        async with tuner.session() as session:
            await session.enqueue({"x": 0.75}, {"x": 0.25}, why="a hunch")
            await session.change(n_workers=1)
            async for recorded in session.events(0):
                if isinstance(recorded.event, ev.TrialStarted) and recorded.event.trial == 4:
                    await session.stop_trial(4, "not this one")
                    break
            await session.wait()

    asyncio.run(play())
    Tuner.resume("run", home=home, observers=[], stop_criterion=StoppingCriterion(max_num_trials_started=8)).run()


def asked(home: Path) -> None:
    """Ask and tell in two sessions."""
    scheduler = MedianStoppingRule(
        {"x": uniform(0, 1)}, "loss", resource_attr="epoch", random_seed=5, grace_population=3
    )
    with AskTell(scheduler, "run", home=home, stop_criterion=StoppingCriterion(max_num_trials_started=9)) as study:
        for _ in range(4):
            _train(study)
        study.ask()
    with AskTell(experiment="run", home=home) as study:
        while _train(study):
            pass


def _train(study: AskTell) -> bool:
    trial = study.ask()
    if trial is None:
        return False
    for epoch in range(1, 5):
        if study.tell(trial, epoch=epoch, loss=10 * (trial.config["x"] - 0.3) ** 2 + 1 / epoch) != "continue":
            return True
    study.complete(trial)
    return True


CASES: Mapping[str, Callable[[Path], None]] = {
    "random-search": lambda home: simulated(
        home,
        RandomSearch(config_space(), "val_error", **RESOURCE),
        4,
        faults="crash-400000%,spot-200000%",
        max_retries=1,
        cuts=(60,),
    ),
    "grid-search": lambda home: simulated(home, GridSearch(config_space(), "val_error", **RESOURCE), 3),
    "asha-stopping": lambda home: simulated(
        home, ASHA(config_space(), "val_error", **RESOURCE), 12, cuts=(40, 81), max_failures=0.5, delay_stop=0.03
    ),
    "asha-promotion": lambda home: simulated(
        home, ASHA(config_space(), "val_error", type="promotion", brackets=2, **RESOURCE), 12, cuts=(33, 110)
    ),
    "median-stopping-rule": lambda home: simulated(
        home, MedianStoppingRule(config_space(), "val_error", grace_population=3, **RESOURCE), 7, cuts=(88,)
    ),
    "bayesian-optimization": lambda home: simulated(
        home, BayesianOptimization(config_space(), "val_error", backend="numpy", **RESOURCE), 8, cuts=(150,)
    ),
    "automatic-termination": lambda home: simulated(
        home,
        AutomaticTerminationCriterion(
            scheduler=ASHA(config_space(), "val_error", **RESOURCE), threshold=0.5, warm_up=5
        ),
        40,
    ),
    "pasha": lambda home: simulated(home, PASHA(config_space(), "val_error", **RESOURCE), 12, cuts=(57,)),
    "bohb": lambda home: simulated(home, BOHB(config_space(), "val_error", min_points=2, **RESOURCE), 12, cuts=(70,)),
    "sync-hyperband": lambda home: simulated(
        home,
        SyncHyperband(config_space(), "val_error", grace_period=3, **RESOURCE),
        10,
        faults="crash-400000%,spot-200000%",
        max_retries=1,
        cuts=(44, 90),
    ),
    "dehb": lambda home: simulated(
        home,
        DEHB(config_space(), "val_error", grace_period=3, **RESOURCE),
        14,
        faults="crash-200000%",
        cuts=(50, 130),
    ),
    "asha-local": local,
    "median-ask-tell": asked,
}


# --- written down without the machine


def keep(source: ExperimentFolder, target: Path) -> None:
    """The journal with the same groups and writers, without names and paths of this machine."""
    folder = ExperimentFolder(target)
    events = (_without_machine(one.event, source) for one in read_journal(source))
    journal: Journal | None = None
    epoch = -1
    for segment in sorted(source.journal.glob("*.jsonl")):
        for line in segment.read_text(encoding="utf-8").splitlines()[1:]:
            group = json.loads(line)
            if group["epoch"] != epoch:
                if journal is not None:
                    journal.close()
                journal, epoch = Journal.create(folder) if journal is None else Journal.open(folder), group["epoch"]
            assert journal is not None
            journal.commit(list(islice(events, group["n"])), sync=False)
    if journal is not None:
        journal.close()
    folder.lock.unlink(missing_ok=True)


def _without_machine(event: ev.Event, source: ExperimentFolder) -> ev.Event:
    if not isinstance(event, ev.ExperimentOpened):
        return event
    host = ev.Host(wall_time=event.host.wall_time, hostname="host", pid=1, python="3", offbeat=event.host.offbeat)
    spec = event.spec
    if spec is not None and spec.backend.options is not None:
        options = dict(spec.backend.options)
        options |= {name: value for name, value in (("entry_point", "/train.py"), ("cwd", "/")) if name in options}
        spec = msgspec.structs.replace(spec, backend=msgspec.structs.replace(spec.backend, options=options))
    return msgspec.structs.replace(event, host=host, spec=spec)


# --- what a later version has to come to


def expected(folder: ExperimentFolder) -> dict[str, Any]:
    """Counts, the decision digest, and digests of the state at eight events, the last one included."""
    events = [one.event for one in read_journal(folder)]
    spec = recorded_spec(folder)
    found = rebuilt(spec.scheduler, spec)
    if found.problem:
        raise RuntimeError(found.problem)
    state = State(spec, found.scheduler, None)
    places = {len(events) * part // 8 - 1 for part in range(1, 9)}
    states = {}
    for number, event in enumerate(events):
        state.fold(event)
        if number in places:
            states[str(number)] = state_digest(state)
    return {
        "offbeat": events[0].host.offbeat if isinstance(events[0], ev.ExperimentOpened) else "",
        "events": len(events),
        "trials": len(state.ledger),
        "results": state.usage.results,
        "decision_digest": decision_digest(events, simulated=True),
        "states": states,
    }


def state_digest(state: State) -> str:
    """BLAKE2b-128 over everything that decides what happens next; a later version may keep more, not other values."""
    trials = [
        [
            record.id, record.status.value, record.attempt, record.slot, record.resuming, record.until, record.donor,
            record.resource, record.reports, record.late, record.rejected, record.failures, record.next_seq, record.config,
            record.tags, record.last, record.best, record.reason, record.told_by, record.started_at, record.ended_at,
            record.active, record.cost,
        ]
        for record in state.ledger
    ]  # fmt: skip
    usage = state.usage
    rungs = getattr(state.scheduler, "rung_table", list)()
    rest = [
        usage.elapsed, usage.started, usage.completed, usage.stopped, usage.failed, usage.finished, usage.results,
        list(state.queue), sorted(state.ledger.paused), sorted(state.ledger.slots.items()), sorted(state.failing),
        state.points, list(state.held), state.next_number, state.waiting, state.filling, state.session, state.count,
        state.limits.n_workers, state.limits.max_retries,
    ]  # fmt: skip
    # Without fields that are named after classes or kept in an order of their own: JSON with sorted keys.
    text = msgspec.json.encode([trials, rungs, rest], order="deterministic")
    return blake2b(text, digest_size=16).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--missing", action="store_true", help="make only those that are not there yet")
    parser.add_argument("--into", type=Path, default=JOURNALS, help="another folder than tests/golden/journals")
    args = parser.parse_args()
    folder = args.into / offbeat.__version__
    there = [name for name in CASES if (folder / name).exists()]
    if there and not args.missing:
        print(
            f"{folder} has {', '.join(there)}: what a version wrote is never written again. Raise the version, or say "
            "--missing for the others.",
            file=sys.stderr,
        )
        return 1
    for name, make in CASES.items():
        if name in there:
            continue
        with tempfile.TemporaryDirectory(prefix="offbeat-golden-") as home:
            make(Path(home))
            keep(ExperimentFolder(Path(home) / "run"), folder / name)
        found = expected(ExperimentFolder(folder / name))
        (folder / name / "expected.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        size = sum(file.stat().st_size for file in (folder / name).rglob("*") if file.is_file())
        print(f"{folder / name}: {found['events']} events, {found['trials']} trials, {size / 1000:.1f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
