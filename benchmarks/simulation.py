"""Results a second in simulated time, beside a plain-Python floor.  python benchmarks/simulation.py [--large]

The workload of both: 100 epochs of about 30 simulated seconds, four hyperparameters, an analytic learning curve. The floor
is a bare heap loop that does random search or stopping ASHA by hand and keeps every result as a dictionary: no engine, no
journal, no plugin. offbeat runs the whole engine, journal included. CPU seconds, on one core, in turn in one run.
Goals: ASHA at least 0.6 of the floor, random search 0.4; from 10k to 1M results at most 110 times the time, under 1 GB;
600 s epochs as fast as 30 s ones (1.05); one-epoch trials 30k/s; two processes at least 1.6 times one.
With `--peer PYTHON` also Syne Tune 0.13 and offbeat in turn, both with as few results as it can do in some seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import heapq
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine, paired, pin, say, scratch

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SimulatedBackend
from offbeat.config_space import choice, loguniform, randint, uniform
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat_plugins.blackboxes.function import FunctionBlackbox

SPACE = {
    "lr": loguniform(1e-6, 1.0), "momentum": uniform(0, 1), "units": randint(8, 512), "act": choice(["a", "b", "c", "d"]),
}  # fmt: skip


def floor(method: str, workers: int, results: int, epochs: int, epoch_seconds: float) -> float:
    """CPU seconds of the same search by hand."""
    began = time.process_time()
    rnd = random.Random(0)
    powers = np.arange(1, epochs + 1) ** -0.7
    rungs: dict[int, list[float]] = {}
    level = 1
    while method == "asha" and level < epochs:
        rungs[level] = []
        level *= 3
    heap: list[Any] = []
    rows: list[dict[str, Any]] = []
    trials: dict[int, dict[str, Any]] = {}
    seq = trial = count = 0
    now, free = 0.0, workers
    low, span = math.log(1e-6), -math.log(1e-6)
    while count < results:
        while free:
            config = {
                "lr": math.exp(low + span * rnd.random()), "momentum": rnd.random(), "units": rnd.randint(8, 512),
                "act": rnd.choice("abcd"),
            }  # fmt: skip
            losses = (
                0.1 + 0.02 * (math.log10(config["lr"]) + 3) ** 2 + 0.1 * abs(config["momentum"] - 0.7)
                + (0.5 + config["units"] / 1024) * powers
            ).tolist()  # fmt: skip
            step = epoch_seconds * (0.5 + config["units"] / 512)
            heapq.heappush(heap, (now + step, seq, trial, 1, step, losses))
            trials[trial] = {"config": config, "status": "running", "start": now, "results": []}
            seq, trial, free = seq + 1, trial + 1, free - 1
        now, _, tid, epoch, step, losses = heapq.heappop(heap)
        loss = losses[epoch - 1]
        count += 1
        stop = epoch >= epochs
        rung = rungs.get(epoch)
        if rung is not None:
            bisect.insort(rung, loss)
            if len(rung) >= 3 and loss > rung[max(0, len(rung) // 3 - 1)]:
                stop = True
        row = {"trial": tid, "epoch": epoch, "loss": loss, "elapsed": epoch * step, "time": now, "stop": stop}
        rows.append(row)
        trials[tid]["results"].append(row)
        if stop:
            trials[tid]["status"], trials[tid]["end"] = "ended", now
            free += 1
        else:
            heapq.heappush(heap, (now + step, seq, tid, epoch + 1, step, losses))
            seq += 1
    return time.process_time() - began


def blackbox(epochs: int, epoch_seconds: float) -> FunctionBlackbox:
    """The floor's curve as a blackbox."""
    levels = np.arange(1, epochs + 1)
    powers = levels**-0.7

    def curve(config: Mapping[str, Any], _levels: Any, _seed: int) -> dict[str, Any]:
        base = 0.1 + 0.02 * (math.log10(config["lr"]) + 3) ** 2 + 0.1 * abs(config["momentum"] - 0.7)
        step = epoch_seconds * (0.5 + config["units"] / 512)
        return {"loss": base + (0.5 + config["units"] / 1024) * powers, "elapsed": levels * step}

    return FunctionBlackbox(curve, SPACE, levels=epochs, objectives={"loss": "min"}, whole_curve=True)


def tuner_for(
    method: str, workers: int, results: int, epochs: int, epoch_seconds: float, durability: Any, home: Path
) -> Tuner:
    """The search of the floor as a run of the engine."""
    if method == "random":
        scheduler: Any = RandomSearch(SPACE, "loss", resource_attr="epoch", random_seed=0)
    else:
        kind: Any = "stopping" if method == "asha" else "promotion"
        scheduler = ASHA(SPACE, "loss", resource_attr="epoch", max_t=epochs, type=kind, random_seed=0)
    return Tuner(
        SimulatedBackend(blackbox(epochs, epoch_seconds)), scheduler,
        StoppingCriterion(max_num_evaluations=results), workers, observers=[], home=home, durability=durability,
    )  # fmt: skip


