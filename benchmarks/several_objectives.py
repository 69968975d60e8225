"""Several objectives: sorting, hypervolume, and MOASHA beside ASHA in simulated time.  python benchmarks/several_objectives.py

Goals: non-dominated sorting of 10,000 points in 3 objectives in 50 ms, the hypervolume of 1,000 points in 4 in 100 ms (with the
extra `pareto`), MOASHA at most twice ASHA's CPU time for as many simulated results. CPU seconds on one core; ASHA and MOASHA
in turn, on the same curves, of which ASHA ranks the first objective alone. pymoo's sorting stands beside ours where it is
installed.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine, paired, pin, say, scratch

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SimulatedBackend
from offbeat.config_space import choice, loguniform, randint, uniform
from offbeat.optimizer.baselines import ASHA, MOASHA
from offbeat.pareto import fronts, hypervolume
from offbeat_plugins.blackboxes.function import FunctionBlackbox

SPACE = {
    "lr": loguniform(1e-6, 1.0), "momentum": uniform(0, 1), "units": randint(8, 512), "act": choice(["a", "b", "c", "d"]),
}  # fmt: skip
EPOCHS = 100


def blackbox() -> FunctionBlackbox:
    """A loss that falls with every epoch, a latency that grows with the network, and its memory, which has steps."""
    levels = np.arange(1, EPOCHS + 1)
    powers = levels**-0.7

    def curve(config: Mapping[str, Any], _levels: Any, _seed: int) -> dict[str, Any]:
        base = 0.1 + 0.02 * (math.log10(config["lr"]) + 3) ** 2 + 0.1 * abs(config["momentum"] - 0.7)
        latency = config["units"] * (1.0 + 0.1 * "abcd".index(config["act"])) * (1.0 + 0.3 * config["momentum"])
        return {
            "loss": base + (0.5 + 8.0 / config["units"]) * powers,
            "latency": np.full(EPOCHS, latency),
            "memory": np.full(EPOCHS, float(-(-config["units"] // 64))),
            "elapsed": levels * 30.0 * (0.5 + config["units"] / 512),
        }

    objectives: Any = {"loss": "min", "latency": "min", "memory": "min", "elapsed": None}
    return FunctionBlackbox(
        curve, SPACE, levels=EPOCHS, objectives=objectives, elapsed_attr="elapsed", whole_curve=True
    )


def simulated(kind: Any, metric: Any, workers: int, results: int) -> Callable[[], float]:
    """CPU seconds of a run with so many results."""

    def run() -> float:
        with scratch() as home:
            scheduler = kind(SPACE, metric, resource_attr="epoch", max_t=EPOCHS, random_seed=0)
            tuner = Tuner(
                SimulatedBackend(blackbox()), scheduler, StoppingCriterion(max_num_evaluations=results), workers,
                observers=[], home=Path(home), durability="end",
            )  # fmt: skip
            began = time.process_time()
            tuner.run()
            return time.process_time() - began

    return run


def seconds(call: Callable[[], object], runs: int) -> float:
    """The lowest CPU time."""
    taken = []
    for _ in range(runs):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--results", type=int, nargs="*", default=[10_000])
    args = parser.parse_args()
    pin()
    say(machine=machine())
    rng = np.random.default_rng(0)
    for width in (2, 3, 4):
        points = rng.random((10_000, width))
        figures = {"objectives": width, "points": 10_000, "ms": 1e3 * seconds(lambda p=points: fronts(p), args.runs)}
        if find_spec("pymoo") is not None:
            from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

            figures["pymoo_ms"] = 1e3 * seconds(lambda p=points: NonDominatedSorting().do(p), 1)
        say(what="non-dominated sorting", goal_ms=50 if width == 3 else None, **figures)
    for width in (2, 3, 4):
        points = rng.random((1_000, width))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        say(
            what="hypervolume", objectives=width, points=1_000, with_moocore=find_spec("moocore") is not None,
            goal_ms=100 if width == 4 else None,
            ms=1e3 * seconds(lambda p=points: hypervolume(p, [1.1] * p.shape[1]), args.runs),
        )  # fmt: skip
    for results in args.results:
        for workers in (4, 64):
            for metric in (["loss", "latency"], ["loss", "latency", "memory"]):
                ours, theirs, ratio = paired(
                    simulated(MOASHA, metric, workers, results), simulated(ASHA, "loss", workers, results), args.runs
                )
                say(
                    what="MOASHA against ASHA", objectives=len(metric), workers=workers, results=results,
                    moasha_us=1e6 * ours / results, asha_us=1e6 * theirs / results, ratio=ratio, goal_at_most=2,
                )  # fmt: skip


if __name__ == "__main__":
    main()
