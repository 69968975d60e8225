"""What do model-based multi-fidelity methods cost, and what do they find?

    python benchmarks/multi_fidelity_models.py                          # whole runs on LCBench 7593, its usual budget
    python benchmarks/multi_fidelity_models.py --suggestions            # one suggestion, by the number of observations
    python benchmarks/multi_fidelity_models.py --schedulers mobster,mobster:refit_evidence=0 --seeds 3

Whole runs: CPU seconds without the blackbox's, of one process with one BLAS thread, and the error of the incumbent at 20 and
100 % of the budget. Suggestions: medians of CPU milliseconds, each after a new observation, on curves cut at rungs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import measure
from development_tasks import DATA, tasks

METHODS = "asha,pasha,mobster:backend=numpy,hyper-tune:backend=numpy,dyhpo,asha-bore"

GOALS = {50: 20.0, 200: 40.0, 500: 100.0}


def suggestions(calls: int) -> None:
    import numpy as np

    from offbeat_plugins.acquisition.options import Data, Options
    from offbeat_plugins.acquisition.suggestion import suggest
    from offbeat_plugins.surrogates.blocks import Block, Layout

    layout = Layout([*(Block() for _ in range(7)), Block("resource")])
    rng, levels = np.random.default_rng(0), np.array([1, 3, 9, 27, 52]) / 52
    rows: list[list[float]] = []
    values: list[float] = []
    while len(rows) < max(GOALS) + calls + 2:
        config, kept = rng.random(7), 1 + min(4, int(rng.geometric(0.65)) - 1)
        for level in levels[:kept]:
            rows.append([*config, level])
            values.append(((config - 0.4) ** 2).sum() + 0.3 / (1 + 9 * level) + 0.05 * rng.standard_normal())
    x, y = np.array(rows), np.array(values)
    for kernel in ("exp-decay", "independent", "freeze-thaw"):
        for backend in ("numpy", "auto"):
            for n, goal in GOALS.items():
                options: Any = {"resource": kernel, "level": levels[2], "transform": "standardise", "capacity": 500}
                chosen, state, spent = Options(**options, evidence=1.0, backend=backend), None, []
                for call in range(calls + 2):
                    began = time.process_time()
                    answer = suggest(
                        Data(x[: n - calls + call], y[: n - calls + call]), layout, [0, call], state, chosen
                    )
                    spent.append(1e3 * (time.process_time() - began))
                    state = answer.state
                median = statistics.median(spent[2:])
                measure.say(benchmark="suggestion", kernel=kernel, backend=backend, n=n, ms=median, goal=goal)


def runs(schedulers: str, seeds: int, task: str, data: Path) -> None:
    from offbeat.bench.cell import Cell, run
    from offbeat.bench.contestant import contestants
    from offbeat.bench.problem import Problem

    problem = Problem(tasks([task], data)[0])
    budget = problem.benchmark.budget or 0.0
    for contestant in contestants(schedulers):
        for seed in range(seeds):
            found = run(Cell(key="", contestant=contestant, benchmark=problem.benchmark, seed=seed), problem)
            errors = {
                share: min((step.true for step in found.steps if step.at <= share * budget), default=float("nan"))
                for share in (0.2, 1.0)
            }
            measure.say(
                benchmark="run", task=task, scheduler=contestant.label, seed=seed, cpu_s=found.cpu, trials=found.trials,
                ms_a_trial=1e3 * found.cpu / found.trials, results=found.results, error_20=errors[0.2],
                error_100=errors[1.0], best=problem.benchmark.best,
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suggestions", action="store_true")
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--schedulers", default=METHODS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--task", default="lcbench-7593")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    measure.pin()
    measure.say(machine=measure.machine())
    if arguments.suggestions:
        suggestions(arguments.calls)
    else:
        runs(arguments.schedulers, arguments.seeds, arguments.task, arguments.data)


if __name__ == "__main__":
    main()
