"""What does a trial cost where modules are kept loaded?  python benchmarks/warm_trials.py [--trials 100]

On one core, one trial at a time, in turn: function trials of the whole engine (journal with an fdatasync a group,
supervisor, random search) as forks of a loaded interpreter; the same as fresh interpreters; and the floor, a bare
`os.fork` with `waitpid` of an interpreter that has the same modules. Goal: about 10 ms a forked trial.

Then a script that imports half of SciPy: from the order to its first report, fresh and forked. Goal: 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measure import machine, paired, pin, say, scratch

from offbeat import Reporter, StoppingCriterion, Tuner
from offbeat.backend import LocalBackend, PythonBackend
from offbeat.config_space import loguniform
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.optimizer.baselines import RandomSearch
from offbeat.protocols import BackendContext
from offbeat.signals import Ended, Reported, StartTrial

HEAVY = ("numpy", "scipy.stats", "scipy.optimize", "scipy.signal")
SCRIPT = "import {modules}\nfrom offbeat import Reporter\nReporter()(loss=1.0)\n"
FLOOR = """
import gc, os, sys, time
import cloudpickle, ctypes, fcntl, json, select, socket, subprocess, offbeat.report
for name in sys.argv[2:]: __import__(name)
gc.collect(); gc.freeze(); gc.disable()
began = time.perf_counter()
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
print((time.perf_counter() - began) / int(sys.argv[1]))
"""


def training() -> Callable[[float], None]:
    """Made here it is sent by value, as the function of a script or notebook is."""

    def train(lr: float) -> None:
        Reporter()(loss=lr)

    return train


def floor(trials: int, modules: Sequence[str] = ()) -> float:
    """Seconds a bare fork takes, from `os.fork` to the end of `waitpid`."""
    command = [sys.executable, "-c", FLOOR, str(trials), *modules]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def engine(trials: int, preload: Sequence[str] | None) -> float:
    """Seconds a trial from the first start to the last end, by the journal's clock, so without any imports before."""
    space = {"lr": loguniform(1e-6, 1.0)}
    with scratch() as home:
        tuner = Tuner(
            PythonBackend(training(), space, preload=preload),
            RandomSearch(space, metric="loss", random_seed=0),
            StoppingCriterion(max_num_trials_started=trials),
            n_workers=1,
            observers=[],
            home=home,
        )
        tuner.run()
        times = [r.event.at for r in read_journal(tuner.folder) if type(r.event).__name__.startswith("Trial")]
    return (times[-1] - times[0]) / trials


async def starts(backend: Any, folder: ExperimentFolder, trials: int) -> list[float]:
    """Seconds from the order to the first report's arrival, for each trial but the first."""
    found = []
    context = BackendContext(experiment="bench", folder=folder, n_workers=1)
    async with backend.open(context) as session:
        for trial in range(trials + 1):
            began = time.perf_counter()
            session.submit(StartTrial(trial=trial, attempt=0, config={}))
            over = False
            while not over:
                for signal in await session.receive():
                    if type(signal) is Reported:
                        found.append(time.perf_counter() - began)
                    over = type(signal) is Ended
    return found[1:]


def start(trials: int, preload: Sequence[str] | None) -> float:
    """The median of `starts` of the script with heavy imports."""
    with scratch() as path:
        script = Path(path) / "train.py"
        script.write_text(SCRIPT.format(modules=", ".join(HEAVY)))
        folder = ExperimentFolder(Path(path) / "experiment")
        folder.path.mkdir()
        return statistics.median(asyncio.run(starts(LocalBackend(script, preload=preload), folder, trials)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    a = parser.parse_args()
    pin()
    ours, bare, ratio = paired(lambda: engine(a.trials, []), lambda: floor(a.trials), a.runs)
    say(
        benchmark="function-trials", machine=machine(), trials=a.trials, runs=a.runs,
        forked_ms=1e3 * ours, bare_fork_ms=1e3 * bare, ratio=ratio,
    )  # fmt: skip
    fresh, ours, ratio = paired(lambda: engine(a.trials // 5, None), lambda: engine(a.trials, []), a.runs)
    say(benchmark="function-trials", fresh_ms=1e3 * fresh, forked_ms=1e3 * ours, times_faster=ratio)
    few = max(3, a.trials // 20)
    fresh, ours, ratio = paired(lambda: start(few, None), lambda: start(a.trials // 2, HEAVY), min(3, a.runs))
    say(
        benchmark="first-report", modules=" ".join(HEAVY), fresh_ms=1e3 * fresh, forked_ms=1e3 * ours,
        times_faster=ratio, bare_fork_ms=1e3 * floor(a.trials, HEAVY),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
