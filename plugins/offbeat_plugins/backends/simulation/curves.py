"""From a blackbox's curve to what an attempt reports and when; everything that can be wrong with one is found here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from math import hypot
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import Blackbox

FallingTime = Literal["error", "running-max"]

_MEMBERS: Final = ("space", "levels", "resource_attr", "objectives", "elapsed_attr", "seeds", "curve")


LARGEST: Final = 2.0**53
"""Numbers beyond it are taken in one by one, see `offbeat.signals.Reported`."""

_NUMBERS: Final = frozenset((int, float))
_TEXTS: Final = (str, bytes, bytearray)

Values: TypeAlias = "np.ndarray[Any, Any] | list[Any]"
"""An objective at every level: an array of numbers that become plain when they are read, or a list of plain ones."""

HEAD: Final = 4
"""Levels that are read at first of a curve more than twice as long: most trials of a multi-fidelity run end there."""

_DOUBLE: Final = np.dtype(np.float64)


class Curve(NamedTuple):
    """One training or its beginning, the missing levels left out.

    Attributes:
        columns: levels, then one list for each of `CurveReader.metrics`, all of the same length; numbers that are not
            finite as text.
        offsets: seconds of training up to each level, never falling.
        whole: elapsed time and metrics at every level if only the first `HEAD` of them were read; nobody else's, since a
            blackbox may use its arrays again.
        plain: see `offbeat.signals.Reported`.
    """

    columns: list[list[Any]]
    offsets: list[float]
    whole: Sequence[Values] | None
    plain: bool


class CurveReader:
    """Takes curves from a blackbox and checks them.

    Args:
        blackbox: see `offbeat.protocols.Blackbox`.
        elapsed_attr: the objective that holds the elapsed time; None: the one that the blackbox names.
        falling_time: what an elapsed time that falls is: an "error", or replaced by its "running-max".

    Attributes:
        names: of everything in a report: resource, objectives, elapsed time.

    Raises InvalidArgument for a blackbox or an attribute that cannot work.
    """

    def __init__(
        self, blackbox: Blackbox, *, elapsed_attr: str | None = None, falling_time: FallingTime = "error"
    ) -> None:
        for member in _MEMBERS:
            if not hasattr(blackbox, member):
                raise InvalidArgument(
                    f"blackbox={type(blackbox).__name__} has no {member!r}; a blackbox has {', '.join(_MEMBERS)}."
                )
        if falling_time not in ("error", "running-max"):
            raise InvalidArgument(
                f"falling_time={falling_time!r} is not valid. {nearest(str(falling_time), ('error', 'running-max'))}"
            )
        self.blackbox = blackbox
        self._levels = checked_levels(blackbox.levels)
        self._shape = (len(self._levels),)
        self._head = self._levels[:HEAD]
        self.elapsed_attr = _elapsed_name(blackbox, elapsed_attr)
        self.metrics = tuple(name for name in blackbox.objectives if name != self.elapsed_attr)
        if not self.metrics:
            raise InvalidArgument("The blackbox has no objective beside the elapsed time.")
        self.names = (blackbox.resource_attr, *self.metrics, self.elapsed_attr)
        if len(set(self.names)) < len(self.names):
            raise InvalidArgument(f"A name stands twice in the blackbox's reports: {', '.join(self.names)}.")
        self._repairs = falling_time == "running-max"
        self._wanted = (self.elapsed_attr, *self.metrics)
        self._hyperparameters = blackbox.space.domains.keys() - blackbox.space.conditions.keys()

    def read(self, config: Mapping[str, Any], seed: int, *, whole: bool = True) -> Curve:
        """The curve of a configuration, or its beginning. Raises InvalidArgument, and whatever the blackbox raises."""
        if not self._hyperparameters <= config.keys():
            name = min(self._hyperparameters - config.keys())
            raise InvalidArgument(f"the blackbox needs hyperparameter {name!r}. {nearest(name, config)}")
        found = self.blackbox.curve(config, seed)
        if type(found) is not dict and not isinstance(found, Mapping):
            raise InvalidArgument(
                f"the blackbox answered a {type(found).__name__}, not a mapping from objectives to curves"
            )
        size = len(self._levels)
        if whole or size <= 2 * HEAD:
            return self._checked([self._values(found, name, keep=False) for name in self._wanted], size)
        return self._begun(found) or self._checked(
            [self._values(found, name, keep=True) for name in self._wanted], HEAD
        )

    def _begun(self, found: Mapping[str, Any]) -> Curve | None:
        """`_checked` for the beginning of what nearly always comes: arrays of ordinary numbers, time growing."""
        kept, columns = [], []
        for name in self._wanted:
            values = found.get(name)
            if type(values) is not np.ndarray or values.dtype is not _DOUBLE or values.shape != self._shape:
                return None
            values = values.copy()
            column = values[:HEAD].tolist()
            # No number is larger than this one, which is finite only if all of them are.
            if not hypot(*column) < LARGEST:
                return None
            kept.append(values)
            columns.append(column)
        offsets = columns[0]
        if offsets[0] < 0 or sorted(offsets) != offsets:
            return None
        columns[0] = self._head
        return Curve(columns, offsets, kept, True)

    def extended(self, curve: Curve) -> Curve:
        """All of a curve of which the beginning was read. Raises InvalidArgument."""
        return curve if curve.whole is None else self._checked(curve.whole, len(self._levels))

    def _checked(self, values: Sequence[Values], count: int) -> Curve:
        """The first `count` levels of elapsed time and metrics."""
        begun = count < len(self._levels)
        offsets, *read = [one[:count].tolist() if isinstance(one, np.ndarray) else one[:count] for one in values]
        columns = [self._head if begun else self._levels, *read]
        plain = complete = True
        for column in read:
            total = _total(column)
            if total - total != 0:
                complete = False
            elif min(column) <= -LARGEST or max(column) >= LARGEST:
                plain = False
        if not complete:
            if begun:
                return self._checked(values, len(self._levels))
            columns, offsets = self._without_missing(columns, offsets)
        total = _total(offsets)
        if total - total != 0 or (offsets and offsets[0] < 0):
            bad = next((i, t) for i, t in enumerate(offsets) if t - t != 0 or t < 0)
            raise InvalidArgument(
                f"{self.elapsed_attr} is {bad[1]} at level {columns[0][bad[0]]}; it counts seconds from 0"
            )
        if sorted(offsets) != offsets:
            if not self._repairs:
                i = next(i for i in range(1, len(offsets)) if offsets[i] < offsets[i - 1])
                raise InvalidArgument(
                    f"{self.elapsed_attr} falls from {offsets[i - 1]} to {offsets[i]} at level {columns[0][i]}; it has to be "
                    "cumulative. falling_time='running-max' takes the highest so far."
                )
            offsets = list(accumulate(offsets, max))
        plain = plain and complete and offsets[-1] < LARGEST
        return Curve(columns, offsets, values if begun else None, plain)

    def check_level(self, until: Any, name: str) -> int:
        """A resource level up to which an attempt is to run. Raises InvalidArgument for one past the table's end."""
        if isinstance(until, bool) or not isinstance(until, int | float) or until != until // 1 or until < 1:
            raise InvalidArgument(f"{name}={until!r} is no resource level: give a whole number from 1 up")
        if until > self._levels[-1]:
            raise InvalidArgument(f"{name}={until} is past the blackbox's last level, {self._levels[-1]}")
        return int(until)

    def _values(self, found: Mapping[str, Any], name: str, keep: bool) -> Values:
        """What a blackbox answered for an objective; a copy of it if it is to be read later."""
        try:
            values = found[name]
        except KeyError:
            raise InvalidArgument(f"the blackbox's curve has no {name!r}. {nearest(name, found)}") from None
        size = len(self._levels)
        if type(values) is np.ndarray and values.shape == (size,) and values.dtype.kind in "fiu":
            if values.itemsize > 8:
                return values.astype(np.float64)
            return values.copy() if keep else values
        try:
            fits = len(values) == size
        except TypeError:
            fits = False
        if not fits:
            shape = getattr(values, "shape", None) or (len(values) if isinstance(values, list) else repr(values)[:50])
            raise InvalidArgument(f"the curve of {name!r} has shape {shape}, but there are {size} levels")
        if hasattr(values, "tolist"):
            column = list(values.tolist())
        elif isinstance(values, Sequence) and not isinstance(values, _TEXTS):
            column = list(values)
        else:
            kind = type(values).__name__
            raise InvalidArgument(
                f"the curve of {name!r} is a {kind}; give a list or an array with a number for each level"
            )
        return column if _NUMBERS.issuperset(map(type, column)) else [_plain(one) for one in column]

    def _without_missing(self, columns: list[list[Any]], offsets: list[float]) -> tuple[list[list[Any]], list[float]]:
        """Levels at which no objective has a value are missing; single values that are not finite become text."""
        present = [i for i in range(len(offsets)) if any(column[i] == column[i] for column in columns[1:])]
        if not present:
            raise InvalidArgument("the blackbox has no value at any level for this configuration and seed")
        kept = [[column[i] for i in present] for column in columns]
        return [[v if v - v == 0 else str(v) for v in column] for column in kept], [offsets[i] for i in present]


