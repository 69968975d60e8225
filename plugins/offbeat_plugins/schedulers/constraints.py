"""Constraints as schedulers take them: a reported metric and the bound that it has to keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite

from offbeat.errors import InvalidArgument, nearest
from offbeat.events import MetricSpec


def constraint_specs(constraints: Mapping[str, str] | None) -> list[MetricSpec]:
    """The constraints as metrics, from texts such as "<= 0.5" by name. Raises InvalidArgument."""
    if not isinstance(constraints, Mapping) or not constraints:
        raise InvalidArgument(
            f"constraints={constraints!r}: give a dict of reported metrics and bounds, such as {{'latency': '<= 0.5'}}."
        )
    return [_spec(name, text) for name, text in constraints.items()]


def _spec(name: object, text: object) -> MetricSpec:
    if not isinstance(name, str) or not name:
        raise InvalidArgument(f"constraints names {name!r}: give the name of a reported metric.")
    found = re.fullmatch(r"\s*([^\w\s.+-]*)\s*(\S+)\s*", text) if isinstance(text, str) else None
    wanted = f"constraints[{name!r}]={text!r}"
    if found is None:
        raise InvalidArgument(f"{wanted}: give a text such as '<= 0.5' or '>= 0.9'.")
    sense, number = found.groups()
    if sense not in ("<=", ">="):
        raise InvalidArgument(f"{wanted}: the sense {sense!r} is not valid. {nearest(sense, ('<=', '>='))}")
    try:
        bound = float(number)
    except ValueError:
        bound = float("nan")
    if not isfinite(bound):
        raise InvalidArgument(f"{wanted}: {number!r} is no finite number.")
    return MetricSpec(name, "min" if sense == "<=" else "max", role="constraint", bound=bound)
