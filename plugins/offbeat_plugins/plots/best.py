"""The best value so far over time: one line for each experiment, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from offbeat.results import Experiment
from offbeat.results.history import history
from offbeat.text import shown
from offbeat_plugins.plots import canvas, steps
from offbeat_plugins.plots.given import Given, common_metric, draws, nothing, several

MANY = 3
"""From so many experiments on their median and quartiles are drawn, and the experiments themselves behind them."""


@draws("several")
def best_so_far(
    experiments: Given | Iterable[Given], *, metric: str | None = None, mode: str | None = None, ax: Any = None
) -> Any:
    """The best counted value of a metric so far, over the experiment's clock.

    From three experiments on: each as a faint line, their median, and the band between their quartiles. An experiment
    without a result yet counts as worse than all others, so the median begins when half of them have one. After its own
    end an experiment keeps its last value.

    Args:
        experiments: one or several; with different schedulers see `comparison`.
        metric: by default the first objective, which all have to share; their spaces may differ.
        mode: "min" or "max", for a metric that is no objective.
        ax: matplotlib axes to draw into.

    Raises InvalidArgument, NothingToPlot, MissingExtra.
    """
    found = several(experiments)
    spec = common_metric(found, metric, mode)
    lines = [(one, improvements(one, spec.name, spec.mode)) for one in found]
    lines = [(one, line) for one, line in lines if line]
    if not lines:
        raise nothing(found[0], f"nobody has reported a number called {spec.name!r} yet.")
    until = max(one.elapsed for one, _ in lines)
    figure, axes = canvas.place(ax, (8, 4.5))
    many = len(lines) >= MANY
    for number, (one, line) in enumerate(lines):
        times, values = _to_the_end(line, until if many else one.elapsed)
        look = {"color": canvas.GREY, "alpha": 0.5, "linewidth": 0.8} if many else canvas.colour(number)
        name = f"{len(lines)} experiments" if many and number == 0 else "" if many else canvas.text(one.name)
        axes.step(times, canvas.drawable(values), where="post", **look, **({"label": name} if name else {}))
        if not many:
            axes.plot(times[-1:], canvas.drawable(values[-1:]), marker="o", markersize=5, color=look["color"])
    if many:
        _together([line for _, line in lines], spec.mode, until, axes)
    canvas.suit(axes, "y", [value for _, line in lines for _, value in line])
    canvas.seconds(axes, until)
    canvas.quiet(axes)
    axes.set_ylabel(f"best {canvas.text(spec.name)} so far ({spec.mode})")
    if len(lines) == 1:
        one, line = lines[0]
        canvas.title(axes, f"{canvas.text(one.name, 60)}: best {canvas.text(spec.name)} {shown(line[-1][1])}")
    else:
        canvas.title(axes, f"best {canvas.text(spec.name)} of {len(lines)} experiments")
        canvas.legend(axes)
    return figure


def improvements(experiment: Experiment, metric: str, mode: str) -> list[tuple[float, float]]:
    """(time, value) of each counted result that was better than all before it."""
    first = experiment.spec.metrics[0] if experiment.spec.metrics else None
    if first is not None and (first.name, first.mode) == (metric, mode):
        return [(one.at, float(one.value)) for one in experiment.incumbents]
    sign = 1.0 if mode == "min" else -1.0
    points = [
        (result.at, value)
        for results in history(experiment).results.values()
        for result in results
        if (value := result.value(metric)) is not None and value - value == 0
    ]
    found: list[tuple[float, float]] = []
    for at, value in sorted(points, key=lambda point: point[0]):
        if not found or sign * value < sign * found[-1][1]:
            found.append((at, value))
    return found


def _to_the_end(line: list[tuple[float, float]], until: float) -> tuple[list[float], list[float]]:
    times, values = [at for at, _ in line], [value for _, value in line]
    return [*times, max(until, times[-1])], [*values, values[-1]]


def _together(lines: list[list[tuple[float, float]]], mode: str, until: float, axes: Any) -> None:
    times, table = steps.on_grid(lines, until, mode)
    lower, middle, upper = (steps.quantile(table, q) for q in (0.25, 0.5, 0.75))
    steps.draw_band(axes, times, (lower, upper), canvas.COLOURS[0], "quartiles")
    steps.draw_line(axes, times, middle, "median", color=canvas.COLOURS[0])