def checked_levels(levels: Any) -> list[int]:
    """Resource levels as a list. Raises InvalidArgument unless they are increasing whole numbers from 1 up."""
    plain = getattr(levels, "tolist", None)
    found = plain() if plain is not None else list(levels)
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in found)
    if not found or not whole or found[0] < 1 or any(b <= a for a, b in pairwise(found)):
        raise InvalidArgument(f"levels={found!r}: give increasing whole numbers from 1 up.")
    return found


def _elapsed_name(blackbox: Blackbox, wanted: str | None) -> str:
    name = blackbox.elapsed_attr if wanted is None else wanted
    if name is None:
        raise InvalidArgument(
            f"elapsed_time_attr= is needed: the objective that holds the seconds of training, one of "
            f"{', '.join(map(repr, blackbox.objectives))}."
        )
    if name not in blackbox.objectives:
        raise InvalidArgument(f"elapsed_time_attr={name!r} is no objective. {nearest(name, blackbox.objectives)}")
    return name


def _plain(value: Any) -> int | float:
    """A single number (NumPy's, or any array's without dimensions) as Python's own. Raises InvalidArgument for anything else."""
    found = value.item() if getattr(value, "shape", None) == () else value
    if isinstance(found, int) and not isinstance(found, bool):
        return int(found)
    if isinstance(found, float | np.floating):
        return float(found)
    raise InvalidArgument(f"a curve holds {value!r}; each level has one number")


def _total(column: list[Any]) -> float:
    try:
        return float(sum(column))
    except OverflowError:
        raise InvalidArgument("a curve holds whole numbers of 308 digits and more; they have to fit a float") from None
