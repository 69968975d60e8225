"""Which experiments there are: filtered by what they are and how they stand; what cannot be read is named, never fatal."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from math import isfinite
from typing import Final, NamedTuple, TypeAlias, overload

from offbeat.clock import SystemClock
from offbeat.errors import InvalidArgument, OffbeatError, nearest
from offbeat.events import ExperimentSpec
from offbeat.home import experiments, root
from offbeat.results.experiment import Experiment, spec_of
from offbeat.results.records import Summary

STATUSES: Final = ("running", "done", "interrupted", "failed", "crashed")

Wanted: TypeAlias = str | Collection[str] | None
"""One value, or several of which any will do; None: all."""

Moment: TypeAlias = datetime | date | timedelta | float | str
"""A point in time: seconds since 1970, an age ("30m", "12h", "2d", "1w", a timedelta), or a date and time ("2026-11-23").
Without a time zone it is local time."""

_AGE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Skipped(NamedTuple):
    """A folder with a journal that tells of no experiment, or not one that can be read."""

    name: str
    path: str
    reason: str


class Listing:
    """Summaries of experiments, by name.

    Attributes:
        home: the folder that was looked into.
        skipped: what lies there too and cannot be read, each with the reason.
    """

    def __init__(self, home: str, found: Collection[Summary], skipped: Collection[Skipped]) -> None:
        self.home = home
        self._found = tuple(found)
        self.skipped = tuple(skipped)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Summary]:
        return iter(self._found)

    @overload
    def __getitem__(self, which: int) -> Summary: ...
    @overload
    def __getitem__(self, which: slice) -> tuple[Summary, ...]: ...
    def __getitem__(self, which: int | slice) -> Summary | tuple[Summary, ...]:
        return self._found[which]

    def __repr__(self) -> str:
        lines = [f"{len(self)} experiments in {self.home}"]
        lines += [f"  {one.name}: {one.status}, {one.trials} trials, {one.results} results" for one in self]
        lines += [f"  {name}: unreadable, {reason}" for name, _, reason in self.skipped]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from offbeat.results.cards import listing_card

        return listing_card(self)


def list_experiments(
    name: Wanted = None,
    *,
    metric: Wanted = None,
    scheduler: Wanted = None,
    backend: Wanted = None,
    status: Wanted = None,
    since: Moment | None = None,
    home: str | os.PathLike[str] | None = None,
) -> Listing:
    """The experiments in a folder that fit all filters.

    Args:
        name: a pattern as for file names: `digits-*`, `*-2026*`.
        metric: an objective, any of several.
        scheduler: name of a plugin, or `module:class` where no distribution declares the class.
        backend: likewise.
        status: "running", "done", "interrupted", "failed", "crashed".
        since: those whose last session began then or later, and those that are running.
        home: the folder, instead of `$OFFBEAT_HOME` or `~/offbeat`.

    Raises:
        InvalidArgument: an unknown status, or no point in time.
    """
    states = _set("status", status)
    for one in states or ():
        if one not in STATUSES:
            raise InvalidArgument(f"status={one!r} is not valid. {nearest(str(one), STATUSES)}")
    earliest = None if since is None else as_moment(since, SystemClock().wall())
    patterns, metrics = _set("name", name), _set("metric", metric)
    schedulers, backends = _set("scheduler", scheduler), _set("backend", backend)

    def fits(spec: ExperimentSpec) -> bool:
        return (
            (metrics is None or any(one.name in metrics for one in spec.metrics))
            and (schedulers is None or spec.scheduler.name in schedulers)
            and (backends is None or spec.backend.name in backends)
        )

    found: list[Summary] = []
    skipped: list[Skipped] = []
    for folder in experiments(home):
        if patterns is not None and not any(fnmatchcase(folder.name, pattern) for pattern in patterns):
            continue
        try:
            # The head says what it is; only those that fit are read as a whole.
            if not fits(spec_of(folder)):
                continue
            summary = Experiment(folder).summary()
        except (OffbeatError, OSError) as error:
            skipped.append(Skipped(folder.name, str(folder.path), str(error)))
            continue
        if states is not None and summary.status not in states:
            continue
        if earliest is not None and summary.latest < earliest and summary.holder is None:
            continue
        found.append(summary)
    return Listing(str(root(home)), found, skipped)


def as_moment(value: Moment, now: float) -> float:
    """Seconds since 1970. Raises InvalidArgument.

    Args:
        value: see `Moment`.
        now: from which an age is counted back.
    """
    if isinstance(value, timedelta):
        return now - value.total_seconds()
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, date):
        return datetime.combine(value, time()).timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    if isinstance(value, str):
        if age := _AGE.fullmatch(value):
            return now - float(age[1]) * _UNITS[age[2]]
        try:
            return datetime.fromisoformat(value.strip()).timestamp()
        except (ValueError, OverflowError, OSError):
            pass
    raise InvalidArgument(
        f"since={value!r} is no point in time: give an age ('30m', '12h', '2d', '1w') or a date ('2026-11-23', "
        "'2026-11-23 14:30')."
    )


def _set(argument: str, wanted: Wanted) -> frozenset[str] | None:
    if wanted is None:
        return None
    names = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(names, Collection) or not all(isinstance(one, str) for one in names):
        raise InvalidArgument(f"{argument}={wanted!r}: give a text, or a list of texts of which any will do.")
    return frozenset(names)
