"""From names to a comparison: resolve, plan, run what is missing, add recorded runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from offbeat.bench.benchmark import Benchmark
from offbeat.bench.campaign import Progress, carry_out
from offbeat.bench.comparison import Comparison
from offbeat.bench.contestant import Contestant, contestants
from offbeat.bench.plan import plan
from offbeat.bench.problem import Problem
from offbeat.bench.recorded import recorded_runs
from offbeat.bench.runs import own_runs
from offbeat.bench.suite import benchmarks as resolved
from offbeat.errors import InvalidArgument


def compare(
    schedulers: Sequence[str | Contestant] | str,
    benchmarks: Sequence[str | Benchmark] | str,
    seeds: int | Sequence[int] = 30,
    *,
    folder: str | os.PathLike[str] = "offbeat-bench",
    jobs: int = 1,
    timeout: float = 600.0,
    repository: str | None = None,
    recorded: Sequence[str | os.PathLike[str]] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Runs every scheduler on every benchmark with every seed and compares them.

    Finished cells are kept in the folder and read the next time; a campaign that was killed goes on where it was.

    Args:
        schedulers: names with options, `random,asha:type=promotion`, see `offbeat.bench.contestant.contestants`.
        benchmarks: names, `.toml` files or `Benchmark` objects, see `offbeat.bench.suite.benchmarks`.
        seeds: how many, counted from 0, or which.
        folder: where cells and measured references lie.
        jobs: processes at once.
        timeout: seconds that one run may take.
        repository: folder of recorded benchmarks for those given by name.
        recorded: files with runs of other tools, see `offbeat.bench.recorded`.
        progress: is told (done, all, failed) after each cell.

    Raises:
        InvalidArgument, UnknownPlugin: something that was named is not there or cannot be; with the nearest name.
        FolderUnwritable: the folder cannot be written.
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise InvalidArgument(f"jobs={jobs!r}: give a whole number from 1 up.")
    if not timeout > 0:
        raise InvalidArgument(f"timeout={timeout!r}: give a number of seconds above 0.")
    if isinstance(seeds, int) and seeds < 1:
        raise InvalidArgument(f"seeds={seeds!r}: give a whole number from 1 up, or a list of seeds.")
    whole = resolved(benchmarks, repository)
    others = [run for file in recorded for run in recorded_runs(Path(file), {one.name for one in whole})]
    base = Path(folder)
    made = plan(
        contestants(schedulers),
        [Problem(one) for one in whole],
        list(range(seeds)) if isinstance(seeds, int) else list(seeds),
        base / "references",
    )
    campaign = carry_out(made, base / "cells", jobs=jobs, timeout=timeout, progress=progress)
    return Comparison(
        [*own_runs(made, campaign), *others],
        [problem.benchmark for problem in made.problems.values()],
        failures=[
            (one.cell.contestant.label, one.cell.benchmark.name, one.cell.seed, one.error) for one in campaign.failures
        ],
        unsuitable=made.unsuitable,
    )
