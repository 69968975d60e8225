"""Recorders: every result as a row of `results.csv` or a line of `results.jsonl` in the experiment's folder.

The journal is the truth and these files follow it. When a session begins, the file is compared with the journal row
by row and cut at the first row that is torn or that the journal does not (any more) have; then it goes on from there.
So after a crash no row is missing and none is there twice.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from offbeat.errors import InvalidArgument
from offbeat.events import Suggested, TrialResult
from offbeat.journal import read_journal
from offbeat.protocols import ExperimentView, Recorded
from offbeat.results import COLUMNS, cell, result_row

_KEY: Final = COLUMNS[:5]
"""Columns by which a row of the file is recognised as a result of the journal."""

_MAX_RECORD: Final = 1 << 20

Key = tuple[str, ...]


class _Format(Protocol):
    """How rows stand in a file."""

    def begin(self, path: Path) -> int:
        """Makes itself acquainted with the file (empty if new); gives where its rows begin, -1 if it is not ours."""
        ...

    def keys(self, path: Path, offset: int) -> Iterator[tuple[Key, int]]:
        """(key, offset behind the row) of every whole row from `offset` on."""
        ...

    def encode(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """The rows as bytes to append."""
        ...


class _Recorder:
    """Keeps one file in step with the journal; held by both classes below."""

    def __init__(self, file: str, layout: _Format) -> None:
        if not file or file != Path(file).name or file in (".", "..", "lock", "head.json", "journal", "trials"):
            raise InvalidArgument(f"file={file!r} is not valid: use a plain file name, such as 'results.csv'.")
        self._file = file
        self._layout = layout
        self._path = Path(file)
        self._configs: dict[int, Mapping[str, Any]] = {}
        self._next = 0

    def start(self, experiment: ExperimentView) -> int:
        self._path = experiment.folder.path / self._file
        self._configs = {}
        self._path.touch(mode=0o600)
        begin = self._layout.begin(self._path)
        if begin < 0:
            # Somebody's own file, or one that was edited beyond recognition: it is not ours to cut.
            n = 0
            while (other := self._path.with_name(f"{self._file}.foreign-{n}")).exists():
                n += 1
            self._path.rename(other)
            self._path.touch(mode=0o600)
            begin = self._layout.begin(self._path)
        good = begin
        rows = self._layout.keys(self._path, begin)
        row = next(rows, None)
        self._next = 0
        for record in read_journal(experiment.folder):
            event = record.event
            if isinstance(event, Suggested):
                self._configure(event)
            elif isinstance(event, TrialResult):
                if row is None or row[0] != _key(result_row(record.seq, event, {})):
                    break
                good = row[1]
                row = next(rows, None)
            self._next = record.seq + 1
        if self._path.stat().st_size > good:
            os.truncate(self._path, good)
        return self._next

    def handle(self, events: Sequence[Recorded]) -> None:
        rows = []
        for record in events:
            event = record.event
            if record.seq < self._next:
                continue
            if type(event) is TrialResult:
                rows.append(result_row(record.seq, event, self._configs.get(event.trial, {})))
            elif type(event) is Suggested:
                self._configure(event)
        if rows:
            data = self._layout.encode(self._path, rows)
            with self._path.open("ab") as file:
                file.write(data)
        if events:
            self._next = max(self._next, events[-1].seq + 1)

    def finish(self) -> None:
        if self._path.exists():
            with self._path.open("rb") as file:
                os.fsync(file.fileno())

    def _configure(self, event: Suggested) -> None:
        if event.kind == "start":
            self._configs[event.trial] = event.config or {}


class CsvResults:
    r"""Writes `results.csv`: UTF-8, one header, one row a result; columns as in `offbeat.results.result_row`.

    A metric or hyperparameter that appears later becomes a column at the right, empty in the rows above: the file is
    then rewritten beside itself and exchanged at once. Lists and dictionaries stand as JSON, line breaks as `\n`.
    """

    def __init__(self, file: str = "results.csv") -> None:
        self._recorder = _Recorder(file, _Csv())

    def start(self, experiment: ExperimentView) -> int:
        """Mends the file and answers the first sequence number that it lacks."""
        return self._recorder.start(experiment)

    def handle(self, events: Sequence[Recorded]) -> None:
        """Appends a row for each result, all of a batch in one write."""
        self._recorder.handle(events)

    def finish(self) -> None:
        """Puts the file on the disk."""
        self._recorder.finish()


class JsonLinesResults:
    """Writes `results.jsonl`: a JSON object a line and result, keys as in `offbeat.results.result_row`."""

    def __init__(self, file: str = "results.jsonl") -> None:
        self._recorder = _Recorder(file, _JsonLines())

    def start(self, experiment: ExperimentView) -> int:
        """Mends the file and answers the first sequence number that it lacks."""
        return self._recorder.start(experiment)

    def handle(self, events: Sequence[Recorded]) -> None:
        """Appends a line for each result, all of a batch in one write."""
        self._recorder.handle(events)

    def finish(self) -> None:
        """Puts the file on the disk."""
        self._recorder.finish()


class _JsonLines:
    def begin(self, path: Path) -> int:
        return 0

    def keys(self, path: Path, offset: int) -> Iterator[tuple[Key, int]]:
        for line, end in _lines(path, offset):
            try:
                yield _key(msgspec.json.decode(line)), end
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
                return

    def encode(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> bytes:
        return msgspec.json.Encoder().encode_lines(rows)


class _Csv:
    def __init__(self) -> None:
        self._columns: list[str] = []
        self._rows_at = 0

    def begin(self, path: Path) -> int:
        self._columns, self._rows_at = [], 0
        header = next(_lines(path, 0), None)
        if header is None:
            return 0  # empty, or a header that was torn; both begin anew
        columns = _fields(header[0])
        if columns is None or tuple(columns[: len(COLUMNS)]) != COLUMNS:
            return -1
        self._columns, self._rows_at = columns, header[1]
        return header[1]

    def keys(self, path: Path, offset: int) -> Iterator[tuple[Key, int]]:
        for line, end in _lines(path, offset):
            fields = _fields(line)
            if fields is None or len(fields) != len(self._columns):
                return
            yield tuple(fields[: len(_KEY)]), end

    def encode(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> bytes:
        known = set(self._columns)
        new = [name for name in dict.fromkeys(_names(rows)) if name not in known]
        if new:
            self._widen(path, new)
        return _written([_cell(row.get(name)) for name in self._columns] for row in rows)

    def _widen(self, path: Path, new: Sequence[str]) -> None:
        columns = [*self._columns, *new]
        header = _written([columns])
        temporary = path.with_name(f".{path.name}.new")
        with path.open("rb") as old, temporary.open("wb") as file:
            old.seek(self._rows_at)
            file.write(header)
            for line in old:
                file.write(line[:-1] + b"," * len(new) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o600)
        temporary.replace(path)
        self._columns, self._rows_at = columns, len(header)


def _names(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Column names of rows: what all have, then metrics, then hyperparameters."""
    yield from COLUMNS
    for row in rows:
        yield from (name for name in row if not name.startswith("config_"))
    for row in rows:
        yield from row


def _lines(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """(line, offset behind it) of whole lines; a torn or endless one ends it."""
    with path.open("rb") as file:
        file.seek(offset)
        while (line := file.readline(_MAX_RECORD)).endswith(b"\n"):
            offset += len(line)
            yield line, offset


def _key(row: Mapping[str, Any]) -> Key:
    return tuple(_cell(row[name]) for name in _KEY)


def _cell(value: Any) -> str:
    # No cell holds a line break, so that a line is a row and a torn row can be seen.
    text = cell(value)
    if isinstance(value, str) and _broken(text):
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return text


def _broken(text: str) -> bool:
    return "\n" in text or "\r" in text


def _written(rows: Iterable[Sequence[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def _fields(line: bytes) -> list[str] | None:
    try:
        return next(csv.reader([line.decode()], strict=True), None)
    except (csv.Error, UnicodeDecodeError):
        return None
