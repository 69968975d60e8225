"""What a search is after: metrics, their modes and roles, and how the progress of a trial is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from offbeat.errors import InvalidArgument, nearest
from offbeat.events import MetricSpec

Mode: TypeAlias = Literal["min", "max"]
NonFinite: TypeAlias = Literal["fail", "worst", "ignore"]


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """What a scheduler optimises and in what unit it counts the progress of a trial.

    Attributes:
        metrics: the first one ranks trials where one number is needed (`best`); constraints and costs come last, and results
            in which a constraint does not hold are not ranked.
        resource_attr: name under which scripts report the resource (epoch ...), None where it does not matter.
        max_resource_attr: name of the hyperparameter or constant by which a script is told how far to run.
        max_t: highest resource level, None if unknown.
    """

    metrics: tuple[MetricSpec, ...]
    resource_attr: str | None = None
    max_resource_attr: str | None = None
    max_t: int | None = None

    @staticmethod
    def of(
        metric: str | Sequence[str],
        mode: Mode | Sequence[Mode] = "min",
        *,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
        resource_attr: str | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
        needed: Sequence[MetricSpec] = (),
    ) -> Objective:
        """An objective from the arguments that schedulers take.

        `needed` are constraints and costs; `nonfinite` applies to them too. Raises InvalidArgument.
        """
        names = [metric] if isinstance(metric, str) else list(metric)
        if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
            raise InvalidArgument(f"metric={metric!r}: give one name, or several different ones.")
        modes: list[Mode] = [mode] * len(names) if isinstance(mode, str) else list(mode)
        if len(modes) != len(names):
            raise InvalidArgument(f"mode={mode!r} has {len(modes)} entries for {len(names)} metrics {names!r}.")
        for one in modes:
            if one not in ("min", "max"):
                raise InvalidArgument(f"mode={one!r} is not valid. {nearest(str(one), ('min', 'max'))}")
        known = [*names, *(spec.name for spec in needed)]
        for spec in needed:
            if known.count(spec.name) > 1 or spec.name == resource_attr:
                other = "resource_attr" if spec.name == resource_attr else "metric"
                raise InvalidArgument(
                    f"{spec.words} names {spec.name!r}, which is in use as {other}: a metric has one meaning."
                )
        policies: Mapping[str, NonFinite]
        policies = nonfinite if isinstance(nonfinite, Mapping) else dict.fromkeys(known, nonfinite)
        for name, policy in policies.items():
            if name not in known:
                raise InvalidArgument(f"nonfinite names {name!r}, which is not a metric. {nearest(name, known)}")
            if policy not in ("fail", "worst", "ignore"):
                raise InvalidArgument(f"nonfinite={policy!r} is not valid: use 'fail', 'worst' or 'ignore'.")
        wanted = [*(MetricSpec(n, m) for n, m in zip(names, modes, strict=True)), *needed]
        specs = tuple(msgspec.structs.replace(spec, nonfinite=policies.get(spec.name, "fail")) for spec in wanted)
        return Objective(metrics=specs, resource_attr=resource_attr, max_resource_attr=max_resource_attr, max_t=max_t)

    @property
    def optimised(self) -> tuple[MetricSpec, ...]:
        """The metrics without constraints and costs."""
        return tuple(spec for spec in self.metrics if spec.role == "objective")

    @property
    def constraints(self) -> tuple[MetricSpec, ...]:
        """Those that have to hold."""
        return tuple(spec for spec in self.metrics if spec.role == "constraint")
