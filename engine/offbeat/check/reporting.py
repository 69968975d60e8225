"""What the reports of an uninterrupted run show: names, resource, values, pace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from offbeat.check.curves import levels
from offbeat.check.findings import EVERY, LEVELS, Finding, Passed, Verdict
from offbeat.check.plan import Plan
from offbeat.check.program import Evidence
from offbeat.check.runs import Run
from offbeat.errors import nearest
from offbeat.text import counted, shown

FAST: Final = 100.0
"""Reports a second beyond which reporting itself costs time: an engine decides on each of them."""

SLOW: Final = 600.0
"""Seconds between reports beyond which stopping a weak trial saves little."""

_UNKNOWN_FLAG: Final = re.compile(r"unrecognized arguments?: (.+)|[Nn]o such option:? (\S+)|unknown option:? (\S+)")


def reporting(evidence: Evidence) -> Iterator[Verdict]:
    """Judges the uninterrupted run, and those of further configurations."""
    plan, run = evidence.plan, evidence.whole
    yield from _start(run, plan.given(plan.config, plan.far))
    for config, other in evidence.others:
        if not other.reports:
            yield from _start(other, config)
    yield from _garbled(run)
    if not run.reports:
        return
    yield from _metrics(run, plan)
    yield from _resource(run, plan)
    yield from _values(run, plan)
    yield from _pace(run)
    if evidence.at_once:
        yield Finding(
            level="problem", code="reports-at-the-end",
            seen=f"All {len(run.reports)} reports came within {run.reports[-1].at - run.reports[0].at:.2f} s, after "
            f"{run.reports[0].at:.1f} s; with more steps they come later.",
            why="A trial that reports when all is done cannot be stopped early, nor paused.", needs=LEVELS,
            fix="Report after each epoch; print with flush=True where reports are printed.",
            snippet='print(f\'[tune-metric]: {{"epoch": {epoch}, "val_loss": {loss}}}\', flush=True)',
        )  # fmt: skip


def _start(run: Run, config: dict[str, object]) -> Iterator[Verdict]:
    if run.reports:
        told = ", ".join(config) or "none"
        yield Passed("arguments", f"accepted: {told}")
        return
    flags = " ".join(f"--{name}" for name in config)
    detail = run.ended.detail if run.ended is not None else ""
    if run.how == "given up":
        yield Finding(
            level="problem", code="silent", seen=f"No report within {run.seconds:.0f} s; the run was given up.",
            why="A trial that never reports can be neither compared nor stopped.", needs=EVERY,
            fix="Report after each epoch or every few hundred steps, or give the check more time with --patience.",
            snippet="report(epoch=epoch, val_loss=loss)",
        )  # fmt: skip
        return
    unknown = _UNKNOWN_FLAG.search(detail)
    if unknown is not None:
        name = next(part for part in unknown.groups() if part)
        bare = name.split()[0].lstrip("-").partition("=")[0]
        yield Finding(
            level="problem", code="argument-refused", seen=f"The script was called with {flags}, and refused {name!r}.",
            why="Every hyperparameter and constant of the space is handed over as a flag.", needs=EVERY,
            fix=f"Take the flag {bare!r}, or leave it out of the space.",
            snippet=f'parser.add_argument("--{bare}", type={_kind(config.get(bare))})',
        )  # fmt: skip
        return
    yield Finding(
        level="problem", code="no-report",
        seen=f"Called with {flags or 'no flags'}, the script reported nothing: {run.outcome}.",
        why="Without a report there is nothing to compare; a run whose trials all stay silent ends as failed.",
        needs=EVERY, fix="Make it run by itself first, then report after each epoch.",
        snippet="from offbeat import Reporter\n\nreport = Reporter()\nreport(epoch=epoch, val_loss=loss)",
    )  # fmt: skip


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return 'lambda text: text == "true"'
    return type(value).__name__ if isinstance(value, int | float | str) else "json.loads"


def _garbled(run: Run) -> Iterator[Verdict]:
    for reason, (count, sample) in run.garbled.items():
        yield Finding(
            level="problem", code="report-unusable",
            seen=f"{counted(count, 'report')} could not be used: {reason}. One began: {sample!r}",
            why="They are counted and dropped; the scheduler never sees their values.", needs=EVERY,
            fix="Report numbers, texts and booleans, one name for each, as one line of JSON.",
            snippet='print(\'[tune-metric]: {"epoch": 1, "val_loss": 0.3}\', flush=True)   # in other languages than Python',
        )  # fmt: skip


def _metrics(run: Run, plan: Plan) -> Iterator[Verdict]:
    names = {name for report in run.reports for name in report.metrics}
    for metric in plan.metrics:
        missing = sum(metric not in report.metrics for report in run.reports)
        if missing:
            hint = "" if missing < len(run.reports) else f" {nearest(metric, names - {plan.resource_attr or ''})}"
            yield Finding(
                level="problem", code="metric-missing",
                seen=f"{missing} of {len(run.reports)} reports lack {metric!r}; reported were {', '.join(sorted(names))}.{hint}",
                why="A first report without the metric ends the run at once; a later one is dropped.", needs=EVERY,
                fix=f"Report {metric} each time, or name another metric.", snippet=f"report(epoch=epoch, {metric}=...)",
            )  # fmt: skip
            continue
        kinds = {type(report.metrics[metric]) for report in run.reports}
        if not kinds <= {int, float, str} or any(
            type(report.metrics[metric]) is str and report.metrics[metric] not in ("nan", "inf", "-inf")
            for report in run.reports
        ):
            yield Finding(
                level="problem", code="metric-no-number", seen=f"{metric} was reported as {run.reports[0].metrics[metric]!r}.",
                why="Trials are ranked by numbers.", needs=EVERY, fix=f"Report {metric} as a number.",
                snippet=f"report(epoch=epoch, {metric}=float(loss))",
            )  # fmt: skip


def _resource(run: Run, plan: Plan) -> Iterator[Verdict]:
    name = plan.resource_attr
    if name is None:
        yield Passed(
            "reports", f"{len(run.reports)}; without --resource they are counted, and none is judged by its level"
        )
        return
    values = [report.metrics.get(name) for report in run.reports]
    snippet = f"for {name} in range(1, args.epochs + 1):\n    ...\n    report({name}={name}, ...)"
    if any(value is None for value in values):
        names = sorted({one for report in run.reports for one in report.metrics})
        yield Finding(
            level="problem", code="resource-missing",
            seen=f"{values.count(None)} of {len(values)} reports lack {name!r}; reported were {', '.join(names)}. "
            f"{nearest(name, names)}",
            why="Trials are compared at equal levels; without it nobody knows at which one this is.", needs=LEVELS,
            fix=f"Report {name} each time, counted from 1.", snippet=snippet,
        )  # fmt: skip
        return
    odd = next((value for value in values if type(value) is not int), None)
    if odd is not None:
        yield Finding(
            level="problem", code="resource-no-integer", seen=f"{name} was reported as {odd!r}.",
            why="Levels are whole numbers; a first report with another one ends the run.", needs=LEVELS,
            fix=f"Report {name} as an int: epochs, or steps, not shares of them.", snippet=snippet,
        )  # fmt: skip
        return
    whole = levels(run, plan)
    if whole[0] < 1:
        yield Finding(
            level="problem", code="resource-from-zero", seen=f"The first report has {name}={whole[0]}.",
            why="Levels count what is done: after the first epoch 1 is done. A first report with 0 ends the run.",
            needs=LEVELS, fix="Count from 1.", snippet=f"report({name}={name} + 1, ...)   # if your loop counts from 0",
        )  # fmt: skip
    elif whole[0] > 1:
        yield Finding(
            level="note", code="resource-starts-late", seen=f"The first report has {name}={whole[0]}.",
            why="A rung below that level is never judged for this script.", needs=LEVELS,
            fix=f"Report every {name}, or choose grace_period={whole[0]} or more.", snippet=snippet,
        )  # fmt: skip
    back = next(((a, b) for a, b in pairwise(whole) if b <= a), None)
    if back is not None:
        yield Finding(
            level="problem", code="resource-not-increasing", seen=f"After {name}={back[0]} came {name}={back[1]}.",
            why="A level that was reached counts once; its repeats are recorded and not judged.", needs=LEVELS,
            fix=f"Report each {name} once, after its validation; average over batches yourself.", snippet=snippet,
        )  # fmt: skip
    if whole[0] == 1 and back is None:
        yield Passed("reports", f"{len(whole)}, {name} from {whole[0]} to {whole[-1]}")


def _values(run: Run, plan: Plan) -> Iterator[Verdict]:
    names = plan.metrics or sorted({name for report in run.reports for name in report.metrics})
    for metric in names:
        odd = [r for r in run.reports if r.metrics.get(metric) in ("nan", "inf", "-inf")]
        if odd:
            yield Finding(
                level="note", code="not-finite", seen=f"{metric} was {odd[0].metrics[metric]} in {counted(len(odd), 'report')}.",
                why="By default a trial that reports such a value of the metric has failed.", needs=EVERY,
                fix="If trainings of this space may diverge, say what it means: nonfinite='worst' or 'ignore' for the "
                "scheduler. If not, look for the division by zero.",
            )  # fmt: skip


def _pace(run: Run) -> Iterator[Verdict]:
    gaps = [later.at - earlier.at for earlier, later in pairwise(run.reports)]
    longest = max([run.reports[0].at, *gaps])
    silence = _rounded(10 * longest)
    yield Passed(
        "silence", f"{shown(run.reports[0].at)} s to the first report, then at most {shown(max(gaps, default=0.0))} s; "
        f"max_silence={silence} would leave ten times the longest",
    )  # fmt: skip
    if len(gaps) >= 20 and sum(gaps) < len(gaps) / FAST:
        yield Finding(
            level="note", code="reports-too-frequent", seen=f"{len(gaps) + 1} reports in {sum(gaps):.2f} s.",
            why="Each is decided on and kept for ever; hundreds a second from many trials fill the disk.", needs=EVERY,
            fix="Report every few seconds.", snippet="if step % 100 == 0:\n    report(step=step, ...)",
        )  # fmt: skip
    if longest > SLOW:
        yield Finding(
            level="note", code="reports-too-rare", seen=f"{longest / 60:.0f} minutes passed without a report.",
            why="A weak trial can be stopped only when it reports.", needs=LEVELS,
            fix="Validate and report more often than once an epoch.",
        )  # fmt: skip


def _rounded(seconds: float) -> int:
    """Up to the next 1, 2 or 5 times a power of ten, 10 at least."""
    size = 10
    while size < seconds:
        size *= 2 if str(size)[0] in "15" else 1
        if size < seconds and str(size)[0] == "2":
            size = size * 5 // 2
    return size
