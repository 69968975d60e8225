"""Layout B, "task-tables": for each task its own configurations and an array (config, seed, fidelity, objective)."""

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
CONFIGS: Final = "-hyperparameters.parquet"
FIDELITY: Final = "-fidelity_space.json"
VALUES: Final = "-objectives_evaluations.npy"
FIDELITIES: Final = "-fidelity_values.npy"
AXES: Final = ("configuration", "seed", "fidelity", "objective")


class TaskTables:
    """See `offbeat_plugins.blackboxes.repository.layout.Layout`."""

    name = "task-tables"

    def fits(self, folder: Path) -> bool:
        """Whether a task's table is there, or its configurations."""
        return any(folder.glob(f"*{VALUES}")) or any(folder.glob(f"*{CONFIGS}"))

    def tasks(self, folder: Path) -> list[str]:
        """Names in the metadata, or, where they name none, those of the files."""
        named = list(Metadata.read(folder).tasks)
        return named or sorted(path.name.removesuffix(VALUES) for path in folder.glob(f"*{VALUES}"))

    def extent(self, folder: Path, task: str) -> Extent:
        """From the array's header."""
        metadata = Metadata.read(folder)
        _check_there(folder, task)
        shape = open_array(folder / f"{task}{VALUES}", AXES).shape
        levels = len(open_array(folder / f"{task}{FIDELITIES}", ("fidelity",)))
        rows = count_rows(folder / f"{task}{CONFIGS}")
        return Extent(rows, shape[1], levels, metadata.declared(), metadata.elapsed_attr)

    def load(self, folder: Path, task: str, options: Options) -> TabularBlackbox:
        """One task; the files of the others are not opened."""
        metadata = Metadata.read(folder)
        _check_there(folder, task)
        configs, values = folder / f"{task}{CONFIGS}", folder / f"{task}{VALUES}"
        parts = Parts(
            recorded=read_recorded(folder / SPACE, configs, metadata.constants),
            values=open_array(values, AXES),
            fidelities=open_array(folder / f"{task}{FIDELITIES}", ("fidelity",)),
            fidelity=fidelity_name(folder / f"{task}{FIDELITY}", metadata),
            configs_path=configs,
            values_path=values,
        )
        return assembled(parts, metadata, options)


def _check_there(folder: Path, task: str) -> None:
    """Raises DamagedBlackbox for a task that the metadata name and that has no table."""
    if not (folder / f"{task}{VALUES}").is_file():
        raise DamagedBlackbox(str(folder), f"metadata.json names the task {task!r}, but there is no {task}{VALUES}")
