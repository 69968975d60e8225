"""Where regret is 0 and 1, and how long a run is, where a benchmark does not say: measured on its blackbox, and kept.

The best error is the minimum over configurations and levels of the mean over replicates, the median is the median over
configurations of each one's minimum over levels. Of a table both are exact; of anything else they come from
`SAMPLES` random configurations, so that runs may find better ones: see `offbeat.bench.regret`. The budget is that of
`FULL_TRAININGS` mean full trainings, shared by the workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from offbeat.bench.benchmark import FULL_TRAININGS, Benchmark
from offbeat.bench.files import read_sealed, write_sealed
from offbeat.bench.problem import Problem
from offbeat.errors import InvalidArgument

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES: Final = 2000


class References(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; errors in the metric's unit, seconds simulated.

    Attributes:
        exact: every configuration was looked at.
        configs: how many were.
    """

    best: float
    median: float
    mean_training: float
    exact: bool
    configs: int


def completed(problem: Problem, folder: Path | None = None) -> Problem:
    """The problem with best, median and budget; what is measured is kept in the folder. Raises InvalidArgument."""
    benchmark = problem.benchmark
    if None not in (benchmark.best, benchmark.median, benchmark.budget):
        return problem
    found = _kept(problem, folder)
    trainings = benchmark.trainings or FULL_TRAININGS["ends" if problem.n_levels == 1 else "curves"]
    best = found.best if benchmark.best is None else benchmark.best
    median = found.median if benchmark.median is None else benchmark.median
    if not best < median:
        raise InvalidArgument(
            f"Benchmark {benchmark.name!r}: the best error, {best:.6g}, is not below the median, {median:.6g}: there is "
            "nothing to be found on it."
        )
    how = f"all {found.configs}" if found.exact else f"{found.configs} random"
    problem.benchmark = msgspec.structs.replace(
        benchmark,
        best=best,
        median=median,
        budget=benchmark.budget or found.mean_training * trainings / benchmark.n_workers,
        source=benchmark.source or f"measured on {how} configurations",
    )
    return problem


def _kept(problem: Problem, folder: Path | None) -> References:
    path = None if folder is None else folder / f"{problem.fingerprint}.json"
    if path is not None and path.is_file():
        return read_sealed(path, References)
    found = measured(problem)
    if path is not None:
        write_sealed(path, found)
    return found


def measured(problem: Problem) -> References:
    """Looks at every configuration of a table, else at random ones. Raises InvalidArgument where none has a value."""
    import numpy as np

    benchmark, view = problem.benchmark, problem.blackbox
    # A benchmark with its levels cut at max_t is measured up to there.
    exact = view.configs is not None
    configs = view.configs if view.configs is not None else problem.drawn(SAMPLES, "references")
    errors, times = _errors(problem, benchmark, configs)
    errors, times = errors[np.isfinite(errors)], times[np.isfinite(times)]
    if not len(errors) or not len(times):
        raise InvalidArgument(f"Benchmark {benchmark.name!r}: the blackbox has no value at all.")
    return References(
        best=float(errors.min()), median=float(np.median(errors)), mean_training=float(times.mean()), exact=exact,
        configs=len(configs),
    )  # fmt: skip


def _errors(
    problem: Problem, benchmark: Benchmark, configs: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each configuration its least error over the levels (mean over replicates), and its full training's seconds."""
    import numpy as np

    view, n = problem.blackbox, problem.n_levels
    seeds = range(view.seeds)
    errors, times = np.full(len(configs), np.nan), np.full(len(configs), np.nan)
    metric, elapsed = str(benchmark.metric), str(benchmark.elapsed_attr)
    size = max(1, 512 // view.seeds)
    for begin in range(0, len(configs), size):
        piece = configs[begin : begin + size]
        found = view.curves([config for config in piece for _ in seeds], [*seeds] * len(piece))
        values = np.array([one[metric][:n] for one in found], float).reshape(len(piece), view.seeds, n)
        seconds = np.array([one[elapsed][:n] for one in found], float).reshape(len(piece), view.seeds, n)
        values = benchmark.error(values)
        for i in range(len(piece)):
            errors[begin + i], times[begin + i] = _least(values[i]), _end(seconds[i])
    return errors, times


def _least(values: NDArray[Any]) -> float:
    """Of (seed, level) the least mean over those seeds that have the level."""
    import numpy as np

    there = np.isfinite(values)
    counts = there.sum(0)
    if not counts.any():
        return float("nan")
    means = np.where(there, values, 0.0).sum(0)[counts > 0] / counts[counts > 0]
    return float(means.min())


def _end(seconds: NDArray[Any]) -> float:
    import numpy as np

    ends = seconds[:, -1]
    ends = ends[np.isfinite(ends)]
    return float(ends.mean()) if len(ends) else float("nan")
