"""Means over tasks with their uncertainty: bootstrap over seeds, paired differences, non-inferiority, ranks, Holm.

A method's figure is the mean over tasks of the mean over seeds. Seeds are drawn with replacement as wholes (Efron and
Tibshirani 1993, "An Introduction to the Bootstrap", chapter 8): a seed means the same random numbers on every task, so that
its runs are not independent of each other. The tasks are those at hand; nothing is said about others. Percentile intervals
are too short with few seeds and are widened as Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section
4.1.2 ("expanded percentile"): the level is taken from Student's t with n - 1 degrees of freedom, and the spread grows by
sqrt(n / (n - 1)).

Arrays have the axes (..., task, seed); NaN is a run that there is not. All functions are deterministic.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES: Final = 4000

LEVEL: Final = 0.95

MIN_SEEDS: Final = 5
"""With fewer seeds in common no difference is tested."""

TIE: Final = 1e-6
"""Values that differ by less are equal: recorded runs are rounded."""


class Difference(NamedTuple):
    """A method's mean minus another's, over the tasks and the seeds that both have.

    Attributes:
        mean: below 0 the first is better; low, high: its 95 % interval.
        lower, upper: 95 % bounds, each from one side.
        p: two-sided, not adjusted; NaN with fewer than `MIN_SEEDS` seeds.
        seeds: in common (the fewest of a task).
        losses, wins: places of the tasks on which the first is worse, or better, on average.
    """

    mean: float
    low: float
    high: float
    lower: float
    upper: float
    p: float
    seeds: int
    losses: tuple[int, ...]
    wins: tuple[int, ...]

    def reversed(self) -> Difference:
        """The second minus the first."""
        return Difference(
            -self.mean, -self.high, -self.low, -self.upper, -self.lower, self.p, self.seeds, self.wins, self.losses
        )


@cache
def draws(n: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[Any]:
    """How often each of n seeds is drawn in each resample, (resample, seed)."""
    import numpy as np

    generator = np.random.Generator(np.random.Philox(key=[seed, n]))
    counts = generator.multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)
    counts.setflags(write=False)
    return counts


def mean_over_tasks(values: NDArray[Any]) -> NDArray[Any]:
    """Mean over seeds, then over tasks; (..., task, seed) -> (...)."""
    import numpy as np

    return resampled(values, np.ones((1, values.shape[-1])))[..., 0]


def resampled(values: NDArray[Any], counts: NDArray[Any]) -> NDArray[Any]:
    """The mean over tasks in each resample, (..., resample).

    A task of which no run was drawn is left out of that resample; where a task has no run at all it is NaN.
    """
    import numpy as np

    there = np.isfinite(values)
    sums = np.where(there, values, 0.0) @ counts.T
    sizes = there.astype(float) @ counts.T
    drawn = sizes > 0
    means = np.divide(sums, sizes, out=np.zeros_like(sums), where=drawn)
    # Without a run on a task there is no mean over the tasks, in no resample.
    tasks = drawn.sum(-2) * np.asarray(there.any(-1).all(-1))[..., None]
    return np.asarray(np.divide(means.sum(-2), tasks, out=np.full(tasks.shape, np.nan), where=tasks > 0))


def interval(boots: NDArray[Any], n: int, level: float = LEVEL) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both ends of the widened percentile interval along the last axis; NaN with fewer than two seeds."""
    import numpy as np

    tail = _tail((1 - level) / 2, n)
    low, high = np.nanquantile(boots, [tail, 1 - tail], axis=-1) if n > 1 else np.full((2, *boots.shape[:-1]), np.nan)
    return low, high


def bounds(boots: NDArray[Any], n: int, level: float = LEVEL) -> tuple[NDArray[Any], NDArray[Any]]:
    """What the mean is above with this confidence, and what it is below, each from one side; NaN with fewer than two seeds."""
    return interval(boots, n, 2 * level - 1)


def p_values(mean: NDArray[Any], boots: NDArray[Any], n: int) -> NDArray[Any]:
    """Two-sided p-values of "the mean is 0": Student's t with the standard error of the resamples.

    Not from counting resamples: with some thousand of them no p-value could be small enough for many comparisons.
    """
    import numpy as np
    from scipy.special import stdtr

    error = np.nanstd(boots, axis=-1) * (n / (n - 1)) ** 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0, 0.0, np.abs(mean) / error)
    return np.asarray(2 * stdtr(n - 1, -t))


