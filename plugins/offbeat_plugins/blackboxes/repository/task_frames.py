"""Layout C, "task-frames": for each task a data frame with a row for each evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any, Final

import numpy as np

from offbeat.errors import DamagedBlackbox
from offbeat.space.domain import Domain
from offbeat.space.entries import Conditional
from offbeat_plugins.blackboxes.repository.assembly import Options, Parts, assembled
from offbeat_plugins.blackboxes.repository.columns import configurations
from offbeat_plugins.blackboxes.repository.domains import entries_from_json
from offbeat_plugins.blackboxes.repository.fidelity import fidelity_name
from offbeat_plugins.blackboxes.repository.files import count_rows, read_columns, read_json, require
from offbeat_plugins.blackboxes.repository.layout import Extent
from offbeat_plugins.blackboxes.repository.metadata import Metadata
from offbeat_plugins.blackboxes.tabular import TabularBlackbox

SPACE: Final = "configspace.json"
FIDELITY: Final = "fidelityspace.json"
FRAME: Final = "data-{}.parquet"


class TaskFrames:
    """See `offbeat_plugins.blackboxes.repository.layout.Layout`."""

    name = "task-frames"

    def fits(self, folder: Path) -> bool:
        """Whether a task's data frame is there."""
        return any(folder.glob(FRAME.format("*")))

    def tasks(self, folder: Path) -> list[str]:
        """Names in the metadata, or, where they name none, those of the files."""
        start, end = FRAME.split("{}")
        files = sorted(path.name.removeprefix(start).removesuffix(end) for path in folder.glob(FRAME.format("*")))
        return list(Metadata.read(folder).tasks) or files

    def extent(self, folder: Path, task: str) -> Extent:
        """Rows of the frame; how many seeds and levels they make is not known before they are read."""
        metadata = Metadata.read(folder)
        return Extent(count_rows(folder / FRAME.format(task)), 1, 1, metadata.declared(), metadata.elapsed_attr)

    def load(self, folder: Path, task: str, options: Options) -> TabularBlackbox:
        """One task. Rows of the same configuration without a seed column are further seeds, in the order of the frame."""
        metadata = Metadata.read(folder)
        path = folder / FRAME.format(task)
        entries = entries_from_json(read_json(folder / SPACE), folder / SPACE)
        names = [name for name, entry in entries.items() if isinstance(entry, Domain | Conditional)]
        fidelity = fidelity_name(folder / FIDELITY, metadata)
        frame = read_columns(path)
        for name in (*names, *metadata.objectives):
            require(path, name, frame, "column")
        if metadata.seed_column is not None:
            require(path, metadata.seed_column, frame, "seed column")
        rows = frame if "task" in (*names, *metadata.objectives) else _of_task(frame, task)
        n = len(rows[metadata.objectives[0]])
        if n == 0:
            raise DamagedBlackbox(str(path), f"it has no row of the task {task!r}")
        levels = [float(one) for one in rows[fidelity]] if fidelity in rows else [1.0] * n
        columns, values, fidelities = _dense(rows, names, metadata, levels)
        parts = Parts(
            recorded=configurations(entries | json.loads(metadata.constants), columns, path),
            values=values,
            fidelities=fidelities,
            fidelity=fidelity,
            configs_path=path,
            values_path=path,
        )
        return assembled(parts, metadata, options)


def _of_task(frame: Mapping[str, list[Any]], task: str) -> Mapping[str, list[Any]]:
    """The rows of a task, where the frame says to which task a row belongs."""
    marks = frame.get("task")
    if marks is None or all(str(mark) == task for mark in marks):
        return frame
    wanted = [i for i, mark in enumerate(marks) if str(mark) == task]
    return {name: [column[i] for i in wanted] for name, column in frame.items()}


def _dense(
    frame: Mapping[str, list[Any]], names: Sequence[str], metadata: Metadata, levels: Sequence[float]
) -> tuple[dict[str, list[Any]], Any, Any]:
    """Columns of the different configurations, (config, seed, fidelity, objective), and the fidelity values."""
    configs: dict[tuple[Any, ...], int] = {}
    # NaN differs from itself; None is the same everywhere.
    given = [[None if isinstance(one, float) and isnan(one) else one for one in frame[name]] for name in names]
    rows = [configs.setdefault(key, len(configs)) for key in zip(*given, strict=True)]
    fidelities = sorted(set(levels))
    places = [fidelities.index(level) for level in levels] if len(fidelities) > 1 else [0] * len(levels)
    if metadata.seed_column is not None:
        marks = frame[metadata.seed_column]
        known = {mark: i for i, mark in enumerate(sorted(set(marks), key=str))}
        seeds = [known[mark] for mark in marks]
    else:
        seen: dict[tuple[int, int], int] = {}
        seeds = []
        for cell in zip(rows, places, strict=True):
            seeds.append(seen.get(cell, 0))
            seen[cell] = seeds[-1] + 1
    values = np.full((len(configs), max(seeds) + 1, len(fidelities), len(metadata.objectives)), np.nan)
    for i, name in enumerate(metadata.objectives):
        column = [np.nan if one is None else float(one) for one in frame[name]]
        values[rows, seeds, places, i] = column
    columns = {name: [key[i] for key in configs] for i, name in enumerate(names)}
    return columns, values, np.asarray(fidelities)
