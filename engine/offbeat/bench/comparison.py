"""A comparison: runs, and what follows from them for each group of benchmarks at each share of the budget."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations, product
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import msgspec

from offbeat.bench import statistics as st
from offbeat.bench.benchmark import Benchmark
from offbeat.bench.regret import Values, values
from offbeat.bench.runs import POINTS, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHECKPOINTS: Final = (0.1, 0.2, 0.5, 1.0)
"""Shares of the budget at which methods are compared."""

MARGINS: Final = {False: 0.02, True: 0.1}
"""By how much a method may be worse and still be as good: normalised regret, and its log10."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A method in a group at a checkpoint; intervals of 95 %.

    Attributes:
        mean: over tasks of the mean over seeds; low, high: its interval. tasks: mean for each benchmark.
        seeds: the fewest of a benchmark.
        rank: mean rank among the methods of the group that have enough seeds; rank_low, rank_high: its interval.
        leads: share of the resamples in which no own method has a lower mean; None for recorded methods.
        cpu: median CPU seconds of a run.
    """

    method: str
    recorded: bool
    checkpoint: float
    mean: float
    low: float
    high: float
    tasks: dict[str, float]
    seeds: int
    rank: float
    rank_low: float
    rank_high: float
    leads: float | None
    cpu: float


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One method against another in a group at a checkpoint, paired by task and seed.

    Attributes:
        difference: first minus second, below 0 the first is better; low, high: its 95 % interval.
        upper: one-sided 95 % bound; non_inferior: it is at most the margin.
        p: two-sided; p_holm: adjusted, see `Group.pairs`; None with too few seeds.
        seeds: in common; losses: benchmarks on which the first is worse on average.
    """

    first: str
    second: str
    checkpoint: float
    difference: float
    low: float
    high: float
    upper: float
    non_inferior: bool
    p: float | None
    p_holm: float | None
    seeds: int
    losses: list[str]


class Group:
    """Benchmarks whose figures may be averaged, and the methods that have runs on each of them.

    Attributes:
        name: of the blackbox, or "all".
        log10: values are logarithms. margin: of non-inferiority.
        values: see there. recorded: which methods are another tool's.
        left_out: methods without a run on one of the benchmarks.
    """

    def __init__(self, name: str, benchmarks: Mapping[str, Benchmark], runs: Sequence[Run]) -> None:
        self.name = name
        self.log10 = next(iter(benchmarks.values())).log10
        self.margin = MARGINS[self.log10]
        mine = [run for run in runs if run.benchmark in benchmarks]
        methods = list(dict.fromkeys(run.method for run in mine))
        covered = {method: {run.benchmark for run in mine if run.method == method} for method in methods}
        whole = [method for method in methods if len(covered[method]) == len(benchmarks)]
        self.left_out = [method for method in methods if method not in whole]
        self.values: Values = values(mine, benchmarks, whole)
        self.recorded = {run.method for run in mine if run.recorded}
        self._cpu = {
            method: _median([run.cpu for run in mine if run.method == method and isfinite(run.cpu)]) for method in whole
        }

    @property
    def own(self) -> list[str]:
        """The methods that are not recorded."""
        return [method for method in self.values.methods if method not in self.recorded]

    @property
    def title(self) -> str:
        """The name, and the benchmarks where they are others."""
        names = self.values.benchmarks
        if names == [self.name]:
            return self.name
        return f"{self.name} ({', '.join(names) if len(names) <= 3 else f'{len(names)} benchmarks'})"

    @property
    def scale(self) -> str:
        """What the figures are."""
        return "log10 of normalised regret" if self.log10 else "normalised regret"

    def at(self, checkpoint: float) -> NDArray[Any]:
        """Values at a share of the budget, (method, benchmark, seed)."""
        found: NDArray[Any] = self.values.array[..., round(checkpoint * POINTS) - 1]
        return found

    @cached_property
    def scores(self) -> list[Score]:
        """By checkpoint, methods in their order."""
        return [score for checkpoint in CHECKPOINTS for score in self._scores(checkpoint)]

    def _scores(self, checkpoint: float) -> Iterator[Score]:
        import numpy as np

        at = self.at(checkpoint)
        rank, rank_low, rank_high = self.ranks(at)
        leads = _leads(at[[i for i, method in enumerate(self.values.methods) if method not in self.recorded]])
        led = dict(zip(self.own, leads, strict=True))
        for i, method in enumerate(self.values.methods):
            own = at[i][:, np.isfinite(at[i]).any(0)]
            n = int(np.isfinite(at[i]).sum(-1).min())
            mean = low = high = np.nan
            if n:
                mean = float(st.mean_over_tasks(own))
                low, high = map(float, st.interval(st.resampled(own, st.draws(own.shape[1])), n))
            tasks = [_mean(one[np.isfinite(one)]) for one in at[i]]
            yield Score(
                method=method, recorded=method in self.recorded, checkpoint=checkpoint, mean=mean, low=low, high=high,
                tasks=dict(zip(self.values.benchmarks, tasks, strict=True)), seeds=n, rank=float(rank[i]),
                rank_low=float(rank_low[i]), rank_high=float(rank_high[i]), leads=led.get(method), cpu=self._cpu[method],
            )  # fmt: skip

    def ranks(self, at: NDArray[Any], resamples: int = st.RESAMPLES) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Mean rank and both ends of its interval for values as `at` gives them.

        NaN for recorded methods with fewer than `MIN_SEEDS` seeds, and for all without a run on one of the benchmarks.
        """
        import numpy as np

        found = np.full((3, len(at)), np.nan)
        seeds = np.isfinite(at).sum(-1).min(-1)
        least = [st.MIN_SEEDS if method in self.recorded else 1 for method in self.values.methods]
        ranked = np.flatnonzero(seeds >= least)
        if len(ranked):
            mean, boots = st.ranks(at[ranked], st.draws(at.shape[-1], resamples))
            found[0, ranked], (found[1, ranked], found[2, ranked]) = mean, st.interval(boots, int(seeds[ranked].min()))
        return found[0], found[1], found[2]

    @cached_property
    def pairs(self) -> list[Pair]:
        """Ordered pairs at every checkpoint in which at least one method is our own.

        P-values are adjusted over the unordered pairs of own methods, and, as a second family, over those of an own and a
        recorded one: how many tools are set beside does not decide what is found out about one's own.
        """
        own = [i for i, method in enumerate(self.values.methods) if method not in self.recorded]
        others = [i for i, method in enumerate(self.values.methods) if method in self.recorded]
        families = (list(combinations(own, 2)), list(product(own, others)))
        return [pair for checkpoint in CHECKPOINTS for family in families for pair in self._pairs(checkpoint, family)]

    def _pairs(self, checkpoint: float, family: Sequence[tuple[int, int]]) -> Iterator[Pair]:
        import numpy as np

        at, methods = self.at(checkpoint), self.values.methods
        tested = [st.difference(at[i], at[j]) for i, j in family]
        adjusted = st.holm(np.array([one.p for one in tested]))
        for (i, j), one, p_holm in zip(family, tested, adjusted.tolist(), strict=True):
            yield self._pair(methods[i], methods[j], checkpoint, one, p_holm)
            yield self._pair(methods[j], methods[i], checkpoint, one.reversed(), p_holm)

    def _pair(self, first: str, second: str, checkpoint: float, found: st.Difference, p_holm: float) -> Pair:
        return Pair(
            first=first, second=second, checkpoint=checkpoint, difference=found.mean, low=found.low, high=found.high,
            upper=found.upper, non_inferior=found.seeds >= st.MIN_SEEDS and found.upper <= self.margin,
            p=found.p if isfinite(found.p) else None, p_holm=p_holm if isfinite(p_holm) else None,
            seeds=found.seeds, losses=[self.values.benchmarks[task] for task in found.losses],
        )  # fmt: skip

    def score(self, method: str, checkpoint: float) -> Score:
        """One method's."""
        return self._scored[method, checkpoint]

    def pair(self, first: str, second: str, checkpoint: float) -> Pair:
        """One method against another."""
        return self._paired[first, second, checkpoint]

    @cached_property
    def _scored(self) -> dict[tuple[str, float], Score]:
        return {(one.method, one.checkpoint): one for one in self.scores}

    @cached_property
    def _paired(self) -> dict[tuple[str, str, float], Pair]:
        return {(one.first, one.second, one.checkpoint): one for one in self.pairs}


