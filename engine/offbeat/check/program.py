"""Which runs are made of a script, one after the other, and what they bring to light."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from offbeat.check.checkpoints import tear
from offbeat.check.curves import levels
from offbeat.check.plan import Plan
from offbeat.check.runs import Lab, Run, lab

SHORTEST: Final = 0.15
"""Seconds that the reports before an interruption should take: a faster script would have ended before it is hit."""

MOST_STEPS: Final = 20_000

GROWTH: Final = 8
"""How many times more steps are tried at once: a script whose pace was misjudged must not train for hours."""

SLOWER: Final = 2.0
"""How much later a first report comes, with more steps, of a script that reports everything at its end."""

TRIES: Final = 3
"""How often an interruption is tried that came too late: on a busy machine a short script may be over before it."""

MOST_REPEATS: Final = 5
"""Reports at one level, on average, beyond which a run is not waited for."""


class Evidence(msgspec.Struct, kw_only=True):
    """All runs of one check; None where one made no sense after what those before had shown.

    Attributes:
        plan: with the number of steps that was used in the end.
        at_once: it seems to keep its reports back and to send them all at its end.
        whole: to level `plan.far` without interruption; again: the same once more.
        killed, stopped: interrupted after `plan.steps` reports by SIGKILL, after one more by SIGTERM, and what went on from
            there; one more, since a script that saves at every other epoch looks well at one of the two.
        promoted: told to run to level `plan.steps` alone, and then to `plan.far`, as a trial that waits at a rung.
        torn: the file that was cut in half after an interruption, and the run that met it.
        others: runs of the further configurations, to their first report.
    """

    plan: Plan
    whole: Run
    at_once: bool = False
    again: Run | None = None
    killed: tuple[Run, Run] | None = None
    stopped: tuple[Run, Run] | None = None
    promoted: tuple[Run, Run] | None = None
    torn: tuple[str, Run] | None = None
    others: list[tuple[dict[str, Any], Run]] = []


async def investigate(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Evidence:
    """Makes the runs, in a folder that is thrown away.

    Args:
        plan: what is checked.
        tell: is told what is going on, in a few words.

    Raises InvalidArgument as the local backend does: the script is missing ...
    """
    with tempfile.TemporaryDirectory(prefix="offbeat-check-") as folder:
        async with lab(plan, Path(folder)) as place:
            return await _investigated(place, tell)


async def _investigated(place: Lab, tell: Callable[[str], None]) -> Evidence:
    plan = place.plan
    tell(f"an uninterrupted run, {plan.far} reports")
    whole = await _whole(place)
    at_once = False
    while (fitting := _fitted(plan, whole)) is not plan and not at_once:
        place.plan = fitting
        tell(f"once more with {fitting.far} reports")
        longer = await _whole(place)
        # A fast script begins to report as soon as before; one that keeps its reports back, later. A busy machine may
        # delay a start once.
        at_once = _later_first(whole, longer) and _later_first(whole, await _whole(place))
        shortened = fitting.steps < plan.steps
        plan, whole = fitting, longer
        if shortened:
            break  # it has no more reports than that: asking for more would lead back here
    found = Evidence(plan=plan, whole=whole, at_once=at_once)
    early = whole.failed and len(whole.reports) < plan.far
    if not whole.reports or early or at_once or whole.how == "given up":
        return found
    tell("the same once more, to see whether it repeats")
    found.again = await _whole(place)
    if len(whole.reports) > plan.steps:
        tell(f"SIGKILL after {plan.steps} reports, then on from there")
        found.killed = await _interrupted(place, "kill")
        tell(f"SIGTERM after {_later(plan)} reports, then on from there")
        found.stopped = await _interrupted(place, "stop")
        if plan.max_resource_attr is not None:
            tell(f"told to run to {plan.steps}, then to {plan.far}")
            found.promoted = await _promoted(place)
        if (name := in_place(found.killed)) is not None:
            tell(f"{name} cut in half, then on from there")
            found.torn = await _torn(place, name)
    for config in plan.others:
        tell("another configuration, to its first report")
        given = plan.given(config, plan.far)
        run = await place.run(place.fresh(), 0, given, told=_told(plan, plan.far), enough=lambda run: bool(run.reports))
        found.others.append((config, run))
    return found


def _later_first(shorter: Run, longer: Run) -> bool:
    return bool(longer.reports) and longer.reports[0].at > SLOWER * shorter.reports[0].at + SHORTEST


def in_place(pair: tuple[Run, Run] | None) -> str | None:
    """The largest checkpoint file that was written under the very name under which it was read afterwards."""
    if pair is None or pair[0].written is None or pair[1].read is None:
        return None
    both = [name for name in pair[0].written & pair[1].read if pair[0].files.get(name, 0) > 1]
    return max(both, key=lambda name: (pair[0].files[name], name), default=None)


def _later(plan: Plan) -> int:
    return min(plan.steps + 1, plan.far - 1)


def _told(plan: Plan, until: int) -> int | None:
    return None if plan.max_resource_attr is None else until


def _enough(plan: Plan) -> Callable[[Run], bool]:
    """One that is told how far to run should end by itself; two reports more show that it does not."""
    most = plan.far if plan.max_resource_attr is None else plan.far + 2

    def enough(run: Run) -> bool:
        # By levels where there are some: one that reports each of them twice is not beyond its end.
        return max(levels(run, plan), default=0) >= most or len(run.reports) >= MOST_REPEATS * most

    return enough


async def _whole(place: Lab) -> Run:
    plan = place.plan
    config = plan.given(plan.config, plan.far)
    return await place.run(place.fresh(), 0, config, told=_told(plan, plan.far), enough=_enough(plan))


def _fitted(plan: Plan, whole: Run) -> Plan:
    """With as many steps as it takes to interrupt a fast script, or as a short training has."""
    reports = whole.reports
    if len(reports) < 2:
        return plan
    if whole.how == "by itself" and len(reports) < plan.far:
        # It was not told, or does not listen.
        fewer = max(1, len(reports) // 2)
        return plan if plan.max_resource_attr is not None else msgspec.structs.replace(plan, steps=fewer)
    each = (reports[-1].at - reports[0].at) / (len(reports) - 1)
    if each * plan.steps >= SHORTEST or plan.steps >= MOST_STEPS:
        return plan
    wanted = int(1.5 * SHORTEST / each) + 1 if each > 0 else MOST_STEPS
    return msgspec.structs.replace(plan, steps=min(max(wanted, plan.steps + 1), GROWTH * plan.steps, MOST_STEPS))


async def _interrupted(place: Lab, end: Literal["kill", "stop"], tries: int = TRIES) -> tuple[Run, Run]:
    plan, trial = place.plan, place.fresh()
    config, told = plan.given(plan.config, plan.far), _told(plan, plan.far)
    reports = plan.steps if end == "kill" else _later(plan)
    first = await place.run(trial, 0, config, told=told, enough=lambda run: len(run.reports) >= reports, end=end)
    if first.missed and tries > 1:
        return await _interrupted(place, end, tries - 1)
    return first, await place.run(trial, 1, config, told=told, enough=_rest(plan, first))


async def _promoted(place: Lab) -> tuple[Run, Run]:
    plan, trial = place.plan, place.fresh()
    first = await place.run(
        trial,
        0,
        plan.given(plan.config, plan.steps),
        told=plan.steps,
        enough=lambda run: len(run.reports) >= plan.steps + 2,
    )
    second = await place.run(trial, 1, plan.given(plan.config, plan.far), told=plan.far, enough=_rest(plan, first))
    return first, second


def _rest(plan: Plan, first: Run) -> Callable[[Run], bool]:
    """The levels that are missing, or all of them where it begins anew, and what shows that it goes too far."""
    whole = _enough(plan)

    def enough(run: Run) -> bool:
        last = run.reports[-1].metrics.get(plan.resource_attr or "") if run.reports else None
        if type(last) is int and plan.max_resource_attr is None:
            return last >= plan.far or whole(run)
        if plan.resource_attr is None and plan.max_resource_attr is None:
            return len(run.reports) >= plan.far - len(first.reports)
        return whole(run)

    return enough


async def _torn(place: Lab, name: str) -> tuple[str, Run]:
    plan, trial = place.plan, place.fresh()
    config, told = plan.given(plan.config, plan.far), _told(plan, plan.far)
    await place.run(trial, 0, config, told=told, enough=lambda run: len(run.reports) >= plan.steps, end="kill")
    path = place.checkpoints(trial) / name
    if path.is_file():
        tear(path)
    return name, await place.run(trial, 1, config, told=told, enough=lambda run: bool(run.reports))
