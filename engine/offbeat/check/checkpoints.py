"""What happens in a checkpoint folder while a script runs: which files it reads, and which it writes over in place.

Linux only (inotify, through ctypes); elsewhere nothing is seen, and nothing is said about it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import Final

_MODIFY: Final = 0x002
_CLOSE_NOWRITE: Final = 0x010
_MOVED_TO: Final = 0x080
_CREATE: Final = 0x100
_ISDIR: Final = 0x40000000
_NONBLOCK: Final = 0o4000
_EVENT: Final = struct.Struct("iIII")


class Watch:
    """Watches a folder and all folders in it until it is closed; `look` has to be called to take in what happened.

    Attributes:
        written: files that were written to, under the name that they had then, relative to the folder.
        moved: files and folders that got their name by being renamed, likewise.
        read: files that were opened and closed without being written to, likewise.
        seen: whether any of this can be seen here.
    """

    def __init__(self, folder: Path) -> None:
        self.written: set[str] = set()
        self.moved: set[str] = set()
        self.read: set[str] = set()
        self._folder = folder
        self._paths: dict[int, Path] = {}
        self.seen = False
        self._fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.inotify_init1(_NONBLOCK)
            self.seen = self._fd >= 0
            if self.seen:
                self._add(folder)

    def look(self) -> None:
        """Takes in what has happened since the last look."""
        while self._fd >= 0:
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return
            place = 0
            while place < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, place)
                name = data[place + _EVENT.size : place + _EVENT.size + length].rstrip(b"\0")
                place += _EVENT.size + length
                self._event(watch, mask, os.fsdecode(name))

    def _event(self, watch: int, mask: int, name: str) -> None:
        folder = self._paths.get(watch)
        if folder is None or not name:
            return
        path = folder / name
        if mask & _MOVED_TO:
            self.moved.add(str(path.relative_to(self._folder)))
        if mask & _ISDIR:
            if mask & (_CREATE | _MOVED_TO):
                self._add(path)
        elif mask & _MODIFY:
            self.written.add(str(path.relative_to(self._folder)))
        elif mask & _CLOSE_NOWRITE:
            self.read.add(str(path.relative_to(self._folder)))

    def _add(self, folder: Path) -> None:
        """A folder that was renamed keeps its watch, under its new name."""
        wanted = _MODIFY | _CLOSE_NOWRITE | _MOVED_TO | _CREATE
        watch = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), wanted)
        if watch < 0:
            return
        self._paths[watch] = folder
        with contextlib.suppress(OSError):  # it may be gone by now
            for below in folder.iterdir():
                if below.is_dir() and not below.is_symlink():
                    self._add(below)

    def close(self) -> None:
        """Ends the watch."""
        if self._fd >= 0:
            self.look()
            os.close(self._fd)
            self._fd = -1


def files(folder: Path) -> dict[str, int]:
    """Sizes of all files below a folder, by their relative names."""
    if not folder.is_dir():
        return {}
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def tear(path: Path) -> None:
    """Leaves the first half of a file, as a kill in the middle of writing it does."""
    os.truncate(path, path.stat().st_size // 2)
