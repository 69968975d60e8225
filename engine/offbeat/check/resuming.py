"""What interrupted runs show: whether a checkpoint is found, what is repeated, and whether the values are the right ones."""

from __future__ import annotations

from collections.abc import Iterator

from offbeat.check.curves import Difference, by_level, differences, levels
from offbeat.check.findings import EVERY, LEVELS, RESUMING, SAVE, Finding, Passed, Unchecked, Verdict
from offbeat.check.program import Evidence
from offbeat.check.runs import Run
from offbeat.text import counted, shown

SLACK = 3.0
"""How many times the difference of two uninterrupted runs still counts as their noise."""


def resuming(evidence: Evidence) -> Iterator[Verdict]:
    """Judges repeats, interruptions and what followed them."""
    if not evidence.whole.reports:
        return
    yield from _determinism(evidence)
    if evidence.killed is None:
        how = "at its end only" if evidence.at_once else "too seldom to be interrupted between two reports"
        yield Unchecked("resume", f"the script reports {how}")
        return
    written = bool(evidence.killed[0].files)
    if not written:
        yield Finding(
            level="problem", code="no-checkpoint",
            seen=f"After {counted(len(evidence.killed[0].reports), 'report')} nothing lies in the folder that "
            "OFFBEAT_CHECKPOINT_DIR names.",
            why="A trial that was paused, killed or preempted begins anew, and its work is lost.", needs=RESUMING,
            fix="Keep the training's state there, and begin from it.", snippet=SAVE,
        )  # fmt: skip
    resumed = list(_one(evidence, evidence.killed, "SIGKILL", written=written))
    if evidence.stopped is not None:
        resumed += _one(evidence, evidence.stopped, "SIGTERM", written=written)
    yield from resumed
    if evidence.promoted is not None and written:
        # A script that does not go on rightly does not do so after a pause either.
        well = not any(isinstance(one, Finding) and one.level == "problem" for one in resumed)
        yield from _promotion(evidence, evidence.promoted, resumes_well=well)
    yield from _tearing(evidence)


def noise(evidence: Evidence) -> dict[str, float]:
    """Relative difference of two uninterrupted runs, of the metrics that do differ."""
    if evidence.again is None:
        return {}
    plan = evidence.plan
    return {
        one.metric: one.relative
        for one in differences(by_level(evidence.whole, plan), by_level(evidence.again, plan), plan)
    }


def _determinism(evidence: Evidence) -> Iterator[Verdict]:
    if evidence.again is None:
        return
    plan = evidence.plan
    found = differences(by_level(evidence.whole, plan), by_level(evidence.again, plan), plan)
    found = [one for one in found if not plan.metrics or one.metric in plan.metrics]
    if not found:
        yield Passed("determinism", f"two runs with seed {plan.seed} report the same values")
        return
    yield Finding(
        level="note", code="not-deterministic",
        seen=f"Two runs with one configuration and one seed differ: {_told(found[0])}.",
        why="Results cannot be repeated, and whether a resumed run goes on rightly can be told only roughly.", needs=EVERY,
        fix="Seed every generator from OFFBEAT_SEED, the data order too. Some GPU kernels never repeat; then this stays.",
        snippet="from offbeat.report import seed\n\nrandom.seed(seed()); np.random.seed(seed()); torch.manual_seed(seed())",
    )  # fmt: skip


