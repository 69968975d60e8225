"""Results of runs by resource level, and how far apart two runs are."""

from __future__ import annotations

from typing import Any, NamedTuple

from offbeat.check.plan import Plan
from offbeat.check.runs import Run

CLOCKS = ("time", "second", "elapsed", "duration", "speed", "throughput")
"""What stands in the name of a metric that two runs never agree on."""


class Difference(NamedTuple):
    """Where two runs differ most in a metric; `relative` is infinite where one of them has no number there."""

    metric: str
    level: int
    expected: Any
    found: Any
    relative: float


def levels(run: Run, plan: Plan, before: int = 0) -> list[int]:
    """Resource level of each report; where there is no resource, or it is no whole number, reports are counted.

    before: reports of the attempts before this one, from which the count goes on.
    """
    found = []
    for number, report in enumerate(run.reports, before + 1):
        value = report.metrics.get(plan.resource_attr) if plan.resource_attr is not None else None
        found.append(value if type(value) is int else number)
    return found


def by_level(run: Run, plan: Plan, before: int = 0) -> dict[int, dict[str, Any]]:
    """Metrics at each level; of several reports at one level the first."""
    found: dict[int, dict[str, Any]] = {}
    for level, report in zip(levels(run, plan, before), run.reports, strict=True):
        found.setdefault(level, report.metrics)
    return found


def differences(expected: dict[int, dict[str, Any]], found: dict[int, dict[str, Any]], plan: Plan) -> list[Difference]:
    """The largest difference of each metric over the levels that both have, largest first; equal ones are left out."""
    worst: dict[str, Difference] = {}
    for level in sorted(expected.keys() & found.keys()):
        for metric, value in expected[level].items():
            if metric == plan.resource_attr or any(word in metric.lower() for word in CLOCKS):
                continue
            other = found[level].get(metric)
            apart = distance(value, other)
            if apart > plan.tolerance and (metric not in worst or apart > worst[metric].relative):
                worst[metric] = Difference(metric, level, value, other, apart)
    return sorted(worst.values(), key=lambda one: -one.relative)


def distance(one: Any, other: Any) -> float:
    """Relative to the larger of two numbers; 0 for other equal values, infinite for different ones."""
    if type(one) in (int, float) and type(other) in (int, float):
        size = max(abs(one), abs(other))
        return 0.0 if size == 0 else abs(one / size - other / size)
    return 0.0 if one == other else float("inf")
