"""What a report has to have before anything decides on it: every objective a finite number, the resource a whole one."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any, Final, TypeAlias

import msgspec

from offbeat.errors import InvalidResource, MetricMismatch, OffbeatError, nearest
from offbeat.events import Metrics
from offbeat.protocols import Objective

Clean: TypeAlias = tuple[Metrics, int, Metrics | None]
"""A usable report: metrics, resource level, and the values as reported where a policy replaced one."""


class Refusal(msgspec.Struct, frozen=True):
    """An unusable report.

    Attributes:
        reason: one sentence.
        ends_trial: the metric's policy says that the trial has failed.
        error: what to raise if no report of the experiment was usable before: then the script or the scheduler's
            arguments are wrong, and every further trial would be wasted.
    """

    reason: str
    ends_trial: bool = False
    error: OffbeatError | None = None


_LARGEST: Final = 2**53
"""Beyond it a whole number is no float any more, and soon no number of the journal's."""

_TEXTS: Final = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity"}


def as_number(value: object) -> float | int | None:
    """The number in a reported value (NaN and infinities included), None for anything that is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int) and abs(value) > _LARGEST:
        try:
            return float(value)
        except OverflowError:
            return inf if value > 0 else -inf
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return float(value) if value.lower() in _TEXTS else None
    item = getattr(value, "item", None)
    return as_number(item()) if callable(item) else None


class Intake:
    """Checks reports against the objective; keeps the worst values seen, for the policy "worst" (a fold of results)."""

    def __init__(self, objective: Objective) -> None:
        self._metrics = {spec.name: spec for spec in objective.metrics}
        self._names = tuple(self._metrics)
        self._resource_attr = objective.resource_attr
        self._tracked = tuple(spec for spec in objective.metrics if spec.nonfinite == "worst")
        self._worst: dict[str, float] = {}

    def check(self, metrics: Metrics, *, plain: bool = False) -> Clean | Refusal:
        """One report, as it came; `plain` says that every number in it is finite and below 2**53, and none is boolean."""
        for name in self._names:
            kind = type(metrics.get(name))
            if kind is not float and kind is not int:
                return self._repaired(metrics)
        if not plain:
            for value in metrics.values():
                kind = type(value)
                # False for NaN too; the few large numbers that are all right take the long way.
                if (kind is float or kind is int) and not -_LARGEST < value < _LARGEST:
                    return self._repaired(metrics)
        if self._resource_attr is None:
            return metrics, 0, None
        resource = metrics.get(self._resource_attr)
        if type(resource) is int and resource >= 1:
            return metrics, resource, None
        return self._with_resource(metrics, None)

    def learn(self, metrics: Metrics) -> None:
        """Folds a clean result in."""
        for spec in self._tracked:
            value, worst = metrics[spec.name], self._worst.get(spec.name)
            if worst is None or (value > worst if spec.mode == "min" else value < worst):
                self._worst[spec.name] = value

    def _repaired(self, metrics: Metrics) -> Clean | Refusal:
        clean = plain(metrics)
        replaced = False
        for name, spec in self._metrics.items():
            if name not in metrics:
                reported = [key for key in metrics if not key.startswith("st_")]
                return Refusal(
                    f"metric {name!r} is missing. {nearest(name, reported)}",
                    error=MetricMismatch(name, "metric", reported),
                )
            number = as_number(metrics[name])
            if number is None:
                return Refusal(f"{name}={short(metrics[name])} is not a number")
            if isfinite(number):
                clean[name] = number
                continue
            if spec.nonfinite == "ignore":
                return Refusal(f"{name} is {number} (policy: ignore)")
            if spec.nonfinite == "fail":
                return Refusal(f"{name} is {number}", ends_trial=True)
            if name not in self._worst:
                return Refusal(f"{name} is {number}, and there is no worst value yet to count it as")
            clean[name] = self._worst[name]
            replaced = True
        return self._with_resource(clean, plain(metrics) if replaced else None)

    def _with_resource(self, metrics: Metrics, raw: Metrics | None) -> Clean | Refusal:
        name = self._resource_attr
        if name is None:
            return (metrics, 0, raw)
        if name not in metrics:
            reported = [key for key in metrics if key not in self._metrics and not key.startswith("st_")]
            return Refusal(
                f"resource {name!r} is missing. {nearest(name, reported)}",
                error=MetricMismatch(name, "resource", reported),
            )
        number = as_number(metrics[name])
        if number is None or not 1 <= number <= _LARGEST or number != int(number):
            return Refusal(
                f"{name}={short(metrics[name])} is not a whole number from 1 up",
                error=InvalidResource(name, metrics[name]),
            )
        return ({**metrics, name: int(number)}, int(number), raw)


def plain(metrics: Metrics) -> Metrics:
    """Metrics with numbers that are not finite as text, as the journal wants them; always a copy."""
    return {
        name: value if not isinstance(value, float | int) or -_LARGEST < value < _LARGEST else _plain_number(value)
        for name, value in metrics.items()
    }


def _plain_number(value: float) -> float | str:
    number = as_number(value)
    return number if number is not None and isfinite(number) else str(number)


def short(value: Any, limit: int = 200) -> str:
    """A value as text for a sample, cut to `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
