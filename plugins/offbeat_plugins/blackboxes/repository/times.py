"""Whether a column of times counts from the beginning of the training or from the level before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SAMPLE: Final = 256
"""Curves that are looked at, evenly spread over the table."""


def is_cumulative(times: NDArray[Any], levels: Sequence[int]) -> bool:
    """Whether times (config, level) grow with the level.

    They count from the level before where, in more than half of the curves, they fall somewhere or stay as they are, and
    where the last one is nearer to the first than to what the levels would make of it (by ratio): a noisy cumulative time
    falls now and then too, but is much longer in the end.
    """
    if len(levels) < 2:
        return True
    sample = times[:: max(1, len(times) // SAMPLE)]
    flat, growth = [], []
    for curve in sample:
        there = np.flatnonzero(np.isfinite(curve))
        if len(there) < 2 or curve[there[0]] <= 0:
            continue
        values = curve[there]
        first, last = levels[there[0]], levels[there[-1]]
        flat.append(bool((np.diff(values) < 0).any() or values[0] == values[-1]))
        growth.append(values[-1] / values[0] < np.sqrt(last / first))
    return not (flat and np.mean(flat) > 0.5 and np.mean(growth) > 0.5)
