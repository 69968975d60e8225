"""How good is what is found: schedulers on the development tasks, beside recorded runs of other tools.

    python benchmarks/quality.py --run 0-29 random,tpe,asha --run 0-9 mobster --tasks lcbench-7593 --output quality

Simulated time, four asynchronous workers; see `offbeat bench`, which this is for tasks that lie in files of their own and
for methods with numbers of seeds of their own. Each method's mean regret, its interval and CPU seconds a run come out as
JSON lines; so does, for each method that another tool has too, the difference to it with a verdict (`same_method.py`). In the
folder `quality/comparison.html` has all figures, `quality/tables.md` these two kinds. FCNet is compared on what the incumbent
is worth in the mean over repetitions and, as "(observed)", on what was observed of it: a configuration of which one
repetition of four went astray is the best of many runs and a bad one in the mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from development_tasks import DATA, NAMES, RECORDED, as_observed, tasks
from measure import machine, say
from same_method import markdown, scores, verdicts

from offbeat.bench import Benchmark, Comparison, Contestant, compare
from offbeat.bench.comparison import CHECKPOINTS
from offbeat.bench.contestant import contestants
from offbeat.bench.recorded import recorded_runs
from offbeat.bench.runs import Run
from offbeat.bench.writing import write

SCHEDULERS = "random,asha,asha:type=promotion,median-stopping-rule"


def seeds(text: str) -> list[int]:
    """`0-29` or `7`."""
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
        raise SystemExit(f"--run {text}: write seeds as 0-29, the last one included, or as one number.")
    return list(range(int(first), int(last or first) + 1))


def gathered(
    runs: list[tuple[list[int], list[Contestant]]],
    benchmarks: list[Benchmark],
    folder: Path,
    jobs: int,
    recorded: list[Path],
) -> Comparison:
    """All runs of all methods, each with its seeds, in one comparison: they share the best error that is known."""
    parts = [compare(who, benchmarks, which, folder=folder, jobs=jobs) for which, who in runs]
    own = [run for part in parts for run in part.runs]
    names = {one.name for one in benchmarks}
    # The first run of a seed counts: files may overlap.
    others: dict[tuple[str, str, int], Run] = {}
    for file in recorded:
        for run in recorded_runs(file, names):
            others.setdefault((run.method, run.benchmark, run.seed), run)
    whole = {name: one for part in parts for name, one in part.benchmarks.items()}
    return Comparison(
        [*own, *others.values()],
        list(whole.values()),
        failures=[one for part in parts for one in part.failures],
        unsuitable={who: why for part in parts for who, why in part.unsuitable.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--run",
        nargs=2,
        action="append",
        metavar=("SEEDS", "METHODS"),
        help=f"may come often; default: 0-29 {SCHEDULERS}",
    )
    parser.add_argument("--tasks", default=",".join(NAMES))
    parser.add_argument("--digits", action="store_true", help="the table that is shipped, beside them")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--recorded",
        type=Path,
        nargs="*",
        default=[RECORDED],
        help="runs of other tools; left out if they are not there",
    )
    parser.add_argument("--output", type=Path, default=Path("quality"))
    a = parser.parse_args()
    benchmarks: list[Benchmark] = tasks(a.tasks.split(","), a.data)
    if a.digits:
        from offbeat.bench.suite import benchmark

        benchmarks.append(benchmark("digits"))
    runs = [(seeds(which), contestants(who)) for which, who in a.run or [("0-29", SCHEDULERS)]]
    recorded = [file for file in a.recorded if file.is_file()]
    comparison = gathered(runs, benchmarks, a.output, a.jobs, recorded)
    _files, why = write(comparison, a.output)
    say(benchmark="quality", machine=machine(), pictures=why or "drawn", failures=len(comparison.failures))
    observed = as_observed(comparison, a.data)
    who = {one.label: one for _, some in runs for one in some}.values()
    found = [one for part in (comparison, observed) if part is not None for one in verdicts(part, who)]
    for group in (*comparison.groups, *(observed.groups if observed is not None else ())):
        for method in group.values.methods:
            rows = [group.score(method, one) for one in CHECKPOINTS]
            say(
                group=group.title, method=method, seeds=rows[-1].seeds,
                **{f"at_{one.checkpoint:.0%}": one.mean for one in rows}, low=rows[-1].low, high=rows[-1].high,
                rank=rows[-1].rank, cpu_s=rows[-1].cpu,
            )  # fmt: skip
    for one in found:
        say(
            group=one.family, method=one.method, peer=one.peer, at=one.checkpoint, how=one.how, seeds=one.seeds,
            peer_seeds=one.theirs, difference=one.found.mean, upper=one.found.upper, verdict=one.answer,
            losses={name: round(by, 4) for name, by in one.losses.items()},
        )  # fmt: skip
    pages = [scores(comparison), scores(observed) if observed is not None else "", markdown(found)]
    (a.output / "tables.md").write_text("\n".join(pages), encoding="utf-8")


if __name__ == "__main__":
    main()
