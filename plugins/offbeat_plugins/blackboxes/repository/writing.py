"""Tables as folders of the repository, in the three layouts that hold tables.

What the layouts have no place for (senses of objectives, domains that their JSON cannot say) stands beside, under keys
that other readers pass over.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from offbeat.errors import InvalidArgument, MissingExtra, nearest
from offbeat.space import Space
from offbeat_plugins.blackboxes.repository import shared_table as shared
from offbeat_plugins.blackboxes.repository import task_frames as frames
from offbeat_plugins.blackboxes.repository import task_tables as apart
from offbeat_plugins.blackboxes.repository.domains import entries_to_json
from offbeat_plugins.blackboxes.repository.metadata import FILE, OWN
from offbeat_plugins.blackboxes.tabular import TabularBlackbox

TableLayout: TypeAlias = Literal["shared-table", "task-tables", "task-frames"]

SEED: Final = "seed"
TASK: Final = "task"
"""Columns of a data frame beside hyperparameters, fidelity and objectives."""


def written(folder: Path, tables: Mapping[str, TabularBlackbox], layout: TableLayout) -> Path:
    """Writes a folder, as a whole or not at all. Raises InvalidArgument."""
    _check(folder, tables, layout)
    if layout == "shared-table":
        _check_shared(tables)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _WRITERS[layout](partial, tables)
        _write_common(partial, tables, {"seed_col": SEED} if layout == "task-frames" else {})
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _check(folder: Path, tables: Mapping[str, TabularBlackbox], layout: str) -> None:
    if layout not in _WRITERS:
        raise InvalidArgument(f"layout={layout!r} cannot be written. {nearest(str(layout), _WRITERS)}")
    if folder.exists():
        raise InvalidArgument(f"There is a {folder} already; give another name, or delete it.")
    if not isinstance(tables, Mapping) or not tables:
        raise InvalidArgument("tables: give a TabularBlackbox, or one for each task: {task: table}.")
    first = next(iter(tables.values()))
    for task, table in tables.items():
        if not isinstance(table, TabularBlackbox):
            raise InvalidArgument(f"tables[{task!r}] is a {type(table).__name__}, not a TabularBlackbox.")
        if not task or "/" in task or task.startswith("."):
            raise InvalidArgument(f"The task {task!r} cannot be the beginning of a file's name.")
        for what, own, wanted in (
            ("space", table.space, first.space),
            ("objectives", dict(table.objectives), dict(first.objectives)),
            ("order of objectives", list(table.objectives), list(first.objectives)),
            ("resource_attr", table.resource_attr, first.resource_attr),
            ("elapsed_attr", table.elapsed_attr, first.elapsed_attr),
            ("elapsed", table.elapsed, first.elapsed),
        ):
            if own != wanted:
                raise InvalidArgument(f"The tables of {task!r} and {next(iter(tables))!r} differ in their {what}.")


def _check_shared(tables: Mapping[str, TabularBlackbox]) -> None:
    first = next(iter(tables.values()))
    for task, table in tables.items():
        if table.configs != first.configs or table.levels != first.levels or table.seeds != first.seeds:
            raise InvalidArgument(
                f"The tables of {task!r} and {next(iter(tables))!r} have other configurations, seeds or levels: "
                "layout='task-tables' keeps them apart."
            )


def _write_shared(folder: Path, tables: Mapping[str, TabularBlackbox]) -> None:
    first = next(iter(tables.values()))
    shape = (len(tables), *_values(first).shape)
    array = np.lib.format.open_memmap(folder / shared.VALUES, mode="w+", dtype=_dtype(tables), shape=shape)
    for i, table in enumerate(tables.values()):
        array[i] = _values(table)
    array.flush()
    _write_columns(folder / shared.CONFIGS, first.space, first.configs)
    np.save(folder / shared.FIDELITIES, np.asarray(first.levels))
    _write_json(folder / shared.FIDELITY, _fidelity(first))


def _write_apart(folder: Path, tables: Mapping[str, TabularBlackbox]) -> None:
    for task, table in tables.items():
        np.save(folder / f"{task}{apart.VALUES}", np.asarray(_values(table), dtype=_dtype(tables)))
        np.save(folder / f"{task}{apart.FIDELITIES}", np.asarray(table.levels))
        _write_columns(folder / f"{task}{apart.CONFIGS}", table.space, table.configs)
        _write_json(folder / f"{task}{apart.FIDELITY}", _fidelity(table))


def _write_frames(folder: Path, tables: Mapping[str, TabularBlackbox]) -> None:
    for task, table in tables.items():
        names = [*table.space.domains, *table.objectives, table.resource_attr, SEED, TASK]
        for name in names:
            if names.count(name) > 1:
                raise InvalidArgument(
                    f"A data frame would have two columns {name!r}; rename one, or use another layout."
                )
        values = _values(table)
        # A row for each evaluation that there is.
        configs, seeds, levels = np.nonzero(~np.isnan(values).all(axis=3))
        columns: dict[str, Any] = {
            name: [table.configs[i].get(name) for i in configs.tolist()] for name in table.space.domains
        }
        columns |= {name: values[configs, seeds, levels, i] for i, name in enumerate(table.objectives)}
        places = np.asarray(table.levels)
        _write_parquet(
            folder / frames.FRAME.format(task),
            {**columns, table.resource_attr: places[levels], SEED: seeds, TASK: [task] * len(configs)},
        )
    _write_json(folder / frames.FIDELITY, _fidelity(next(iter(tables.values()))))


def _write_common(folder: Path, tables: Mapping[str, TabularBlackbox], more: Mapping[str, Any]) -> None:
    first = next(iter(tables.values()))
    ranked = [name for name, mode in first.objectives.items() if mode is not None and name != first.elapsed_attr]
    _write_json(folder / shared.SPACE, entries_to_json(first.space))
    _write_json(
        folder / FILE,
        {
            "objectives_names": list(first.objectives),
            "task_names": list(tables),
            "metric_elapsed_time": first.elapsed_attr,
            "metric_default": ranked[0] if ranked else next(iter(first.objectives)),
            "time_attr": first.resource_attr,
            **more,
            OWN: {
                "modes": dict(first.objectives),
                "elapsed": first.elapsed,
                "constants": dict(first.space.constants),
            },
        },
    )


def _values(table: TabularBlackbox) -> Any:
    """The table's values in the order of its configurations."""
    return table.values if isinstance(table.at, range) else table.values[list(table.at)]


def _dtype(tables: Mapping[str, TabularBlackbox]) -> Any:
    """Single precision where that is what there is, as other readers expect; double where something would be lost."""
    kinds = [table.values.dtype for table in tables.values()]
    return np.float32 if all(np.can_cast(kind, np.float32) for kind in kinds) else np.float64


def _fidelity(table: TabularBlackbox) -> dict[str, Any]:
    bounds = {"lower": int(table.levels[0]), "upper": int(table.levels[-1])}
    domain = {"domain_cls": "Integer", "domain_kwargs": bounds, "sampler_cls": "Uniform", "sampler_kwargs": {}}
    return {table.resource_attr: domain}


def _write_columns(path: Path, space: Space, configs: Sequence[Mapping[str, Any]]) -> None:
    _write_parquet(path, {name: [config.get(name) for config in configs] for name in space.domains})


def _write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("Writing a blackbox repository", "blackbox") from None
    parquet.write_table(pyarrow.table(dict(columns)), str(path), compression="gzip")


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


_WRITERS: Final[Mapping[str, Callable[[Path, Mapping[str, TabularBlackbox]], None]]] = {
    "shared-table": _write_shared,
    "task-tables": _write_apart,
    "task-frames": _write_frames,
}
