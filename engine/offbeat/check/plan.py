"""What is checked: the script, one configuration, and how far and how patiently it is run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from offbeat.arguments import require_count
from offbeat.errors import InvalidArgument, nearest
from offbeat.space import Space

STEPS: Final = 3


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One check.

    Attributes:
        script: its path.
        config: what it is given: hyperparameters and constants, without `max_resource_attr`.
        others: further configurations, for hyperparameters that the first one does not have; they run to a first report.
        metrics: names that a scheduler would expect; empty: any.
        resource_attr: name of the resource in reports, None: reports are counted.
        max_resource_attr: name under which the script is told how far to run, None: it is not told.
        steps: reports before each interruption.
        seed: handed to the script in each run.
        grace: seconds between asking to end and making it end.
        patience: seconds without a report after which a run is given up.
        tolerance: relative difference up to which two values are equal.
        backend: further arguments of the local backend (`binary`, `env`, `cwd`, `config_as` ...).
    """

    script: Path
    config: dict[str, Any] = {}
    others: tuple[dict[str, Any], ...] = ()
    metrics: tuple[str, ...] = ()
    resource_attr: str | None = None
    max_resource_attr: str | None = None
    steps: int = STEPS
    seed: int = 1
    grace: float = 10.0
    patience: float = 300.0
    tolerance: float = 1e-6
    backend: dict[str, Any] = {}

    @property
    def far(self) -> int:
        """The level up to which an uninterrupted run goes."""
        return 2 * self.steps

    def given(self, config: Mapping[str, Any], until: int) -> dict[str, Any]:
        """The configuration of a run that is told to go up to a level."""
        told = dict(config)
        if self.max_resource_attr is not None:
            told[self.max_resource_attr] = until
        return told


def plan(
    script: str | os.PathLike[str],
    config_space: Mapping[str, Any] | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    max_resource_attr: str | None = None,
    steps: int = STEPS,
    grace: float = 10.0,
    patience: float = 300.0,
    tolerance: float = 1e-6,
    **rest: Any,
) -> Plan:
    """A checked plan.

    Args:
        script: the training script.
        config_space: the search space; its default configuration is run.
        config: values to run with instead.
        max_resource_attr: see `Plan`, as for the others.
        steps: from 1 up.
        grace: from 0 up.
        patience: above 0.
        tolerance: from 0 up.
        rest: the other attributes of `Plan`.

    Raises InvalidArgument, InvalidSpace, InvalidConfig.
    """
    require_count("steps", steps)
    for name, value, least in (("grace", grace, 0.0), ("patience", patience, 1e-3), ("tolerance", tolerance, 0.0)):
        if not least <= value < float("inf"):
            raise InvalidArgument(f"{name}={value!r}: give a number from {least:g} up.")
    given = dict(config or {})
    others: list[dict[str, Any]] = []
    if config_space and all(not _is_domain(entry) for entry in config_space.values()):
        unknown = [name for name in given if name not in config_space]
        if unknown:
            raise InvalidArgument(
                f"config names {unknown[0]!r}, which the space has not. {nearest(unknown[0], config_space)}"
            )
        given = {**config_space, **given}
    elif config_space:
        space = Space.of(config_space)
        constants = {name: value for name, value in given.items() if name in space.constants}
        own = space.complete({name: value for name, value in given.items() if name not in constants})
        first = {**space.full(own), **constants}
        for name in space.conditions:
            if name not in own and not any(name in other for other in others):
                others.append({**space.full(space.complete({name: space.domains[name].default})), **constants})
        given = first
    given.pop(max_resource_attr or "", None)
    for other in others:
        other.pop(max_resource_attr or "", None)
    return Plan(
        script=Path(script), config=given, others=tuple(others), max_resource_attr=max_resource_attr, steps=steps,
        grace=grace, patience=patience, tolerance=tolerance, **rest,
    )  # fmt: skip


def _is_domain(entry: Any) -> bool:
    """Whether an entry of a space is more than a constant."""
    return hasattr(entry, "to_json") or hasattr(entry, "domain") or hasattr(entry, "expression")
