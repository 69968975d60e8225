"""Amounts of bytes as people write them: "10 GB", "512 MiB"."""

from __future__ import annotations

import re
from typing import Final

from offbeat.errors import InvalidArgument, nearest

UNITS: Final = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip

_AMOUNT: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*")


def byte_count(given: object, name: str) -> int:
    """A number of bytes from itself or from a text such as "10 GB"; `name` is the argument's. Raises InvalidArgument."""
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return given
    match = _AMOUNT.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise InvalidArgument(
            f"{name}={given!r}: give a number of bytes above 0, or a text such as '10 GB' or '512 MiB'."
        )
    amount, unit = match[1], match[2] or "B"
    factor = next((size for known, size in UNITS.items() if known.lower() == unit.lower()), None)
    if factor is None:
        raise InvalidArgument(f"{name}={given!r}: {unit!r} is no unit of bytes. {nearest(unit, tuple(UNITS))}")
    count = round(float(amount) * factor) if "." in amount else int(amount) * factor
    if count < 1:
        raise InvalidArgument(f"{name}={given!r}: give one byte at least.")
    return count


def in_words(count: float) -> str:
    """A number of bytes for people: "999 B", "1.2 MB", "35 GB"."""
    unit, size = "B", 1
    for name in ("B", "kB", "MB", "GB", "TB"):
        if count >= UNITS[name]:
            unit, size = name, UNITS[name]
    return f"{count / size:.3g} {unit}" if count < 999.5 * size else f"{count / size:.0f} {unit}"
