"""What a model may learn from: the fold of events over the configurations that were tried and the values that came of them.

Model-based searchers share it. A value stays with the configuration of its trial whatever the order in which trials end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from offbeat.events import (
    Event,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialLost,
    TrialPaused,
    TrialResult,
    TrialStopped,
)
from offbeat.protocols import LedgerView, Objective
from offbeat.space import Seen, Space
from offbeat.trial import Status, TrialId

if TYPE_CHECKING:
    from numpy.typing import NDArray

Configs: TypeAlias = Sequence[Mapping[str, Any]]

OBSERVES: Final = frozenset((Suggested, TrialResult, TrialPaused, TrialStopped, TrialFinished, TrialFailed, TrialLost))
"""Events that the fold is made of."""

_PENDING, _MEASURED, _WORTHLESS = 0, 1, 2

_CLASSES: Final = {
    Status.FINISHED: _MEASURED,
    Status.STOPPED: _MEASURED,
    Status.PAUSED: _MEASURED,
    Status.FAILED: _WORTHLESS,
}


class Grown:
    """A matrix that rows are appended to, at amortised cost: each growth doubles the room.

    Args:
        width: of a row; fill: what stands in a row that was not written yet.
    """

    __slots__ = ("_array", "_fill", "_size")

    def __init__(self, width: int, fill: float = np.nan) -> None:
        self._fill = fill
        self._array = np.full((16, width), fill)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def extend(self, rows: NDArray[Any] | int) -> None:
        """Appends rows (n, width), or as many unwritten ones."""
        count = rows if isinstance(rows, int) else len(rows)
        if self._size + count > len(self._array):
            room = max(2 * len(self._array), self._size + count)
            grown = np.full((room, self._array.shape[1]), self._fill)
            grown[: self._size] = self._array[: self._size]
            self._array = grown
        if not isinstance(rows, int):
            self._array[self._size : self._size + count] = rows
        self._size += count

    @property
    def rows(self) -> NDArray[np.float64]:
        """All rows so far, (n, width): a view, which a later growth leaves behind."""
        return self._array[: self._size]


class Encoded:
    """Rows of numbers for configurations, each made once. A cache: it follows from the configurations.

    Args:
        encode: from configurations to (n, width).
        width: of a row.
    """

    __slots__ = ("_encode", "_matrix")

    def __init__(self, encode: Callable[[Configs], NDArray[Any]], width: int) -> None:
        self._encode = encode
        self._matrix = Grown(width)

    def of(self, configs: Configs) -> NDArray[np.float64]:
        """The rows of all configurations, of which only those at the end may be new since the last call."""
        known = len(self._matrix)
        if known < len(configs):
            self._matrix.extend(self._encode(configs[known:]))
        return self._matrix.rows


class Observations:
    """Which configurations were tried and what they were worth; lower is better for every metric, whatever its mode.

    A configuration's row is its place among all that were suggested, first to last. A trial counts as measured once it has
    ended or is paused and has reported: its last values stand for it. Until then, and again when it is resumed or another
    attempt follows, it is pending. One that failed, or ended without a report, is neither and stays in `seen` alone.

    Args:
        space: of the configurations.
        objective: whose metrics are kept, in its order.
        by_level: keep the values at every resource level too, see `at_level`.

    Attributes:
        configs, trials: by row.
        seen: every configuration that was suggested, those from outside and those of failed trials included.
        proposed: how many of the configurations were not brought in from outside.
    """

    observes = OBSERVES

    def __init__(self, space: Space, objective: Objective, *, by_level: bool = False) -> None:
        self.configs: list[Mapping[str, Any]] = []
        self.trials: list[TrialId] = []
        self.seen = Seen(space)
        self.proposed = 0
        self._names = tuple(spec.name for spec in objective.metrics)
        self._signs = tuple(1.0 if spec.mode == "min" else -1.0 for spec in objective.metrics)
        self._rows: dict[TrialId, int] = {}
        self._values = Grown(len(self._names))
        self._classes = Grown(1, _PENDING)
        self._reported: set[int] = set()
        #: Level -> row -> values there; None where they are not kept.
        self._levels: dict[int, dict[int, tuple[float, ...]]] | None = {} if by_level else None
        self._codes = Encoded(space.encode, space.dimension)

    def __len__(self) -> int:
        return len(self.configs)

    def observe(self, event: Event, ledger: LedgerView) -> None:
        """Takes in an event about a trial; one that tells nothing new passes."""
        if type(event) is TrialResult:
            self._result(event)
        elif type(event) is Suggested:
            self._suggested(event)
        elif (trial := getattr(event, "trial", None)) is not None and trial in self._rows:
            self._follow(trial, ledger[trial].status)

    def _suggested(self, event: Suggested) -> None:
        if event.kind == "start" and event.config is not None:
            self._rows[event.trial] = len(self.configs)
            self.configs.append(event.config)
            self.trials.append(event.trial)
            self.seen.add(event.config)
            self.proposed += "enqueued" not in event.tags
            self._values.extend(1)
            self._classes.extend(1)
        elif event.kind == "resume" and event.trial in self._rows:
            self._classes.rows[self._rows[event.trial], 0] = _PENDING

    def _result(self, event: TrialResult) -> None:
        row = self._rows.get(event.trial)
        if row is None:
            return
        metrics = event.metrics
        values = tuple(sign * metrics[name] for sign, name in zip(self._signs, self._names, strict=True))
        self._values.rows[row] = values
        self._reported.add(row)
        if self._levels is not None:
            self._levels.setdefault(event.resource, {})[row] = values

    def _follow(self, trial: TrialId, status: Status) -> None:
        row = self._rows[trial]
        found = _CLASSES.get(status, _PENDING)
        self._classes.rows[row, 0] = _WORTHLESS if found == _MEASURED and row not in self._reported else found

    # --- what models read

    def row(self, trial: TrialId | None) -> int | None:
        """The row of a trial; None for one that is not known."""
        return None if trial is None else self._rows.get(trial)

    def is_measured(self, row: int) -> bool:
        """Whether a row is among `measured`."""
        return bool(self._classes.rows[row, 0] == _MEASURED)

    @property
    def measured(self) -> NDArray[np.intp]:
        """Rows of measured trials, rising."""
        return np.flatnonzero(self._classes.rows[:, 0] == _MEASURED)

    @property
    def pending(self) -> NDArray[np.intp]:
        """Rows of trials that wait for their start, run, or are about to end, rising."""
        return np.flatnonzero(self._classes.rows[:, 0] == _PENDING)

    @property
    def failed(self) -> NDArray[np.intp]:
        """Rows of trials that failed or never reported, rising."""
        return np.flatnonzero(self._classes.rows[:, 0] == _WORTHLESS)

    @property
    def values(self) -> NDArray[np.float64]:
        """Last values by row, (n, metrics), NaN before the first report: those of `measured` rows are what counts."""
        return self._values.rows

    @property
    def codes(self) -> NDArray[np.float64]:
        """Configurations in the unit cube by row, (n, space.dimension); see `Space.encode`."""
        return self._codes.of(self.configs)

    @property
    def levels(self) -> tuple[int, ...]:
        """Resource levels that have values, rising; none unless `by_level`."""
        return tuple(sorted(self._levels or ()))

    def is_at(self, row: int, level: int) -> bool:
        """Whether a row's trial has reported at a level."""
        return row in (self._levels or {}).get(level, ())

    def at_level(self, level: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Rows, rising, and values (rows, metrics) of all trials that reported at a level, running ones included.

        Without trials that failed; a trial that came by twice counts with its later values.
        """
        found = (self._levels or {}).get(level, {})
        classes = self._classes.rows[:, 0]
        rows = np.array([row for row in sorted(found) if classes[row] != _WORTHLESS], dtype=np.intp)
        return rows, np.array([found[row] for row in rows.tolist()], dtype=float).reshape(len(rows), len(self._names))