def _one(evidence: Evidence, pair: tuple[Run, Run], name: str, *, written: bool) -> Iterator[Verdict]:
    """Judges one interruption; what follows from the absence of any checkpoint is not told once more."""
    first, second = pair
    plan = evidence.plan
    subject = f"resume after {name}"
    reached = levels(first, plan)
    if first.missed or not reached:
        yield Unchecked(subject, "the script had ended before it could be interrupted; take a longer configuration")
        return
    if first.status == 0 and reached[-1] >= levels(evidence.whole, plan)[-1]:
        return  # it does not end on SIGTERM, which is told already
    if second.failed or not second.reports:
        if not written:
            return
        yield Finding(
            level="problem", code="resume-fails",
            seen=f"Started again after {name}, the script did not go on: {second.outcome}.",
            why="The trial fails, and all its work is lost.", needs=RESUMING,
            fix="Load the checkpoint in the way in which it was written, and go on behind its epoch.", snippet=SAVE,
        )  # fmt: skip
        return
    latest, begins = max(reached), levels(second, plan, len(reached))[0]
    if plan.resource_attr is None:
        begins = _counted_start(evidence, pair)
    unreported = _saved_unreported(evidence, second, latest, begins)
    if begins > latest + 1 and not unreported:
        yield Finding(
            level="problem", code="resume-skips", seen=f"The last report before {name} was {latest}, the first after it {begins}.",
            why="Levels that were never trained count as done.", needs=LEVELS,
            fix="Save the epoch that is done, and begin with the next one.", snippet=SAVE,
        )  # fmt: skip
        return
    repeated = latest + 1 - begins
    anew = begins == levels(evidence.whole, plan)[0] < latest
    if anew:
        if written:
            yield Finding(
                level="problem", code="resume-starts-over",
                seen=f"After {name} at level {latest} the script began at level {begins} again, although there is a checkpoint.",
                why=f"All levels up to {latest} are trained once more at each resume.", needs=RESUMING,
                fix="Look into OFFBEAT_CHECKPOINT_DIR before training, and go on behind the saved epoch.", snippet=SAVE,
            )  # fmt: skip
    elif repeated > 1:
        yield Finding(
            level="problem", code="resume-repeats",
            seen=f"After {name} at level {latest} the script went on from level {begins}: {repeated} levels were trained twice.",
            why="Work between two checkpoints is lost at each pause.", needs=RESUMING,
            fix="Save before each report, or report only where a checkpoint was written.", snippet=SAVE,
        )  # fmt: skip
    elif repeated == 1:
        yield Finding(
            level="note", code="resume-repeats-one", seen=f"After {name} at level {latest} this level was trained once more.",
            why="The checkpoint is written behind the report, or not at each one, so that work is lost.", needs=RESUMING,
            fix="Save first, then report.", snippet=SAVE,
        )  # fmt: skip
    else:
        between = f"; {latest + 1} was saved, and {name} came before its report" if unreported else ""
        yield Passed(subject, f"goes on with {begins} after {latest}{between}")
    if written and not anew:
        yield from _values(evidence, second, len(reached) - repeated, subject)


def _saved_unreported(evidence: Evidence, second: Run, latest: int, begins: int) -> bool:
    """Whether the one level that is missing was trained and saved: the signal came between saving and reporting.

    A script that skips a level does so as well where it had ended by itself, and where it cannot be told so, its values
    lag behind.
    """
    if begins != latest + 2:
        return False
    plan = evidence.plan
    if evidence.promoted is not None and plan.resource_attr is not None:
        early, late = evidence.promoted
        if early.reports and late.reports:
            return levels(late, plan)[0] == max(levels(early, plan)) + 1
    allowed = noise(evidence)
    found = differences(by_level(evidence.whole, plan), by_level(second, plan, begins - 1), plan)
    return all(one.relative <= SLACK * allowed.get(one.metric, 0.0) for one in found)


def _counted_start(evidence: Evidence, pair: tuple[Run, Run]) -> int:
    """Without levels: which report of the uninterrupted run the first one after the interruption equals."""
    plan = evidence.plan
    expected = by_level(evidence.whole, plan)
    own = pair[1].reports[0].metrics
    following: int = len(pair[0].reports) + 1
    for level in (following, following - 1, *range(1, following - 1)):
        if level in expected and not differences({0: expected[level]}, {0: own}, plan):
            return int(level)
    return following


def _values(evidence: Evidence, second: Run, before: int, subject: str) -> Iterator[Verdict]:
    plan = evidence.plan
    allowed = noise(evidence)
    found = [
        one
        for one in differences(by_level(evidence.whole, plan), by_level(second, plan, before), plan)
        if one.relative > SLACK * allowed.get(one.metric, 0.0)
    ]
    found = [one for one in found if not plan.metrics or one.metric in plan.metrics]
    if not found:
        yield Passed(subject, "the values are those of the uninterrupted run" if not allowed else "the values are as near "
                     "to the uninterrupted run's as those of a second uninterrupted run")  # fmt: skip
        return
    yield Finding(
        level="problem", code="resume-differs",
        seen=f"The values {subject.removeprefix('resume ')} are not those of the uninterrupted run: {_told(found[0])}.",
        why="A trial that was paused is judged by another training than one that was not.", needs=RESUMING,
        fix="Something is not in the checkpoint: optimizer (momentum), learning-rate schedule, random generators, the "
        "position in the data. Seed by epoch, so that an epoch is the same however it was reached.",
        snippet="rng = np.random.default_rng([seed(), epoch])   # instead of one generator for the whole training",
    )  # fmt: skip


