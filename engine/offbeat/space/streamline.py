"""Turns domains as people write them into those that models of the objective do better with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from math import exp, log
from typing import Any, Final

from offbeat.errors import InvalidArgument, InvalidSpace, nearest
from offbeat.space.constructors import finrange, logfinrange, lograndint, loguniform, ordinal
from offbeat.space.domain import Domain
from offbeat.space.entries import Conditional, Constraint
from offbeat.space.finite import Choice
from offbeat.space.nullable import Nullable
from offbeat.space.numeric import Float, Integer

_GOOD_FIT: Final = 0.995
_WIDE: Final = 100.0


def streamline_config_space(config_space: Mapping[str, Any], exclude_names: Collection[str] = ()) -> dict[str, Any]:
    """The space with better domains where the values give a reason.

    A choice among more than two numbers becomes a regular grid if they lie nearly on one (linear or in the logarithm,
    R^2 >= 0.995), else an ordinal that keeps their distances. uniform and randint become their log variants if
    lower > 0 and upper > 100 lower. The grid is the fitted one: values move to it. What a condition or a constraint
    names stays as it is.

    Args:
        config_space: domains and constants by name.
        exclude_names: entries to leave as they are.

    Raises:
        InvalidArgument: `exclude_names` has a name that the space lacks.
    """
    for name in exclude_names:
        if name not in config_space:
            raise InvalidArgument(
                f"exclude_names has {name!r}, which the space lacks. {nearest(str(name), config_space)}"
            )
    # An expression may name values that the better domain does not have.
    named = {name for entry in config_space.values() for name in _expression_names(entry)}
    return {
        name: entry if name in exclude_names or name in named else _streamlined(entry)
        for name, entry in config_space.items()
    }


def _expression_names(entry: Any) -> tuple[str, ...]:
    if isinstance(entry, Conditional):
        return entry.condition.names
    return entry.expression.names if isinstance(entry, Constraint) else ()


def _streamlined(entry: Any) -> Any:
    if isinstance(entry, Conditional):
        return Conditional(_streamlined(entry.domain), entry.condition)
    if isinstance(entry, Nullable):
        return Nullable(_streamlined(entry.of), entry.none)
    # Bounds may be too wide for whole numbers on a log scale: the entry stays then.
    with suppress(InvalidSpace):
        if isinstance(entry, Integer) and entry.scale == "linear" and 0 < _WIDE * entry.lower < entry.upper:
            return lograndint(entry.lower, entry.upper)
        if isinstance(entry, Float) and entry.scale == "linear" and 0 < _WIDE * entry.lower < entry.upper:
            return loguniform(entry.lower, entry.upper)
        if isinstance(entry, Choice) and len(entry.values) > 2 and entry.value_type in (int, float):
            values = [float(value) for value in entry.values if value is not None]
            return entry if None in entry.values else _ordered(sorted(values), entry.value_type is int)
    return entry


def _ordered(values: Sequence[float], whole: bool) -> Domain:
    grid, ends, fit = finrange, *_line(values)
    if values[0] > 0:
        log_ends, log_fit = _line([log(value) for value in values])
        if log_fit > fit:
            grid, ends, fit = logfinrange, (exp(log_ends[0]), exp(log_ends[1])), log_fit
    if fit >= _GOOD_FIT:
        # A fit that misses the given ends by rounding only takes the ends as given.
        lower, upper = (
            end if abs(v - end) > 1e-9 * abs(v) else v for end, v in zip(ends, (values[0], values[-1]), strict=True)
        )
        with suppress(InvalidSpace):
            return grid(lower, upper, len(values), whole)
    return ordinal([int(v) if whole else v for v in values], "nn-log" if grid is logfinrange else "nn")


def _line(places: Sequence[float]) -> tuple[tuple[float, float], float]:
    """Ends and R^2 of the line that rises by the places' mean gap through their mean."""
    n = len(places)
    mean = sum(places) / n
    gap = (places[-1] - places[0]) / (n - 1)
    half = gap * (n - 1) / 2
    missed = sum((place - (mean - half + gap * i)) ** 2 for i, place in enumerate(places))
    return (mean - half, mean + half), 1.0 - missed / sum((place - mean) ** 2 for place in places)
