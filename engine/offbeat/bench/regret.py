"""Normalised regret: (error of the incumbent - best known error) / (median error - best known error), at most 1.

1 is a random configuration's median, 0 the best that is known. Where runs have found better ones than the benchmark's own
best, the best of them takes its place, for all methods alike. Before the first result regret is 1. Benchmarks with
`log10` are compared on its logarithm, which ends at `FLOOR`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from offbeat.bench.benchmark import Benchmark
from offbeat.bench.runs import POINTS, Run, curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR: Final = 1e-5


class Values(NamedTuple):
    """Compared values of some methods on some benchmarks; lower is better.

    Attributes:
        array: (method, benchmark, seed, place); NaN where there is no run, or it had not got there.
        methods, benchmarks, seeds: what the axes stand for.
        best: error at regret 0 for each benchmark.
    """

    array: NDArray[Any]
    methods: list[str]
    benchmarks: list[str]
    seeds: list[int]
    best: dict[str, float]


def values(runs: Sequence[Run], benchmarks: Mapping[str, Benchmark], methods: Sequence[str]) -> Values:
    """Regret, or its logarithm, of all runs by these methods on these benchmarks, all of which are complete."""
    import numpy as np

    best = best_errors(runs, benchmarks)
    names = list(benchmarks)
    seeds = sorted({run.seed for run in runs if run.benchmark in benchmarks})
    array = np.full((len(methods), len(names), len(seeds), POINTS), np.nan)
    for run in runs:
        if run.benchmark in benchmarks and run.method in methods:
            place = methods.index(run.method), names.index(run.benchmark), seeds.index(run.seed)
            array[place] = compared(run, benchmarks[run.benchmark], best[run.benchmark])
    return Values(array, list(methods), names, seeds, best)


def best_errors(runs: Sequence[Run], benchmarks: Mapping[str, Benchmark]) -> dict[str, float]:
    """The least error that is known on each benchmark, from itself or from the runs."""
    import numpy as np

    found = {name: float(one.best or 0.0) for name, one in benchmarks.items()}
    for run in runs:
        if run.benchmark in benchmarks:
            errors = np.array(judged(run, benchmarks[run.benchmark]), float)
            if np.isfinite(errors).any():
                found[run.benchmark] = min(found[run.benchmark], float(np.nanmin(errors)))
    return found


def judged(run: Run, benchmark: Benchmark) -> list[float]:
    """The errors that count."""
    return run.true if benchmark.judged == "mean" else run.observed


def compared(run: Run, benchmark: Benchmark, best: float) -> NDArray[Any]:
    """What is compared of a run, over the places."""
    import numpy as np

    errors = np.array(judged(run, benchmark), float)
    # To twelve digits: means over the same replicates differ in the last one by the order of summing.
    regret = np.clip(np.round((errors - best) / (float(benchmark.median or 0.0) - best), 12), 0.0, 1.0)
    regret = np.where(np.isnan(regret), 1.0, regret)
    if benchmark.log10:
        regret = np.log10(np.maximum(regret, FLOOR))
    return curve(regret, run.reached)
