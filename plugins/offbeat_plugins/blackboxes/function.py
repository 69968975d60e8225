"""Trainings that are computed: a function in place of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from offbeat.arguments import require_count
from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import Mode
from offbeat.space import Space
from offbeat_plugins.blackboxes.levels import checked_levels
from offbeat_plugins.blackboxes.objectives import checked_objectives


class FunctionBlackbox:
    """Asks a function, which has to depend on its arguments alone.

    Args:
        function: (config, level, seed) -> {objective: number}; with `whole_curve` (config, levels, seed) -> {objective:
            array}, levels being an integer array that cannot be written to.
        config_space: hyperparameters by name, or a Space.
        levels: resource levels, or the highest of 1, 2, 3 ...
        objectives: name -> "min", "max" or None, or a list of names.
        elapsed_attr: the objective with the seconds of training so far.
        resource_attr: name of the resource in reports.
        seeds: how many seeds there are.
        whole_curve: the function answers a whole curve at once, which is much faster.

    Raises InvalidArgument.
    """

    def __init__(
        self,
        function: Callable[[Mapping[str, Any], Any, int], Mapping[str, Any]],
        config_space: Mapping[str, Any] | Space,
        *,
        levels: int | Sequence[int],
        objectives: Mapping[str, Mode | None] | Sequence[str],
        elapsed_attr: str | None = "elapsed",
        resource_attr: str = "epoch",
        seeds: int = 1,
        whole_curve: bool = False,
    ) -> None:
        if not callable(function):
            raise InvalidArgument(f"function={function!r} cannot be called.")
        self.space = Space.of(config_space)
        self.levels = checked_levels(levels)
        require_count("seeds", seeds)
        names = checked_objectives(objectives)
        if elapsed_attr is not None:
            names.setdefault(elapsed_attr, None)
        self.objectives: Mapping[str, Mode | None] = names
        self.elapsed_attr = elapsed_attr
        self.resource_attr = resource_attr
        self.seeds = seeds
        self._function = function
        self._whole = np.array(self.levels) if whole_curve else None
        if self._whole is not None:
            # All curves are computed from it.
            self._whole.setflags(write=False)

    def curve(self, config: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
        """What the function says. Raises what it raises, InvalidArgument for an answer that lacks an objective."""
        if self._whole is not None:
            return self._function(config, self._whole, seed)
        columns: dict[str, list[Any]] = {name: [] for name in self.objectives}
        for level in self.levels:
            point = self._function(config, level, seed)
            if not isinstance(point, Mapping):
                raise InvalidArgument(
                    f"the function answered {point!r} at level {level}, not a mapping from objectives to numbers"
                )
            for name, column in columns.items():
                if name not in point:
                    raise InvalidArgument(f"the function answered no {name!r} at level {level}. {nearest(name, point)}")
                column.append(point[name])
        return columns

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, Any]]:
        """One curve for each pair."""
        return [self.curve(config, seed) for config, seed in zip(configs, seeds, strict=True)]
