"""Whether the bytes of a journal are those that were written: the chain of hashes, the head, a torn last line."""

from __future__ import annotations

import os
from collections.abc import Iterator

from offbeat.errors import JournalDamaged
from offbeat.home import ExperimentFolder, find
from offbeat.journal import read_journal
from offbeat.journal.format import MAX_LINE, segment_name, segments
from offbeat.journal.head import read_head
from offbeat.protocols import Recorded


def found(
    experiment: ExperimentFolder | str | os.PathLike[str], home: str | os.PathLike[str] | None = None
) -> ExperimentFolder:
    """An experiment's folder by name, path or folder. Raises ExperimentNotFound."""
    if isinstance(experiment, ExperimentFolder):
        return experiment
    path = os.fspath(experiment)
    if not isinstance(experiment, str) and os.sep not in path:
        path = os.path.join(os.curdir, path)  # noqa: PTH118 - Path would drop the "./" that makes it a path
    return find(path, home)


def events_of(folder: ExperimentFolder) -> Iterator[Recorded]:
    """Every event, each line's hash checked before it is believed; takes no lock and works while the journal grows.

    Raises JournalDamaged, JournalTooNew, after all events before the damage were given.
    """
    events = read_journal(folder)
    if read_head(folder) is not None:
        return events
    return _headless(folder, events)


def _headless(folder: ExperimentFolder, events: Iterator[Recorded]) -> Iterator[Recorded]:
    for recorded in events:
        if recorded.seq == 0:
            raise JournalDamaged(str(folder.head), 0, "the head is missing: nothing tells how long the journal was")
        yield recorded


def torn_bytes(folder: ExperimentFolder) -> int:
    """Bytes behind the last whole line: the beginning of a group that nobody has acted upon."""
    numbers = segments(folder)
    if not numbers:
        return 0
    path = folder.journal / segment_name(numbers[-1])
    with path.open("rb") as file:
        size = file.seek(0, 2)
        step, end = 1 << 16, size
        while end > max(0, size - MAX_LINE - step):
            begin = max(0, end - step)
            file.seek(begin)
            place = file.read(end - begin).rfind(b"\n")
            if place >= 0:
                return size - (begin + place + 1)
            if begin == 0:
                return size
            end = begin
    return size
