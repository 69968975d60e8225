"""What a blackbox is told of its resource levels, checked."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from operator import index

from offbeat.errors import InvalidArgument


def checked_levels(levels: object) -> tuple[int, ...]:
    """Raises InvalidArgument unless they are increasing whole numbers from 1 up, or the highest of 1, 2, 3 ..."""
    try:
        found = [index(one) for one in levels] if isinstance(levels, Iterable) else range(1, index(levels) + 1)  # type: ignore[arg-type]
    except TypeError:
        found = []
    if isinstance(levels, bool) or not found or found[0] < 1 or any(b <= a for a, b in pairwise(found)):
        raise InvalidArgument(f"levels={levels!r}: give the highest level, or increasing whole numbers from 1 up.")
    return tuple(found)