class Comparison:
    """Runs and the groups of benchmarks that they fall into.

    Args:
        runs: own and recorded ones.
        benchmarks: all of them complete.
        failures: (method, benchmark, seed, error) of cells that came to nothing.
        unsuitable: (method, benchmark) -> why it was not run there.

    Attributes:
        groups: the benchmarks of each blackbox; where several blackboxes share a scale, also all of those together.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        benchmarks: Sequence[Benchmark],
        *,
        failures: Sequence[tuple[str, str, int, str]] = (),
        unsuitable: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.runs = list(runs)
        self.benchmarks = {one.name: one for one in benchmarks}
        self.failures = list(failures)
        self.unsuitable = dict(unsuitable or {})
        there = {run.benchmark for run in runs}
        families: dict[tuple[str, bool], dict[str, Benchmark]] = {}
        for name, one in self.benchmarks.items():
            if name in there:
                families.setdefault((_family(one), one.log10), {})[name] = one
        self.groups = [Group(name, found, runs) for (name, _), found in families.items()]
        for scale in (False, True):
            alike = [found for (_, log10), found in families.items() if log10 == scale]
            if len(alike) > 1:
                name = "all (log10)" if scale and len({log10 for _, log10 in families}) > 1 else "all"
                self.groups.append(Group(name, {k: v for found in alike for k, v in found.items()}, runs))

    @property
    def methods(self) -> list[str]:
        """Of all runs, in the order of their first one."""
        return list(dict.fromkeys(run.method for run in self.runs))

    def table(self, name: str) -> Any:
        """A table by its name, see `offbeat.bench.tables`; `table("runs").to("pandas")` makes a DataFrame of it."""
        from offbeat.bench.tables import table

        return table(self, name)

    def to_pandas(self) -> Any:
        """The tidy runs as a DataFrame. Raises MissingExtra."""
        return self.table("runs").to("pandas")


def _family(benchmark: Benchmark) -> str:
    if isinstance(benchmark.blackbox, str):
        own = benchmark.name.rpartition("-")[0] if benchmark.dataset and ":" in benchmark.blackbox else ""
        return own or benchmark.blackbox
    return benchmark.name


def _leads(at: NDArray[Any]) -> list[float]:
    """Share of the resamples in which each method has the lowest mean, over the seeds that all have; ties are shared."""
    import numpy as np

    common = np.isfinite(at).all((0, 1))
    if not len(at) or not common.any():
        return [float("nan")] * len(at)
    boots = st.resampled(at[..., common], st.draws(int(common.sum())))
    least = boots <= boots.min(0) + st.TIE
    found: list[float] = (least / least.sum(0)).mean(1).tolist()
    return found


def _median(found: list[float]) -> float:
    return statistics.median(found) if found else float("nan")


def _mean(found: Any) -> float:
    return float(sum(found) / len(found)) if len(found) else float("nan")
