"""Reading tables from a blackbox repository, and answering for what they do not hold.  python benchmarks/repository.py

A table of the size of LCBench is written first: 2,000 configurations, 50 resource levels, 34 tasks, 7 objectives, one
shared array (95 MB). `read` opens one task of it: seconds, beside the floor measured in turn with it, NumPy and pyarrow
reading the same files and nothing else (the array mapped, the task copied from it; the columns as lists). `read all` is
the same for every task. Goal: one second. `nearest` asks for configurations that are not in the table, one after the other:
microseconds each, beside scipy's tree alone. Goal: 50. `asha` is a simulated run of 2,000 trials with 4 workers on that:
results a second, beside 1,800 trials whose configurations are the table's rows by number.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine, paired, pin, say, scratch

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SimulatedBackend
from offbeat.blackbox import BlackboxRepository, TabularBlackbox, add_surrogate
from offbeat.config_space import choice, lograndint, loguniform, randint, uniform
from offbeat.optimizer.baselines import ASHA
from offbeat.space import Space
from offbeat_plugins.blackboxes.repository import columns

SPACE = {
    "batch_size": lograndint(16, 512), "learning_rate": loguniform(1e-4, 0.1), "momentum": uniform(0.1, 0.99),
    "weight_decay": uniform(1e-5, 0.1), "num_layers": choice(["1", "2", "3", "4"]), "max_units": randint(64, 1024),
    "max_dropout": uniform(0.0, 1.0),
}  # fmt: skip
CONFIGS, LEVELS, TASKS, OBJECTIVES = 2000, 50, 34, 7


def written(root: Path) -> BlackboxRepository:
    space, rng = Space(SPACE), np.random.default_rng(1)
    configs = [space.from_units(rng.random(space.width)) for _ in range(CONFIGS)]
    names: dict[str, Any] = {"time": None, **{f"val_{i}_error": "min" for i in range(1, OBJECTIVES)}}
    tables = {}
    for task in range(TASKS):
        values = rng.random((CONFIGS, 1, LEVELS, OBJECTIVES), dtype=np.float32)
        values[..., 0] = np.cumsum(values[..., 0], axis=2)
        tables[str(task)] = TabularBlackbox(
            space, configs, values, objectives=names, levels=range(1, LEVELS + 1), elapsed_attr="time"
        )
    repository = BlackboxRepository(root)
    repository.write("table", tables)
    return repository


def timed(call: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def tasks(repository: BlackboxRepository, n: int) -> object:
    """The first n tasks, with nothing kept from an earlier call."""
    columns._read.cache_clear()
    return [repository.table("table", str(task)) for task in range(n)]


def floor(folder: Path, n: int) -> object:
    """What the libraries need for the numbers of n tasks and for the columns."""
    from pyarrow import parquet

    values = np.array(np.load(folder / "objectives_evaluations.npy", mmap_mode="r")[:n])
    table = parquet.read_table(folder / "hyperparameters.parquet")
    return values, {name: table.column(name).to_pylist() for name in table.column_names}


def simulated(blackbox: Any, space: Any, trials: int) -> float:
    """Results a second of one seeded run."""
    names = [name for name in blackbox.objectives if name != "time"]
    scheduler = ASHA(
        {**space, "epochs": LEVELS}, names[0], resource_attr="epoch", max_resource_attr="epochs", random_seed=1,
        points_to_evaluate=[],
    )  # fmt: skip
    with scratch() as home:
        tuner = Tuner(
            SimulatedBackend(blackbox, max_resource_attr="epochs"), scheduler,
            StoppingCriterion(max_num_trials_started=trials), n_workers=4, name="run", home=home, observers=[],
        )  # fmt: skip
        start = time.perf_counter()
        outcome = tuner.run()
        seconds = time.perf_counter() - start
        from offbeat.results import load

        return float(load(outcome.folder).n_results / seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--trials", type=int, default=2000)
    args = parser.parse_args()
    pin()
    say(benchmark="repository", machine=machine(), runs=args.runs)
    with tempfile.TemporaryDirectory(prefix="offbeat-bench-", dir=os.environ.get("OFFBEAT_BENCH_DIR")) as root:
        repository = written(Path(root))
        folder = Path(root) / "table"
        ours, theirs, ratio = paired(
            lambda: timed(lambda: tasks(repository, 1)), lambda: timed(lambda: floor(folder, 1)), args.runs
        )
        say(what="read", seconds=ours, floor=theirs, ratio=ratio)
        ours, theirs, ratio = paired(
            lambda: timed(lambda: tasks(repository, TASKS)), lambda: timed(lambda: floor(folder, TASKS)), args.runs
        )
        say(what="read all", tasks=TASKS, seconds=ours, floor=theirs, ratio=ratio)
        box: Any = repository.table("table", "3")
        near = add_surrogate(box)
        rng = np.random.default_rng(2)
        configs = [box.space.from_units(rng.random(box.space.width)) for _ in range(args.queries)]
        codes = box.space.encode(configs)
        from scipy.spatial import cKDTree

        tree = cKDTree(box.space.encode(box.configs))
        ours, theirs, ratio = paired(
            lambda: timed(lambda: [near.curve(config, 0) for config in configs]) / args.queries * 1e6,
            lambda: timed(lambda: [tree.query(code) for code in codes]) / args.queries * 1e6,
            args.runs,
        )
        say(what="nearest", microseconds=ours, floor=theirs, ratio=ratio)
        batched = min(timed(lambda: near.curves(configs, [0] * len(configs))) for _ in range(args.runs))
        say(what="nearest, all at once", microseconds=batched / args.queries * 1e6)
        listed = TabularBlackbox(
            {"row": randint(0, CONFIGS - 1)}, [{"row": i} for i in range(CONFIGS)], box.values,
            objectives=box.objectives, levels=box.levels, elapsed_attr="time",
        )  # fmt: skip
        ours, theirs, ratio = paired(
            lambda: simulated(near, dict(box.space.domains), args.trials),
            lambda: simulated(listed, dict(listed.space.domains), args.trials * 9 // 10),
            max(1, args.runs // 2),
        )
        say(what="asha", results_per_second=ours, without_a_surrogate=theirs, ratio=ratio)


if __name__ == "__main__":
    main()
