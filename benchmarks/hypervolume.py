"""Hypervolume of what was found on NASBench-201's table, at equal evaluations.  python benchmarks/hypervolume.py [--seeds 10]

Objectives: validation error, latency and model size, each scaled to the range of the table's own Pareto set; the
reference point is 1.1 in each, and 1 is the whole table's volume. Four trials are always running, whose results come back in the
order in which they were asked for. pymoo's NSGA-II (population 20, integers with its rounding repair) stands beside ours where
it is installed, with as many evaluations. Shown are the mean over seeds and its standard error.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine, say

from offbeat import AskTell
from offbeat.config_space import choice
from offbeat.optimizer.baselines import EHVI, MOREA, NSGA2, MORandomScalarizationBayesOpt, RandomSearch
from offbeat.pareto import hypervolume, non_dominated

DATA = Path(__file__).parents[2] / "shared" / "data" / "nasbench201_cifar10.npz"
METRICS = ("error", "latency", "size")
WORKERS = 4
REFERENCE = [1.1] * len(METRICS)


class Table:
    """All configurations with their scaled objectives, (configurations, 3)."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as data:
            self.values = {one["name"]: one["values"] for one in json.loads(str(data["space"]))}
            error = 1 - np.nanmean(data["val_acc"].astype(float), axis=1) / 100
            rows = np.stack([error, *(data[name].astype(float) for name in COLUMNS)], axis=1)
        front = rows[non_dominated(rows)]
        self.rows = (rows - front.min(axis=0)) / (front.max(axis=0) - front.min(axis=0))
        self.place = {config: place for place, config in enumerate(product(*self.values.values()))}
        self.whole = hypervolume(self.rows[non_dominated(self.rows)], REFERENCE)

    def share(self, places: list[int]) -> float:
        """The volume of some configurations, as a share of that of all."""
        return hypervolume(self.rows[places], REFERENCE) / self.whole


COLUMNS = ("latency", "model_size")


def ours(table: Table, scheduler: Any, evaluations: int) -> list[int]:
    """Places of what was tried, in order."""
    study, running, found = AskTell(scheduler), deque[Any](), []
    while len(found) < evaluations:
        while len(running) < WORKERS:
            running.append(study.ask())
        trial = running.popleft()
        found.append(table.place[tuple(trial.config[name] for name in table.values)])
        study.tell(trial, **dict(zip(METRICS, table.rows[found[-1]].tolist(), strict=True)))
        study.complete(trial)
    return found


def pymoo(table: Table, seed: int, evaluations: int) -> list[int]:
    """The same of pymoo's NSGA-II."""
    from pymoo.algorithms.moo import nsga2
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    sizes = [len(values) for values in table.values.values()]
    found: list[int] = []

    class Lookup(ElementwiseProblem):  # type: ignore[misc]
        def __init__(self) -> None:
            upper = np.array(sizes) - 1
            super().__init__(n_var=len(sizes), n_obj=3, xl=np.zeros(len(sizes), dtype=int), xu=upper, vtype=int)

        def _evaluate(self, x: Any, out: Any, *args: Any, **kwargs: Any) -> None:
            found.append(int(np.ravel_multi_index(np.asarray(x, dtype=int), sizes)))
            out["F"] = table.rows[found[-1]]

    repair = RoundingRepair()
    peer = nsga2.NSGA2(
        pop_size=20, sampling=IntegerRandomSampling(), crossover=SBX(repair=repair), mutation=PM(repair=repair),
        eliminate_duplicates=True,
    )  # fmt: skip
    minimize(Lookup(), peer, ("n_eval", evaluations), seed=seed + 1, verbose=False)
    return found[:evaluations]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--model-evaluations", type=int, default=100, help="of the model-based ones, which take longer")
    args = parser.parse_args()
    say(machine=machine())
    table = Table(DATA)
    space = {name: choice(values) for name, values in table.values.items()}
    plain = {
        "random search": RandomSearch,
        "NSGA2": NSGA2,
        "MOREA": lambda *given, **more: MOREA(*given, **more, population_size=20, sample_size=5),
    }
    models = {"random scalarisation": MORandomScalarizationBayesOpt, "EHVI": EHVI}
    at = sorted({args.evaluations // 4, args.model_evaluations, args.evaluations})
    for name, kind in {**plain, **({"pymoo NSGA-II": None} if find_spec("pymoo") else {}), **models}.items():
        most = args.model_evaluations if name in models else args.evaluations
        began = time.process_time()
        shares = []
        for seed in range(args.seeds):
            if kind is None:
                found = pymoo(table, seed, most)
            else:
                options: dict[str, Any] = {"backend": "numpy"} if name in models else {}
                found = ours(table, kind(space, METRICS, random_seed=seed, **options), most)
            shares.append([table.share(found[:count]) for count in at if count <= most])
        figures = np.array(shares)
        say(
            method=name, seeds=args.seeds, cpu_s=time.process_time() - began,
            **{f"at_{count}": round(float(v), 4) for count, v in zip(at, figures.mean(axis=0), strict=False)},
            **{
                f"se_{count}": round(float(v), 4)
                for count, v in zip(at, figures.std(axis=0, ddof=1) / np.sqrt(args.seeds), strict=False)
            },
        )  # fmt: skip


if __name__ == "__main__":
    main()
