"""CPU seconds of every random-based multi-fidelity and population method beside ASHA's.  python benchmarks/multi_fidelity.py

Whole runs of the engine with 4 simulated workers, journal included, until so many results are in: on an analytic curve of 81
epochs, where hardly anything but engine and scheduler takes time, and on LCBench's task 7593 (its network answers one
configuration in about a tenth of a millisecond), where it lies below --data. Each method runs in turn with ASHA (stopping),
on one core; the figure is the median of the ratios of CPU seconds per result. Goal: 1.5 at most. Methods with a model are
shown with --models, over fewer results; what they may cost is said elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from measure import machine, paired, pin, say, scratch

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SimulatedBackend
from offbeat.optimizer import baselines
from offbeat.results import load

DATA = Path(__file__).parents[2] / "shared" / "data"

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "ASHA promotion": ("ASHA", {"type": "promotion"}),
    "MedianStoppingRule": ("MedianStoppingRule", {}),
    "PASHA": ("PASHA", {}),
    "SyncHyperband": ("SyncHyperband", {}),
    "DEHB": ("DEHB", {}),
    "PopulationBasedTraining": ("PopulationBasedTraining", {"population_size": 40}),
}
"""Label -> class and options. A population of 40 that trains for 52 epochs gives at least 2,000 results."""

POPULATION_RESULTS = 2_000

MODELS: dict[str, tuple[str, dict[str, Any]]] = {"BOHB": ("BOHB", {}), "SyncBOHB": ("SyncBOHB", {})}


def toy() -> tuple[Any, str]:
    """The curve of `simulation.py`, and the name of its metric."""
    from simulation import blackbox

    return blackbox(81, 30.0), "loss"


def lcbench(data: Path) -> tuple[Any, str]:
    """Task 7593, and the name of its metric."""
    from offbeat_plugins.blackboxes.onnx import lcbench as task

    return task(data / "lcbench", "7593"), "val_cross_entropy"


counts: dict[tuple[str, str | None], float] = {}
"""Results for each start or resumption, of a method's last run: one that starts many trials pays for them."""


def cpu_per_result(name: str, options: dict[str, Any], box: Any, metric: str, results: int) -> float:
    """CPU seconds of a whole run over its results, from the tuner's making to the closed journal."""
    scheduler, resource = getattr(baselines, name), box.resource_attr
    space = {**box.space.domains, **box.space.constants, "most": len(box.levels)}
    with scratch() as home:
        began = time.process_time()
        given = {"resource_attr": resource, "max_resource_attr": "most", "random_seed": 1, **options}
        mode = box.objectives[metric]
        tuner = Tuner(
            SimulatedBackend(box, max_resource_attr="most"), scheduler(space, metric, mode, **given),
            StoppingCriterion(max_num_evaluations=results), 4, name="run", observers=[], home=home, durability="batch",
        )  # fmt: skip
        asyncio.run(tuner.arun())
        spent = time.process_time() - began
        records = list(load("run", home).ledger)
        counts[name, options.get("type")] = sum(record.reports for record in records) / sum(
            record.attempt + 1 for record in records
        )
        return spent / sum(record.reports for record in records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--results", type=int, default=20_000)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with lcbench/")
    parser.add_argument("--models", action="store_true")
    a = parser.parse_args()
    pin()
    say(benchmark="multi_fidelity", machine=machine(), results=a.results, runs=a.runs)
    tasks: dict[str, Callable[[], tuple[Any, str]]] = {"curve": toy}
    if (a.data / "lcbench" / "model.onnx").is_file():
        tasks["lcbench-7593"] = lambda: lcbench(a.data)
    else:
        say(skipped="lcbench-7593", why=f"no model.onnx in {a.data / 'lcbench'}")
    for task, make in tasks.items():
        box, metric = make()
        for methods, results in ((METHODS, a.results), (MODELS if a.models else {}, a.results // 10)):
            for label, (name, options) in methods.items():
                if name == "PopulationBasedTraining":
                    results = min(results, POPULATION_RESULTS)  # noqa: PLW2901 - the run ends with its members
                ours, asha, ratio = paired(
                    partial(cpu_per_result, name, options, box, metric, results),
                    partial(cpu_per_result, "ASHA", {}, box, metric, results),
                    a.runs,
                )
                say(
                    task=task, method=label, results=results, us_per_result=1e6 * ours, asha_us_per_result=1e6 * asha,
                    times_asha=ratio, results_per_attempt=counts[name, options.get("type")],
                    asha_results_per_attempt=counts["ASHA", None],
                )  # fmt: skip


if __name__ == "__main__":
    main()
