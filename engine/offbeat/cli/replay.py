"""`offbeat replay`: an experiment as it was at any event; or what another scheduler would have made of its results."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from offbeat.cli.fork import add_scheduler
from offbeat.cli.output import add_home, add_json, flags, print_json, print_table
from offbeat.text import printable, shown

if TYPE_CHECKING:
    from offbeat.replay import Counterfactual, Moment
    from offbeat.replay.figures import Bounds
    from offbeat.replay.moment import Step, TrialThen

TRIALS: Final = 20
"""Trials that are listed: those that are not over first."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "replay",
        help="show an experiment as it was at any event",
        description="Show an experiment as it was once an event had happened: trials, rungs, the best so far, what had "
        "just been decided and why, and what came next. Events are numbered from 0. With another scheduler, or other "
        "options or another seed for the recorded one: what it would have made of the recorded results. Changes nothing.",
        epilog="Examples: offbeat replay digits --at 120; offbeat replay digits --scheduler asha --option grace_period=3",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="of the experiment, or its folder")
    parser.add_argument("--at", type=int, metavar="EVENT", help="number of the event (default: the last one)")
    parser.add_argument(
        "--steps", type=int, default=5, metavar="N", help="events before and behind it to tell (default 5)"
    )
    parser.add_argument("-n", type=int, default=TRIALS, metavar="N", help=f"trials to list (default {TRIALS})")
    add_scheduler(parser)
    parser.add_argument("--seed", type=int, help="another seed for the scheduler")
    parser.add_argument(
        "--limit",
        type=float,
        metavar="VALUE",
        help="a value of the metric that no trial can beat, such as 0 for an error",
    )
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.errors import InvalidArgument
    from offbeat.replay import replay

    for option, value in (("--steps", args.steps), ("-n", args.n)):
        if value < 0:
            raise InvalidArgument(f"{option} {value}: give a whole number, 0 or more.")
    if args.scheduler is not None or args.option or args.seed is not None:
        return _other_scheduler(args)
    if args.limit is not None:
        raise InvalidArgument("--limit goes with another scheduler: --scheduler, --option or --seed.")
    moment = replay(args.name, args.at, args.home, steps=args.steps)
    if args.json:
        print_json(moment)
    else:
        _show(moment, args.n)
    return 0


def _other_scheduler(args: argparse.Namespace) -> int:
    """What another scheduler would have decided."""
    import msgspec

    from offbeat.cli.run import pairs
    from offbeat.errors import InvalidArgument
    from offbeat.replay import counterfactual

    if args.at is not None:
        raise InvalidArgument(
            "--at shows what was; another scheduler replays all of it. To let it decide from an event on: offbeat fork."
        )
    options = pairs(args.option, "--option")
    other = counterfactual(args.name, args.scheduler, args.home, options=options, seed=args.seed, limit=args.limit)
    if args.json:
        print_json(msgspec.to_builtins(other))
    else:
        _show_other(other, args.n)
    return 0


def _show_other(other: Counterfactual, n: int) -> None:
    recorded = other.recorded
    print(f"{other.experiment} with {other.scheduler}, on the {other.trials} recorded trials")
    share = f" ({100 * other.agree / other.compared:.0f} %)" if other.compared else ""
    print(f"Of {other.compared} results that both decide upon, they decide alike on {other.agree}{share}")
    print(f"Trials ended earlier: {len(other.earlier)}; let run longer: {len(other.longer)}")
    if other.untried:
        print(f"Trials that it would not have started: {len(other.untried)}")
    print()
    rows: list[tuple[object, ...]] = [
        (f"best {other.metric} ({other.mode})", recorded.best, *_between(other.best), other.stale.best, other.hopeful.best),
        (
            f"{other.resource_attr}s of all trials", recorded.resource, *_between(other.resource),
            other.stale.resource, other.hopeful.resource,
        ),
        (
            "seconds of all workers", recorded.seconds, *_between(other.seconds),
            other.stale.seconds, other.hopeful.seconds,
        ),
    ]  # fmt: skip
    if other.exact:
        print_table(("", "recorded", "then"), [(what, then, low) for what, then, low, *_ in rows])
        saved = recorded.resource - other.stale.resource
        if saved > 0:
            print(f"\nSaved: {saved} of {recorded.resource} {other.resource_attr}s")
        print(
            "\nThis is exact for these curves and durations: no trial would have gone on behind the end of its record."
        )
    else:
        print_table(("", "recorded", "at least", "at most", "if stale", "if hopeful"), rows)
        print(
            f"\nFrom {shown(other.unknown_from)} s on it depends on what nobody knows: {len(other.longer)} trials would have "
            "gone on behind the end of their record. The bounds hold whatever they would have reported (if no "
            f"{other.resource_attr} takes longer than the slowest recorded one); stale: they stay as they were; hopeful: "
            "they become as good as the best."
        )
        if None in other.best:
            print("Say --limit VALUE, which no trial can beat, for the missing bound (0 for an error).")
    _print_disagreements(other, n)


