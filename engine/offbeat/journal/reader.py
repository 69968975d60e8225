"""Reading a journal, while it grows too: a line's hash, place and order are checked before its events are believed."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Final

from offbeat.errors import JournalDamaged, JournalTooNew
from offbeat.events import JOURNAL_VERSION, Event
from offbeat.home import ExperimentFolder
from offbeat.journal.format import (
    MAX_LINE,
    UNDECODABLE,
    Position,
    damaged,
    fault,
    group_counts,
    line_hash,
    parsed_group,
    parsed_header,
    segment_name,
    segments,
)
from offbeat.journal.head import Head, read_head
from offbeat.protocols import Recorded

_BUFFER: Final = 1 << 20


class GroupReader:
    """Walks over the groups from a position on.

    Args:
        position: where to begin; a border between two lines.
        head: what must be reached and met on the way, None to demand nothing.
        start: groups that end at or before this sequence number are checked, not decoded, and come without events.

    Attributes:
        position: the border behind the last group given.
        tail: after the end, how many bytes lie behind `position` and are no complete line.
    """

    def __init__(
        self, folder: ExperimentFolder, position: Position | None = None, *, head: Head | None = None, start: int = 0
    ) -> None:
        self.position = position or Position()
        self.tail = 0
        self._folder = folder
        self._start = start
        begin = (self.position.segment, self.position.offset)
        self._head = head if head is not None and begin <= (head.segment, head.offset) else None

    def __iter__(self) -> Iterator[tuple[int, list[Event]]]:
        """Gives (sequence number of the first event, events) for each group; raises JournalDamaged, JournalTooNew."""
        self._meet_head()
        while True:
            here = self.position
            # Asked before reading: once a later segment is there, this one does not grow any more.
            later = (self._folder.journal / segment_name(here.segment + 1)).exists()
            yield from self._segment()
            if not later:
                break
            if self.tail:
                raise damaged(
                    self._folder, here.segment, self.position.offset, "an unfinished line before a later segment"
                )
            self.position = Position(here.segment + 1, 0, self.position.seq, self.position.epoch, self.position.hash)
        if self._head is not None:
            at, head = self.position, self._head
            where = f"segment {head.segment}, byte {head.offset}"
            raise damaged(
                self._folder, at.segment, at.offset, f"events end at {at.seq}, head.json says {head.seq} ({where})"
            )

    def _segment(self) -> Iterator[tuple[int, list[Event]]]:
        self.tail = 0
        path = self._folder.journal / segment_name(self.position.segment)
        try:
            file = path.open("rb", buffering=_BUFFER)
        except FileNotFoundError:
            found = segments(self._folder)
            if self._head is not None or self.position.offset or (found and found[-1] > self.position.segment):
                raise damaged(self._folder, self.position.segment, 0, "the segment is missing") from None
            return
        with file:
            at = self.position
            if os.fstat(file.fileno()).st_size < at.offset:
                raise damaged(self._folder, at.segment, at.offset, "the segment is shorter than it was")
            file.seek(at.offset)
            while (line := file.readline(MAX_LINE + 1)).endswith(b"\n"):
                at = self.position
                if (reason := fault(line, at.hash)) is not None:
                    self._too_new(line)
                    raise damaged(self._folder, at.segment, at.offset, reason)
                if at.offset == 0:
                    self._header(line)
                else:
                    yield self._group(line)
            self._unfinished(line)

    def _unfinished(self, line: bytes) -> None:
        at = self.position
        self.tail = len(line)
        if len(line) > MAX_LINE:
            raise damaged(self._folder, at.segment, at.offset, f"line longer than {MAX_LINE} bytes")
        # The newline itself may have been hit; what lies here then is no beginning of a line.
        if line and fault(line[:-1] + b"\n", at.hash) is None:
            raise damaged(self._folder, at.segment, at.offset, "another byte in the place of the line's end")

    def _too_new(self, line: bytes) -> None:
        """A later version may chain its lines in another way; its header says so, if it still is one."""
        if self.position.offset:
            return
        try:
            version = parsed_header(line).journal
        except UNDECODABLE:
            return
        # Without a head there is no second witness for the version, and a flipped bit would tell people to upgrade.
        if version > JOURNAL_VERSION and self._head is None:
            raise JournalTooNew(
                str(self._folder.journal / segment_name(self.position.segment)), version, JOURNAL_VERSION
            )

    def _header(self, line: bytes) -> None:
        at = self.position
        path = self._folder.journal / segment_name(at.segment)
        try:
            header = parsed_header(line)
        except UNDECODABLE as error:
            raise damaged(self._folder, at.segment, 0, f"no header of a segment: {error}") from None
        if header.journal != JOURNAL_VERSION:
            raise JournalTooNew(str(path), header.journal, JOURNAL_VERSION)
        if (header.segment, header.seq, header.previous) != (at.segment, at.seq, at.hash.hex()):
            raise damaged(self._folder, at.segment, 0, "the header does not continue the segment before")
        self._advance(Position(at.segment, len(line), at.seq, at.epoch, line_hash(line)))

    def _group(self, line: bytes) -> tuple[int, list[Event]]:
        at = self.position
        events: list[Event] = []
        try:
            if at.seq < self._start:
                seq, n, epoch = group_counts(line)
                if seq + n > self._start:
                    events = list(parsed_group(line).events)
            else:
                group = parsed_group(line)
                seq, n, epoch, events = group.seq, group.n, group.epoch, group.events  # type: ignore[assignment]
        except (*UNDECODABLE, ValueError) as error:
            raise damaged(self._folder, at.segment, at.offset, f"the line is no group of events: {error}") from None
        if at.seq >= self._start and n != len(events):
            raise damaged(self._folder, at.segment, at.offset, f"{len(events)} events where {n} are announced")
        if seq != at.seq or n < 1:
            raise damaged(self._folder, at.segment, at.offset, f"events from {seq} on where {at.seq} is next")
        if epoch < at.epoch:
            raise damaged(self._folder, at.segment, at.offset, f"written by writer {epoch} after writer {at.epoch}")
        self._advance(Position(at.segment, at.offset + len(line), seq + n, epoch, line_hash(line)))
        return seq, events

    def _advance(self, position: Position) -> None:
        begin = self.position
        self.position = position
        if self._head is not None:
            self._meet_head(begin)

    def _meet_head(self, begin: Position | None = None) -> None:
        head, at = self._head, self.position
        if head is None or (at.segment, at.offset) < (head.segment, head.offset):
            return
        if (at.segment, at.offset, at.seq, at.hash.hex()) != (head.segment, head.offset, head.seq, head.hash):
            begin = begin or at
            raise damaged(self._folder, begin.segment, begin.offset, "the line is another than the one head.json names")
        self._head = None


def start_position(folder: ExperimentFolder, start: int) -> Position:
    """The beginning of the last segment that begins at or before event `start`; the journal's beginning if in doubt."""
    for segment in reversed(segments(folder)):
        if segment == 0:
            break
        try:
            with (folder.journal / segment_name(segment)).open("rb") as file:
                header = parsed_header(file.readline(4096))
            if header.seq <= start and header.segment == segment:
                return Position(segment, 0, header.seq, 0, bytes.fromhex(header.previous))
        except (OSError, ValueError, *UNDECODABLE):
            continue
    return Position()


