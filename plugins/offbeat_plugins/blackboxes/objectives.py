"""What a blackbox is told of its objectives, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import Mode


def checked_mode(mode: object, where: str) -> None:
    """Raises InvalidArgument with the nearest name unless a mode is "min" or "max"; `where` begins its sentence."""
    if mode not in ("min", "max"):
        raise InvalidArgument(f"{where}={mode!r} is not valid. {nearest(str(mode), ('min', 'max'))}")


def checked_objectives(objectives: Mapping[str, Mode | None] | Sequence[str]) -> dict[str, Mode | None]:
    """Name -> "min", "max" or None, from that or a list of names. Raises InvalidArgument."""
    names = list(objectives) if isinstance(objectives, Mapping | Sequence) else []
    if isinstance(objectives, str) or not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidArgument(
            f"objectives={objectives!r}: give a list of names, or a dict from names to 'min', 'max' or None."
        )
    if not isinstance(objectives, Mapping):
        return dict.fromkeys(names)
    for name, mode in objectives.items():
        if mode is not None:
            checked_mode(mode, f"objectives: {name}")
    return dict(objectives)
