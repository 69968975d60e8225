"""Whether experiments are about the same thing: objectives, resource, constants and hyperparameters; ranges may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from offbeat.errors import InvalidArgument
from offbeat.events import ExperimentSpec
from offbeat.results import Experiment
from offbeat.space import Space

_BOUNDS: Final = ("lower", "upper")


def common_space(experiments: Sequence[Experiment]) -> Space:
    """The space of all of them: where ranges or choices differ, the widest range and all choices.

    Raises InvalidArgument that names every difference that is more than that.
    """
    if not experiments:
        raise InvalidArgument("Name at least one experiment.")
    first, *others = experiments
    merged = dict(first.spec.space)
    faults: list[str] = []
    for other in others:
        faults += [f"{fault} ({first.name}, {other.name})" for fault in _faults(first.spec, other.spec)]
        for name in merged.keys() & other.spec.space.keys():
            joined = _joined(merged[name], other.spec.space[name])
            if joined is None:
                fault = f"{name!r} is {_told(merged[name])} in one and {_told(other.spec.space[name])} in the other"
                if not _aims(name, first.spec, other.spec):
                    faults.append(f"{fault} ({first.name}, {other.name})")
            else:
                merged[name] = joined
    if faults:
        raise InvalidArgument(
            "These experiments cannot be fitted together: " + "; ".join(faults) + ". Name those that fit each other."
        )
    return Space.from_json(merged)


def _faults(one: ExperimentSpec, other: ExperimentSpec) -> Iterator[str]:
    objectives = [", ".join(f"{metric.name} ({metric.mode})" for metric in spec.metrics) for spec in (one, other)]
    if objectives[0] != objectives[1]:
        yield f"they optimise {objectives[0]} and {objectives[1]}"
    if one.resource_attr != other.resource_attr:
        yield f"their resource is {one.resource_attr!r} and {other.resource_attr!r}"
    for name in sorted(one.space.keys() ^ other.space.keys()):
        yield f"{name!r} is in only one of their spaces"


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any] | None:
    """An entry in which both lie; None where they are of different kinds."""
    if one == other:
        return dict(one)
    varying = _BOUNDS if all(bound in one and bound in other for bound in _BOUNDS) else ("values",)
    same = {key: value for key, value in one.items() if key not in varying}
    if same != {key: value for key, value in other.items() if key not in varying} or "domain" not in one:
        return None
    if varying == _BOUNDS:
        return {**same, "lower": min(one["lower"], other["lower"]), "upper": max(one["upper"], other["upper"])}
    values = [*one["values"], *(value for value in other["values"] if value not in one["values"])]
    return {**same, "values": values if one["domain"] == "choice" else sorted(values)}


def _aims(name: str, one: ExperimentSpec, other: ExperimentSpec) -> bool:
    """Whether a constant says how far trials run, in each of the experiments its own."""
    return all(spec.max_t is not None and spec.space[name] == {"constant": spec.max_t} for spec in (one, other))


def _told(entry: Mapping[str, Any]) -> str:
    if "constant" in entry:
        return repr(entry["constant"])
    kind = entry.get("domain", "a constraint")
    return f"{kind}({', '.join(f'{key}={value!r}' for key, value in entry.items() if key != 'domain')})"
