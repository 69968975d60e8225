"""Learning curves: how every trial went, where the rungs are, and who was stopped where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias

from offbeat.results.history import Result, history
from offbeat.results.rungs import rungs
from offbeat.text import counted, shown
from offbeat.trial import Status
from offbeat_plugins.plots import canvas
from offbeat_plugins.plots.given import Given, draws, metric_of, nothing, one

Fate: TypeAlias = Literal["ran on", "stopped", "paused", "failed"]

LOOKS: Final[dict[Fate, tuple[str, str, str]]] = {
    "stopped": (canvas.COLOURS[1], "s", "stopped here"),
    "paused": (canvas.COLOURS[5], "d", "paused here"),
    "failed": (canvas.COLOURS[3], "X", "failed after this"),
    "ran on": (canvas.COLOURS[2], "o", "ended by itself, or goes on"),
}
"""Colour, mark of the last result, and words."""

MOST_RUNGS: Final = 12
"""More levels than this at which trials are compared are every level, and no marks."""


@draws("one")
def learning_curves(
    experiments: Given | Iterable[Given], *, metric: str | None = None, mode: str | None = None, ax: Any = None
) -> Any:
    """A metric of each trial over the resource, the best trial in front; the last result is marked by what came then.

    Vertical lines are the scheduler's rungs. Without a resource the reports are counted.

    Args:
        experiments: one.
        metric: by default the first objective.
        mode: "min" or "max", for a metric that is no objective.
        ax: matplotlib axes to draw into.

    Raises InvalidArgument, NothingToPlot, MissingExtra.
    """
    experiment = one(experiments, "learning_curves")
    spec = metric_of(experiment, metric, mode)
    found = {
        trial: points
        for trial, results in history(experiment).results.items()
        if (points := _points(results, spec.name))
    }
    if not found:
        raise nothing(experiment, f"nobody has reported a number called {spec.name!r} yet.")
    if max(map(len, found.values())) < 2:
        raise nothing(experiment, "every trial reported once at most; a curve needs two results.")
    sign = 1 if spec.mode == "min" else -1
    best = min(found, key=lambda trial: min(sign * value for _, value in found[trial]))
    figure, axes = canvas.place(ax, (9, 5))
    lines = canvas.package("collections").LineCollection
    faint = max(0.04, min(0.7, 3 / len(found) ** 0.5))
    for fate, (color, marker, words) in LOOKS.items():
        trials = [trial for trial in found if _fate(experiment.ledger[trial].status) == fate]
        if not trials:
            continue
        drawn = [found[trial] for trial in trials]
        axes.add_collection(lines([_drawable(points) for points in drawn], colors=color, alpha=faint, linewidths=1))
        ends = _drawable([points[-1] for points in drawn])
        axes.plot(
            [x for x, _ in ends], [y for _, y in ends], linestyle="", marker=marker, markersize=4.5, color=color,
            alpha=min(1.0, faint + 0.3), markeredgewidth=0, label=f"{words} ({len(trials)})",
        )  # fmt: skip
    front = _drawable(found[best])
    axes.plot(
        [x for x, _ in front],
        [y for _, y in front],
        color=canvas.COLOURS[0],
        linewidth=2.4,
        label=f"best: trial {best}",
    )
    levels = sorted({rung.level for rung in rungs(experiment)})
    _resource_axis(axes, [x for points in found.values() for x, _ in points], levels)
    canvas.suit(axes, "y", [y for points in found.values() for _, y in points])
    canvas.quiet(axes)
    axes.set_xlabel(canvas.text(experiment.spec.resource_attr or "report"))
    axes.set_ylabel(f"{canvas.text(spec.name)} ({spec.mode})")
    reached = min(sign * value for _, value in found[best]) * sign
    told = f"{counted(len(found), 'trial')}, best {canvas.text(spec.name)} {shown(reached)}"
    canvas.title(axes, f"{canvas.text(experiment.name, 60)}: {told}")
    canvas.legend(axes)
    return figure


def _points(results: Sequence[Result], metric: str) -> list[tuple[float, float]]:
    found = []
    for number, result in enumerate(results, 1):
        value = result.value(metric)
        if value is not None and value - value == 0:
            found.append((float(result.resource or number), value))
    return found


def _drawable(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return list(zip((x for x, _ in points), canvas.drawable(y for _, y in points), strict=True))


def _fate(status: Status) -> Fate:
    if status in (Status.STOPPED, Status.STOPPING):
        return "stopped"
    if status in (Status.PAUSED, Status.PAUSING):
        return "paused"
    return "failed" if status is Status.FAILED else "ran on"


def _resource_axis(axes: Any, xs: Sequence[float], levels: Sequence[int]) -> None:
    """Logarithmic where rungs grow by factors; the rungs are its ticks."""
    low, high = min(xs), max(xs)
    marked = levels if len(levels) <= MOST_RUNGS else []
    geometric = len(marked) > 2 and marked[-1] >= 8 * marked[0] and marked[1] - marked[0] < marked[-1] - marked[-2]
    ticker = canvas.package("ticker")
    for level in marked:
        axes.axvline(level, color=canvas.GREY, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.8)
    if geometric:
        axes.set_xscale("log")
        axes.set_xlim(low / (high / low) ** 0.03, high * (high / low) ** 0.03)
        ticks = sorted({*marked, high})
        axes.xaxis.set_major_locator(ticker.FixedLocator(ticks))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        room = 0.03 * (high - low) or 0.5
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=10))
