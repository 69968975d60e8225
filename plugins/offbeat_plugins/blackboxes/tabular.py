"""Tables of recorded trainings: arrays over (task, configuration, seed, resource level, objective)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offbeat.errors import InvalidArgument, InvalidConfig, nearest
from offbeat.protocols import Mode
from offbeat.space import Space
from offbeat_plugins.blackboxes.configurations import Configurations
from offbeat_plugins.blackboxes.levels import checked_levels
from offbeat_plugins.blackboxes.objectives import checked_objectives

Elapsed: TypeAlias = Literal["cumulative", "per-level"]
"""Seconds since the beginning of the training, or since the level before."""

_ABSENT: Any = object()
"""In the place of the value of a hyperparameter that is inactive."""


class TabularBlackbox:
    """Looks curves up, exactly.

    Args:
        config_space: hyperparameters of the table, by name, or a Space.
        configs: the recorded configurations, in the order of the table; `Configurations` of the same space are shared.
        values: (task, config, seed, level, objective), or without its first axis where `tasks` is None; NaN is missing.
        objectives: name -> "min", "max" or None, in the order of the last axis.
        levels: resource level at each place of the fourth axis, or the highest of 1, 2, 3 ...
        resource_attr: name of the resource in reports.
        elapsed_attr: the objective with the seconds of training so far.
        tasks: names of the first axis; dataset: which of them this blackbox is.
        nearest: a configuration that is not in the table is answered by the nearest one that is (distance in the encoded
            space, each hyperparameter from 0 to 1, and 1 between an active and an inactive one; equal distances by place
            in the table); False: it is an error.
        rows: place of each configuration on the table's axis, where not all of them are wanted; None: 0, 1, 2 ...
        elapsed: "per-level" seconds are summed up when a curve is read.
        missing_seeds: a replicate that is NaN everywhere is answered as it is ("nan", which fails the trial) or by the
            next one that is not ("next", cyclically).
        notes: what was mended when the table was read, a sentence each.

    Attributes:
        values: (config, seed, level, objective) as given, a view; `at` says where a configuration stands in it.

    Raises InvalidArgument, InvalidConfig (a recorded configuration that is not in the space).
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        configs: Sequence[Mapping[str, Any]] | Configurations,
        values: ArrayLike,
        *,
        objectives: Mapping[str, Mode | None],
        levels: int | Sequence[int] = (1,),
        resource_attr: str = "epoch",
        elapsed_attr: str | None = None,
        tasks: Sequence[str] | None = None,
        dataset: str | None = None,
        nearest: bool = False,
        rows: Sequence[int] | None = None,
        elapsed: Elapsed = "cumulative",
        missing_seeds: Literal["nan", "next"] = "nan",
        notes: Sequence[str] = (),
    ) -> None:
        self.space = Space.of(config_space)
        self.objectives: Mapping[str, Mode | None] = checked_objectives(objectives)
        self.levels = checked_levels(levels)
        self.resource_attr = resource_attr
        self.elapsed_attr = elapsed_attr
        self._nearest = nearest
        table = np.asarray(values)
        if tasks is not None:
            table = _task(table, tasks, dataset)
        elif dataset is not None:
            raise InvalidArgument(f"dataset={dataset!r}: this table has no tasks; name them in tasks=.")
        self.at = range(len(configs)) if rows is None else tuple(int(row) for row in rows)
        if len(self.at) != len(configs) or (rows is not None and not all(0 <= row < len(table) for row in self.at)):
            raise InvalidArgument(f"rows: give the place of each of the {len(configs)} configurations in the table.")
        wanted = {2: len(self.levels), 3: len(self.objectives)} | ({0: len(configs)} if rows is None else {})
        if table.ndim != 4 or any(table.shape[axis] != size for axis, size in wanted.items()) or table.shape[1] < 1:
            raise InvalidArgument(
                f"values has shape {table.shape}; {len(configs)} configurations, some seeds, {len(self.levels)} levels and "
                f"{len(self.objectives)} objectives are needed, in this order."
            )
        if elapsed_attr is not None and elapsed_attr not in self.objectives:
            raise InvalidArgument(f"elapsed_attr={elapsed_attr!r} is no objective. {_nearest_name(elapsed_attr, self)}")
        self.seeds = int(table.shape[1])
        self.values: NDArray[Any] = table
        self.elapsed: Elapsed = elapsed
        self.notes = tuple(notes)
        self._sums = elapsed_attr if elapsed == "per-level" else None
        self._missing_seeds = missing_seeds
        #: (config, seed, objective, level); a view, since a table may be large.
        self._values: NDArray[Any] = np.moveaxis(table, 3, 2)
        shared = configs if isinstance(configs, Configurations) else Configurations(self.space, configs)
        if (same := shared.twice()) is not None:
            raise InvalidArgument(
                f"configs {same[0]} and {same[1]} are the same: {shared.listed[same[1]]}. Join their seeds."
            )
        self._configs, self._rows = shared.listed, shared.places

    @property
    def configs(self) -> Sequence[Mapping[str, Any]]:
        """The recorded configurations, in the order of the table."""
        return self._configs

    def row(self, config: Mapping[str, Any]) -> int:
        """The table's row for a configuration. Raises InvalidConfig, naming the nearest recorded one."""
        try:
            found = self._rows.get(self.space.key(config))
        except (KeyError, TypeError):
            found = None
        if found is not None:
            return found
        values: dict[str, Any] = {}
        for name, domain in self.space.domains.items():
            if name not in config:
                if name in self.space.conditions:
                    continue
                raise InvalidConfig(f"The configuration lacks hyperparameter {name!r}. {nearest(name, config)}")
            values[name] = domain.cast(config[name]) if _castable(domain, config[name]) else config[name]
        if all(self.space.domains[name].contains(value) for name, value in values.items()):
            found = self._rows.get(self.space.key(values))
        if found is not None:
            return found
        near = self._nearest_row(values)
        if self._nearest:
            return near
        raise InvalidConfig(
            f"{values} is not in the table of {len(self._configs)} configurations; the nearest one is {self._configs[near]}. "
            "Search a space of what it holds, or let the nearest one answer: nearest=True, or add_surrogate(table)."
        )

    def curve(self, config: Mapping[str, Any], seed: int) -> Mapping[str, NDArray[Any]]:
        """Arrays over the levels. Raises InvalidConfig, and InvalidArgument for a seed that there is not."""
        row = self.row(config)
        if not 0 <= seed < self.seeds:
            raise InvalidArgument(f"seed={seed!r}: the table has seeds 0 to {self.seeds - 1}.")
        found = self._values[self.at[row], seed]
        if self._missing_seeds == "next":
            found = self._recorded(self.at[row], seed, found)
        curve = dict(zip(self.objectives, found, strict=True))
        if self._sums is not None:
            curve[self._sums] = np.nancumsum(curve[self._sums], dtype=np.float64)
        return curve

    def _recorded(self, at: int, seed: int, found: NDArray[Any]) -> NDArray[Any]:
        """The replicate itself, or the next one that has a result."""
        metrics = [i for i, name in enumerate(self.objectives) if name != self.elapsed_attr]
        for step in range(self.seeds):
            other = found if step == 0 else self._values[at, (seed + step) % self.seeds]
            if not np.isnan(other[metrics, :1]).all() or not np.isnan(other[metrics]).all():
                return other
        return found

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, NDArray[Any]]]:
        """One curve for each pair."""
        return [self.curve(config, seed) for config, seed in zip(configs, seeds, strict=True)]

    def _nearest_row(self, values: Mapping[str, Any]) -> int:
        distance = np.zeros(len(self._configs))
        for name in self.space.domains:
            distance += self._distances(name, values.get(name, _ABSENT)) ** 2
        return int(np.argmin(distance))

    def _distances(self, name: str, value: Any) -> NDArray[Any]:
        """From a value, in the domain or not, to each row's; 1 if one of both is inactive."""
        recorded = [config.get(name, _ABSENT) for config in self._configs]
        active = np.array([one is not _ABSENT for one in recorded])
        if value is _ABSENT or not active.any():
            return np.where(active == (value is _ABSENT), 1.0, 0.0)
        found = np.ones(len(recorded))
        found[active] = self._between(name, value, [one for one in recorded if one is not _ABSENT])
        return found

    def _between(self, name: str, value: Any, recorded: Sequence[Any]) -> NDArray[Any]:
        """From a value to recorded ones; between 0 and 1 along the domain's own scale."""
        domain = self.space.domains[name]
        numeric = all(isinstance(one, int | float) and not isinstance(one, bool) for one in [value, *recorded])
        if not numeric or domain.width > 1:
            return np.array([0.0 if one == value else 1.0 for one in recorded])
        known = sorted(set(recorded))
        if len(known) == 1:
            return np.zeros(len(recorded))
        codes = np.array([domain.encode(one)[0] for one in known])
        if len(known) > 2 and known[0] > 0:
            # Between recorded values on the scale on which they lie more evenly.
            logs = np.log(known)
            straight, bent = _unevenness(np.array(known, float), codes), _unevenness(logs, codes)
            if bent < straight and value > 0:
                own = np.interp(np.log(value), logs, codes)
                return np.asarray(np.abs(np.interp(np.log(np.array(recorded, float)), logs, codes) - own))
        own = np.interp(value, known, codes)
        return np.asarray(np.abs(np.interp(np.array(recorded, float), known, codes) - own))


