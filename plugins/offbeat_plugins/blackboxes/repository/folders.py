"""The local root of a repository and the blackbox folders below it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from offbeat.errors import InvalidArgument
from offbeat_plugins.blackboxes.repository.layouts import layout_of
from offbeat_plugins.blackboxes.repository.names import places

VARIABLE: Final = "OFFBEAT_BLACKBOXES"


def root_of(repository: str | os.PathLike[str] | None) -> Path:
    """The argument, else `$OFFBEAT_BLACKBOXES`, else `~/.offbeat/blackboxes`.

    Raises InvalidArgument for an argument that is no folder, or is a blackbox itself.
    """
    if repository is None:
        given = os.environ.get(VARIABLE)
        return Path(given or Path.home() / ".offbeat" / "blackboxes").expanduser().absolute()
    root = Path(repository).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise InvalidArgument(f"repository={str(repository)!r} is a file; give a folder of blackbox folders.")
    if root.is_dir() and layout_of(root) is not None:
        raise InvalidArgument(
            f"repository={str(repository)!r} is a blackbox itself; give the folder above, and the name {root.name!r}."
        )
    return root


def local_folder(root: Path, name: str) -> Path | None:
    """The folder of a name below a root. Raises InvalidArgument for what cannot be a name."""
    return next((root / place for place in places(name) if (root / place).is_dir()), None)


def local_names(root: Path) -> list[str]:
    """Names of the blackbox folders below a root, those of `yahpo/` as `yahpo-X`."""
    if not root.is_dir():
        return []
    names = [path.name for path in _folders(root) if layout_of(path) is not None]
    if (root / "yahpo").is_dir():
        names += [f"yahpo-{path.name}" for path in _folders(root / "yahpo") if layout_of(path) is not None]
    return sorted(names)


def _folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
