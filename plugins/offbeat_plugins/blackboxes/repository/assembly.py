"""From what a layout's files hold to a table: configurations, curves, resource levels and times put together and checked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from offbeat.errors import DamagedBlackbox, InvalidArgument
from offbeat.log import get_logger
from offbeat_plugins.blackboxes.configurations import Configurations
from offbeat_plugins.blackboxes.repository.columns import Recorded
from offbeat_plugins.blackboxes.repository.metadata import Metadata
from offbeat_plugins.blackboxes.repository.times import is_cumulative
from offbeat_plugins.blackboxes.tabular import TabularBlackbox

CHUNK: Final = 4096
"""Configurations that are looked at at once, so that a large table is never in memory as a whole."""

CLOCK: Final = "elapsed_time"
"""Objective with the time of a table that has none, where the user says what a level costs."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may say when a folder is read; see `offbeat.blackbox.load_blackbox`."""

    resource_attr: str | None = None
    seconds_per_level: float | None = None


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the files of one task hold.

    Attributes:
        recorded: the configurations.
        values: (config, seed, fidelity, objective).
        fidelities: value at each place of the third axis.
        fidelity: its name.
        configs_path, values_path: the files that errors name.
    """

    recorded: Recorded
    values: NDArray[Any]
    fidelities: NDArray[Any]
    fidelity: str
    configs_path: Path
    values_path: Path


def assembled(parts: Parts, metadata: Metadata, options: Options) -> TabularBlackbox:
    """The table. What was mended is in its `notes` and logged as a warning.

    Configurations without any result are left out, and so is the second of two that are equal. A replicate that is missing
    is answered by the next one.

    Raises DamagedBlackbox, InvalidArgument.
    """
    values, path = parts.values, parts.values_path
    objectives = metadata.declared()
    _check_shape(parts, metadata)
    if options.resource_attr not in (None, parts.fidelity):
        raise InvalidArgument(
            f"resource_attr={options.resource_attr!r}: this table's only fidelity is {parts.fidelity!r}."
        )
    fidelities, order, noted = _levels(parts.fidelities, path)
    if order is not None:
        values = values[:, :, order]
    configs = parts.recorded.configs
    notes = [*metadata.notes, *noted, *parts.recorded.notes]
    elapsed = metadata.elapsed_attr
    metrics = [i for i, name in enumerate(objectives) if name != elapsed]
    there = with_results(values, metrics)
    rows = [int(row) for row in np.flatnonzero(there.any(axis=1))]
    if len(rows) < len(configs):
        notes.append(f"{len(configs) - len(rows)} of {len(configs)} configurations have no result; left out")
    if not rows:
        raise DamagedBlackbox(str(path), "no configuration has a result")
    rows = _different(configs, rows, notes)
    cumulative = True
    if elapsed is not None:
        place = list(objectives).index(elapsed)
        cumulative = (
            metadata.cumulative
            if metadata.cumulative is not None
            else is_cumulative(values[:, 0, :, place], fidelities)
        )
        if not cumulative:
            notes.append(f"{elapsed} counts from the level before; summed up")
    elif options.seconds_per_level is not None:
        values, elapsed = _timed(values, fidelities, options.seconds_per_level), CLOCK
        objectives[CLOCK] = None
    for note in notes:
        get_logger().warning("blackbox mended", file=str(path), note=note)
    complete = len(rows) == len(configs)
    return TabularBlackbox(
        configs.space,
        configs if complete else configs.only(rows),
        values,
        objectives=objectives,
        levels=fidelities,
        resource_attr=parts.fidelity,
        elapsed_attr=elapsed,
        rows=None if complete else rows,
        elapsed="cumulative" if cumulative else "per-level",
        missing_seeds="nan" if there[rows].all() else "next",
        notes=notes,
    )


def _check_shape(parts: Parts, metadata: Metadata) -> None:
    """Raises DamagedBlackbox where the array contradicts its neighbours."""
    n = len(parts.recorded.configs)
    shape = parts.values.shape
    wanted = (n, shape[1], len(parts.fidelities), len(metadata.objectives))
    if shape != wanted or shape[1] < 1:
        raise DamagedBlackbox(
            str(parts.values_path),
            f"its shape is {shape}, but {parts.configs_path.name} has {n} configurations, there are {wanted[2]} fidelity "
            f"values, and metadata.json names {wanted[3]} objectives; (configurations, seeds, fidelities, objectives) "
            "are needed",
        )


def _levels(fidelities: NDArray[Any], path: Path) -> tuple[list[int], list[int] | None, list[str]]:
    """Resource levels, the order of the axis by which they increase (None: as it is), and a note.

    Fidelities that are no whole numbers from 1 up (fractions of a data set, 0) are counted instead: 1, 2, 3 ...
    """
    found = fidelities.tolist()
    if not all(map(np.isfinite, found)) or len(set(found)) < len(found):
        raise DamagedBlackbox(str(path), f"the fidelity values {found[:8]} are not finite, or not different")
    order = None
    if any(b < a for a, b in pairwise(found)):
        order = sorted(range(len(found)), key=found.__getitem__)
        found = sorted(found)
    if all(float(one).is_integer() and one >= 1 for one in found):
        return [int(one) for one in found], order, []
    levels = list(range(1, len(found) + 1))
    return levels, order, [f"fidelity values {found[:3]} are no whole numbers from 1 up; the levels are their places"]


def with_results(values: NDArray[Any], metrics: Sequence[int]) -> NDArray[Any]:
    """Which replicates of (config, seed, fidelity, objective) have a number for a metric somewhere: (config, seed)."""
    there = np.zeros(values.shape[:2], dtype=bool)
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK]
        # Most have one at their first fidelity; the others are looked at as a whole.
        found = np.asarray(~np.isnan(part[:, :, 0][..., metrics]).all(axis=2))
        others = np.flatnonzero(~found.all(axis=1))
        if len(others):
            found[others] = ~np.isnan(part[others][..., metrics]).all(axis=(2, 3))
        there[start : start + CHUNK] = found
    return there


def _different(configs: Configurations, rows: list[int], notes: list[str]) -> list[int]:
    """The first row of each configuration."""
    if configs.twice() is None:
        return rows
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(configs.keys[row], row)
    if len(first) < len(rows):
        notes.append(f"{len(rows) - len(first)} configurations stand in the table twice; the first counts")
    return list(first.values())


def _timed(values: NDArray[Any], levels: Sequence[int], seconds: float) -> NDArray[Any]:
    """The table with a clock for its last objective."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise InvalidArgument(f"seconds_per_level={seconds!r}: give a number above 0.")
    clock = np.broadcast_to((np.asarray(levels) * float(seconds))[:, None], (*values.shape[:3], 1))
    return np.concatenate([values, clock], axis=3)
