"""Writing so that it is on the disk afterwards. Every system call of the journal's writer is in here."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Writes everything; OSError leaves an unknown part of it in the file."""
    view = memoryview(data)
    while view:
        written = os.write(fd, view)
        if written <= 0:
            raise OSError("the system accepted no bytes")
        view = view[written:]


def sync_data(fd: int) -> None:
    """Returns when the file's bytes and length are on the disk."""
    if sys.platform == "linux":
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def sync_folder(path: Path) -> None:
    """Returns when files created in, renamed in or removed from the folder are so on the disk."""
    if sys.platform == "win32":  # folders cannot be opened there
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace(path: Path, data: bytes) -> None:
    """Gives a file a new content: after a crash it has the old one or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(fd, data)
        os.fsync(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(fd)
    temporary.replace(path)
    sync_folder(path.parent)


def set_aside(source: Path, offset: int, target: Path) -> int:
    """Copies the bytes from `offset` on into a new file, durably; gives their number. The source is not touched."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    copied = 0
    try:
        with source.open("rb") as file:
            file.seek(offset)
            while block := file.read(1 << 20):
                write_all(fd, block)
                copied += len(block)
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(target.parent)
    return copied


def cut(path: Path, length: int) -> None:
    """Shortens a file, durably."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(fd, length)
        os.fsync(fd)
    finally:
        os.close(fd)