def offbeat(method: str, workers: int, results: int, epochs: int, epoch_seconds: float, durability: Any) -> float:
    """CPU seconds of the whole run, from the tuner's making to the closed journal."""
    with scratch() as home:
        began = time.process_time()
        asyncio.run(tuner_for(method, workers, results, epochs, epoch_seconds, durability, home).arun())
        return time.process_time() - began


def loop_gaps(method: str, results: int, clock: Callable[[], float]) -> list[float]:
    """Milliseconds between two turns that another task of the loop gets, while offbeat runs.

    On the thread's own clock what other processes take on a busy machine is left out.
    """
    gaps: list[float] = []

    async def bystander() -> None:
        last = clock()
        while True:
            await asyncio.sleep(0)
            now = clock()
            gaps.append(1e3 * (now - last))
            last = now

    async def both(tuner: Tuner) -> None:
        other = asyncio.ensure_future(bystander())
        await tuner.arun()
        other.cancel()

    with scratch() as home:
        asyncio.run(both(tuner_for(method, 4, results, 100, 30.0, "batch", home)))
    return sorted(gaps)


def peak_mb() -> float:
    """Highest memory of this process so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def fresh(*arguments: Any) -> dict[str, float]:
    """One run in a process of its own: seconds and peak memory."""
    command = [sys.executable, __file__, "--one", json.dumps(arguments)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1]))


def beside_peer(python: str, runs: int, results: int = 3_000) -> None:
    """Syne Tune and offbeat in turn, the same number of results each."""
    for method in ("random", "asha"):
        command = [python, str(Path(__file__).parent / "peers" / "synetune_simulation.py"), method, "4", str(results)]

        def peer(command: list[str] = command) -> float:
            done = subprocess.run(command, check=True, capture_output=True)
            return float(json.loads(done.stdout.splitlines()[-1])["results_per_s"])

        def ours(method: str = method) -> float:
            return results / offbeat(method, 4, results, 100, 30.0, "batch")

        ours_per_s, peer_per_s, ratio = paired(ours, peer, runs)
        say(
            peer="syne-tune 0.13", method=method, workers=4, results=results, results_per_s=ours_per_s,
            peer_per_s=peer_per_s, times_faster=ratio,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--peer", metavar="PYTHON", help="interpreter with syne-tune 0.13, see peers/synetune_simulation.py"
    )
    parser.add_argument("--large", action="store_true", help="also 1,000,000 results, one-epoch trials, two processes")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.one:
        seconds = offbeat(*json.loads(a.one))
        sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}) + "\n")
        return
    cores = sorted(os.sched_getaffinity(0))
    pin()
    n = 10_000
    say(benchmark="simulation", machine=machine(), results=n, runs=a.runs)
    for method, workers, durability in (
        ("random", 4, "batch"), ("asha", 4, "batch"), ("asha", 64, "batch"), ("promotion", 4, "batch"),
        ("random", 4, "end"), ("asha", 4, "end"),
    ):  # fmt: skip
        bare = "random" if method == "random" else "asha"
        offbeat(method, workers, n, 100, 30.0, durability)
        pairs = [
            (offbeat(method, workers, 10 * n, 100, 30.0, durability), floor(bare, workers, 10 * n, 100, 30.0))
            for _ in range(a.runs)
        ]
        say(
            method=method, workers=workers, durability=durability, results=10 * n,
            results_per_s=10 * n / statistics.median(ours for ours, _ in pairs),
            floor_per_s=10 * n / statistics.median(theirs for _, theirs in pairs),
            share_of_floor=statistics.median(theirs / ours for ours, theirs in pairs),
        )  # fmt: skip
    if a.peer:
        beside_peer(a.peer, min(3, a.runs))
    for method in ("random", "asha"):
        for name, clock in (("wall", time.perf_counter), ("thread", time.thread_time)):
            gaps = loop_gaps(method, 10 * n, clock)
            say(what="turns of another task on the loop", method=method, clock=name, p50_ms=statistics.median(gaps),
                p99_ms=gaps[int(0.99 * len(gaps))], longest_ms=gaps[-1])  # fmt: skip
    if a.large:
        slow = [offbeat("asha", 4, 10 * n, 100, 600.0, "batch") for _ in range(a.runs)]
        fast = [offbeat("asha", 4, 10 * n, 100, 30.0, "batch") for _ in range(a.runs)]
        say(what="600 s epochs against 30 s", ratio=statistics.median(slow) / statistics.median(fast))
        short = [offbeat("random", 4, n, 1, 30.0, "batch") for _ in range(a.runs)]
        say(what="one-epoch trials", trials_per_s=n / statistics.median(short))
        small = statistics.median(fresh("asha", 4, n, 100, 30.0, "batch")["seconds"] for _ in range(a.runs))
        large = fresh("asha", 4, 100 * n, 100, 30.0, "batch")
        say(what="10k to 1M results", growth=large["seconds"] / small, peak_mb=large["peak_mb"])
        os.sched_setaffinity(0, set(cores[:2]))
        command = [sys.executable, __file__, "--one", json.dumps(("asha", 4, 30 * n, 100, 30.0, "batch"))]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        one = time.perf_counter() - began
        began = time.perf_counter()
        both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
        for process in both:
            process.wait()
        say(what="two processes against one", throughput=2 * one / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
