"""Tables as text: CSV and JSON lines, row by row, in memory for one row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from offbeat.results import Table, cell

_SPECIAL: Final = re.compile(r'[",\r\n]')


class Csv:
    """UTF-8, comma, one header. Missing values are empty, floats have all their digits, lists and dictionaries are JSON."""

    def encode(self, table: Table) -> Iterator[bytes]:
        """The file's bytes; reads the table twice, as the header needs every name."""
        names = table.names
        yield _line(names)
        for row in table:
            yield _line([cell(row.get(name)) for name in names])


class JsonLines:
    """One JSON object a row, without the columns that the row lacks."""

    def encode(self, table: Table) -> Iterator[bytes]:
        """The file's bytes."""
        encoder = msgspec.json.Encoder()
        for row in table:
            yield encoder.encode(row) + b"\n"


def _line(cells: Sequence[str]) -> bytes:
    # Not the csv module: in lines that end with a newline alone it leaves carriage returns unquoted.
    quoted = ('"' + one.replace('"', '""') + '"' if _SPECIAL.search(one) else one for one in cells)
    return (",".join(quoted) + "\n").encode()
