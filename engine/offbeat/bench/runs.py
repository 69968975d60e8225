"""Runs as they are compared, ours and recorded ones alike: the incumbent's error at each percent of the budget."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Final

import msgspec

from offbeat.bench.campaign import Campaign
from offbeat.bench.cell import CellResult
from offbeat.bench.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS: Final = 100
"""Places at which runs are compared: 1 %, 2 % ... 100 % of the budget, the last result up to there counts."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one method on one benchmark with one seed.

    Attributes:
        observed, true: error of the incumbent at each place, NaN before the first result.
        reached: share of the budget up to which the run is known.
        cpu: CPU seconds of the method itself.
        recorded: it was made by another tool.
        digest: decision digest, "" for recorded ones.
    """

    method: str
    benchmark: str
    seed: int
    observed: list[float]
    true: list[float]
    reached: float = 1.0
    trials: int = 0
    results: int = 0
    cpu: float = nan
    recorded: bool = False
    digest: str = ""


def own_runs(plan: Plan, campaign: Campaign) -> list[Run]:
    """The finished cells of a plan."""
    found = []
    for cell in plan.cells:
        result = campaign.results.get(cell.key)
        if result is not None:
            found.append(_run(cell.contestant.label, cell.benchmark.name, result, float(cell.benchmark.budget or 0)))
    return found


def _run(label: str, benchmark: str, result: CellResult, budget: float) -> Run:
    observed, true = [nan] * POINTS, [nan] * POINTS
    steps = iter([*result.steps, None])
    step, current = next(steps), None
    for place in range(POINTS):
        while step is not None and step.at <= budget * (place + 1) / POINTS:
            step, current = next(steps), step
        if current is not None:
            observed[place], true[place] = current.observed, current.true
    return Run(
        method=label, benchmark=benchmark, seed=result.seed, observed=observed, true=true, trials=result.trials,
        results=result.results, cpu=result.cpu, digest=result.digest,
    )  # fmt: skip


def curve(values: NDArray[Any], reached: float) -> NDArray[Any]:
    """Values over the places, NaN behind what the run has reached."""
    import numpy as np

    found = np.array(values, float)
    known = round(POINTS * reached + 0.5) if isfinite(reached) else 0
    found[max(0, min(POINTS, known)) :] = np.nan
    return found
