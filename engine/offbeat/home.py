"""Where experiments lie: `$OFFBEAT_HOME` or `~/offbeat`, one folder each, and what their names may be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from offbeat.errors import ExperimentNotFound, InvalidArgument

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def root(home: str | os.PathLike[str] | None = None) -> Path:
    """The experiments' folder: the argument, else `$OFFBEAT_HOME`, else `~/offbeat`; not created here."""
    return Path(home or os.environ.get("OFFBEAT_HOME") or Path.home() / "offbeat").expanduser().absolute()


def checked_name(name: str) -> str:
    """The name itself. Raises InvalidArgument where it could not be a folder of that name on any system."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        fixed = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "experiment"
        raise InvalidArgument(
            f"Experiment name {name!r} is not usable: use letters, digits, '.', '_' and '-', starting with a letter or digit, "
            f"at most 100, for example {fixed[:100]!r}."
        )
    return name


class ExperimentFolder:
    """Paths inside one experiment's folder; makes nothing by itself.

    Attributes:
        path: the folder; journal: folder of segments; head, lock: files of the journal's writer.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.journal = self.path / "journal"
        self.head = self.path / "head.json"
        self.lock = self.path / "lock"

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.path.name

    def trial(self, trial: int) -> Path:
        """Folder of a trial."""
        return self.path / "trials" / str(int(trial))

    def attempt(self, trial: int, attempt: int) -> Path:
        """Folder of one execution: config.json, stdout, stderr."""
        return self.trial(trial) / str(int(attempt))

    def checkpoints(self, trial: int) -> Path:
        """Folder of a trial's checkpoints, shared by its attempts."""
        return self.trial(trial) / "checkpoints"


def experiments(home: str | os.PathLike[str] | None = None) -> Iterator[ExperimentFolder]:
    """Folders that hold a journal, by name; foreign folders are passed over."""
    base = root(home)
    if not base.is_dir():
        return
    for path in sorted(base.iterdir()):
        if _is_dir(path / "journal"):
            yield ExperimentFolder(path)


def find(name: str, home: str | os.PathLike[str] | None = None) -> ExperimentFolder:
    """The folder of an experiment, by name or by path. Raises ExperimentNotFound with the nearest name."""
    if os.sep in name:
        path = Path(name).expanduser().absolute()
        if not _is_dir(path / "journal"):
            raise ExperimentNotFound(path.name, str(path.parent), [other.name for other in experiments(path.parent)])
        return ExperimentFolder(path)
    folder = ExperimentFolder(root(home) / checked_name(name))
    if not folder.journal.is_dir():
        raise ExperimentNotFound(name, str(root(home)), [other.name for other in experiments(home)])
    return folder


def _is_dir(path: Path) -> bool:
    """Whether it is a folder; what may not be looked at is none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a folder above may not be entered
