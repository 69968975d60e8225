"""Whether two rungs rank trials alike, up to the noise of the values (Bohdal et al. 2023, "PASHA"). Lower is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np

Curve: TypeAlias = Mapping[int, float]
"""Value at each resource level."""

PERCENTILE: Final = 90
"""Of the gaps between trials that keep swapping places."""


def agree(top: Sequence[float], previous: Sequence[float], epsilon: float) -> bool:
    """Whether the ranking at the upper level is one that the lower level allows.

    Trial i has the values top[i] and previous[i]. At each place of the upper ranking there has to be a trial whose lower value
    is within epsilon of that of the trial that the lower ranking has there. Equal upper values count as ranked either way.
    """
    ranked = sorted(zip(top, previous, strict=True))
    return all(
        below == wanted or abs(below - wanted) <= epsilon
        for (_, below), wanted in zip(ranked, sorted(previous), strict=True)
    )


def noise(curves: Sequence[Curve]) -> float:
    """Epsilon: how far apart two trials may be of which nobody knows which is better; 0 without such a pair.

    Those are pairs that have swapped places twice at least over the levels that both have reported. The answer is the 90th
    percentile of the gaps at their last common level.
    """
    levels = sorted(set().union(*curves)) if curves else []
    count = len(curves)
    before = np.zeros((count, count))
    swaps = np.zeros((count, count), dtype=np.intp)
    gaps = np.zeros((count, count))
    for level in levels:
        values = np.array([curve.get(level, np.nan) for curve in curves])
        with np.errstate(invalid="ignore", over="ignore"):
            apart = values[:, None] - values[None, :]
        known = np.isfinite(apart)
        order = np.where(known, np.sign(apart), 0.0)
        swaps += order * before < 0
        before = np.where(order != 0, order, before)
        gaps = np.where(known, np.abs(apart), gaps)
    pairs = np.triu(swaps >= 2, 1)
    return float(np.percentile(gaps[pairs], PERCENTILE)) if pairs.any() else 0.0