def _tail(tail: float, n: int) -> float:
    """Share of resamples beyond a bound that is to be exceeded with probability `tail`."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(stdtrit(n - 1, tail) * (n / (n - 1)) ** 0.5)) if n > 1 else tail


def difference(first: NDArray[Any], second: NDArray[Any]) -> Difference:
    """Paired difference of two methods, each (task, seed), over the seeds that both have on a task."""
    import numpy as np

    between = first - second
    between = between[:, np.isfinite(between).any(0)]
    n = int(np.isfinite(between).sum(1).min()) if between.size else 0
    nan = float("nan")
    if n < 1:
        return Difference(nan, nan, nan, nan, nan, nan, 0, (), ())
    boots = resampled(between, draws(between.shape[1]))
    mean = mean_over_tasks(between)
    low, high = interval(boots, n)
    lower, upper = bounds(boots, n)
    p = float(p_values(mean, boots, n)) if n >= MIN_SEEDS else nan
    tasks = np.nanmean(between, axis=1)
    losses, wins = (tuple(map(int, np.flatnonzero(one))) for one in (tasks > TIE, tasks < -TIE))
    return Difference(float(mean), float(low), float(high), float(lower), float(upper), p, n, losses, wins)


def independent(first: NDArray[Any], second: NDArray[Any]) -> Difference:
    """Difference of two methods, each (task, seed), over all seeds that either has, as if those had nothing in common.

    For two tools that draw their numbers in their own ways, so that pairing by seed gains nothing, while it leaves out
    the seeds that only one has. Each method's seeds are resampled for themselves; the freedom of Student's t is Welch's.
    `seeds` is the smaller of the two numbers.
    """
    import numpy as np

    nan = float("nan")
    sides: list[_Side] = []
    for values, stream in ((first, 0), (second, 1)):
        own = values[:, np.isfinite(values).any(0)]
        n = int(np.isfinite(own).sum(1).min()) if own.size else 0
        if n < 2:
            return Difference(nan, nan, nan, nan, nan, nan, n, (), ())
        mean = float(mean_over_tasks(own))
        off = (resampled(own, draws(own.shape[1], seed=stream)) - mean) * (n / (n - 1)) ** 0.5
        sides.append(_Side(mean, off, float(np.nanvar(off)), n))
    one, other = sides
    between, variance, n = one.mean - other.mean, one.variance + other.variance, min(one.seeds, other.seeds)
    freedom = variance**2 / sum(s.variance**2 / (s.seeds - 1) for s in sides) if variance else n - 1.0
    outer, inner = _beyond((1 - LEVEL) / 2, freedom), _beyond(1 - LEVEL, freedom)
    low, lower, upper, high = (
        between + float(np.nanquantile(one.off - other.off, share)) for share in (outer, inner, 1 - inner, 1 - outer)
    )
    p = _two_sided(between, variance**0.5, freedom) if n >= MIN_SEEDS else nan
    tasks = np.nanmean(first, axis=1) - np.nanmean(second, axis=1)
    losses, wins = (tuple(map(int, np.flatnonzero(side))) for side in (tasks > TIE, tasks < -TIE))
    return Difference(between, low, high, lower, upper, p, n, losses, wins)


class _Side(NamedTuple):
    """One of two methods: its mean, how far resamples are off, their variance, its seeds."""

    mean: float
    off: NDArray[Any]
    variance: float
    seeds: int


def _beyond(tail: float, freedom: float) -> float:
    """Share of a normal distribution beyond the quantile that Student's t has for this tail."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(stdtrit(freedom, tail)))


def _two_sided(mean: float, error: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(mean) / error)) if error else float(mean == 0)


def holm(p_values: NDArray[Any]) -> NDArray[Any]:
    """Adjusted p-values (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure"); NaN stays and counts not."""
    import numpy as np

    found = np.array(p_values, float)
    tested = np.flatnonzero(np.isfinite(found))
    order = tested[np.argsort(found[tested], kind="stable")]
    adjusted = found[order] * np.arange(len(order), 0, -1)
    found[order] = np.minimum(np.maximum.accumulate(adjusted), 1.0)
    return found


def ranks(values: NDArray[Any], counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean rank of each method over tasks and seeds, and in each resample; (method, task, seed) -> (method), (method, B).

    A rank is 1 + the number of better methods + half the number of equal ones (ties get the average rank). Each pair of
    methods is compared on the seeds that it has in common, so that methods with fewer seeds can be ranked beside others;
    where all have all seeds this is the usual average rank. NaN where two methods have no seed in common.
    """
    import numpy as np

    size = len(values)
    mean, boots = np.ones(size), np.ones((size, len(counts)))
    one = np.ones((1, values.shape[-1]))
    for i in range(size):
        for j in range(i + 1, size):
            between = values[i] - values[j]
            beaten = np.where(np.abs(between) < TIE, 0.5, (between > 0).astype(float))
            beaten = np.where(np.isfinite(between), beaten, np.nan)
            share, shares = resampled(beaten, one)[0], resampled(beaten, counts)
            mean[i] += share
            mean[j] += 1 - share
            boots[i] += shares
            boots[j] += 1 - shares
    return mean, boots
