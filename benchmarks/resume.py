"""How long does it take to take an experiment up again?  python benchmarks/resume.py [--large]

Writes a journal of random-search or ASHA trials with ten results each, then opens it as `resume` does (every line
checked, every event folded, scheduler included) in a fresh process, whose peak memory is reported beside that of the
bare imports.
Goals: 10,000 trials with 100,000 results under 2 s; 1,000,000 results under 20 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import machine, pin, say, scratch

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.config_space import loguniform, randint, uniform
from offbeat.describe import describe
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.seeds import Rows
from offbeat.testing.scripted import ScriptedBackend
from offbeat.trial import TrialId

EPOCHS = 10
SPACE = {
    "lr": loguniform(1e-6, 1.0), "layers": randint(1, 20), "momentum": uniform(0, 1), "width": randint(16, 512),
    "epochs": EPOCHS,
}  # fmt: skip


def scheduler(method: str) -> ASHA | RandomSearch:
    if method == "asha":
        return ASHA(SPACE, metric="loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=0)
    return RandomSearch(SPACE, metric="loss", resource_attr="epoch", random_seed=0)


def write(folder: ExperimentFolder, method: str, trials: int) -> None:
    """A journal as a run without stops would have left it, in groups of 100 events."""
    made = scheduler(method)
    rows = Rows(0, "bench", made.space.width)
    spec = ev.ExperimentSpec(
        name=folder.name,
        seed=0,
        metrics=made.objective.metrics,
        resource_attr="epoch",
        max_t=EPOCHS,
        space=made.space.to_json(),
        scheduler=describe(made, "offbeat.schedulers"),
        backend=describe(ScriptedBackend(lambda start: ()), "offbeat.backends"),
        limits=ev.Limits(n_workers=4),
    )
    journal = Journal.create(folder)
    group: list[ev.Event] = [ev.ExperimentOpened(0.0, 0, spec)]
    for number in range(trials):
        trial, at = TrialId(number), number * 10.0
        config = made.space.from_units(rows.row(number))
        group += [
            ev.ProposalRequested(at, number, 0, 0),
            ev.Suggested(at, number, "start", trial, config, tags={"bracket": 0} if method == "asha" else {}),
            ev.TrialStarted(at, trial, 0, 0),
            *(
                ev.TrialResult(at + e, trial, 0, e, e + 1, {"epoch": e + 1, "loss": config["momentum"] + 1 / (e + 1)})
                for e in range(EPOCHS)
            ),
            ev.TrialFinished(at + 10, trial, 0),
        ]
        if len(group) >= 100:
            journal.commit(group, sync=False)
            group = []
    journal.commit([*group, ev.ExperimentClosed(trials * 10.0, 0, "interrupted", "bench")], sync=False)
    journal.close()


def peak_mb() -> float:
    """Highest memory of this process so far; `ru_maxrss` would count what the parent had when it forked."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def reopen(folder: str, method: str) -> None:
    """In a fresh process: opens the journal as `Tuner.resume(...).run()` does, and says what it took."""
    import asyncio

    path = Path(folder)
    base = peak_mb()
    began = time.perf_counter()
    tuner = Tuner.resume(
        path.name,
        home=path.parent,
        trial_backend=ScriptedBackend(lambda start: ()),
        scheduler=scheduler(method),
        stop_criterion=StoppingCriterion(max_num_evaluations=1),
    )

    async def until_open() -> float:
        async with tuner.driving(()):
            return time.perf_counter() - began

    seconds = asyncio.run(until_open())
    peak = peak_mb()
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak, "beyond_imports_mb": peak - base}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="also 1,000,000 results")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--reopen", nargs=2, metavar=("FOLDER", "METHOD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reopen:
        reopen(*arguments.reopen)
        return
    pin()
    say(benchmark="resume", machine=machine(), runs=arguments.runs)
    for method in ("random-search", "asha"):
        for trials in (10_000, 100_000) if arguments.large else (10_000,):
            with scratch() as home:
                folder = ExperimentFolder(Path(home) / "bench")
                write(folder, method, trials)
                size = sum(file.stat().st_size for file in folder.journal.iterdir())
                command = [sys.executable, __file__, "--reopen", str(folder.path), method]
                runs = [
                    json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                    for _ in range(arguments.runs if trials == 10_000 else 1)
                ]
            say(
                method=method,
                trials=trials,
                results=trials * EPOCHS,
                journal_mb=size / 2**20,
                seconds=statistics.median(run["seconds"] for run in runs),
                peak_mb=statistics.median(run["peak_mb"] for run in runs),
                beyond_imports_mb=statistics.median(run["beyond_imports_mb"] for run in runs),
            )


if __name__ == "__main__":
    main()
