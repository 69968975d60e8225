"""Stopping criteria: limits on what a run uses up, good values, a plateau. Combine them with `&` and `|`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isfinite, sqrt
from typing import Final

from offbeat.arguments import explained
from offbeat.budget import MetricUsage, Usage
from offbeat.combining import Combined, Condition, Criterion, Operators, Stopper, Verdict, as_stopper
from offbeat.describe import described
from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import Mode

__all__ = [
    "Combined",
    "Condition",
    "Criterion",
    "PlateauStopper",
    "Stopper",
    "StoppingCriterion",
    "Verdict",
    "as_stopper",
]


@described
@explained
class StoppingCriterion(Operators):
    """Ends the run as soon as one of the limits that are set is reached; at least one has to be.

    Args:
        max_wallclock_time: seconds on the experiment's clock, i.e. running time of all its sessions, or simulated time.
        max_num_evaluations: results reported.
        max_num_trials_started: trials started. The only limit that cuts nothing off: once so many are started no new
            one is, and those that run may end; paused ones may still be resumed.
        max_num_trials_completed: trials that ran to their own end.
        max_num_trials_finished: trials that ended in any way (completed, stopped or failed).
        max_cost: sum of what the reports say in `st_worker_cost`.
        min_metric_value: metric name -> value; one reported value as low as this is good enough.
        max_metric_value: metric name -> value; one reported value as high as this is good enough.

    Raises InvalidArgument.
    """

    def __init__(  # noqa: PLR0917 - these are the names and the order that users know
        self,
        max_wallclock_time: float | None = None,
        max_num_evaluations: int | None = None,
        max_num_trials_started: int | None = None,
        max_num_trials_completed: int | None = None,
        max_num_trials_finished: int | None = None,
        max_cost: float | None = None,
        min_metric_value: Mapping[str, float] | None = None,
        max_metric_value: Mapping[str, float] | None = None,
    ) -> None:
        amounts: dict[str, float | None] = {"max_wallclock_time": max_wallclock_time, "max_cost": max_cost}
        counts: dict[str, int | None] = {
            "max_num_evaluations": max_num_evaluations,
            "max_num_trials_started": max_num_trials_started,
            "max_num_trials_completed": max_num_trials_completed,
            "max_num_trials_finished": max_num_trials_finished,
        }
        for name, amount in amounts.items():
            _check_limit(name, amount, whole=False)
        for name, count in counts.items():
            _check_limit(name, count, whole=True)
        limits = {**counts, **amounts}
        self._limits = [
            (
                name,
                _MEASURES[name][0],
                limit,
                Verdict.NO_NEW_TRIALS if name == "max_num_trials_started" else Verdict.END,
            )
            for name, limit in limits.items()
            if limit is not None
        ]
        self._lowest = _thresholds("min_metric_value", min_metric_value)
        self._highest = _thresholds("max_metric_value", max_metric_value)
        if not (self._limits or self._lowest or self._highest):
            raise InvalidArgument(
                f"StoppingCriterion() has no limit: set {', '.join(limits)}, min_metric_value or max_metric_value, "
                "or pass stop_criterion=None to run until the search space is exhausted."
            )
        self.watched_metrics: Collection[str] = frozenset([*self._lowest, *self._highest])
        self._max_time = max_wallclock_time

    def verdict(self, usage: Usage) -> Verdict:
        """See the arguments."""
        verdict = Verdict.GO_ON
        for _, attribute, limit, severity in self._limits:
            if getattr(usage, attribute) >= limit:
                if severity is Verdict.END:
                    return severity
                verdict = severity
        if self.watched_metrics and self._good_enough(usage):
            return Verdict.END
        return verdict

    def reason(self, usage: Usage) -> str:
        """Names the limit that was reached and what reached it."""
        reached = [
            (severity, f"{name}={limit} reached: {_MEASURES[name][1].format(getattr(usage, attribute))}")
            for name, attribute, limit, severity in self._limits
            if getattr(usage, attribute) >= limit
        ]
        if good := self._good_enough(usage):
            reached.append((Verdict.END, good))
        return max(reached, key=lambda one: one[0])[1] if reached else ""

    def _good_enough(self, usage: Usage) -> str:
        for name, limit in self._lowest.items():
            seen = usage.metrics.get(name)
            if seen is not None and seen.lowest is not None and seen.lowest <= limit:
                return f"min_metric_value of {name}={limit} reached: {seen.lowest}"
        for name, limit in self._highest.items():
            seen = usage.metrics.get(name)
            if seen is not None and seen.highest is not None and seen.highest >= limit:
                return f"max_metric_value of {name}={limit} reached: {seen.highest}"
        return ""

    def slack(self, usage: Usage) -> int:
        """How far the counts are from their limits; 0 where a cost or a metric is limited, of which no step is known."""
        if self.watched_metrics:
            return 0
        least = 1 << 30
        for name, attribute, limit, _ in self._limits:
            if name == "max_cost":
                return 0
            if name != "max_wallclock_time" and (left := int(limit) - getattr(usage, attribute) - 1) < least:
                least = left
        return max(0, least)

    def next_time(self, usage: Usage) -> float | None:
        """`max_wallclock_time` until it has come."""
        return self._max_time if self._max_time is not None and usage.elapsed < self._max_time else None

    def __repr__(self) -> str:
        parts = [f"{name}={limit}" for name, _, limit, _ in self._limits]
        parts += [f"min_metric_value={self._lowest}"] if self._lowest else []
        parts += [f"max_metric_value={self._highest}"] if self._highest else []
        return f"StoppingCriterion({', '.join(parts)})"


_MEASURES: Final[Mapping[str, tuple[str, str]]] = {
    "max_wallclock_time": ("elapsed", "{:.1f} s have passed"),
    "max_num_evaluations": ("results", "{} results"),
    "max_num_trials_started": ("started", "{} trials started"),
    "max_num_trials_completed": ("completed", "{} trials completed"),
    "max_num_trials_finished": ("finished", "{} trials ended"),
    "max_cost": ("cost", "{:.2f} spent"),
}
"""Limit -> attribute of `Usage` that it bounds, and how to say it."""

_SEVERITY: Final[Mapping[str, Verdict]] = {"max_num_trials_started": Verdict.NO_NEW_TRIALS}


def _check_limit(name: str, limit: object, *, whole: bool) -> None:
    """Raises InvalidArgument unless the limit is None or a number of its kind above 0."""
    if limit is None:
        return
    unit = "a whole number" if whole else "a finite number"
    if isinstance(limit, bool) or not isinstance(limit, int if whole else int | float) or not isfinite(limit):
        raise InvalidArgument(f"{name}={limit!r}: give {unit} above 0, or leave it out for no limit.")
    if limit == 0:
        raise InvalidArgument(f"{name}=0 would end the run before it has begun: give {unit} above 0, or leave it out.")
    if limit < 0:
        raise InvalidArgument(f"{name}={limit!r} is negative: give {unit} above 0, or leave it out for no limit.")


def _thresholds(argument: str, values: Mapping[str, float] | None) -> dict[str, float]:
    if values is None:
        return {}
    if not isinstance(values, Mapping) or not values:
        raise InvalidArgument(
            f"{argument}={values!r}: give a dict of metric names and values, such as {{'val_loss': 0.1}}."
        )
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise InvalidArgument(f"{argument}[{name!r}]={value!r}: give a finite number.")
    return dict(values)


@described
@explained
class PlateauStopper(Operators):
    """Ends the run once the best value seen has not moved for a while.

    The sequence judged is the best value of the whole run so far, noted each time a trial that has reported ends or is
    paused; a running trial that is already better than its last entry by more than `std` keeps the run alive.

    Args:
        metric: reported name; mode: "min" or "max".
        std: largest standard deviation (population) of the last `num_trials` entries that counts as standing still.
        num_trials: entries looked at, 2 or more.
        patience: how many times in a row they have to stand still; 0 is the same as 1.

    Raises InvalidArgument. After the experiment-plateau criterion of Ray Tune and Syne Tune.
    """

    def __init__(
        self, metric: str, std: float = 0.001, num_trials: int = 10, mode: Mode = "min", patience: int = 0
    ) -> None:
        if not isinstance(metric, str) or not metric:
            raise InvalidArgument(f"metric={metric!r}: give the name of one reported metric.")
        if isinstance(std, bool) or not isinstance(std, int | float) or not isfinite(std) or std < 0:
            raise InvalidArgument(f"std={std!r}: give a finite number from 0 up.")
        if isinstance(num_trials, bool) or not isinstance(num_trials, int) or num_trials < 2:
            raise InvalidArgument(f"num_trials={num_trials!r}: give a whole number from 2 up.")
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 0:
            raise InvalidArgument(f"patience={patience!r}: give a whole number from 0 up.")
        if mode not in ("min", "max"):
            raise InvalidArgument(f"mode={mode!r} is not valid. {nearest(str(mode), ('min', 'max'))}")
        self._metric = metric
        self._std = std
        self._num_trials = num_trials
        self._column = 0 if mode == "min" else 1
        self._windows = max(1, patience)
        self.watched_metrics: Collection[str] = frozenset([metric])
        self._judged: tuple[MetricUsage | None, int, bool] = (None, -1, False)

    def verdict(self, usage: Usage) -> Verdict:
        """END on a plateau."""
        seen = usage.metrics.get(self._metric)
        if seen is None or len(seen.history) < self._num_trials + self._windows - 1:
            return Verdict.GO_ON
        size = len(seen.history)
        # Between two ends of trials the history is the same: judging it once is enough.
        if self._judged[0] is not seen or self._judged[1] != size:
            self._judged = (seen, size, self._stands_still(seen.history))
        if not self._judged[2]:
            return Verdict.GO_ON
        current = seen.highest if self._column else seen.lowest
        moved = current is None or abs(current - seen.history[-1][self._column]) > self._std
        return Verdict.GO_ON if moved else Verdict.END

    def _stands_still(self, history: Sequence[tuple[float, float]]) -> bool:
        best = [entry[self._column] for entry in history[-(self._num_trials + self._windows - 1) :]]
        return all(_deviation(best[i : i + self._num_trials]) <= self._std for i in range(self._windows))

    def reason(self, usage: Usage) -> str:
        """Names the metric and the value at which it stands."""
        if self.verdict(usage) is Verdict.GO_ON:
            return ""
        best = usage.metrics[self._metric].history[-1][self._column]
        return (
            f"{self._metric} stands at {best} over the last {self._num_trials} trials (deviation at most {self._std})"
        )

    def next_time(self, usage: Usage) -> float | None:
        """None: a plateau is found after events."""
        return None

    def __repr__(self) -> str:
        mode = "max" if self._column else "min"
        return (
            f"PlateauStopper({self._metric!r}, std={self._std}, num_trials={self._num_trials}, mode={mode!r}, "
            f"patience={self._windows})"
        )


def _deviation(values: Sequence[float]) -> float:
    """Population standard deviation; exactly 0 for equal values."""
    first = values[0]
    shifted = [value - first for value in values]
    mean = sum(shifted) / len(values)
    return sqrt(sum((value - mean) ** 2 for value in shifted) / len(values))
