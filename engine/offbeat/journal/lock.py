"""One writer for each experiment: a kernel lock on its `lock` file, held for the writer's life.

Why a POSIX record lock (fcntl) and neither flock nor an open-file-description lock: those two belong to the open
file, which every forked child of the host shares, so that a data loader's or a pool's child which outlives a killed
engine would keep the experiment locked, and closing descriptors in the child would need a fork handler in a host
application. A record lock belongs to the process, no child has it, and the kernel drops it at the process's death
however that comes. It has two weaknesses:
- It does not exclude a second opening in the same process: `_held` does.
- It is dropped when the process closes any descriptor of the file (a backup observer that copies the folder):
  `lost`, called before every write, takes it again (0.6 us) and fails if another process was quicker. For the
  same reason nothing in this module opens the lock file of an experiment that this process holds.
"""

from __future__ import annotations

import errno
import os
import platform
import struct
import sys
import threading
from typing import Final

import msgspec

from offbeat.clock import Clock, SystemClock
from offbeat.errors import ExperimentLocked
from offbeat.home import ExperimentFolder


class Holder(msgspec.Struct, frozen=True):
    """Content of a lock file: who holds it, or held it last.

    Attributes:
        started: wall time in seconds since 1970; epoch: the writer's number in the journal.
    """

    pid: int
    host: str
    started: float
    epoch: int = -1

    def describe(self, now: float) -> str:
        """The holder as the end of a sentence."""
        return f"process {self.pid} on {self.host}, which began {_ago(now - self.started)} (writer {self.epoch})"


_guard: Final = threading.Lock()
_held: Final[dict[tuple[int, int], tuple[int, Holder]]] = {}
"""(device, inode) of lock file -> (pid, holder). A forked child inherits the table, not the locks: hence the pid."""


class ExperimentLock:
    """Takes the lock or raises ExperimentLocked at once; `release` frees it."""

    def __init__(self, folder: ExperimentFolder, *, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._folder = folder
        self._holder = Holder(os.getpid(), platform.node(), clock.wall())
        with _guard:
            own = _held_here(folder)
            if own is not None:
                raise ExperimentLocked(folder.name, f"this same process ({own.describe(clock.wall())})")
            self._fd = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._acquire(clock.wall())
            except BaseException:
                os.close(self._fd)
                raise
            status = os.fstat(self._fd)
            self._key = (status.st_dev, status.st_ino)
            _held[self._key] = (self._holder.pid, self._holder)

    def _acquire(self, now: float) -> None:
        if not _try_lock(self._fd):
            # The file may still name the holder before: the winner of a race writes it after it has the lock.
            pid, other = _locker(self._fd), _read(self._fd)
            if other is not None and pid in (other.pid, 0, -1):
                raise ExperimentLocked(self._folder.name, other.describe(now))
            raise ExperimentLocked(self._folder.name, f"process {pid}")
        self._write()

    def name_epoch(self, epoch: int) -> None:
        """Puts the writer's number into the file, for people."""
        self._holder = msgspec.structs.replace(self._holder, epoch=epoch)
        _held[self._key] = (self._holder.pid, self._holder)
        self._write()

    def _write(self) -> None:
        # Padded, so that a reader never sees the rest of a longer text behind a shorter one.
        os.pwrite(self._fd, msgspec.json.encode(self._holder).ljust(255) + b"\n", 0)

    def lost(self) -> str | None:
        """Why this process may not write any more, None if it may; to be asked before every write."""
        if self._fd < 0 or os.getpid() != self._holder.pid:
            return "this process does not hold the lock"
        if os.fstat(self._fd).st_nlink == 0:
            return "the lock file was removed, so that another engine may have taken over"
        if not _try_lock(self._fd):
            return "another process has taken the lock"
        return None

    def release(self) -> None:
        """Frees the lock; a second call does nothing. In a forked child it only closes the descriptor."""
        with _guard:
            if self._fd >= 0:
                if _held.get(self._key, (-1, None))[0] == os.getpid():
                    del _held[self._key]
                os.close(self._fd)
                self._fd = -1


def holder(folder: ExperimentFolder) -> Holder | None:
    """Who writes to the experiment now, None if nobody does; takes nothing and disturbs nobody."""
    with _guard:
        own = _held_here(folder)
        if own is not None:
            return own
        try:
            fd = os.open(folder.lock, os.O_RDONLY)
        except OSError:
            return None
        try:
            pid = _locker(fd)
            if pid == 0:
                return None
            return _read(fd) or Holder(pid, platform.node(), 0.0)
        finally:
            os.close(fd)


def _held_here(folder: ExperimentFolder) -> Holder | None:
    try:
        status = folder.lock.stat()
    except OSError:
        return None
    pid, own = _held.get((status.st_dev, status.st_ino), (-1, None))
    return own if pid == os.getpid() else None


def _read(fd: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(fd, 4096, 0), type=Holder)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError):
        return None


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _try_lock(fd: int) -> bool:
    try:
        _lock(fd)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


if sys.platform == "linux":

    def _locker(fd: int) -> int:
        """The pid that holds a conflicting lock, 0 if none does; asks the kernel and takes nothing."""
        import fcntl

        # struct flock: type, whence, start, length, pid.
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        kind, _, _, _, pid = struct.unpack("@hhqqi4x", answer)
        return 0 if kind == fcntl.F_UNLCK else int(pid) or -1

else:

    def _locker(fd: int) -> int:
        """The pid in the file, 0 if there is none: the structure differs elsewhere. May name somebody who is gone."""
        found = _read(fd)
        return found.pid if found else 0


def _ago(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}s ago"
    return "just now" if seconds < 2 else f"{int(seconds)} seconds ago"
