"""An idle engine, and a flood of reports.  python benchmarks/load.py [--seconds 20]

Idle: one trial that says nothing for the whole time; CPU of the engine's process and of its supervisor. Goal: 0.1 %.
Flood: 16 trials at 500 reports/s each. Goals: nothing lost, lag of the event loop p99 under 100 ms, memory growth under
100 MB. Lag is measured by a task that asks to be woken every 10 ms and notes how late it was.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path

from measure import machine, quantile, say, scratch

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import LocalBackend
from offbeat.config_space import uniform
from offbeat.optimizer.baselines import RandomSearch

TRIALS = Path(__file__).parent / "trials"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of_children(skip: str) -> float:
    """CPU seconds of this process's descendants, those apart whose command line holds `skip`."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        spent[int(entry.name)] = 0.0 if skip in command else (int(fields[11]) + int(fields[12])) / TICKS
    total = 0.0
    for pid, parent in parents.items():
        ancestor = parent
        while ancestor not in (0, os.getpid()):
            ancestor = parents.get(ancestor, 0)
        total += spent[pid] if ancestor == os.getpid() else 0.0
    return total


def resident_mb() -> float:
    """Memory of this process now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


async def idle(seconds: float) -> None:
    with scratch() as home:
        space = {"lr": uniform(0, 1), "epochs": 1, "interval": seconds * 2}
        tuner = Tuner(
            LocalBackend(TRIALS / "reporting.py"), RandomSearch(space, metric="loss", random_seed=0), None, n_workers=1,
            observers=[], home=home, grace=1.0,
        )  # fmt: skip
        async with tuner.session() as session:
            async for recorded in session.events(0):
                if type(recorded.event).__name__ == "TrialStarted":
                    break
            await asyncio.sleep(1.0)
            before = cpu_of_children("reporting.py")
            own = time.process_time()
            await asyncio.sleep(seconds)
            own = time.process_time() - own
            spent = own + cpu_of_children("reporting.py") - before
            session.stop()
        say(what="idle", seconds=seconds, cpu_percent=100 * spent / seconds, engine_percent=100 * own / seconds)


async def flood(seconds: float, trials: int, rate: int) -> None:
    reports = int(seconds * rate)
    lags: list[float] = []

    async def metronome() -> None:
        while True:
            due = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - due)

    with scratch() as home:
        space = {"lr": uniform(0, 1), "epochs": reports, "interval": 1.0 / rate}
        tuner = Tuner(
            LocalBackend(TRIALS / "reporting.py"),
            RandomSearch(space, metric="loss", resource_attr="epoch", random_seed=0),
            StoppingCriterion(max_num_trials_started=trials),
            n_workers=trials,
            home=home,
        )
        before, began = resident_mb(), time.monotonic()
        beat = asyncio.create_task(metronome())
        async with tuner.session() as session:
            await session.wait()
            counted = sum(trial.reports for trial in session.ledger)
        beat.cancel()
        took = time.monotonic() - began
        say(
            what="flood", trials=trials, reports_a_second=trials * rate, seconds=took, sent=trials * reports,
            counted=counted, lost=trials * reports - counted, lag_p50_ms=1e3 * quantile(lags, 0.5),
            lag_p99_ms=1e3 * quantile(lags, 0.99), lag_max_ms=1e3 * max(lags), memory_growth_mb=resident_mb() - before,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--rate", type=int, default=500)
    arguments = parser.parse_args()
    say(benchmark="load", machine=machine())
    asyncio.run(idle(arguments.seconds))
    asyncio.run(flood(arguments.seconds, arguments.trials, arguments.rate))


if __name__ == "__main__":
    main()
