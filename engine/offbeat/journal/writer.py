"""The journal's one writer: takes the lock, reads and checks all that is there, then appends group after group."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from offbeat.errors import ExperimentExists, JournalDamaged, JournalUnwritable
from offbeat.events import JOURNAL_VERSION, Event
from offbeat.home import ExperimentFolder
from offbeat.journal.disk import cut, set_aside, sync_data, sync_folder, write_all
from offbeat.journal.format import (
    SEGMENT_BYTES,
    Encoded,
    Position,
    encoded_groups,
    header_line,
    joined,
    sealed,
    segment_name,
    segments,
)
from offbeat.journal.head import read_head, write_head
from offbeat.journal.lock import ExperimentLock
from offbeat.journal.reader import GroupReader

HEAD_EVERY: Final = 256
"""Groups between two heads: the most whose loss as a whole nobody would notice; each head costs two syncs."""


class Journal:
    """Appends events. Made by `create` and `open`; used by one thread at a time; a context manager.

    Attributes:
        folder: the experiment's folder.
        torn: what `open` cut off the end and set aside, if anything.
    """

    def __init__(self, folder: ExperimentFolder, lock: ExperimentLock, segment_bytes: int) -> None:
        self.folder = folder
        self.torn: Path | None = None
        self._lock = lock
        self._segment_bytes = segment_bytes
        self._position = Position()
        self._epoch = 0
        self._fd = -1
        self._since_head = 0
        self._synced = True
        self._refusal = ""

    @classmethod
    def create(cls, folder: ExperimentFolder, *, segment_bytes: int = SEGMENT_BYTES) -> Journal:
        """Begins the journal of a new experiment; its folder is made with mode 0700.

        Raises:
            ExperimentExists, ExperimentLocked.
            JournalUnwritable: the disk refuses.
        """
        if _exists(folder):
            raise ExperimentExists(folder.name)
        try:
            for path in (folder.path, folder.journal):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            journal = cls(folder, ExperimentLock(folder), segment_bytes)
        except OSError as error:
            raise JournalUnwritable(str(folder.journal), _reason(error)) from error
        with journal._released_on_error():
            if _exists(folder):
                raise ExperimentExists(folder.name)
            with journal._writing():
                journal._begin_segment()
                sync_folder(folder.path)
                sync_folder(folder.path.parent)
                journal._take_over(0)
        return journal

    @classmethod
    def open(
        cls,
        folder: ExperimentFolder,
        handler: Callable[[Event], object] | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Journal:
        """Takes over a journal; every line is read once and checked, and its events go to `handler` in order.

        A torn tail is cut off and set aside as `journal/torn-<next event>-<n>.bin`. What `handler` was given before
        an error has to be thrown away by the caller. Whatever `handler` raises comes out, with the lock freed.

        Raises:
            ExperimentLocked: somebody writes to it, found out at once.
            JournalDamaged, JournalTooNew: nothing was changed.
            JournalUnwritable: the disk refuses.
        """
        if not folder.journal.is_dir():
            raise JournalDamaged(str(folder.journal), 0, "there is no journal in this folder")
        try:
            journal = cls(folder, ExperimentLock(folder), segment_bytes)
        except OSError as error:
            raise JournalUnwritable(str(folder.lock), _reason(error)) from error
        with journal._released_on_error():
            journal._recover(handler)
        return journal

    @property
    def next_seq(self) -> int:
        """Sequence number that the next committed event will have; how many there are."""
        return self._position.seq

    @property
    def epoch(self) -> int:
        """Number of this writer: 0 for the one that created the journal, one more at each opening."""
        return self._epoch

    @property
    def path(self) -> Path:
        """The segment that is being written."""
        return self.folder.journal / segment_name(self._position.segment)

    def commit(self, events: Sequence[Event], *, sync: bool) -> None:
        """Appends a group of events, and with `sync` returns when it and all before it are on the disk.

        Raises:
            InvalidArgument: an event is no JSON or too long; nothing was written and the journal stays usable.
            JournalUnwritable: the disk refuses (full, read-only, failing), the lock is lost, or one of these happened
                before. From then on every commit is refused: what a failed write or sync left on the disk is not
                known, and a second sync that succeeds would prove nothing. Opening the journal again finds out.
        """
        self._check_usable()
        if events or (sync and not self._synced):
            groups = encoded_groups(events, self._position.seq, self._epoch) if events else []
            self._commit(groups, sync=sync)

    def commit_encoded(self, pieces: Sequence[Encoded]) -> None:
        """Appends a group that was encoded piece by piece, with no more than GROUP_BYTES in all, without a sync.

        Raises JournalUnwritable, see `commit`.
        """
        self._check_usable()
        self._commit([joined(pieces, self._position.seq, self._epoch)], sync=False)

    def _check_usable(self) -> None:
        if self._refusal:
            raise JournalUnwritable(str(self.path), self._refusal)

    def _commit(self, groups: Sequence[tuple[bytes, int]], *, sync: bool) -> None:
        try:
            self._check_lease()
            if self._position.offset >= self._segment_bytes:
                self._roll()
            self._append(groups, sync=sync)
            if self._since_head >= HEAD_EVERY:
                self._write_head()
        except OSError as error:
            raise self._refuse(error) from error
        except BaseException:
            self._refusal = "refused since an earlier commit was cut off"
            raise

    def close(self) -> None:
        """Puts everything on the disk, with a head that covers it, and frees the lock. A second call does nothing.

        Raises:
            JournalUnwritable: the disk refuses; the lock is freed all the same. After a refused commit nothing is
                written and nothing raised: that error was told.
        """
        try:
            if self._fd >= 0 and not self._refusal:
                self._check_lease()
                self._write_head()
        except OSError as error:
            raise self._refuse(error) from error
        finally:
            self._release()
            self._refusal = self._refusal or "the journal is closed"

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, groups: Sequence[tuple[bytes, int]], *, sync: bool) -> None:
        lines = bytearray()
        position = self._position
        for body, n in groups:
            line, digest = sealed(body, position.hash)
            lines += line
            position = Position(position.segment, position.offset + len(line), position.seq + n, self._epoch, digest)
        self._synced = False
        write_all(self._fd, lines)
        if sync:
            sync_data(self._fd)
            self._synced = True
        self._position = position
        self._since_head += len(groups)

    def _check_lease(self) -> None:
        """An engine that lost its lock, or whose file somebody else has touched, must not add a line to it."""
        if (reason := self._lock.lost()) is not None:
            raise OSError(reason)
        status = os.fstat(self._fd)
        if status.st_size != self._position.offset or status.st_nlink == 0:
            raise OSError(
                f"somebody else changed it: {status.st_size} bytes where this writer left {self._position.offset}"
            )

    def _recover(self, handler: Callable[[Event], object] | None) -> None:
        head = read_head(self.folder)
        reader = GroupReader(self.folder, head=head)
        for _, events in reader:
            if handler is not None:
                for event in events:
                    handler(event)
        at = self._position = reader.position
        if head is None and at.seq:
            raise JournalDamaged(
                str(self.folder.head), 0, "the head is missing, so that nothing tells how long the journal was"
            )
        if head is not None and head.epoch < at.epoch:
            raise JournalDamaged(
                str(self.folder.head), 0, f"the head knows writers up to {head.epoch}, the journal {at.epoch}"
            )
        with self._writing():
            if reader.tail:
                self.torn = free_name(self.folder, f"torn-{at.seq}", ".bin")
                set_aside(self.path, at.offset, self.torn)
                cut(self.path, at.offset)
            if at.offset == 0:
                self._begin_segment()
            else:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
                sync_data(self._fd)  # the last engine may have written without
            self._take_over(1 + max(at.epoch, head.epoch) if head is not None else 0)

    def _take_over(self, epoch: int) -> None:
        self._epoch = epoch
        self._write_head()
        self._lock.name_epoch(epoch)

    def _begin_segment(self) -> None:
        """Makes the file of `self._position.segment` with its header; one left empty by a crash is used."""
        line, digest = header_line(JOURNAL_VERSION, self._position)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        if os.fstat(fd).st_size:
            raise OSError("a segment of this name is there already")
        write_all(fd, line)
        os.fsync(fd)
        sync_folder(self.folder.journal)
        at = self._position
        self._position = Position(at.segment, len(line), at.seq, at.epoch, digest)

    def _roll(self) -> None:
        sync_data(self._fd)
        at = self._position
        self._position = Position(at.segment + 1, 0, at.seq, at.epoch, at.hash)
        self._begin_segment()
        self._synced = True
        self._write_head()

    def _write_head(self) -> None:
        if not self._synced:
            sync_data(self._fd)
            self._synced = True
        current = read_head(self.folder)
        if current is not None and current.epoch > self._epoch:
            raise OSError(f"writer {current.epoch} has taken over from writer {self._epoch}")
        write_head(self.folder, self._position, self._epoch)
        self._since_head = 0

    def _refuse(self, error: OSError) -> JournalUnwritable:
        self._refusal = f"refused since an earlier failure: {_reason(error)}"
        return JournalUnwritable(str(self.path), _reason(error))

    @contextlib.contextmanager
    def _released_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._release()
            raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalUnwritable(str(self.path), _reason(error)) from error

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._lock.release()


def free_name(folder: ExperimentFolder, stem: str, suffix: str) -> Path:
    """The first of `<stem>-0<suffix>`, `<stem>-1<suffix>` ... that is not taken."""
    n = 0
    while (path := folder.journal / f"{stem}-{n}{suffix}").exists():
        n += 1
    return path


def _exists(folder: ExperimentFolder) -> bool:
    if folder.head.exists():
        return True
    return any((folder.journal / segment_name(number)).stat().st_size for number in segments(folder))


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
