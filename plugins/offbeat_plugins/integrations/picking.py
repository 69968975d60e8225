"""Which of the metrics that a library knows are reported, and under which names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from offbeat.errors import InvalidArgument, nearest

Wanted: TypeAlias = str | Sequence[str] | Mapping[str, str] | None
"""Names; or name in the report -> name in the library; None: all."""


def checked(metrics: Wanted) -> Mapping[str, str] | None:
    """Name in the report -> name in the library, None for all. Raises InvalidArgument."""
    if metrics is None:
        return None
    if isinstance(metrics, str):
        return {metrics: metrics}
    found = dict(metrics) if isinstance(metrics, Mapping) else {name: name for name in metrics}
    if not found or not all(isinstance(text, str) and text for pair in found.items() for text in pair):
        raise InvalidArgument(f"metrics={metrics!r}: give names, or a mapping from names in the report to names here.")
    return found


def picked(wanted: Mapping[str, str] | None, known: Mapping[str, Any]) -> dict[str, Any]:
    """The values to report. Raises InvalidArgument with the nearest name for one that is not there."""
    if wanted is None:
        return dict(known)
    for name in wanted.values():
        if name not in known:
            raise InvalidArgument(f"There is no metric {name!r} to report. {nearest(name, known)}")
    return {name: known[source] for name, source in wanted.items()}
