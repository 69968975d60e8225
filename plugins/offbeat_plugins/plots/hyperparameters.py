"""A hyperparameter as an axis from 0 to 1: where each value lies on the domain's own scale, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from offbeat.errors import OffbeatError
from offbeat.results import Experiment
from offbeat.space import Space
from offbeat.space.domain import Domain
from offbeat_plugins.plots import canvas
from offbeat_plugins.plots.given import nothing

BELOW = 0.13
"""How far below the scale None lies, and how much further down a hyperparameter that is absent from the configuration."""

MOST_NAMES = 14


class Axis(NamedTuple):
    """A scale from 0 to 1.

    Attributes:
        place: of a value; ticks: (place, text), from the lowest up.
        room: how far from its place a value may be drawn, where only few places are used; 0 where there are many.
    """

    name: str
    place: Callable[[Any], float]
    ticks: Sequence[tuple[float, str]]
    room: float = 0.0


def axes_of(experiment: Experiment, configs: Sequence[Mapping[str, Any]]) -> list[Axis]:
    """An axis for each hyperparameter, in the order of the space; its `place` takes a configuration.

    Absent values lie below the scale, which says so. Raises NothingToPlot.
    """
    try:
        space = Space.from_json(experiment.spec.space)
    except OffbeatError as error:
        raise nothing(experiment, f"its space cannot be read: {error}") from None
    return [
        _with_absence(name, _axis(space.domains[name]), configs)
        for name in experiment.spec.space
        if name in space.domains
    ]


def numbers(values: Sequence[float]) -> Axis:
    """An axis for measured numbers, on the scale that suits them."""
    known = [value for value in canvas.drawable(values) if math.isfinite(value)]
    scale = canvas.scale_of(known)
    low, high = min(known), max(known)
    bend = _bent(scale, known)
    bottom, top = bend(low), bend(high)

    def place(value: float) -> float:
        return (bend(value) - bottom) / (top - bottom) if top > bottom else 0.5

    return Axis("", place, _thinned([(place(value), f"{value:.4g}") for value in _round_numbers(low, high, scale)]))


def _bent(scale: canvas.Scale, values: Sequence[float]) -> Callable[[float], float]:
    if scale == "log":
        return math.log10
    if scale == "symlog":
        sizes = sorted(abs(value) for value in values if value)
        usual = sizes[len(sizes) // 2]
        return lambda value: math.asinh(value / usual)
    return lambda value: value / 2  # half: the span of the largest floats is larger than any


def _axis(domain: Domain) -> Axis:
    of = getattr(domain, "of", None)
    if of is not None:
        inner = _axis(of)
        return Axis(
            "",
            lambda value: -BELOW if value is None else inner.place(value),
            [(-BELOW, "None"), *inner.ticks],
            inner.room,
        )
    values = getattr(domain, "values", None)
    if values is not None:
        return _listed(list(values))

    def place(value: Any) -> float:
        return domain.encode(value)[0]

    low, high = domain.decode((0.0,)), domain.decode((1.0,))
    scale: Any = getattr(domain, "scale", "linear")
    if scale == "reverse-log":
        round_ones = [low, *(value for value in (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999) if low < value < high), high]
    else:
        round_ones = _round_numbers(low, high, scale)
    ticks = [(place(value), f"{value:.6g}") for value in _members(domain, round_ones)]
    return Axis("", place, _thinned(ticks))


def _listed(values: list[Any]) -> Axis:
    """Each value at its own place, the first one lowest; where they are many, not all are written down."""
    places = {repr(value): (i + 0.5) / len(values) for i, value in enumerate(values)}
    every = -(-len(values) // MOST_NAMES)
    ticks = [(places[repr(value)], canvas.text(value, 14)) for value in values[::every]]
    return Axis("", lambda value: places[repr(value)], ticks, room=0.28 / len(values))


def _members(domain: Domain, values: Sequence[float]) -> list[Any]:
    found = []
    for value in values:
        try:
            own = domain.cast(value)
        except OffbeatError:
            continue
        if domain.contains(own) and own not in found:
            found.append(own)
    return found


def _round_numbers(low: float, high: float, scale: canvas.Scale) -> list[float]:
    """Both ends, and round numbers between them."""
    ticker = canvas.package("ticker")
    if scale == "log":
        decades = math.log10(high) - math.log10(low) if high > low else 0.0
        steps = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 2.5 else (1,)
        every = max(1, round(decades / 6))
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        inside = [step * 10.0**power for power in powers if power % every == 0 for step in steps]
    elif scale == "symlog":
        inside = [0.0]
    else:
        inside = [float(value) for value in ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
    return [low, *(value for value in inside if low < value < high), high] if high > low else [low]


def _thinned(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Both ends, and of the others those that are far enough from them and from each other to be read."""
    if len(ticks) < 3:
        return list(ticks)
    first, *middle, last = ticks
    kept = [first]
    for tick in middle:
        if tick[0] - kept[-1][0] >= 0.09 and last[0] - tick[0] >= 0.09:
            kept.append(tick)
    return [*kept, last]


def _with_absence(name: str, axis: Axis, configs: Sequence[Mapping[str, Any]]) -> Axis:
    bottom = -2 * BELOW if any(text == "None" for _, text in axis.ticks) else -BELOW
    absent = any(name not in config for config in configs)
    return Axis(
        name,
        lambda config: axis.place(config[name]) if name in config else bottom,
        [(bottom, "absent"), *axis.ticks] if absent else list(axis.ticks),
        axis.room,
    )
