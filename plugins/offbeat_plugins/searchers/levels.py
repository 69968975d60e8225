"""From which resource level a model learns, where trials are stopped or paused at different ones.

Values of different levels are never pooled (Falkner et al. 2018, section 3.2): what a trial reached early, before it was
stopped, says little beside what others reached late. So the highest level counts that has enough values; the levels are
those that the scheduler shows its searcher, for ASHA the rungs and max_t.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from offbeat_plugins.searchers.observations import Observations


class Learned(NamedTuple):
    """What a model learns from.

    Attributes:
        rows: of the trials, rising; values: theirs, (n, metrics); level: where they have them, None for last values.
    """

    rows: NDArray[np.intp]
    values: NDArray[np.float64]
    level: int | None = None


def last_values(trials: Observations) -> Learned:
    """Every measured trial with its last value."""
    rows = trials.measured
    return Learned(rows, trials.values[rows])


def highest_level(trials: Observations, enough: int) -> Learned:
    """The highest level at which `enough` trials have values, not all equal; running trials that passed it count.

    Where values at all such levels are equal, the highest of them; where none has enough, the level that has most, the
    higher of two.
    """
    constant: Learned | None = None
    most = Learned(np.empty(0, dtype=np.intp), np.empty((0, 1)))
    for level in reversed(trials.levels):
        rows, values = trials.at_level(level)
        found = Learned(rows, values, level)
        if len(rows) >= enough:
            if (values != values[0]).any():
                return found
            constant = constant or found
        elif len(rows) > len(most.rows):
            most = found
    return constant or most
