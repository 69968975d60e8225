"""Pareto front: which results are beaten by no other in all objectives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.errors import InvalidArgument
from offbeat.events import MetricSpec
from offbeat.pareto import non_dominated
from offbeat.results import Experiment
from offbeat.results.pareto import Measured, measured, objectives
from offbeat_plugins.plots import canvas
from offbeat_plugins.plots.given import Given, draws, metric_of, nothing, several

MARKERS = ("o", "s", "^", "D", "v", "P")


@draws("several")
def pareto_front(
    experiments: Given | Iterable[Given],
    *,
    metrics: Sequence[str] | None = None,
    modes: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """All counted results over two objectives, and those that no result of the same experiment beats in all of them.

    For three objectives and more a panel for each pair; the front is that of all objectives. One result beats another if
    it is as good in each objective and better in one. Results in which a constraint of the search does not hold are on no
    front, and drawn as crosses.

    Args:
        experiments: one or several.
        metrics: by default all objectives.
        modes: "min" or "max" for each of `metrics`, where some are no objectives.
        ax: matplotlib axes to draw into.

    Raises InvalidArgument, NothingToPlot, MissingExtra.
    """
    found = several(experiments)
    if modes is not None and (metrics is None or len(modes) != len(metrics)):
        raise InvalidArgument(f"modes={list(modes)!r}: give one for each of metrics=.")
    specs = _specs(found[0], metrics, modes)
    tables = [(one, measured(one, specs)) for one in found]
    tables = [(one, table) for one, table in tables if len(table.points)]
    names = " and ".join(repr(spec.name) for spec in specs)
    if not tables:
        raise nothing(found[0], f"no result has numbers called {names}.")
    pairs = list(combinations(range(len(specs)), 2))
    wide = min(3, len(pairs))
    rows = -(-len(pairs) // wide)
    if len(pairs) == 1:
        figure, axes = canvas.place(ax, (7.5, 5))
        every = [axes]
    else:
        figure, every = canvas.panels(ax, rows, wide, (4 * wide, 3.6 * rows))
    for (x, y), axes in zip(pairs, every, strict=False):
        for number, (one, table) in enumerate(tables):
            _draw(
                axes,
                table.points[:, [x, y]],
                _front(table),
                table.feasible,
                number=number,
                name=canvas.text(one.name),
                steps=_steps(specs),
            )
        for which, column in (("x", x), ("y", y)):
            values = np.concatenate([table.points[:, column] for _, table in tables])
            canvas.suit(axes, which, values.tolist())  # type: ignore[arg-type]
            label = f"{canvas.text(specs[column].name)} ({specs[column].mode})"
            getattr(axes, f"set_{which}label")(label)
        canvas.quiet(axes, "both")
    for axes in every[len(pairs) :]:
        axes.set_axis_off()
    told = f"{len(tables)} experiments" if len(tables) > 1 else canvas.text(tables[0][0].name, 60)
    canvas.title(every[0], f"{told}: Pareto front of {len(specs)} objectives")
    canvas.legend(every[wide - 1])
    return figure


def _specs(experiment: Experiment, metrics: Sequence[str] | None, modes: Sequence[str] | None) -> list[MetricSpec]:
    if metrics is None:
        specs = objectives(experiment)
    else:
        given = [None] * len(metrics) if modes is None else modes
        specs = [metric_of(experiment, name, mode) for name, mode in zip(metrics, given, strict=True)]
    if len(specs) < 2:
        raise nothing(
            experiment, "a Pareto front needs two objectives; name two reported ones: metrics=[...], modes=[...]."
        )
    return specs


def _front(table: Measured) -> NDArray[np.bool_]:
    """Which results are on the front; of equal ones all are."""
    keep = np.zeros(len(table.points), dtype=bool)
    keep[table.feasible] = non_dominated(table.signed[table.feasible])
    return keep


def _steps(specs: Sequence[MetricSpec]) -> str | None:
    """How points by increasing x are joined around what they beat: nothing between two of them is reached."""
    if len(specs) > 2:
        return None
    return "steps-post" if specs[0].mode == "min" else "steps-pre"


def _draw(
    axes: Any,
    points: NDArray[np.float64],
    keep: NDArray[np.bool_],
    feasible: NDArray[np.bool_],
    *,
    number: int,
    name: str,
    steps: str | None,
) -> None:
    look = canvas.colour(number)
    marker = MARKERS[number % len(MARKERS)]
    xs, ys = np.array(canvas.drawable(points[:, 0])), np.array(canvas.drawable(points[:, 1]))
    others = feasible & ~keep
    axes.plot(
        xs[others], ys[others], linestyle="", marker=marker, markersize=3, markeredgewidth=0, color=look["color"],
        alpha=max(0.35, min(0.6, 10 / max(1, len(points)) ** 0.5)), label=f"{name}: other results",
    )  # fmt: skip
    if not feasible.all():
        axes.plot(
            xs[~feasible], ys[~feasible], linestyle="", marker="x", markersize=4, color=look["color"], alpha=0.4,
            label=f"{name}: a constraint does not hold",
        )  # fmt: skip
    order = np.argsort(xs[keep], kind="stable")
    line = {"linestyle": "", "drawstyle": "default"}
    if steps is not None:
        line = {"linestyle": look["linestyle"], "drawstyle": steps}
    axes.plot(
        xs[keep][order], ys[keep][order], **line, marker=marker, markersize=6, color=look["color"],
        linewidth=1.2, label=f"{name}: front ({int(keep.sum())})",
    )  # fmt: skip
