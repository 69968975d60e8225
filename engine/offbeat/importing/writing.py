"""The folder of an imported experiment: it appears under its name as a whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from offbeat.errors import ExperimentExists
from offbeat.home import ExperimentFolder, checked_name, root
from offbeat.importing.foreign import Foreign
from offbeat.importing.history import events_of
from offbeat.journal import Journal

GROUP: Final = 1_024
"""Events written at once."""

ANOTHER: Final = "give the imported one another name (--name, name=)"


def written(foreign: Foreign, name: str | None = None, home: str | os.PathLike[str] | None = None) -> ExperimentFolder:
    """Writes an experiment and gives its folder.

    Args:
        foreign: what an importer answered.
        name: of the experiment; default: what its tool calls it, as far as it can be a name.
        home: folder of experiments instead of `$OFFBEAT_HOME` or `~/offbeat`.

    Raises ExperimentExists, JournalUnwritable, and what `events_of` raises; nothing is left behind.
    """
    chosen = checked_name(name if name is not None else _name(foreign))
    base = root(home)
    target = ExperimentFolder(base / chosen)
    if target.path.exists():
        raise ExperimentExists(chosen, ANOTHER)
    events = events_of(foreign, chosen)
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Beside its place, so that it can be moved there in one step; without a `journal` of its own it is in no listing.
    with tempfile.TemporaryDirectory(prefix=".importing-", dir=base) as aside:
        made = ExperimentFolder(Path(aside) / chosen)
        with Journal.create(made) as journal:
            for begin in range(0, len(events), GROUP):
                journal.commit(events[begin : begin + GROUP], sync=begin + GROUP >= len(events))
        try:
            made.path.rename(target.path)
        except OSError:
            if target.path.exists():
                raise ExperimentExists(chosen, ANOTHER) from None
            shutil.rmtree(made.path, ignore_errors=True)
            raise
    return target


def _name(foreign: Foreign) -> str:
    """What the tool calls it, with other signs than names may have replaced."""
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", foreign.name).strip("-._")
    return text[:100].rstrip(".") or f"{foreign.tool}-import"
