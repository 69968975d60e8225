"""Which layout a folder has: decided by the files that are there, never by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from offbeat.errors import DamagedBlackbox
from offbeat_plugins.blackboxes.repository.layout import Layout
from offbeat_plugins.blackboxes.repository.shared_table import SharedTable
from offbeat_plugins.blackboxes.repository.task_frames import TaskFrames
from offbeat_plugins.blackboxes.repository.task_tables import TaskTables
from offbeat_plugins.blackboxes.repository.yahpo import Yahpo

LAYOUTS: Final[tuple[Layout, ...]] = (SharedTable(), TaskTables(), TaskFrames(), Yahpo())
"""In the order in which they are looked for: a folder that was written again in a newer layout has files of both."""


def layout_of(folder: Path) -> Layout | None:
    """The layout; None for a folder that is no blackbox."""
    return next((layout for layout in LAYOUTS if layout.fits(folder)), None)


def require_layout(folder: Path) -> Layout:
    """The layout. Raises DamagedBlackbox, saying what is in the folder."""
    found = layout_of(folder)
    if found is None:
        files = sorted(path.name for path in folder.iterdir())[:6]
        there = f"it holds {', '.join(files)}" if files else "it is empty"
        raise DamagedBlackbox(
            str(folder),
            f"{there}, and no files of a blackbox: objectives_evaluations.npy, TASK-objectives_evaluations.npy, "
            "data-TASK.parquet or model.onnx",
        )
    return found
