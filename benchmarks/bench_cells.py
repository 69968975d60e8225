"""What a cell of `offbeat bench` costs: CPU seconds of one simulated run, beside the blackbox alone.

    python benchmarks/bench_cells.py [--data DIR] [--runs 5]

The floor asks the blackbox for the curves of as many configurations, one by one as a run does, and does nothing else.
Goal: a run of ASHA on LCBench 7593 (about 900 trials), its surrogate and the reading of its journal included, in under 3 s.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from development_tasks import DATA, tasks
from measure import machine, pin, say

from offbeat.bench.cell import Cell, run
from offbeat.bench.contestant import Contestant, contestants
from offbeat.bench.plan import key
from offbeat.bench.problem import Problem
from offbeat.bench.suite import benchmark


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--runs", type=int, default=5)
    a = parser.parse_args()
    pin()
    say(benchmark="bench_cells", machine=machine(), runs=a.runs)
    there = (a.data / "lcbench" / "model.onnx").is_file()
    for one in [benchmark("digits"), *(tasks(["lcbench-7593"], a.data) if there else [])]:
        problem = Problem(one)
        for contestant in contestants("random,asha,asha:type=promotion,median-stopping-rule"):
            measured(problem, contestant, a.runs)


def measured(problem: Problem, contestant: Contestant, runs: int) -> None:
    seconds, floors, found = [], [], None
    for seed in range(runs + 1):
        cell = Cell(key=key(contestant, problem, seed), contestant=contestant, benchmark=problem.benchmark, seed=seed)
        began = time.process_time()
        found = run(cell, problem)
        middle = time.process_time()
        for config in problem.drawn(found.trials, "floor"):
            problem.blackbox.curve(config, 0)
        if seed:  # the first one warms up
            seconds.append(middle - began)
            floors.append(time.process_time() - middle)
    assert found is not None
    say(
        task=problem.benchmark.name, scheduler=contestant.label, trials=found.trials, results=found.results,
        cpu_s=statistics.median(seconds), longest_s=max(seconds), blackbox_s=statistics.median(floors),
        times_the_blackbox=statistics.median(ours / floor for ours, floor in zip(seconds, floors, strict=True)),
    )  # fmt: skip


if __name__ == "__main__":
    main()
