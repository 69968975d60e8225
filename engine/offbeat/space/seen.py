"""The duplicate filter: which configurations were proposed before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offbeat.space.space import Space


class Seen:
    """A set of complete, valid configurations of one space; equal ones are told by `Space.key`.

    Attributes:
        keys: of all that are in it; for who has the key of a configuration at hand.
    """

    __slots__ = ("_key", "_space", "keys")

    def __init__(self, space: Space, configs: Iterable[Mapping[str, Any]] = ()) -> None:
        self._key = space.key
        self._space = space
        self.keys: set[str] = {space.key(config) for config in configs}

    def add(self, config: Mapping[str, Any]) -> bool:
        """Takes a configuration in; True if it was new."""
        key = self._key(config)
        if key in self.keys:
            return False
        self.keys.add(key)
        return True

    def __contains__(self, config: Mapping[str, Any]) -> bool:
        return self._key(config) in self.keys

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def count(self) -> int:
        """How many different ones."""
        return len(self.keys)

    @property
    def exhausted(self) -> bool:
        """Whether nothing new is left; never in a space whose size is not known."""
        size = self._space.size
        return size is not None and len(self.keys) >= size
