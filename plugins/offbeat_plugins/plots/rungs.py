"""Rung occupancy: how many trials reached each rung, how many went on, and at which value the rung cuts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from offbeat.results.rungs import RungView, rungs
from offbeat_plugins.plots import canvas
from offbeat_plugins.plots.given import Given, draws, nothing, one

MOST_NAMES: Final = 16


@draws("one")
def rung_occupancy(experiments: Given | Iterable[Given], *, ax: Any = None) -> Any:
    """Above, the trials that reached each rung: those that went beyond it, those that wait there, the rest.

    Below, what they had there, best first within the rung; a bar is the value of the last one that is good enough now.
    Rungs are the scheduler's own, folded again from the journal; a rung that was skipped by a report has no value.

    Raises InvalidArgument, NothingToPlot, MissingExtra.
    """
    experiment = one(experiments, "rung_occupancy")
    found = rungs(experiment)
    if not found:
        what = experiment.spec.scheduler.name
        raise nothing(
            experiment, f"no trial has reached a rung; rungs are for schedulers that have some, and this one is {what}."
        )
    figure, (above, below) = canvas.panels(ax, 2, 1, (8.5, 6.5))
    places = range(len(found))
    beyond = [sum(experiment.ledger[trial].resource > rung.level for _, trial in rung.entries) for rung in found]
    waits = [len(rung.waiting) for rung in found]
    sizes = [len(rung.entries) for rung in found]
    _bars(above, beyond, [0] * len(found), color=canvas.COLOURS[2], hatch="", label="went beyond it")
    _bars(above, waits, beyond, color=canvas.COLOURS[5], hatch="//", label="waits there, paused")
    rest = [size - gone - wait for size, gone, wait in zip(sizes, beyond, waits, strict=True)]
    under = [gone + wait for gone, wait in zip(beyond, waits, strict=True)]
    _bars(above, rest, under, color=canvas.COLOURS[1], hatch="", label="ended there, or is there now")
    if len(found) <= MOST_NAMES:
        for place, size in zip(places, sizes, strict=True):
            above.annotate(f"{size}", (place, size), (0, 2), textcoords="offset points", ha="center", fontsize="small")
    above.set_ylabel("trials")
    above.set_ylim(0, max(sizes) * 1.12)
    canvas.legend(above)
    resource = canvas.text(experiment.spec.resource_attr or "resource")
    canvas.title(above, f"{canvas.text(experiment.name, 60)}: who reached which rung, and where it cuts")
    metric = experiment.spec.metrics[0]
    _values(below, found)
    compared = experiment.spec.scheduler.name != "asha"
    below.set_ylabel(f"{'compared ' if compared else ''}{canvas.text(metric.name)} ({metric.mode})")
    for axes in (above, below):
        axes.set_xlim(-0.6, len(found) - 0.4)
        _names(axes, found)
        canvas.quiet(axes)
    below.set_xlabel(f"rung ({resource})")
    return figure


def _bars(axes: Any, heights: list[int], under: list[int], *, color: str, hatch: str, label: str) -> None:
    if any(heights):
        axes.bar(
            range(len(heights)), heights, 0.7, bottom=under, color=color, alpha=0.8, label=label, hatch=hatch or None,
            edgecolor=axes.get_facecolor(), linewidth=0.5,
        )  # fmt: skip


def _values(axes: Any, found: Sequence[RungView]) -> None:
    """Good enough ones and others with different marks, spread by rank; the cut as a bar over the rung's width."""
    for good, color, marker, label in (
        (True, canvas.COLOURS[2], "o", "good enough now"),
        (False, canvas.COLOURS[1], "s", "not good enough, or too few to judge"),
    ):
        points = [
            (place - 0.35 + 0.7 * (rank + 0.5) / len(rung.entries), value)
            for place, rung in enumerate(found)
            for rank, (value, _) in enumerate(rung.entries)
            if (rank < rung.cut) == good
        ]
        if points:
            axes.plot(
                [x for x, _ in points], canvas.drawable(y for _, y in points), linestyle="", marker=marker,
                markersize=3.5, markeredgewidth=0, color=color, alpha=0.8, label=label,
            )  # fmt: skip
    cuts = [(place, rung.entries[rung.cut - 1][0]) for place, rung in enumerate(found) if rung.cut]
    if cuts:
        axes.hlines(
            canvas.drawable(value for _, value in cuts), [place - 0.42 for place, _ in cuts],
            [place + 0.42 for place, _ in cuts], color=canvas.COLOURS[0], linewidth=2, label="cut",
        )  # fmt: skip
    canvas.suit(axes, "y", [value for rung in found for value, _ in rung.entries])
    canvas.legend(axes)


def _names(axes: Any, found: Sequence[RungView]) -> None:
    brackets = len({rung.system for rung in found}) > 1
    names = [f"{rung.level}\nbracket {rung.system}" if brackets else f"{rung.level}" for rung in found]
    every = -(-len(found) // MOST_NAMES)
    axes.set_xticks(list(range(0, len(found), every)), names[::every])
