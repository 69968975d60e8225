"""What each layout answers for a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from offbeat.protocols import Blackbox, Mode
from offbeat_plugins.blackboxes.repository.assembly import Options


class Extent(NamedTuple):
    """How large a task is; `configs` is None where every configuration of a space is answered."""

    configs: int | None
    seeds: int
    levels: int
    objectives: Mapping[str, Mode | None]
    elapsed_attr: str | None


class Layout(Protocol):
    """A way to lay a blackbox out in files. All methods but `fits` raise DamagedBlackbox."""

    @property
    def name(self) -> str:
        """As users and listings call it."""
        ...

    def fits(self, folder: Path) -> bool:
        """Whether a folder has files of this layout, by their names."""
        ...

    def tasks(self, folder: Path) -> list[str]:
        """Names of the data sets."""
        ...

    def extent(self, folder: Path, task: str) -> Extent:
        """From headers; no table is read."""
        ...

    def load(self, folder: Path, task: str, options: Options) -> Blackbox:
        """One task, which is among `tasks`."""
        ...
