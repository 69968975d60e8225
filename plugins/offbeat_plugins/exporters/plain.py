"""Tables as text: CSV and JSON lines, row by row, in memory for one row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import msgspec

from offbeat.results import Table


class Csv:
    """UTF-8, comma, one header. Missing values are empty, floats have all their digits, lists and dictionaries are JSON."""

    def encode(self, table: Table) -> Iterator[bytes]:
        """The file's bytes; reads the table twice, as the header needs every name."""
        names = table.names
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(names)
        for row in table:
            writer.writerow([cell(row.get(name)) for name in names])
            yield _taken(buffer)
        yield _taken(buffer)


class JsonLines:
    """One JSON object a row, without the columns that the row lacks."""

    def encode(self, table: Table) -> Iterator[bytes]:
        """The file's bytes."""
        encoder = msgspec.json.Encoder()
        for row in table:
            yield encoder.encode(row) + b"\n"


def cell(value: Any) -> str:
    """A value as text without loss."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list | tuple) else str(value)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
