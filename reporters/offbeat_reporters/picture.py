"""The picture of a run in a notebook's cell: HTML, and the same in two lines of text for places that show none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from offbeat.events import ExperimentSpec, Limits
from offbeat.markup import Html, bar, card, element, facts, faint, plot, table
from offbeat.results import in_order
from offbeat_reporters.progress import Progress, constants, counted, limit, number, settings

MOST_ROWS: Final = 8

NOTICES: Final = 5
"""Troubles told one by one; after that they are only counted."""


class Moment(NamedTuple):
    """What a picture shows.

    Attributes:
        elapsed: seconds on the experiment's clock.
        best: (elapsed, value) of each result that was better than all before.
        troubles: what went wrong, oldest first; more: how many further ones there were.
        outcome: how the session ended, empty while it is open.
    """

    spec: ExperimentSpec
    limits: Limits
    progress: Progress
    elapsed: float
    best: Sequence[tuple[float, float]]
    troubles: Sequence[str]
    more: int
    outcome: str


def html(moment: Moment) -> str:
    """The whole picture."""
    spec, progress = moment.spec, moment.progress
    metric = spec.metrics[0].name
    parts: list[object] = [_head(moment), facts([("best", _best(moment)), ("trials", _counts(progress))])]
    parts.append(plot(moment.best, steps=True, until=moment.elapsed, x_name="seconds", y_name=f"best {metric}"))
    if progress.running and not moment.outcome:
        parts.append(_running(moment))
    parts += [element("div", f"! {text}", style="color:#b8860b;") for text in moment.troubles]
    if moment.more:
        parts.append(element("div", f"! and {moment.more} further troubles", style="color:#b8860b;"))
    if moment.outcome:
        parts.append(element("div", element("strong", moment.outcome)))
        if not moment.outcome.startswith("done"):
            parts.append(element("div", faint(f"go on with Tuner.resume({spec.name!r}).run()")))
    return card(*parts)


def text(moment: Moment) -> str:
    """The same in two lines."""
    spec, progress, best = moment.spec, moment.progress, moment.progress.best
    told = f"{spec.name} [{moment.elapsed:.1f} s] {counted(progress.counts)}; {progress.results} results"
    if best is None:
        return f"{told}\n{moment.outcome or 'no result yet'}"
    config = settings(in_order(spec.space, best.config), constants(spec.space))
    end = f"; {moment.outcome}" if moment.outcome else ""
    return f"{told}\nbest {spec.metrics[0].name} {number(best.value)}, trial {best.trial} ({config}){end}"


def _head(moment: Moment) -> Html:
    spec = moment.spec
    name = element("strong", spec.name)
    what = faint(f" {spec.scheduler.name} on {spec.backend.name}, {moment.limits.n_workers} workers ")
    bound = limit(moment.limits)
    if bound is None:
        return element("div", name, what, f" {moment.elapsed:.1f} s")
    kind, most = bound
    if kind == "max_wallclock_time":
        done, told = moment.elapsed, f" {min(moment.elapsed, most):.1f} of {most:.0f} s"
    else:
        done, told = float(moment.progress.trials), f" {moment.progress.trials} of {most:.0f} trials"
    return element("div", name, what, bar(done / most), told)


def _best(moment: Moment) -> Html:
    spec, best = moment.spec, moment.progress.best
    metric = spec.metrics[0]
    if best is None:
        return faint(f"no result yet ({metric.name}, {metric.mode})")
    at = f" at {spec.resource_attr} {best.resource}" if best.resource else ""
    return element(
        "span",
        element("strong", f"{metric.name} {number(best.value)}"),
        f", trial {best.trial}{at} ",
        faint(settings(in_order(spec.space, best.config), constants(spec.space))),
    )


def _counts(progress: Progress) -> str:
    rate = f", {progress.rate:.1f}/s" if progress.rate else ""
    rejected = f", {progress.rejected} reports not usable" if progress.rejected else ""
    return f"{counted(progress.counts)}; {progress.results} results{rate}{rejected}"


def _running(moment: Moment) -> Html:
    spec, rows = moment.spec, moment.progress.running
    fixed = constants(spec.space)
    names = [name for name in in_order(spec.space, rows[0].config) if name not in fixed]
    found = table(
        ("trial", spec.resource_attr or "reports", spec.metrics[0].name, *names),
        [
            (
                row.trial,
                f"{row.resource}/{row.until}" if row.until else row.resource,
                row.value,
                *(row.config.get(name) for name in names),
            )
            for row in rows[:MOST_ROWS]
        ],
    )
    left = len(rows) - MOST_ROWS
    return element("div", found, faint(f"and {left} more") if left > 0 else "")
