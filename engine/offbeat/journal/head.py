"""`head.json`: what the journal must hold at least, so that a cut file is noticed.

It names a line border that was on the disk before the head was written: at creation, opening, closing, each new
    segment and
every so many groups. The journal may be ahead of it, never behind.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from offbeat.errors import JournalDamaged, JournalTooNew
from offbeat.events import JOURNAL_VERSION
from offbeat.home import ExperimentFolder
from offbeat.journal.disk import replace
from offbeat.journal.format import START, UNDECODABLE, Position, chained

_MAX_HEAD: Final = 4096


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of the file; `check` is BLAKE2b-128 over the other fields."""

    version: int
    epoch: int
    segment: int
    offset: int
    seq: int
    hash: str
    check: str = ""

    def checked(self) -> Head:
        """The same with its right `check`."""
        fields = [self.version, self.epoch, self.segment, self.offset, self.seq, self.hash]
        return msgspec.structs.replace(self, check=chained(msgspec.json.encode(fields), START).hex())


def write_head(folder: ExperimentFolder, position: Position, epoch: int) -> None:
    """Replaces the head; the journal has to be on the disk up to `position` before. Raises OSError."""
    head = Head(JOURNAL_VERSION, epoch, position.segment, position.offset, position.seq, position.hash.hex()).checked()
    replace(folder.head, msgspec.json.encode(head) + b"\n")


def read_head(folder: ExperimentFolder) -> Head | None:
    """The head, or None if there is no such file. Raises JournalTooNew, JournalDamaged."""
    path = str(folder.head)
    try:
        with folder.head.open("rb") as file:
            text = file.read(_MAX_HEAD)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fields: Any = msgspec.json.decode(text)
    except UNDECODABLE:
        raise JournalDamaged(path, 0, "the head is not JSON") from None
    if not isinstance(fields, dict):
        raise JournalDamaged(path, 0, "the head is not a JSON object")
    # The version comes before everything else: a later one may have other fields.
    version = fields.get("version")
    if version != JOURNAL_VERSION or isinstance(version, bool):
        raise JournalTooNew(path, version, JOURNAL_VERSION)
    try:
        head = msgspec.convert(fields, Head)
    except msgspec.ValidationError as error:
        raise JournalDamaged(path, 0, f"the head is not complete: {error}") from None
    if head.checked() != head:
        raise JournalDamaged(path, 0, "the head's check sum does not fit its fields")
    return head
