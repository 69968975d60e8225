"""From a blackbox's curve to what an attempt reports and when; everything that can be wrong with one is found here."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any, Final, Literal, NamedTuple

from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import Blackbox

FallingTime = Literal["error", "running-max"]

_MEMBERS: Final = ("space", "levels", "resource_attr", "objectives", "elapsed_attr", "seeds", "curve")


class Curve(NamedTuple):
    """One training, the missing levels left out.

    Attributes:
        columns: levels, then one list for each of `CurveReader.metrics`, all of the same length; numbers that are not
            finite as text.
        offsets: seconds of training up to each level, never falling.
    """

    columns: list[list[Any]]
    offsets: list[float]


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
        self.elapsed_attr = _elapsed_name(blackbox, elapsed_attr)
        self.metrics = tuple(name for name in blackbox.objectives if name != self.elapsed_attr)
        if not self.metrics:
            raise InvalidArgument("The blackbox has no objective beside the elapsed time.")
        self.names = (blackbox.resource_attr, *self.metrics, self.elapsed_attr)
        if len(set(self.names)) < len(self.names):
            raise InvalidArgument(f"A name stands twice in the blackbox's reports: {', '.join(self.names)}.")
        self._repairs = falling_time == "running-max"
        self._hyperparameters = tuple(blackbox.space.domains)

    def read(self, config: Mapping[str, Any], seed: int) -> Curve:
        """The curve of a configuration. Raises InvalidArgument, and whatever the blackbox raises."""
        for name in self._hyperparameters:
            if name not in config:
                raise InvalidArgument(f"the blackbox needs hyperparameter {name!r}. {nearest(name, config)}")
        found = self.blackbox.curve(config, seed)
        if not isinstance(found, Mapping):
            raise InvalidArgument(
                f"the blackbox answered a {type(found).__name__}, not a mapping from objectives to curves"
            )
        offsets = self._column(found, self.elapsed_attr)
        columns: list[list[Any]] = [self._levels, *[self._column(found, name) for name in self.metrics]]
        for column in columns[1:]:
            total = _total(column)
            if total - total != 0:
                columns, offsets = self._without_missing(columns, offsets)
                break
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
        return Curve(columns, offsets)

    def stop(self, curve: Curve, until: object, name: str) -> int:
        """How many levels of the curve lie up to a resource level. Raises InvalidArgument for one past the table's end."""
        if isinstance(until, bool) or not isinstance(until, int | float) or until != until // 1 or until < 1:
            raise InvalidArgument(f"{name}={until!r} is no resource level: give a whole number from 1 up")
        if until > self._levels[-1]:
            raise InvalidArgument(f"{name}={until} is past the blackbox's last level, {self._levels[-1]}")
        return bisect_right(curve.columns[0], until)

    def _column(self, found: Mapping[str, Any], name: str) -> list[Any]:
        """An objective's values as a list of plain numbers."""
        try:
            values = found[name]
        except KeyError:
            raise InvalidArgument(f"the blackbox's curve has no {name!r}. {nearest(name, found)}") from None
        plain = getattr(values, "tolist", None)
        column = plain() if plain is not None else list(values) if isinstance(values, list | tuple) else values
        if type(column) is not list or len(column) != len(self._levels):
            shape = getattr(values, "shape", None) or (len(column) if isinstance(column, list) else repr(values)[:50])
            raise InvalidArgument(f"the curve of {name!r} has shape {shape}, but there are {len(self._levels)} levels")
        return column

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


def _total(column: list[Any]) -> float:
    try:
        return float(sum(column))
    except TypeError:
        wrong = next((one for one in column if not isinstance(one, int | float)), None)
        raise InvalidArgument(f"a curve holds {wrong!r}; each level has one number") from None
