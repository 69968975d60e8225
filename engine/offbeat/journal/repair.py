"""Mending a damaged journal: what lies before the damage stays, the rest is moved aside and nothing is thrown away."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from offbeat.errors import JournalDamaged
from offbeat.events import JOURNAL_VERSION
from offbeat.home import ExperimentFolder
from offbeat.journal.disk import cut, replace, set_aside, sync_data, sync_folder
from offbeat.journal.format import Position, header_line, segment_name, segments
from offbeat.journal.head import read_head, write_head
from offbeat.journal.lock import ExperimentLock
from offbeat.journal.reader import GroupReader
from offbeat.journal.writer import free_name


class RepairReport(msgspec.Struct, frozen=True):
    """What `repair` found and did.

    Attributes:
        damage: the first damage, as a sentence; "" if there was none, and then nothing was changed.
        kept: events before it; moved: bytes from there on, now in the files `aside`.
    """

    damage: str
    kept: int
    moved: int = 0
    aside: tuple[str, ...] = ()


def repair(folder: ExperimentFolder) -> RepairReport:
    """Keeps the records before the damage and sets the rest aside as `journal/damaged-*`: the journal opens again.

    A torn tail is no damage: opening deals with it. Resuming decides anew what the lost events had decided.

    Raises:
        ExperimentLocked: an engine writes to it.
        JournalTooNew: another version wrote it.
        OSError: the disk refuses; what was set aside so far is complete, and repairing again goes on.
    """
    lock = ExperimentLock(folder)
    try:
        return _repair(folder)
    finally:
        lock.release()


def _repair(folder: ExperimentFolder) -> RepairReport:
    damage = ""
    head = None
    try:
        head = read_head(folder)
    except JournalDamaged as error:
        damage = error.reason
    reader = GroupReader(folder, head=head)
    epoch = head.epoch if head is not None else 0
    try:
        for _ in reader:
            pass
    except JournalDamaged as error:
        damage = error.reason
    at = reader.position
    if not damage:
        if head is None and at.seq:
            damage = "the head is missing"
        elif head is not None and head.epoch < at.epoch:
            damage = f"the head knows writers up to {head.epoch}, the journal {at.epoch}"
        else:
            return RepairReport("", at.seq)
    aside: list[str] = []
    moved = 0
    for segment in reversed(segments(folder)):
        path = folder.journal / segment_name(segment)
        if segment > at.segment:
            target = free_name(folder, f"damaged-{at.seq}-{segment:08d}", ".bin")
            moved += path.stat().st_size
            path.rename(target)
            aside.append(target.name)
        elif segment == at.segment and path.stat().st_size > at.offset:
            target = free_name(folder, f"damaged-{at.seq}", ".bin")
            moved += set_aside(path, at.offset, target)
            cut(path, at.offset)
            aside.append(target.name)
    sync_folder(folder.journal)
    # The new head comes last: until then the journal still counts as damaged, and repairing it again is harmless.
    write_head(folder, _begun(folder, at), 1 + max(epoch, at.epoch))
    return RepairReport(damage, at.seq, moved, tuple(reversed(aside)))


def _begun(folder: ExperimentFolder, at: Position) -> Position:
    """The same border; with a header written where the segment has lost its own."""
    path: Path = folder.journal / segment_name(at.segment)
    if at.offset:
        fd = os.open(path, os.O_WRONLY)
        try:
            sync_data(fd)
        finally:
            os.close(fd)
        return at
    line, digest = header_line(JOURNAL_VERSION, at)
    replace(path, line)
    return Position(at.segment, len(line), at.seq, at.epoch, digest)
