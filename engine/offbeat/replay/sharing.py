"""Checkpoints of one experiment for another: the same content, and a later write in either never reaches the other.

Files are cloned where the file system can do that (Btrfs, XFS, bcachefs: no byte is copied until somebody writes). Elsewhere
the checkpoints of trials that have ended are the same files under a second name: no attempt is ever started in them again,
others only copy from them. Those of trials that can still go on are copied: a script that opens its checkpoint for writing
writes into the same file, whatever name it has.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Final, NamedTuple

from offbeat.errors import OffbeatError

_FICLONE: Final = 0x40049409
"""ioctl_ficlone(2)."""


class CheckpointsMissing(OffbeatError, FileNotFoundError):
    """A trial that could go on has no checkpoints any more."""

    def __init__(self, experiment: str, trial: int, path: str) -> None:
        super().__init__(experiment, trial, path)
        self.experiment, self.trial, self.path = experiment, trial, path

    def __str__(self) -> str:
        return (
            f"Trial {self.trial} of {self.experiment!r} has made progress by then, and its checkpoints are gone "
            f"({self.path}): restore them, or fork with --without-checkpoints, so that unfinished trials begin again."
        )


class CannotShare(OffbeatError, OSError):
    """Checkpoints could not be copied: the disk is full or failing, or somebody writes to them."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"Cannot copy the checkpoint {self.path}: {self.reason}. Nothing was made; nothing was changed."


class Size(NamedTuple):
    """Bytes of what was shared, and how many of them were copied; the rest takes no room of its own."""

    bytes: int = 0
    copied: int = 0

    def plus(self, other: Size) -> Size:
        """Both together."""
        return Size(self.bytes + other.bytes, self.copied + other.copied)


def share(source: Path, target: Path, inside: Path, *, ended: bool) -> Size:
    """Gives a folder of checkpoints to another experiment; answers how much that is.

    Args:
        source: a folder.
        target: where it is to be; nothing may be there.
        inside: the source's experiment. A link that leads into it from elsewhere is replaced by the file behind it.
        ended: nobody writes into it any more, neither there nor here.

    Raises CannotShare; what was copied until then stays at `target`.
    """
    size = Size()
    try:
        target.mkdir(mode=0o700, parents=True)
        for entry in sorted(os.scandir(source), key=lambda one: one.name):
            path, copy = Path(entry.path), target / entry.name
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode) and not _leads_into(path, source, inside):
                copy.symlink_to(path.readlink())
            elif stat.S_ISDIR(mode):
                size = size.plus(share(path, copy, inside, ended=ended))
            elif path.is_file():  # sockets and pipes are nobody's state
                size = size.plus(_one(path, copy, same=ended and not stat.S_ISLNK(mode)))
    except OSError as error:
        if isinstance(error, CannotShare):
            raise
        raise CannotShare(str(error.filename or source), _reason(error, target)) from error
    return size


def _leads_into(link: Path, folder: Path, inside: Path) -> bool:
    """Whether a link would let one experiment write into the other's files."""
    return not (not link.readlink().is_absolute() and _below(link, folder)) and _below(link, inside)


def _below(link: Path, folder: Path) -> bool:
    return link.resolve().is_relative_to(folder.resolve())


def _one(source: Path, target: Path, *, same: bool) -> Size:
    """Shares a file; with `same` it may be the same one under a second name."""
    copied = linked = False
    try:
        before = source.stat()
        with source.open("rb") as read, target.open("xb") as write:
            if not _cloned(read.fileno(), write.fileno()):
                linked = same and _linked(source, target)
                copied = not linked
            if copied:
                shutil.copyfileobj(read, write, 1 << 20)
            write.flush()
            os.fsync(write.fileno())
            after = os.fstat(read.fileno())
        if not linked:
            shutil.copystat(source, target)
    except OSError as error:
        raise CannotShare(str(source), _reason(error, target)) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise CannotShare(str(source), "it is being written to; stop the trial or the experiment first")
    return Size(before.st_size, before.st_size if copied else 0)


def _linked(source: Path, target: Path) -> bool:
    """Whether a second name could take the place of an empty file: it cannot on another file system, or with too many."""
    name = target.with_name(f"{target.name}.linking")
    try:
        name.hardlink_to(source)
    except OSError:
        return False
    name.replace(target)
    return True


def _cloned(source: int, target: int) -> bool:
    """Whether the file system has made them share their blocks until one is written to."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _reason(error: OSError, target: Path) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return reason
    free = shutil.disk_usage(next(path for path in (target, *target.parents) if path.exists())).free
    return f"{reason} ({free / 1e6:.1f} MB free on {target.parent}); make room, or name the source by its path and another --home"
