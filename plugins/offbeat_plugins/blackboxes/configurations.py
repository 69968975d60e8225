"""The configurations of a table: checked once, found by their keys, and shared by tables that have the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.space import Space


class Configurations:
    """Configurations in the order of a table.

    Attributes:
        space: of all of them.
        listed: each as the space has it.
        keys: of each, see `Space.key`.
        places: key -> index of the first configuration that has it.

    Raises InvalidConfig.
    """

    def __init__(self, space: Space, configs: Sequence[Mapping[str, Any]]) -> None:
        self.space = space
        self.listed = [space.validate(config) for config in configs]
        self.keys = [space.key(config) for config in self.listed]
        self.places: dict[str, int] = {}
        for place, key in enumerate(self.keys):
            self.places.setdefault(key, place)

    def __len__(self) -> int:
        return len(self.listed)

    def twice(self) -> tuple[int, int] | None:
        """Two places with the same configuration, None if all differ."""
        if len(self.places) == len(self.keys):
            return None
        return next((self.places[key], i) for i, key in enumerate(self.keys) if self.places[key] != i)

    def only(self, rows: Sequence[int]) -> Configurations:
        """Some of them, in that order."""
        return Configurations(self.space, [self.listed[row] for row in rows])
