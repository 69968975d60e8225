"""Tables as data frames: pandas, Arrow and Parquet, typed column by column."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import msgspec

from offbeat.errors import MissingExtra
from offbeat.results import Column, Table

_ARROW: Final = {"integer": "int64", "number": "float64", "boolean": "bool_", "text": "string", "other": "string"}


class Pandas:
    """A `pandas.DataFrame`.

    Whole numbers are int64, numbers float64, truth values bool; where a value is missing they are Int64, float64 with
    NaN, and boolean. Texts, lists and values of several kinds stay what they are, None where they are missing.
    """

    def convert(self, table: Table) -> Any:
        """The data frame. Raises MissingExtra."""
        pandas = _imported("pandas")
        found = {column.name: _series(pandas, column) for column in table.columns()}
        return pandas.DataFrame(found)


class Arrow:
    """A `pyarrow.Table`, and as a file the Arrow IPC format (Feather).

    Types are int64, double, bool and string. A column of lists, dictionaries, integers of more than 64 bits or values of
    several kinds holds them as JSON.
    """

    def convert(self, table: Table) -> Any:
        """The Arrow table. Raises MissingExtra."""
        pyarrow = _imported("pyarrow")
        columns = table.columns()
        return pyarrow.table(
            [pyarrow.array(_plain(one), type=getattr(pyarrow, _ARROW[one.kind])()) for one in columns],
            names=[one.name for one in columns],
        )

    def encode(self, table: Table) -> Iterator[bytes]:
        """The file's bytes. Raises MissingExtra."""
        found = self.convert(table)
        pyarrow = _imported("pyarrow")
        sink = pyarrow.BufferOutputStream()
        with _imported("pyarrow.ipc").new_file(sink, found.schema) as writer:
            writer.write_table(found)
        yield sink.getvalue().to_pybytes()


class Parquet:
    """A Parquet file of the table that `Arrow` makes."""

    def encode(self, table: Table) -> Iterator[bytes]:
        """The file's bytes. Raises MissingExtra."""
        found = Arrow().convert(table)
        sink = _imported("pyarrow").BufferOutputStream()
        _imported("pyarrow.parquet").write_table(found, sink)
        yield sink.getvalue().to_pybytes()


def _series(pandas: Any, column: Column) -> Any:
    kind, values = column.kind, column.values
    if kind == "number":
        return pandas.Series(values, dtype="float64")
    if kind == "integer":
        return pandas.Series(values, dtype="int64" if column.complete else "Int64")
    if kind == "boolean":
        return pandas.Series(values, dtype="bool" if column.complete else "boolean")
    return pandas.Series(values, dtype="object")


def _plain(column: Column) -> list[Any]:
    if column.kind != "other":
        return column.values
    return [None if value is None else msgspec.json.encode(value).decode() for value in column.values]


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtra(f"A table as {name.partition('.')[0]}", "pandas") from None