def _promotion(evidence: Evidence, pair: tuple[Run, Run], *, resumes_well: bool) -> Iterator[Verdict]:
    """A trial that was told a nearer end first: what it did up to there must not depend on that."""
    plan = evidence.plan
    first, second = pair
    whole = by_level(evidence.whole, plan)
    allowed = noise(evidence)

    def beyond(run: Run, before: int) -> list[Difference]:
        found = differences(whole, by_level(run, plan, before), plan)
        found = [one for one in found if one.relative > SLACK * allowed.get(one.metric, 0.0)]
        return [one for one in found if not plan.metrics or one.metric in plan.metrics]

    early, late = beyond(first, 0), beyond(second, len(first.reports))
    name = plan.max_resource_attr
    if early:
        yield Finding(
            level="problem", code="depends-on-maximum",
            seen=f"Told {name}={plan.steps} instead of {plan.far}, the script trains differently before that: {_told(early[0])}.",
            why="Promotion tells a trial the level of the next rung; a schedule that falls towards that level is another training.",
            needs="promotion-type ASHA, Hyperband and PBT",
            fix="Give the schedule a length of its own.",
            snippet='parser.add_argument("--schedule", type=int, default=81)   # epochs over which the learning rate falls',
        )  # fmt: skip
    elif late and resumes_well:
        yield Finding(
            level="problem", code="promotion-differs",
            seen=f"Told {name}={plan.steps} and then {plan.far}, the script does not go on as the uninterrupted run: "
            f"{_told(late[0])}.",
            why="A promoted trial is judged by another training than one that was not paused.",
            needs="promotion-type ASHA, Hyperband and PBT",
            fix="What is done at the end of a training (decay to zero, averaging of weights) must not be in the checkpoint.",
        )  # fmt: skip
    elif not late:
        yield Passed("promotion", f"told {name}={plan.steps}, then {plan.far}: the same values as in one go")


def _tearing(evidence: Evidence) -> Iterator[Verdict]:
    pair = evidence.killed
    if pair is None or not pair[0].files:
        return
    if evidence.torn is None:
        if pair[0].written is None:
            yield Unchecked("half-written checkpoints", "how files are written can be seen on Linux only")
        elif pair[1].read and all(_renamed(name, pair[0].moved or set()) for name in pair[1].read):
            yield Passed("half-written checkpoints", "a new checkpoint is written beside the old one and replaces it")
        else:
            yield Unchecked("half-written checkpoints", "how those that are read were written could not be seen")
        return
    name, run = evidence.torn
    plan = evidence.plan
    if run.failed or not run.reports:
        outcome = f"does not go on: {run.outcome}"
    else:
        begins = levels(run, plan)[0]
        expected = by_level(evidence.whole, plan).get(begins, {})
        found = differences({begins: expected}, {begins: run.reports[0].metrics}, plan)
        if begins == levels(evidence.whole, plan)[0] and plan.resource_attr is not None:
            outcome = "begins anew"
        elif found and found[0].relative > SLACK * noise(evidence).get(found[0].metric, 0.0):
            outcome = f"goes on with wrong values: {_told(found[0])}"
        else:
            yield Passed(
                "half-written checkpoints", f"{name} is written under its own name, but half of it does no harm"
            )
            return
    yield Finding(
        level="problem", code="checkpoint-not-atomic",
        seen=f"The checkpoint {name} is written under its own name; with half of it, as a kill in that moment leaves it, the "
        f"script {outcome}.",
        why="A trial that is killed while it saves has lost everything.", needs=RESUMING,
        fix="Write beside the old checkpoint, then replace it: whoever kills the script finds one of the two, whole.",
        snippet='torch.save(state, folder / "state.new")\nos.replace(folder / "state.new", folder / "state")',
    )  # fmt: skip


def _renamed(name: str, moved: set[str]) -> bool:
    """Whether a file, or a folder around it, got its name by being renamed."""
    parts = name.split("/")
    return any("/".join(parts[:count]) in moved for count in range(1, len(parts) + 1))


def _told(one: Difference) -> str:
    apart = "" if one.relative == float("inf") else f", {100 * one.relative:.3g} % apart"
    return f"{one.metric} at level {one.level} is {shown(one.found)} instead of {shown(one.expected)}{apart}"
