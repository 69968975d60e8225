"""What the commands print with: tables and curves as text, JSON for programs, and the options that they share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from offbeat.text import shown

BLOCKS: Final = " ▁▂▃▄▅▆▇█"


def add_home(parser: argparse.ArgumentParser) -> None:
    """Adds --home."""
    parser.add_argument("--home", metavar="DIR", help="folder of experiments (default: $OFFBEAT_HOME or ~/offbeat)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds --json."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str, order="deterministic"), indent=2)
    print(text.decode())


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]], *, indent: str = "") -> None:
    """Columns as wide as they need to be; a column of numbers is set to the right."""
    texts = [[shown(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *texts, strict=True)]
    right = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(heads))]
    for line in (list(heads), *texts):
        cells = [text.rjust(w) if r else text.ljust(w) for text, w, r in zip(line, widths, right, strict=True)]
        print(indent + "  ".join(cells).rstrip())


def flags(config: Mapping[str, Any]) -> str:
    """A configuration as it would be typed after the script's name."""
    import shlex

    texts = {name: shown_exactly(value) for name, value in config.items()}
    # After a blank, a value with a dash in front would be read as another flag.
    return " ".join(
        shlex.quote(f"--{name}={text}") if text.startswith("-") else f"--{name} {shlex.quote(text)}"
        for name, text in texts.items()
    )


def shown_exactly(value: object) -> str:
    """A value with all its digits, lists and truth values as JSON: as a script is given it."""
    import json

    if isinstance(value, float):
        return repr(value)
    return value if isinstance(value, str) else json.dumps(value)


def curve(
    points: Sequence[tuple[float, float]], *, metric: str, resource: str, width: int = 60, height: int = 8
) -> str:
    """A small plot of (resource, value) as text, the value's scale on the left; an empty text without points.

    Plain letters where the terminal's encoding has no block characters.
    """
    if not points:
        return ""
    plain = not _encodable(BLOCKS)
    low, high = min(v for _, v in points), max(v for _, v in points)
    span = high - low or abs(high) or 1.0
    bottom = low - 0.05 * span  # so that the lowest value is not invisible
    reach = high - bottom or 1.0  # 0 where a twentieth of the smallest floats is
    step = max(1, width // len(points))
    columns = _resampled([v for _, v in points], width)
    lines = []
    for row in range(height, 0, -1):
        cells = ""
        for value in columns:
            filled = (value - bottom) / reach * height - (row - 1)
            level = max(0, min(8, round(filled * 8)))
            cells += (" #"[level >= 4] if plain else BLOCKS[level]) * min(step, 4)
        label = shown(high) if row == height else shown(low) if row == 1 else ""
        lines.append(f"{label:>9} | {cells}".rstrip())
    first, last = points[0][0], points[-1][0]
    extent = len(columns) * min(step, 4)
    scale = f"{shown(first)}{shown(last):>{max(1, extent - len(shown(first)))}}"
    lines.append(f"{'':>9} +-{'-' * extent}")
    lines.append(f"{metric[:9]:>9}   {scale}  {resource}")
    return "\n".join(lines)


def _resampled(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values: the last one of each of equally long stretches."""
    if len(values) <= width:
        return list(values)
    return [values[(i + 1) * len(values) // width - 1] for i in range(width)]


def _encodable(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
