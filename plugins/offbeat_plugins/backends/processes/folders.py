"""An attempt's folder and a trial's checkpoints on disk. Standard library only; follows no symbolic link to outside."""

# pathlib would double the start-up time of the supervisor.
# ruff: noqa: PTH102, PTH103, PTH104, PTH108, PTH112, PTH114, PTH118, PTH120, PTH123, PTH208
from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable

CHECKPOINTS = "checkpoints"
COPIES = 8
"""Most tries to copy a checkpoint while it is being written."""
_DELETED = ".deleted-"
_COPYING = ".copying-"
PAUSE = 0.05
"""Seconds between the first two of them; doubled for each further one, 6.35 s in all."""


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
    if (doomed := set_aside(path)) is not None:
        import shutil

        shutil.rmtree(doomed, ignore_errors=True)


def set_aside(path: str) -> str | None:
    """First, quick part of deleting a tree: it has another name, which is answered, and nobody meets half a checkpoint.

    A symbolic link is gone behind this; None for it, and where there is nothing.
    """
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return None
        doomed = f"{path}{_DELETED}{os.getpid()}-{os.urandom(4).hex()}"
        os.rename(path, doomed)
    except FileNotFoundError:
        return None
    return doomed


def sweep(path: str) -> None:
    """Second part: deletes what was set aside, now or by a process that was killed before it came to this."""
    import shutil

    folder, name = os.path.split(path)
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir(folder):
            if entry.startswith(name + _DELETED):
                shutil.rmtree(os.path.join(folder, entry), ignore_errors=True)


def size(path: str) -> int:
    """Bytes in the files below a folder; 0 where there is none."""
    total = 0
    pending = [path]
    while pending:
        name = pending.pop()
        # What is replaced in this moment counts the next time.
        with contextlib.suppress(OSError):
            status = os.lstat(name)
            if stat.S_ISDIR(status.st_mode):
                pending += [os.path.join(name, entry) for entry in os.listdir(name)]
            elif stat.S_ISREG(status.st_mode):
                total += status.st_size
    return total


def copy(donor: str, path: str, check: Callable[[], None]) -> bool:
    """Copies the donor's checkpoints to `path`, complete or not at all; False if the donor has none.

    The donor may be writing. A copy counts only if every file and folder was the same before and after it; otherwise it is
    made again. Who replaces single files in one step, as `os.replace` does, is therefore never copied half. `check` is
    called between files and may raise to give up. Raises OSError for a donor that never leaves its checkpoints in peace.
    """
    _sweep_copies(path)
    wait = PAUSE
    for _ in range(COPIES):
        before = _state(donor)
        if not before:
            return False
        if _copied(donor, path, check, before):
            return True
        check()
        time.sleep(wait)
        wait *= 2
    raise OSError(f"the checkpoints in {donor} changed during each of {COPIES} tries to copy them")


def _sweep_copies(path: str) -> None:
    """Deletes what was copied by processes that were killed before they had all of it."""
    import shutil

    folder, name = os.path.split(path)
    for entry in os.listdir(folder):
        if entry.startswith(name + _COPYING):
            shutil.rmtree(os.path.join(folder, entry), ignore_errors=True)


def _state(path: str) -> dict[str, tuple[int, ...]]:
    """What would be different if anything below the folder had been written; nothing for a folder that is not there."""
    found: dict[str, tuple[int, ...]] = {}
    pending = [path]
    while pending:
        name = pending.pop()
        try:
            status = os.lstat(name)
            found[name] = (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if stat.S_ISDIR(status.st_mode):
                pending += [os.path.join(name, entry) for entry in os.listdir(name)]
        except FileNotFoundError:
            # Replaced in this moment: it is missing here, and there the next time.
            continue
    return found if os.path.isdir(path) else {}


def _copied(donor: str, path: str, check: Callable[[], None], before: dict[str, tuple[int, ...]]) -> bool:
    """Copies once; False, and nothing has changed, if the donor wrote meanwhile."""
    import shutil

    def copy_file(source: str, target: str) -> None:
        check()
        # Sockets and pipes cannot be copied, and reading from one would block.
        if stat.S_ISREG(os.lstat(source).st_mode):
            shutil.copy2(source, target)

    unfinished = f"{path}{_COPYING}{os.getpid()}"
    try:
        try:
            shutil.copytree(donor, unfinished, symlinks=True, copy_function=copy_file)
        except (FileNotFoundError, shutil.Error):
            if _state(donor) == before:
                raise
        if _state(donor) != before:
            shutil.rmtree(unfinished, ignore_errors=True)
            return False
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
