"""What asking and telling costs, beside the same by hand.  python benchmarks/ask_tell.py

In memory: ask, one tell, complete, in CPU microseconds a trial; the floor draws the configuration and keeps the result in a
dictionary, nothing else. Goal: ask + tell of random search in 50 us.
On the disk: every answer waits for its own group; the floor is an fdatasync of one line, measured before and after. Clients
that ask and tell at once share groups: answers a second of 1, 8 and 64 of them on one event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

from measure import machine, pin, say, scratch

from offbeat import AskTell, AsyncAskTell
from offbeat.config_space import choice, loguniform, randint, uniform
from offbeat.optimizer.baselines import ASHA, RandomSearch

SPACE = {
    "lr": loguniform(1e-6, 1.0), "momentum": uniform(0, 1), "units": randint(8, 512), "act": choice(["a", "b", "c", "d"]),
}  # fmt: skip


def scheduler(method: str) -> Any:
    if method == "random":
        return RandomSearch(SPACE, "loss", resource_attr="epoch", random_seed=0)
    return ASHA(SPACE, "loss", resource_attr="epoch", max_t=81, random_seed=0)


def floor(trials: int) -> float:
    """CPU microseconds a trial by hand."""
    rnd = random.Random(0)
    low, span = math.log(1e-6), -math.log(1e-6)
    kept: dict[int, dict[str, Any]] = {}
    began = time.process_time()
    for trial in range(trials):
        config = {
            "lr": math.exp(low + span * rnd.random()), "momentum": rnd.random(), "units": rnd.randint(8, 512),
            "act": rnd.choice("abcd"),
        }  # fmt: skip
        kept[trial] = {"config": config, "status": "running"}
        kept[trial]["result"] = {"epoch": 1, "loss": config["lr"]}
        kept[trial]["status"] = "finished"
    return 1e6 * (time.process_time() - began) / trials


def in_memory(method: str, trials: int) -> tuple[float, float]:
    """CPU microseconds a trial: ask + tell, and complete (of a trial that goes on)."""
    clock = time.process_time_ns
    told = completed = 0
    with AskTell(scheduler(method)) as study:
        for _ in range(trials):
            began = clock()
            trial = study.ask()
            assert trial is not None
            decision = study.tell(trial, epoch=1, loss=trial.config["lr"])
            between = clock()
            if decision == "continue":
                study.complete(trial)
            completed += clock() - between
            told += between - began
    return told / trials / 1000, completed / trials / 1000


def fdatasync(folder: str, times: int = 100) -> float:
    """Median milliseconds to append a line and sync it."""
    fd = os.open(Path(folder) / "probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        os.write(fd, b"x" * 300)
        os.fdatasync(fd)
        taken.append(time.perf_counter() - began)
    os.close(fd)
    return 1e3 * statistics.median(taken)


def on_disk(home: str, name: str, trials: int) -> float:
    """Median milliseconds of an answer to `tell`."""
    taken = []
    with AskTell(scheduler("random"), name, home=home) as study:
        for _ in range(trials):
            trial = study.ask()
            began = time.perf_counter()
            study.tell(trial, epoch=1, loss=1.0)
            taken.append(time.perf_counter() - began)
            study.complete(trial)
    return 1e3 * statistics.median(taken)


def shared(home: str, name: str, clients: int, answers: int) -> float:
    """Answers a second of so many clients at once."""

    async def client(study: AsyncAskTell, tells: int) -> None:
        trial = await study.ask()
        assert trial is not None
        for epoch in range(1, tells + 1):
            await study.tell(trial, epoch=epoch, loss=1.0 / epoch)

    async def main() -> float:
        async with AsyncAskTell(scheduler("random"), name, home=home) as study:
            began = time.perf_counter()
            await asyncio.gather(*(client(study, answers // clients - 1) for _ in range(clients)))
            return time.perf_counter() - began

    return answers / asyncio.run(main())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--trials", type=int, default=5000)
    a = parser.parse_args()
    pin()
    say(benchmark="ask_tell", machine=machine(), trials=a.trials, runs=a.runs)
    for method in ("random", "asha"):
        in_memory(method, a.trials // 10), floor(a.trials // 10)
        found = [(*in_memory(method, a.trials), floor(a.trials)) for _ in range(a.runs)]
        told, completed, bare = (statistics.median(column) for column in zip(*found, strict=True))
        say(what="in memory", method=method, ask_and_tell_us=told, complete_us=completed, floor_us=bare,
            times_the_floor=(told + completed) / bare)  # fmt: skip
    with scratch() as home:
        found_ms, syncs = [], []
        for run in range(a.runs):
            syncs.append(fdatasync(home))
            found_ms.append(on_disk(home, f"plain-{run}", 100))
            syncs.append(fdatasync(home))
        tell, sync = statistics.median(found_ms), statistics.median(syncs)
        say(what="on the disk", tell_p50_ms=tell, fdatasync_p50_ms=sync, times_the_floor=tell / sync)
        for clients in (1, 8, 64):
            rates = [shared(home, f"shared-{clients}-{run}", clients, 640) for run in range(a.runs)]
            say(what="clients at once", clients=clients, answers_per_s=statistics.median(rates), syncs_per_s=1e3 / sync)


if __name__ == "__main__":
    main()
