"""Trials over time: what each worker did, attempt by attempt, and how each attempt ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from offbeat.results.history import Ending, Span, history
from offbeat.text import counted
from offbeat_plugins.plots import canvas
from offbeat_plugins.plots.given import Given, draws, nothing, one

LOOKS: Final[dict[Ending, tuple[str, str, str]]] = {
    "finished": (canvas.COLOURS[2], "", "ran to its end"),
    "stopped": (canvas.COLOURS[1], "", "stopped"),
    "paused": (canvas.COLOURS[5], "", "paused"),
    "failed": (canvas.COLOURS[3], "xxx", "failed"),
    "lost": (canvas.COLOURS[4], "///", "lost"),
    "interrupted": (canvas.GREY, "", "cut off by the end of a session"),
    "open": (canvas.COLOURS[0], "", "running"),
}
"""Colour, hatching and words for each ending: no two differ by the colour alone that some readers cannot tell apart."""

HEIGHT: Final = 0.8
"""Of a bar, of the distance between two workers."""


@draws("one")
def trials_over_time(experiments: Given | Iterable[Given], *, ax: Any = None) -> Any:
    """A row for each worker, a bar for each attempt; numbers are trials, `7.1` is the second attempt at trial 7.

    A triangle marks an attempt that goes on with a trial, a cross a report that was not usable, a vertical line the
    beginning of a later session.

    Raises InvalidArgument, NothingToPlot, MissingExtra.
    """
    experiment = one(experiments, "trials_over_time")
    told = history(experiment)
    if not told.spans:
        raise nothing(experiment, "no trial was started yet.")
    until = experiment.elapsed
    workers = max(span.slot for span in told.spans) + 1
    figure, axes = canvas.place(ax, (10, min(max(2.6, 0.32 * workers + 1.4), 14)))
    polygons = canvas.package("collections").PolyCollection
    for how, (color, hatch, words) in LOOKS.items():
        spans = [span for span in told.spans if span.how == how]
        if not spans:
            continue
        if how == "open" and experiment.running is None:
            words = "no end known: its engine died"  # noqa: PLW2901 - another name for the same look
        bars = polygons(
            [_corners(span, until) for span in spans],
            facecolor=color, hatch=hatch or None, edgecolor=axes.get_facecolor(),
            linewidth=0.6 if len(told.spans) < 400 else 0.2, label=words,
        )  # fmt: skip
        axes.add_collection(bars)
    _marks(axes, told.spans, until)
    again = [span for span in told.spans if span.attempt > 0]
    if again:
        axes.plot(
            [span.began for span in again], [span.slot for span in again], linestyle="", marker=">", markersize=4,
            color=canvas.GREY, markeredgecolor=axes.get_facecolor(), markeredgewidth=0.4, label="goes on with a trial",
        )  # fmt: skip
    bad = [one for one in told.rejected if one.slot >= 0]
    if bad:
        axes.plot(
            [one.at for one in bad], [one.slot for one in bad], linestyle="", marker="x", markersize=6,
            markeredgewidth=1.6, color=canvas.COLOURS[3], label="report not usable",
        )  # fmt: skip
    for session in experiment.sessions[1:]:
        axes.axvline(session.opened, color=canvas.GREY, linestyle="--", linewidth=1)
    axes.set_ylim(workers - 0.4, -0.6)
    axes.set_yticks(range(0, workers, -(-workers // 16)))
    axes.set_ylabel("worker")
    canvas.seconds(axes, until)
    canvas.quiet(axes, "x")
    told_of = f"{counted(len(experiment.ledger), 'trial')}, {counted(len(told.spans), 'attempt')}"
    canvas.title(axes, f"{canvas.text(experiment.name, 60)}: {told_of}")
    canvas.legend(axes)
    return figure


def _corners(span: Span, until: float) -> list[tuple[float, float]]:
    began, ended = span.began, until if span.ended is None else span.ended
    low, high = span.slot - HEIGHT / 2, span.slot + HEIGHT / 2
    return [(began, low), (ended, low), (ended, high), (began, high)]


def _marks(axes: Any, spans: list[Span], until: float) -> None:
    """The trial's number in each bar that is wide enough for it."""
    for span in spans:
        ended = until if span.ended is None else span.ended
        told = f"{span.trial}.{span.attempt}" if span.attempt > 0 else f"{span.trial}"
        if ended - span.began > 0.011 * until * len(told) + 0.006 * until:
            color, hatch, _ = LOOKS[span.how]
            ground = {"facecolor": color, "edgecolor": "none", "boxstyle": "square,pad=0.15"} if hatch else None
            axes.text(
                (span.began + ended) / 2, span.slot, told, ha="center", va="center", fontsize=7, clip_on=True,
                color="#111111", bbox=ground,
            )  # fmt: skip
