"""Exporters: each form read back with another library and compared with the rows."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offbeat.results import Table
from offbeat_plugins.exporters.plain import Csv, JsonLines

values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**64 - 1),
    st.booleans(),
    st.none(),
    st.sampled_from(["nan", "inf", "-inf"]),
    st.lists(st.integers(0, 9) | st.text(max_size=3), max_size=3),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)
rows = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", 'c,"', "d\ne", "config_a", "é"]), values, max_size=5), max_size=8
)


def table_of(found: list[dict[str, Any]]) -> Table:
    return Table("results", lambda: iter(found), ("seq", "at"), (), lambda name: not name.startswith("config_"))


@given(rows)
@example([{"a": "\r"}, {"a": '\r\n,"', "b": "'"}])
def test_csv_can_be_read_back(found: list[dict[str, Any]]) -> None:
    table = table_of(found)
    text = b"".join(Csv().encode(table)).decode()
    heads, *lines = list(csv.reader(io.StringIO(text, newline="")))
    assert tuple(heads) == table.names
    assert len(lines) == len(found)
    for row, line in zip(found, lines, strict=True):
        for name, cell in zip(heads, line, strict=True):
            value = row.get(name)
            if value is None:
                assert cell == ""
            elif isinstance(value, list):
                assert json.loads(cell) == value
            else:
                assert type(value)(cell) == value if type(value) is not bool else cell == str(value)


@given(rows)
def test_json_lines_are_the_rows(found: list[dict[str, Any]]) -> None:
    text = b"".join(JsonLines().encode(table_of(found))).decode()
    assert [json.loads(line) for line in text.split("\n")[:-1]] == found


def same(value: Any, told: Any) -> bool:
    """Whether a cell of a frame is the value of a row."""
    if told is None:
        return value is None or str(value) in ("<NA>", "nan")
    if isinstance(told, str) and told in ("nan", "inf", "-inf") and isinstance(value, float):
        told = float(told)
    if isinstance(told, float) and math.isnan(told):
        return bool(value != value)
    return bool(value == told)


@given(rows)
def test_pandas_has_the_values(found: list[dict[str, Any]]) -> None:
    pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    table = table_of(found)
    frame = table.to("pandas")
    assert tuple(frame.columns) == table.names
    assert len(frame) == len(found)
    for column in table.columns():
        for value, row in zip(frame[column.name].tolist(), found, strict=True):
            told = row.get(column.name)
            assert same(value, float(told) if column.kind == "number" and told is not None else told), column


def test_pandas_has_the_types_that_people_expect() -> None:
    pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    frame = table_of(
        [
            {"n": 1, "some": 1, "x": 1, "gap": 1.5, "ok": True, "maybe": True, "text": "a", "bad": "nan", "config_c": "nan"},
            {"n": 2, "x": 2.5, "ok": False, "bad": 1.0, "config_c": "inf"},
        ]
    ).to("pandas")  # fmt: skip
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "seq": "float64", "at": "float64", "n": "int64", "some": "Int64", "x": "float64", "gap": "float64", "ok": "bool",
        "maybe": "boolean", "text": "object", "bad": "float64", "config_c": "object",
    }  # fmt: skip
    assert frame["x"].mean() == 1.75
    assert frame["config_c"].tolist() == ["nan", "inf"]


@given(rows)
def test_arrow_and_its_files_hold_the_same(found: list[dict[str, Any]]) -> None:
    pytest.importorskip("pyarrow", reason="the extra `pandas` is not installed")
    import pyarrow as pa
    import pyarrow.ipc
    import pyarrow.parquet

    table = table_of(found)
    arrow = table.to("arrow")
    assert tuple(arrow.column_names) == table.names
    types = {"integer": "int64", "number": "double", "boolean": "bool", "text": "string", "other": "string"}
    for column in table.columns():
        assert str(arrow.schema.field(column.name).type) == types[column.kind]
        for value, row in zip(arrow[column.name].to_pylist(), found, strict=True):
            told = row.get(column.name)
            if column.kind == "other" and told is not None:
                assert json.loads(value) == told
            else:
                assert same(value, float(told) if column.kind == "number" and told is not None else told), column
    feather = pa.ipc.open_file(pa.BufferReader(b"".join(table.encode("arrow")))).read_all()
    parquet = pa.parquet.read_table(pa.BufferReader(b"".join(table.encode("parquet"))))
    # Compared as bytes: nan is not equal to itself.
    assert [repr(one.to_pylist()) for one in (feather, parquet)] == [repr(arrow.to_pylist())] * 2


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    from offbeat.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for form in ("pandas", "arrow"):
        with pytest.raises(MissingExtra, match=r"pip install 'offbeat\[pandas\]'"):
            table_of([]).to(form)
    with pytest.raises(MissingExtra):
        b"".join(table_of([]).encode("parquet"))
