"""Parallel coordinates: every configuration as a line through its hyperparameters, coloured by what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from offbeat.text import counted, shown
from offbeat_plugins.plots import canvas
from offbeat_plugins.plots.given import Given, draws, nothing, one
from offbeat_plugins.plots.hyperparameters import BELOW, Axis, axes_of, numbers
from offbeat_plugins.plots.outcomes import outcomes


@draws("one")
def parallel_coordinates(
    experiments: Given | Iterable[Given], *, metric: str | None = None, mode: str | None = None, ax: Any = None
) -> Any:
    """A vertical axis for each hyperparameter on its domain's own scale, and for the trial's best value of the metric.

    A value that a condition leaves out, or None, has a place of its own below the axis. Where a hyperparameter has a few
    values only, lines are spread a little around each, better ones above, so that they do not hide each other. The best
    trial is drawn thick.

    Args:
        experiments: one.
        metric: by default the first objective.
        mode: "min" or "max", for a metric that is no objective.
        ax: matplotlib axes to draw into.

    Raises InvalidArgument, NothingToPlot, MissingExtra.
    """
    experiment = one(experiments, "parallel_coordinates")
    spec, found = outcomes(experiment, metric, mode)
    configs = [outcome.trial.config for outcome in found]
    columns = axes_of(experiment, configs)
    if not columns:
        raise nothing(experiment, "its space has no hyperparameter.")
    values = canvas.drawable(outcome.value for outcome in found)
    last = numbers(values)
    figure, axes = canvas.place(ax, (max(6.5, 1.35 * (len(columns) + 1)), 5))
    scale = canvas.scale_of(values)
    colours, norm = canvas.tinted(values, scale)
    drawn = [
        [
            *((x, _spread(axis, configs[i], i, len(found))) for x, axis in enumerate(columns)),
            (len(columns), last.place(value)),
        ]
        for i, value in enumerate(values)
    ]
    # The worst first, so that the best are on top.
    lines = canvas.package("collections").LineCollection(
        drawn[::-1], array=values[::-1], cmap=colours.reversed() if spec.mode == "min" else colours, norm=norm,
        linewidths=1, alpha=max(0.25, min(0.9, 6 / len(found) ** 0.5)),
    )  # fmt: skip
    axes.add_collection(lines)
    axes.plot(
        [x for x, _ in drawn[0]], [y for _, y in drawn[0]], color=canvas.COLOURS[3], linewidth=2.4,
        label=f"best: trial {found[0].trial.id}",
    )  # fmt: skip
    for x, axis in enumerate([*columns, last]):
        _draw_axis(axes, x, axis)
    heads = [*(axis.name for axis in columns), spec.name]
    axes.set_xticks(range(len(heads)), [canvas.text(head, 22) for head in heads])
    if any(len(head) > 10 for head in heads):
        axes.tick_params(axis="x", labelrotation=20)
        for label in axes.get_xticklabels():
            label.set_ha("right")
            label.set_rotation_mode("anchor")
    axes.tick_params(axis="x", length=0, pad=6)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.35, len(columns) + 0.4)
    lowest = min([0.0, *(place for axis in columns for place, _ in axis.ticks)])
    axes.set_ylim(lowest - 0.06, 1.06)
    bar = axes.figure.colorbar(lines, ax=axes, pad=0.01, fraction=0.035)
    bar.set_label(f"best {canvas.text(spec.name)} of the trial ({spec.mode})")
    bar.solids.set_alpha(1)
    bar.outline.set_visible(False)
    if scale == "log":
        canvas.log_ticks(bar.ax.yaxis, min(values), max(values))
    left_out = len(experiment.ledger) - len(found)
    without = f", {left_out} without a result left out" if left_out else ""
    best = f"best (thick): trial {found[0].trial.id}, {canvas.text(spec.name)} {shown(found[0].value)}"
    canvas.title(axes, f"{canvas.text(experiment.name, 60)}: {counted(len(found), 'trial')}{without}; {best}")
    return figure


def _spread(axis: Axis, config: Mapping[str, Any], rank: int, count: int) -> float:
    return axis.place(config) + axis.room * (1 - 2 * (rank + 0.5) / count)


def _draw_axis(axes: Any, x: int, axis: Axis) -> None:
    axes.plot([x, x], [0, 1], color=canvas.GREY, linewidth=1)
    ground = {"facecolor": axes.get_facecolor(), "alpha": 0.72, "edgecolor": "none", "boxstyle": "square,pad=0.1"}
    for place, told in axis.ticks:
        apart = place <= -BELOW
        axes.plot([x - 0.02, x + 0.02], [place, place], color=canvas.GREY, linewidth=1)
        axes.annotate(
            told, (x, place), (5, 0), textcoords="offset points", va="center", fontsize=7.5,
            fontstyle="italic" if apart else "normal", bbox=ground,
        )  # fmt: skip
