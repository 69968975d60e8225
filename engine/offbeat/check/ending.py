"""How the script ends: by itself where it was told to, on SIGTERM in time, and with all its processes."""

from __future__ import annotations

from collections.abc import Iterator

from offbeat.check.curves import levels
from offbeat.check.findings import EVERY, LEVELS, STOPPING, Finding, Passed, Verdict
from offbeat.check.plan import Plan
from offbeat.check.program import Evidence
from offbeat.check.runs import Run
from offbeat.text import counted, printable


def ending(evidence: Evidence) -> Iterator[Verdict]:
    """Judges the ends of all runs."""
    run = evidence.whole
    if not run.reports:
        return
    yield from _by_itself(run, evidence.plan)
    if evidence.stopped is not None:
        yield from _on_signal(evidence.stopped[0], evidence.plan)
    yield from _left_behind(evidence)


def _by_itself(run: Run, plan: Plan) -> Iterator[Verdict]:
    if run.how == "given up":
        yield Finding(
            level="problem", code="silent",
            seen=f"After {counted(len(run.reports), 'report')} there was none for {plan.patience:.0f} s.",
            why="A trial that hangs holds its worker until max_silence or the run's end.", needs=EVERY,
            fix="Report more often, or see what it waits for; --patience gives the check more time.",
        )  # fmt: skip
        return
    if run.failed:
        yield Finding(
            level="problem", code="fails-at-end",
            seen=f"After {counted(len(run.reports), 'report')} the script failed: {run.outcome}.",
            why="The trial counts as failed, although it has trained.", needs=EVERY,
            fix="End with exit status 0; what is done after the training (plots, uploads) should not fail the trial.",
        )  # fmt: skip
    reached = max(levels(run, plan))
    if min(levels(run, plan)) == 0:
        reached += 1  # that it counts from 0 is told already
    if run.told is None:
        if run.how != "by itself":
            yield Passed("end", "stopped by the check; the script was not told how far to run (--max-resource)")
        return
    name = plan.max_resource_attr
    snippet = f'parser.add_argument("--{name}", type=int)\n\nfor epoch in range(first, args.{name} + 1):'
    if reached > run.told or (run.how != "by itself" and not run.failed):
        yield Finding(
            level="problem", code="runs-too-far", seen=f"Told {name}={run.told}, the script went on to {reached} and further.",
            why="It trains beyond the level that it was asked for; each trial is ended by force at its rung.", needs=LEVELS,
            fix=f"End by itself after {name}.", snippet=snippet,
        )  # fmt: skip
    elif reached < run.told and not run.failed:
        yield Finding(
            level="problem", code="ends-too-early", seen=f"Told {name}={run.told}, the script ended by itself at {reached}.",
            why="Trials never reach the upper rungs, and a promoted one has nothing to do.", needs=LEVELS,
            fix=f"Train up to {name}; patience and other reasons to end early are the scheduler's work now.", snippet=snippet,
        )  # fmt: skip
    elif not run.failed:
        yield Passed("end", f"told {name}={run.told}, it ends by itself at {reached}")


def _on_signal(run: Run, plan: Plan) -> Iterator[Verdict]:
    if run.how != "stop":
        return
    snippet = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # or no handler at all: SIGTERM then ends the process"
    if run.status == 0 and run.late > 1 and 2 * run.late > plan.far - plan.steps:
        yield Finding(
            level="problem",
            code="sigterm-ignored",
            seen=f"After SIGTERM the script trained to its end, with {run.late} more reports.",
            why=f"A stopped trial holds its worker until it is done, or for the grace of {plan.grace:g} s.",
            needs=STOPPING,
            fix="Let SIGTERM end the script: a handler should raise or exit, and no library may swallow it.",
            snippet=snippet,
        )
    elif run.status is None or run.took >= plan.grace > 0:
        who = "the script" if run.status is None else "a process that the script had started"
        went_on = f" and reported {run.late} times more" if run.late > 1 and run.status is None else ""
        yield Finding(
            level="problem", code="sigterm-ignored",
            seen=f"{plan.grace:g} s after SIGTERM {who} still ran{went_on}; it was ended by SIGKILL.",
            why=f"Each stopped trial holds its worker for {plan.grace:g} s more.", needs=STOPPING,
            fix="Let SIGTERM end the script: a handler should raise or exit, and no library may swallow it.", snippet=snippet,
        )  # fmt: skip
    else:
        yield Passed("SIGTERM", f"ends the script in {run.took:.2f} s")


def _left_behind(evidence: Evidence) -> Iterator[Verdict]:
    runs = [evidence.whole, evidence.again, *(evidence.promoted or ())]
    for run in runs:
        if run is not None and run.how == "by itself" and run.left:
            names = "; ".join(printable(name) for name in run.left[:3])
            more = f" and {len(run.left) - 3} more" if len(run.left) > 3 else ""
            yield Finding(
                level="problem", code="processes-left", seen=f"When the script had ended, {len(run.left)} of its processes "
                f"still ran: {names}{more}.",
                why="They hold memory and GPUs. An engine ends them after half a second, in the middle of what they do; "
                "without one they stay.", needs=EVERY,
                fix="Wait for your children before you end: close data loaders and pools, join processes.",
                snippet="with Pool(4) as pool:\n    ...\nfor child in multiprocessing.active_children():\n    child.join()",
            )  # fmt: skip
            return
    if evidence.whole.how == "by itself":
        yield Passed("processes", "none left when the script had ended")
