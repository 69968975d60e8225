"""`metadata.json`: names of objectives and tasks, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from offbeat.errors import DamagedBlackbox
from offbeat.protocols import Mode
from offbeat_plugins.blackboxes.repository.files import read_json

FILE: Final = "metadata.json"

OWN: Final = "offbeat"
"""Entry with what the layouts have no place for; other readers pass over it."""

LOWER: Final = ("error", "loss", "crps", "rmse", "mse", "mmce", "brier", "cross_entropy", "latency", "flops", "params")
HIGHER: Final = ("accuracy", "auc", "acc", "bac", "r2", "f1", "precision", "recall", "performance", "throughput")

ELAPSED: Final = (
    "metric_elapsed_time", "elapsed_time", "elapsed", "time", "metric_runtime", "runtime", "metric_time",
    "training_runtime", "timetrain",
)  # fmt: skip
"""Names under which the seconds of training are looked for where the metadata name none, the first that is there."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What `metadata.json` says.

    Attributes:
        objectives: in the order of the array's last axis; () where it is silent.
        tasks: in the order of the first axis; () where it is silent.
        elapsed_attr, default_metric, time_attr: None where it is silent.
        seed_column: of a data frame.
        modes: of objectives; where they are not recorded, as their names suggest.
        cumulative: whether the time is; None: to be found out.
        constants: of the space, as JSON.
        notes: what was made up.
    """

    path: str
    objectives: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    elapsed_attr: str | None = None
    default_metric: str | None = None
    time_attr: str | None = None
    seed_column: str | None = None
    modes: Mapping[str, Mode | None] = {}
    cumulative: bool | None = None
    constants: str = "{}"
    notes: tuple[str, ...] = ()

    @staticmethod
    def read(folder: Path) -> Metadata:
        """Of a folder. Raises DamagedBlackbox."""
        path = folder / FILE
        data = read_json(path)
        objectives = _names(path, data, "objectives_names")
        if not objectives:
            raise DamagedBlackbox(str(path), "it names no objectives (objectives_names)")
        own = _object(data, OWN)
        recorded = _object(own, "modes")
        notes = []
        elapsed = _name(path, data, "metric_elapsed_time")
        if elapsed is not None and elapsed not in objectives:
            notes.append(f"{FILE} names the time {elapsed!r}, which is no objective; it was passed over.")
            elapsed = None
        if elapsed is None:
            elapsed = next((name for name in ELAPSED if name in objectives), None)
        return Metadata(
            path=str(path),
            objectives=objectives,
            tasks=_names(path, data, "task_names"),
            elapsed_attr=elapsed,
            default_metric=_name(path, data, "metric_default"),
            time_attr=_name(path, data, "time_attr") or _name(path, data, "resource_attr"),
            seed_column=_name(path, data, "seed_col"),
            modes={
                name: recorded[name]
                if recorded.get(name) in ("min", "max")
                else None
                if name in recorded
                else guess(name)
                for name in objectives
                if name != elapsed
            },
            cumulative=own["elapsed"] == "cumulative" if own.get("elapsed") in ("cumulative", "per-level") else None,
            constants=json.dumps(_object(own, "constants")),
            notes=tuple(notes),
        )

    def declared(self) -> dict[str, Mode | None]:
        """Objective -> "min", "max" or None, in order."""
        return {name: self.modes.get(name) for name in self.objectives}


def guess(name: str) -> Mode | None:
    """The sense of an objective by its name; None for one that says nothing, or is a time."""
    plain = name.lower().removeprefix("metric_")
    if any(part in plain for part in LOWER):
        return "min"
    return "max" if any(part in plain for part in HIGHER) else None


def _object(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _names(path: Path, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = data.get(key)
    if found is None:
        return ()
    if not isinstance(found, Sequence) or isinstance(found, str) or len(set(map(str, found))) < len(found):
        raise DamagedBlackbox(str(path), f"{key} is {found!r}; a list of different names is needed")
    return tuple(map(str, found))


def _name(path: Path, data: Mapping[str, Any], key: str) -> str | None:
    found = data.get(key)
    if found is not None and not isinstance(found, str):
        raise DamagedBlackbox(str(path), f"{key} is {found!r}; a name is needed")
    return found
