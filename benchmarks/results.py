"""How long does it take to read results?  python benchmarks/results.py [--trials 10000]

Loads an experiment with ten results a trial, makes its tables, and refreshes it, each beside a floor in the same run: the
journal's lines parsed with json and nothing else (no hash, no fold, no check). Tables of pandas need the extra `pandas`.
Goals: loading no slower than the floor, a table of pandas at most twice as slow; a refresh without news under 1 ms.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import machine, paired, pin, say, scratch
from resume import write

from offbeat import list_experiments, load_experiment
from offbeat.home import ExperimentFolder


def seconds(work: Callable[[], Any]) -> Callable[[], float]:
    def timed() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    pin()
    say(machine=machine(), trials=args.trials, results=10 * args.trials, runs=args.runs)
    with scratch() as base:
        home = Path(base)
        write(ExperimentFolder(home / "large"), "random", args.trials)
        segments = sorted((home / "large" / "journal").glob("*.jsonl"))
        floor = seconds(lambda: [json.loads(line) for path in segments for line in path.open("rb")])
        experiment = load_experiment("large", home)
        works: dict[str, Callable[[], Any]] = {
            "load": lambda: load_experiment("large", home),
            "rows": lambda: [row for row in experiment.results()],  # noqa: C416 - what a user's loop does
            "csv": lambda: experiment.to_csv(home / "large.csv"),
        }
        try:
            experiment.to_pandas()
        except ImportError as error:
            say(skipped="pandas", why=str(error))
        else:
            works["pandas"] = experiment.to_pandas
        for name, work in works.items():
            ours, theirs, ratio = paired(seconds(work), floor, args.runs)
            say(what=name, seconds=ours, floor_seconds=theirs, ratio=ratio)
        idle = [seconds(experiment.refresh)() for _ in range(200)]
        say(what="refresh without news", median_ms=1000 * sorted(idle)[100])
    with scratch() as base:
        home = Path(base)
        for number in range(100):
            write(ExperimentFolder(home / f"small-{number}"), "random", 10)
        whole, by_head, ratio = paired(
            seconds(lambda: list_experiments(home=home)),
            seconds(lambda: list_experiments(home=home, metric="another")),
            args.runs,
        )
        say(what="listing of 100 experiments with 100 results", seconds=whole, told_by_the_head=by_head, ratio=ratio)


if __name__ == "__main__":
    main()
