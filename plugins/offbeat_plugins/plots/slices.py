"""Slices: how the metric depends on each hyperparameter, and how much of it each explains by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat_plugins.plots import canvas
from offbeat_plugins.plots.given import Given, draws, nothing, one
from offbeat_plugins.plots.hyperparameters import Axis, axes_of
from offbeat_plugins.plots.outcomes import outcomes

MOST_BINS = 8
LEAST_FOR_SHARE = 10
"""Trials below which no share is told: a handful explains everything by chance."""


@draws("one")
def slices(
    experiments: Given | Iterable[Given], *, metric: str | None = None, mode: str | None = None, ax: Any = None
) -> Any:
    """A panel for each hyperparameter, on its domain's own scale: each trial's best value, and the medians of groups.

    Panels are ordered by the share of the metric's variance that the hyperparameter explains alone (see `explained`). It
    knows nothing of interactions, and where trials are stopped early a bad value also is an early one: those trials have
    marks of their own.

    Args:
        experiments: one.
        metric: by default the first objective.
        mode: "min" or "max", for a metric that is no objective.
        ax: matplotlib axes to draw into.

    Raises InvalidArgument, NothingToPlot, MissingExtra.
    """
    experiment = one(experiments, "slices")
    spec, found = outcomes(experiment, metric, mode)
    columns = axes_of(experiment, [outcome.trial.config for outcome in found])
    if not columns:
        raise nothing(experiment, "its space has no hyperparameter.")
    values = np.array(canvas.drawable(outcome.value for outcome in found))
    places = {axis.name: np.array([axis.place(outcome.trial.config) for outcome in found]) for axis in columns}
    shares = {axis.name: explained(places[axis.name], values) for axis in columns}
    columns.sort(key=lambda axis: -shares[axis.name])
    wide = min(4, len(columns))
    rows = -(-len(columns) // wide)
    figure, every = canvas.panels(ax, rows, wide, (max(4.5, 2.9 * wide), 2.7 * rows + 0.5))
    full = max(outcome.trial.resource for outcome in found)
    early = np.array([outcome.trial.resource < full for outcome in found])
    for number, (axes, axis) in enumerate(zip(every, columns, strict=False)):
        _panel(axes, axis, places[axis.name], values, early)
        share = f" ({100 * shares[axis.name]:.0f} %)" if len(found) >= LEAST_FOR_SHARE else ""
        axes.set_title(f"{canvas.text(axis.name, 24)}{share}", fontsize="small", loc="left")
        if number % wide == 0:
            axes.set_ylabel(f"{canvas.text(spec.name, 20)} ({spec.mode})", fontsize="small")
    for axes in every[len(columns) :]:
        axes.set_axis_off()
    resource = experiment.spec.resource_attr
    told = f"; squares ended before {canvas.text(resource)} {full}" if resource is not None and early.any() else ""
    told = f"{canvas.text(experiment.name, 60)}: best {canvas.text(spec.name)} of each trial by hyperparameter{told}"
    if ax is None:
        figure.suptitle(told, x=0.01, ha="left", fontsize="medium")
    else:
        canvas.title(ax, told)
    return figure


def explained(places: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Share of the variance of the values' ranks between groups of equal places, or of neighbouring ones, 0 to 1.

    The share that chance gives k groups of n values, (k - 1) / (n - 1), is taken off (epsilon squared, Kelley 1935).
    Ranks, so that one diverged trial does not decide.
    """
    group = groups(places)
    count, n = int(group.max()) + 1, len(values)
    if count < 2 or n <= count:
        return 0.0
    order = np.argsort(values, kind="stable")
    ranks = np.empty(n)
    ranks[order] = np.arange(n)
    _, same = np.unique(values, return_inverse=True)
    ranks = (np.bincount(same, ranks) / np.bincount(same))[same]
    total = float(((ranks - ranks.mean()) ** 2).sum())
    if total == 0.0:
        return 0.0
    means = np.bincount(group, ranks) / np.bincount(group)
    within = float(((ranks - means[group]) ** 2).sum())
    return max(0.0, 1.0 - (within / (n - count)) / (total / (n - 1)))


def groups(places: NDArray[np.float64]) -> NDArray[np.intp]:
    """A number for the group of each place: that of equal places where they are few, else neighbours in equal numbers.

    Places below the scale (absent, None) are groups of their own.
    """
    distinct, same = np.unique(places, return_inverse=True)
    if len(distinct) <= MOST_BINS:
        return same.astype(np.intp)
    inside = places >= 0
    count = min(MOST_BINS, max(2, math.isqrt(int(inside.sum()))))
    edges = np.quantile(places[inside], np.linspace(0, 1, count + 1)[1:-1])
    number = np.where(inside, np.searchsorted(edges, places, side="right") + 2, np.where(places < -0.2, 0, 1))
    _, dense = np.unique(number, return_inverse=True)
    return dense.astype(np.intp)


def _panel(axes: Any, axis: Axis, places: Any, values: Any, early: Any) -> None:
    few = max(0.3, min(0.9, 6 / len(values) ** 0.5))
    for chosen, marker, color in ((early, "s", canvas.COLOURS[1]), (~early, "o", canvas.COLOURS[2])):
        if chosen.any():
            axes.plot(
                places[chosen], values[chosen], linestyle="", marker=marker, markersize=3, markeredgewidth=0,
                color=color, alpha=few,
            )  # fmt: skip
    group = groups(places)
    middles = [(np.median(places[group == i]), np.median(values[group == i])) for i in range(int(group.max()) + 1)]
    scaled = [point for point in middles if point[0] >= 0]
    axes.plot([x for x, _ in scaled], [y for _, y in scaled], color=canvas.COLOURS[0], linewidth=1.6, alpha=0.9)
    apart = [point for point in middles if point[0] < 0]
    axes.plot(
        [x for x, _ in apart], [y for _, y in apart], "_", color=canvas.COLOURS[0], markersize=10, markeredgewidth=2
    )
    canvas.suit(axes, "y", values.tolist())
    lowest = min([0.0, *(place for place, _ in axis.ticks)])
    axes.set_xlim(lowest - 0.06, 1.06)
    names = [told for _, told in axis.ticks]
    axes.set_xticks([place for place, _ in axis.ticks], names, fontsize=7)
    if sum(map(len, names)) > 22:
        axes.tick_params(axis="x", labelrotation=90 if len(names) > 8 else 35)
    axes.tick_params(axis="y", labelsize=7)
    canvas.quiet(axes)
