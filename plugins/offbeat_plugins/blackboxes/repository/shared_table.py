"""Layout A, "shared-table": one array (task, config, seed, fidelity, objective), all tasks with the same configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from offbeat.errors import DamagedBlackbox
from offbeat_plugins.blackboxes.repository.assembly import Options, Parts, assembled
from offbeat_plugins.blackboxes.repository.columns import read_recorded
from offbeat_plugins.blackboxes.repository.fidelity import fidelity_name
from offbeat_plugins.blackboxes.repository.files import count_rows, open_array
from offbeat_plugins.blackboxes.repository.layout import Extent
from offbeat_plugins.blackboxes.repository.metadata import Metadata
from offbeat_plugins.blackboxes.tabular import TabularBlackbox

SPACE: Final = "configspace.json"
FIDELITY: Final = "fidelityspace.json"
CONFIGS: Final = "hyperparameters.parquet"
VALUES: Final = "objectives_evaluations.npy"
FIDELITIES: Final = "fidelities_values.npy"
AXES: Final = ("task", "configuration", "seed", "fidelity", "objective")


class SharedTable:
    """See `offbeat_plugins.blackboxes.repository.layout.Layout`."""

    name = "shared-table"

    def fits(self, folder: Path) -> bool:
        """Whether the table is there, or its configurations."""
        return (folder / VALUES).is_file() or (folder / CONFIGS).is_file()

    def tasks(self, folder: Path) -> list[str]:
        """Names in the metadata."""
        metadata = Metadata.read(folder)
        if not metadata.tasks:
            raise DamagedBlackbox(metadata.path, "it names no tasks (task_names)")
        return list(metadata.tasks)

    def extent(self, folder: Path, task: str) -> Extent:
        """From the array's header."""
        del task
        metadata = Metadata.read(folder)
        shape = open_array(folder / VALUES, AXES).shape
        levels = len(open_array(folder / FIDELITIES, ("fidelity",)))
        return Extent(count_rows(folder / CONFIGS), shape[2], levels, metadata.declared(), metadata.elapsed_attr)

    def load(self, folder: Path, task: str, options: Options) -> TabularBlackbox:
        """One task: a view of the array, which stays on the disk."""
        metadata = Metadata.read(folder)
        table = open_array(folder / VALUES, AXES)
        if table.shape[0] != len(metadata.tasks):
            raise DamagedBlackbox(
                str(folder / VALUES), f"it has {table.shape[0]} tasks, metadata.json names {len(metadata.tasks)}"
            )
        parts = Parts(
            recorded=read_recorded(folder / SPACE, folder / CONFIGS, metadata.constants),
            values=table[metadata.tasks.index(task)],
            fidelities=open_array(folder / FIDELITIES, ("fidelity",)),
            fidelity=fidelity_name(folder / FIDELITY, metadata),
            configs_path=folder / CONFIGS,
            values_path=folder / VALUES,
        )
        return assembled(parts, metadata, options)