class JournalFollower:
    """Reads what has come since the last look; takes no lock and disturbs no writer.

    Args:
        start: first sequence number wanted.
    """

    def __init__(self, folder: ExperimentFolder, start: int = 0) -> None:
        self._folder = folder
        self._start = start
        self._position = start_position(folder, start)
        self._head = read_head(folder)
        self._rest: list[Recorded] = []

    @property
    def next_seq(self) -> int:
        """Sequence number of the next event that `poll` will give."""
        return self._rest[0].seq if self._rest else max(self._start, self._position.seq)

    def poll(self, limit: int | None = None) -> list[Recorded]:
        """What came since, oldest first, at most `limit` events if given; ends quietly before an unfinished last line.

        Raises:
            JournalDamaged, JournalTooNew: with nothing lost of what came before; a further call raises again.
        """
        found, self._rest = self._rest, []
        if limit is None or len(found) < limit:
            with closing(self._groups()) as groups:
                for group in groups:
                    found += group
                    if limit is not None and len(found) >= limit:
                        break
        if limit is not None:
            found, self._rest = found[:limit], found[limit:]
        return found

    def _groups(self) -> Generator[list[Recorded], None, None]:
        """One group after the other, `self._position` always behind the last one given."""
        suspect: JournalDamaged | None = None
        while True:
            reader = GroupReader(self._folder, self._position, head=self._head, start=self._start)
            try:
                for seq, events in reader:
                    self._position = reader.position
                    yield [Recorded(i, event) for i, event in enumerate(events, seq) if i >= self._start]
            except JournalDamaged as error:
                # An engine that opens the journal cuts off a torn tail and writes a new line in its place; who read
                # half of each sees damage that is none. Real damage is there at the second look too.
                if suspect is not None and suspect.args == error.args:
                    raise
                suspect = error
                continue
            self._position = reader.position
            self._head = None
            return


def read_journal(folder: ExperimentFolder, start: int = 0) -> Iterator[Recorded]:
    """Events from `start` on, to the end as it is when it is reached; takes no lock and works while the journal grows.

    Needs memory for one line. Segments before `start` are not read, lines before it are checked but not decoded.

    Raises:
        JournalDamaged: after all events before the damage were given, or where the journal is shorter than head.json
            says.
        JournalTooNew: another version wrote it.
    """
    follower = JournalFollower(folder, start)
    for group in follower._groups():
        yield from group