def grid(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination, the last hyperparameter varying fastest."""
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def _task(table: NDArray[Any], tasks: Sequence[str], dataset: str | None) -> NDArray[Any]:
    if table.ndim != 5 or table.shape[0] != len(tasks):
        raise InvalidArgument(
            f"values has shape {table.shape}; five axes are needed, the first with {len(tasks)} tasks."
        )
    if dataset is None and len(tasks) > 1:
        raise InvalidArgument(f"dataset= is needed, one of {', '.join(map(repr, tasks))}.")
    name = tasks[0] if dataset is None else dataset
    if name not in tasks:
        raise InvalidArgument(f"There is no data set {name!r}. {nearest(str(name), tasks)}")
    chosen: NDArray[Any] = table[list(tasks).index(name)]
    return chosen


def _castable(domain: Any, value: Any) -> bool:
    try:
        domain.cast(value)
    except InvalidConfig:
        return False
    return True


def _nearest_name(name: str, blackbox: TabularBlackbox) -> str:
    return nearest(name, blackbox.objectives)


def _unevenness(x: NDArray[Any], codes: NDArray[Any]) -> float:
    """How far codes are from a straight line over x."""
    line = np.interp(x, [x[0], x[-1]], [codes[0], codes[-1]])
    return float(np.abs(codes - line).max())
