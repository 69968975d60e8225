"""An attempt's folder and a trial's checkpoints on disk. Standard library only; follows no symbolic link to outside."""

# pathlib would double the start-up time of the supervisor.
# ruff: noqa: PTH102, PTH103, PTH104, PTH108, PTH112, PTH114, PTH120, PTH123
from __future__ import annotations

import os
import stat
from collections.abc import Callable

CHECKPOINTS = "checkpoints"


class NotOurs(OSError):
    """Something stands where a folder of the experiment should be."""


def make(path: str) -> None:
    """Makes a folder, and its parents as needed. Raises NotOurs where a link or a file has its name, OSError."""
    try:
        os.mkdir(path, 0o700)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotOurs(f"{path} is not a folder, or is a symbolic link; move it away") from None


def create(path: str) -> int:
    """A descriptor of an empty file; a link of this name is replaced, not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except OSError:
        if not os.path.islink(path):
            raise
        os.unlink(path)
        return os.open(path, flags, 0o600)


def remove(path: str) -> None:
    """Deletes a tree in one step as others see it; of a symbolic link the link alone. Does nothing without either."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        # Renamed first: nobody meets half a checkpoint.
        doomed = f"{path}.deleted-{os.getpid()}-{os.urandom(4).hex()}"
        os.rename(path, doomed)
    except FileNotFoundError:
        return
    import shutil

    shutil.rmtree(doomed, ignore_errors=True)


def copy(donor: str, path: str, check: Callable[[], None]) -> bool:
    """Copies the donor's checkpoints to `path`, complete or not at all; False if the donor has none.

    `check` is called between files and may raise to give up.
    """
    if not os.path.isdir(donor):
        return False
    import shutil

    def copy_file(source: str, target: str) -> None:
        check()
        # Sockets and pipes cannot be copied, and reading from one would block.
        if stat.S_ISREG(os.lstat(source).st_mode):
            shutil.copy2(source, target)

    unfinished = f"{path}.copying-{os.getpid()}"
    try:
        shutil.copytree(donor, unfinished, symlinks=True, copy_function=copy_file)
        remove(path)
        os.rename(unfinished, path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return True


def tail(path: str, size: int = 4096) -> str:
    """The last characters of a text file; empty if it cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read(size).decode(errors="replace")
    except OSError:
        return ""
