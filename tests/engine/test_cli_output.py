"""Tables, curves and flags as text."""

from __future__ import annotations

import math
import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offbeat.cli.output import curve, flags, print_table
from offbeat.text import printable, shown


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "n", "value"), [("a", 1, 0.123456), ("long name", 20, None)])
    assert capsys.readouterr().out.splitlines() == [
        "name        n   value",
        "a           1  0.1235",
        "long name  20",
    ]


def test_empty_table_is_its_heads(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "value"), [])
    assert capsys.readouterr().out == "name  value\n"


def test_curve_falls_from_left_to_right() -> None:
    text = curve([(epoch, 1 / epoch) for epoch in range(1, 10)], metric="loss", resource="epoch")
    lines = text.splitlines()
    assert lines[0].split("|")[0].strip() == "1"
    assert "0.1111" in lines[7]
    heights = [sum(line[12 + 4 * i : 13 + 4 * i].strip() != "" for line in lines[:8]) for i in range(9)]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] == 8
    assert lines[-1].split() == ["loss", "1", "9", "epoch"]


@example(values=[5e-324], width=1, height=2)
@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=300),
    st.integers(1, 80),
    st.integers(2, 12),
)
def test_curve_of_anything_fits(values: list[float], width: int, height: int) -> None:
    points = [(float(i), value) for i, value in enumerate(values, 1)]
    lines = curve(points, metric="m" * 30, resource="r", width=width, height=height).splitlines()
    assert len(lines) == height + 2
    assert all(len(line) <= 12 + max(width, 4) + 24 for line in lines)


def test_curve_without_points_and_of_equal_values() -> None:
    assert curve([], metric="loss", resource="epoch") == ""
    assert curve([(1, 0.0), (2, 0.0)], metric="loss", resource="epoch")


@given(st.dictionaries(st.sampled_from("abc"), st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans()))
def test_flags_survive_a_shell(config: dict[str, object]) -> None:
    words = shlex.split(flags(config))
    found: dict[str, str] = {}
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        found[name] = value if equals else words.pop(0)
    assert set(found) == set(config)
    for name, value in config.items():
        if isinstance(value, bool):
            assert found[name] == str(value).lower()
        else:
            assert type(value)(found[name]) == value  # type: ignore[call-arg]


@given(st.text())
def test_printable_is_one_harmless_line_of_the_same_length(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)


def test_shown() -> None:
    assert shown(None) == ""
    assert shown(math.pi) == "3.142"
    assert shown("a\x1b[31m") == "a\ufffd[31m"
