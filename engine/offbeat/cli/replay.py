"""`offbeat replay`: an experiment as it was at any event; or what another scheduler would have made of its results."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from offbeat.cli.output import add_home, add_json, flags, print_json, print_table
from offbeat.text import printable, shown

if TYPE_CHECKING:
    from offbeat.replay import Moment
    from offbeat.replay.moment import Step, TrialThen

TRIALS: Final = 20
"""Trials that are listed: those that are not over first."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "replay",
        help="show an experiment as it was at any event",
        description="Show an experiment as it was once an event had happened: trials, rungs, the best so far, what had "
        "just been decided and why, and what came next. Events are numbered from 0. Changes nothing.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="of the experiment, or its folder")
    parser.add_argument("--at", type=int, metavar="EVENT", help="number of the event (default: the last one)")
    parser.add_argument(
        "--steps", type=int, default=5, metavar="N", help="events before and behind it to tell (default 5)"
    )
    parser.add_argument("-n", type=int, default=TRIALS, metavar="N", help=f"trials to list (default {TRIALS})")
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
    moment = replay(args.name, args.at, args.home, steps=args.steps)
    if args.json:
        print_json(moment)
    else:
        _show(moment, args.n)
    return 0


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
