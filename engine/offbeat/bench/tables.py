"""What was found as tables, for files and for pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from offbeat.bench.comparison import CHECKPOINTS
from offbeat.bench.regret import best_errors, compared, judged
from offbeat.bench.runs import POINTS, Run
from offbeat.errors import InvalidArgument, nearest
from offbeat.results import Table

if TYPE_CHECKING:
    from offbeat.bench.comparison import Comparison

Rows = Iterator[dict[str, Any]]


def table(comparison: Comparison, name: str) -> Table:
    """A table by its name.

    "runs": one row for each run and checkpoint; "curves": for each run and percent of the budget; "scores": for each
    group, checkpoint and method; "pairs": for each two methods of those; "failures": cells that came to nothing.
    Raises InvalidArgument with the nearest name.
    """
    if name not in TABLES:
        raise InvalidArgument(f"There is no table {name!r}. {nearest(name, TABLES)}")
    make, first = TABLES[name]
    return Table(name, lambda: make(comparison), first, (), lambda _column: False)


def _runs(comparison: Comparison) -> Rows:
    yield from _points(comparison, [round(one * POINTS) for one in CHECKPOINTS])


def _curves(comparison: Comparison) -> Rows:
    yield from _points(comparison, list(range(1, POINTS + 1)))


def _points(comparison: Comparison, percents: list[int]) -> Rows:
    best = best_errors(comparison.runs, comparison.benchmarks)
    for run in comparison.runs:
        benchmark = comparison.benchmarks[run.benchmark]
        found = compared(run, benchmark, best[run.benchmark])
        errors = judged(run, benchmark)
        for percent in percents:
            value = float(found[percent - 1])
            yield {
                **_who(run),
                "checkpoint": percent / POINTS,
                "at": float(benchmark.budget or 0.0) * percent / POINTS,
                "observed": _number(run.observed[percent - 1]),
                "error": _number(errors[percent - 1]),
                "regret": _number(10**value if benchmark.log10 else value),
                "compared": _number(value),
                "trials": run.trials,
                "results": run.results,
                "cpu": _number(run.cpu),
                "digest": run.digest,
            }


def _who(run: Run) -> dict[str, Any]:
    return {"method": run.method, "recorded": run.recorded, "benchmark": run.benchmark, "seed": run.seed}


def _scores(comparison: Comparison) -> Rows:
    for group in comparison.groups:
        for one in group.scores:
            row = {"group": group.name, "scale": group.scale, "method": one.method, "recorded": one.recorded}
            for name in ("checkpoint", "mean", "low", "high", "seeds", "rank", "rank_low", "rank_high", "leads", "cpu"):
                row[name] = _number(getattr(one, name))
            yield row | {f"mean_{name}": _number(value) for name, value in one.tasks.items()}


def _pairs(comparison: Comparison) -> Rows:
    for group in comparison.groups:
        for one in group.pairs:
            row = {name: _number(getattr(one, name)) for name in one.__struct_fields__}
            yield {"group": group.name, **row, "losses": ", ".join(one.losses)}


def _failures(comparison: Comparison) -> Rows:
    for method, benchmark, seed, error in comparison.failures:
        yield {"method": method, "benchmark": benchmark, "seed": seed, "error": error}


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


_RUN: Final = (
    "method", "recorded", "benchmark", "seed", "checkpoint", "at", "observed", "error", "regret", "compared", "trials",
    "results", "cpu", "digest",
)  # fmt: skip

TABLES: Final[dict[str, tuple[Callable[[Comparison], Rows], tuple[str, ...]]]] = {
    "runs": (_runs, _RUN),
    "curves": (_curves, _RUN),
    "scores": (
        _scores,
        ("group", "scale", "method", "recorded", "checkpoint", "mean", "low", "high", "seeds", "rank", "rank_low",
         "rank_high", "leads", "cpu"),
    ),
    "pairs": (
        _pairs,
        ("group", "first", "second", "checkpoint", "difference", "low", "high", "upper", "non_inferior", "p", "p_holm",
         "seeds", "losses"),
    ),
    "failures": (_failures, ("method", "benchmark", "seed", "error")),
}  # fmt: skip
"""Name -> what makes the rows, and the columns that are always there."""
