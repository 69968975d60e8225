"""Objectives of a blackbox under other names, with declared modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import Blackbox, Mode
from offbeat_plugins.blackboxes.objectives import checked_mode


class RenamedBlackbox:
    """A blackbox whose objectives are called otherwise; those that are not named stay as they are.

    Args:
        blackbox: whose.
        names: old name -> new name.
        modes: new name -> "min" or "max", where another sense or none was declared.
        resource_attr: another name for the resource.

    Raises InvalidArgument for an unknown name, or two that become one.
    """

    def __init__(
        self,
        blackbox: Blackbox,
        names: Mapping[str, str],
        *,
        modes: Mapping[str, Mode] | None = None,
        resource_attr: str | None = None,
    ) -> None:
        for name in names:
            if name not in blackbox.objectives:
                raise InvalidArgument(f"names: {name!r} is no objective. {nearest(name, blackbox.objectives)}")
        new = {name: names.get(name, name) for name in blackbox.objectives}
        if len(set(new.values())) < len(new):
            raise InvalidArgument(f"names={dict(names)!r}: two objectives would have the same name.")
        for name, mode in (modes or {}).items():
            if name not in new.values():
                raise InvalidArgument(f"modes: {name!r} is no objective. {nearest(name, new.values())}")
            checked_mode(mode, f"modes: {name}")
        self._blackbox, self._new = blackbox, new
        self.space, self.levels, self.seeds = blackbox.space, blackbox.levels, blackbox.seeds
        self.resource_attr = resource_attr or blackbox.resource_attr
        declared: dict[str, Mode | None] = {new[name]: mode for name, mode in blackbox.objectives.items()}
        declared.update(modes or {})
        self.objectives: Mapping[str, Mode | None] = declared
        elapsed = blackbox.elapsed_attr
        self.elapsed_attr = None if elapsed is None else new[elapsed]

    def curve(self, config: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
        """The curve, renamed."""
        return self._renamed(self._blackbox.curve(config, seed))

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, Any]]:
        """The curves, renamed."""
        return [self._renamed(one) for one in self._blackbox.curves(configs, seeds)]

    def _renamed(self, curve: Mapping[str, Any]) -> Mapping[str, Any]:
        return {self._new.get(name, name): values for name, values in curve.items()}