def _between(bounds: Bounds) -> tuple[object, object]:
    return tuple("no bound" if value is None else value for value in bounds)  # type: ignore[return-value]


def _print_disagreements(other: Counterfactual, n: int) -> None:
    if not other.disagreements:
        return
    print("\nWhere it decides otherwise:")
    rows = [(one.trial, one.level, one.recorded, one.other, printable(one.why)) for one in other.disagreements[:n]]
    print_table(("trial", other.resource_attr, "recorded", "then", "because"), rows, indent="  ")
    if len(other.disagreements) > n:
        print(f"  ... and {len(other.disagreements) - n} more (-n {len(other.disagreements)} lists all)")


def _show(moment: Moment, n: int) -> None:
    print(
        f"{moment.experiment} at event {moment.event} (0 to {moment.events - 1}), {moment.at:.1f} s, session {moment.session}"
    )
    print()
    for step in moment.before:
        _print_step(step, "  ")
    _print_step(moment.step, "> ")
    _print_trials(moment, n)
    _print_rungs(moment)
    if (best := moment.incumbent) is not None:
        level = f" at {moment.resource_attr} {best.resource}" if moment.resource_attr else ""
        print(
            f"\nBest so far: {moment.metric} {shown(best.value)}, trial {best.trial}{level}, since event {best.event}"
        )
        print(f"  {flags(best.config)}")
    if moment.after:
        print("\nNext:")
        for step in moment.after:
            _print_step(step, "  ")
    for note in moment.notes:
        print(f"Note: {printable(note)}")


def _print_step(step: Step, mark: str) -> None:
    whose = f"trial {step.trial}: " if step.trial is not None else ""
    print(f"{mark}{step.event:>5} [{step.at:.1f} s] {whose}{printable(step.text)}")


def _print_trials(moment: Moment, n: int) -> None:
    counts = Counter(trial.status for trial in moment.trials)
    said = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
    print(f"\nTrials: {said}; {moment.limits.workers}")
    over = ("stopped", "finished", "failed")
    chosen = sorted(moment.trials, key=lambda trial: (trial.status in over, trial.trial))[:n]
    if not chosen:
        return
    rows: list[tuple[Any, ...]] = [
        (one.trial, one.status, one.attempt, one.resource, one.last, one.best, _why(one)) for one in chosen
    ]
    print_table(("trial", "status", "attempt", "level", "last", "best", "why"), rows, indent="  ")
    if len(moment.trials) > len(chosen):
        print(f"  ... and {len(moment.trials) - len(chosen)} more (-n {len(moment.trials)} lists all)")


def _why(trial: TrialThen) -> str:
    """Why the trial is where it is; of one that goes on, what it was told before is history."""
    return "" if trial.status in ("running", "queued") else printable(trial.reason)


def _print_rungs(moment: Moment) -> None:
    if not moment.rungs or not any(rung["entries"] for rung in moment.rungs):
        return
    print("\nRungs:")
    rows: list[tuple[Any, ...]] = []
    for rung in moment.rungs:
        if rung["entries"]:
            value, trial = rung["entries"][0]
            waiting = ", ".join(map(str, rung.get("waiting", ())))
            rows.append((rung["level"], len(rung["entries"]), rung["cut"], f"{shown(value)}, trial {trial}", waiting))
    print_table(("level", "entries", "good enough", "best", "waiting"), rows, indent="  ")
