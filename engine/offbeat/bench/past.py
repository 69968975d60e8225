"""Experiments of the user's own as benchmarks: what schedulers and worker counts would have come to on them.

The curves and costs are those of a model fitted to the journals (`offbeat.blackbox_types`, "fitted"), which says how far
it can be believed. Each worker count is a benchmark with the same total work: twice the workers have half the time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from offbeat.bench.benchmark import Benchmark
from offbeat.errors import InvalidArgument, nearest
from offbeat.events import ANY_NUMBER
from offbeat.protocols import Blackbox
from offbeat.results import Experiment
from offbeat.results import load as load_experiment

if TYPE_CHECKING:
    from offbeat.bench.comparison import Comparison

NAME: Final = "past"
WORKERS: Final = 4
"""Where the experiments do not say how many they had."""


class Past(NamedTuple):
    """Benchmarks made of experiments.

    Attributes:
        benchmarks: one for each worker count.
        fit: what the model says of itself: a msgspec struct with `lines()` for people.
    """

    benchmarks: list[Benchmark]
    fit: Any


def past(
    experiments: Sequence[str | os.PathLike[str]] | str,
    *,
    workers: Sequence[int] | None = None,
    metric: str | None = None,
    max_t: int | None = None,
    trainings: float | None = None,
    name: str = NAME,
    home: str | os.PathLike[str] | None = None,
) -> Past:
    """Fits a model to experiments and makes benchmarks of it.

        found = past(["digits-1", "digits-2"], workers=[2, 4, 8])
        print(*found.fit.lines(), sep=", ")
        compare("random,asha", found.benchmarks, seeds=10)

    Args:
        experiments: names or folders, of the same objectives, resource and hyperparameters.
        workers: counts to be compared; default: the most that one of the experiments had.
        metric: which of their objectives; default: the first.
        max_t: the level at which a training ends; default: what the experiments aimed at.
        trainings: mean full trainings that the budget pays for, see `Benchmark`.
        name: of the benchmarks, in front of the workers: `past-4w`.
        home: folder of experiments instead of `$OFFBEAT_HOME` or `~/offbeat`.

    Raises what `load_experiment` raises, and InvalidArgument: they differ, or are too little to fit.
    """
    named = [experiments] if isinstance(experiments, str | os.PathLike) else list(experiments)
    read = [load_experiment(one, home) for one in named]
    folders = [str(one.folder.path.absolute()) for one in read]
    for folder in folders:
        if folders.count(folder) > 1:
            raise InvalidArgument(f"Experiment {folder} is given twice: its trials would count twice.")
    options: dict[str, Any] = {"experiments": folders} | ({} if max_t is None else {"max_t": max_t})
    model: Any = blackbox(name, **options)
    if metric is not None and metric not in model.objectives:
        raise InvalidArgument(
            f"metric={metric!r} is no objective of {', '.join(_names(read))}. {nearest(metric, model.objectives)}"
        )
    if workers is None:
        counts = [one.limits.n_workers for one in read if one.limits.n_workers != ANY_NUMBER]
        workers = [max(counts, default=WORKERS)]
    if not workers or len(set(workers)) < len(workers):
        raise InvalidArgument(f"workers={list(workers)!r}: give at least one count, each once.")
    source = f"fitted to {model.fit.trials} trials of {', '.join(_names(read))}, {model.fit.full} of them to their end"
    benchmarks = [
        Benchmark(
            name=f"{name}-{count}w",
            blackbox="offbeat.bench.past:blackbox",
            dataset=name,
            options=options,
            metric=metric,
            n_workers=count,
            trainings=trainings,
            source=source,
            caution=model.fit.warnings,
        )
        for count in workers
    ]
    return Past(benchmarks, model.fit)


def blackbox(name: str, *, experiments: Sequence[str], max_t: int | None = None) -> Blackbox:
    """The fitted model; in each process it is fitted once. `name` is the benchmark's and changes nothing."""
    del name
    return _fitted(tuple(experiments), max_t)


@cache
def _fitted(experiments: tuple[str, ...], max_t: int | None) -> Blackbox:
    from offbeat.registry import load

    found: Blackbox = load("offbeat.blackbox_types", "fitted")(list(experiments), max_t=max_t)
    return found


def _names(experiments: Sequence[Experiment]) -> list[str]:
    return [one.name for one in experiments]


def by_workers(comparison: Comparison, benchmarks: Sequence[Benchmark]) -> Iterator[dict[str, Any]]:
    """For each worker count what each method came to: {"workers", "seconds", "regret": {method: mean at the end}}."""
    for benchmark in benchmarks:
        whole = comparison.benchmarks[benchmark.name]
        for group in comparison.groups:
            if benchmark.name in group.values.benchmarks:
                regret = {method: group.score(method, 1.0).tasks[benchmark.name] for method in group.values.methods}
                yield {"workers": whole.n_workers, "seconds": whole.budget, "regret": regret}
                break
