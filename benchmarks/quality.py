"""How good is what is found: schedulers on the development tasks and digits, beside recorded runs of other tools.

    python benchmarks/quality.py --seeds 30 --jobs 2 --output quality

Simulated time, four asynchronous workers; see `offbeat bench`, which this is for tasks that lie in files of their own. The
page with all figures is `quality/comparison.html`; here each method's mean regret, its interval and CPU seconds a run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from development_tasks import DATA, NAMES, RECORDED, tasks
from measure import machine, say

from offbeat.bench import compare
from offbeat.bench.comparison import CHECKPOINTS
from offbeat.bench.writing import write

SCHEDULERS = "random,asha,asha:type=promotion,median-stopping-rule"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedulers", default=SCHEDULERS)
    parser.add_argument("--tasks", default=",".join(NAMES), help="with digits beside them")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--recorded", type=Path, default=RECORDED, help="runs of other tools; left out if it is not there"
    )
    parser.add_argument("--output", type=Path, default=Path("quality"))
    a = parser.parse_args()
    comparison = compare(
        a.schedulers, [*tasks(a.tasks.split(","), a.data), "digits"], a.seeds, folder=a.output, jobs=a.jobs,
        recorded=[a.recorded] if a.recorded.is_file() else [],
    )  # fmt: skip
    _files, why = write(comparison, a.output)
    say(benchmark="quality", machine=machine(), seeds=a.seeds, pictures=why or "drawn")
    for group in comparison.groups:
        for method in group.values.methods:
            scores = [group.score(method, one) for one in CHECKPOINTS]
            say(
                group=group.title, method=method, seeds=scores[-1].seeds,
                **{f"at_{one.checkpoint:.0%}": one.mean for one in scores}, low=scores[-1].low, high=scores[-1].high,
                rank=scores[-1].rank, cpu_s=scores[-1].cpu,
            )  # fmt: skip


if __name__ == "__main__":
    main()
