"""Results a second of trials that are coroutines, beside bare asyncio.  python benchmarks/coroutines.py

Every trial reports 100 times and waits for each decision. The floor does the same by hand: tasks that append a row and wait
for a future each, one task that takes the rows, keeps them in a list, and answers; no engine, no journal, no scheduler.
offbeat runs the whole engine, journal included. Both on one core, in turn in one run, in CPU seconds; `wall_per_s` is what a
clock on the wall saw. Goal: 20,000 results a CPU second at 4 workers.
`stops` is the share of results that end a trial early (ASHA's): under durability "commit" each of them waits for the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import time
from typing import Any

from measure import machine, pin, say, scratch

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import CoroutineBackend
from offbeat.config_space import loguniform
from offbeat.optimizer.baselines import ASHA, RandomSearch

EPOCHS = 100
SPACE = {"lr": loguniform(1e-4, 1.0), "epochs": EPOCHS}


async def objective(trial: Any) -> None:
    lr = trial.config["lr"]
    for epoch in range(1, EPOCHS + 1):
        await trial.report(epoch=epoch, loss=lr / epoch)


def floor(workers: int, results: int) -> float:
    """Results a second of the same conversation without an engine."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting: list[tuple[dict[str, Any], asyncio.Future[str]]] = []
        rows: list[dict[str, Any]] = []
        wake = asyncio.Event()

        async def trial(lr: float) -> None:
            while True:
                for epoch in range(1, EPOCHS + 1):
                    future: asyncio.Future[str] = loop.create_future()
                    waiting.append(({"epoch": epoch, "loss": lr / epoch}, future))
                    wake.set()
                    await future

        tasks = [asyncio.create_task(trial(0.1 + n)) for n in range(workers)]
        while len(rows) < results:
            await wake.wait()
            wake.clear()
            batch, waiting[:] = waiting[:], []
            for row, future in batch:
                rows.append(row)
                future.set_result("continue")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    began = time.process_time()
    asyncio.run(main())
    return results / (time.process_time() - began)


def offbeat(method: str, workers: int, results: int, durability: Any) -> tuple[float, float, float]:
    """Results a CPU second and a second, share of results that ended a trial early; from the making to the closed journal."""
    if method == "random":
        scheduler: Any = RandomSearch(SPACE, "loss", resource_attr="epoch", random_seed=0)
    else:
        scheduler = ASHA(SPACE, "loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=0)
    with scratch() as home:
        began, cpu = time.perf_counter(), time.process_time()
        tuner = Tuner(
            CoroutineBackend(objective), scheduler, StoppingCriterion(max_num_evaluations=results), workers,
            observers=[], home=home, durability=durability, name="run",
        )  # fmt: skip

        async def main() -> int:
            async with tuner.session() as session:
                await session.wait()
                return sum(trial.status.value == "stopped" for trial in session.ledger)

        stopped = asyncio.run(main())
        return results / (time.process_time() - cpu), results / (time.perf_counter() - began), stopped / results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--results", type=int, default=20_000)
    a = parser.parse_args()
    logging.getLogger("offbeat").setLevel(logging.ERROR)  # that a script's own function cannot be described
    pin()
    say(benchmark="coroutines", machine=machine(), results=a.results, runs=a.runs)
    for method, workers, durability in (
        ("random", 1, "commit"), ("random", 4, "commit"), ("random", 64, "commit"), ("random", 4, "batch"),
        ("asha", 4, "commit"), ("asha", 64, "commit"), ("asha", 4, "batch"),
    ):  # fmt: skip
        offbeat(method, workers, a.results // 10, durability), floor(workers, a.results // 10)
        pairs = [(offbeat(method, workers, a.results, durability), floor(workers, a.results)) for _ in range(a.runs)]
        say(
            method=method, workers=workers, durability=durability, stops=pairs[0][0][2],
            results_per_s=statistics.median(ours for (ours, _, _), _ in pairs),
            floor_per_s=statistics.median(theirs for _, theirs in pairs),
            share_of_floor=statistics.median(ours / theirs for (ours, _, _), theirs in pairs),
            wall_per_s=statistics.median(wall for (_, wall, _), _ in pairs),
        )  # fmt: skip


if __name__ == "__main__":
    main()
