"""`offbeat fork`: a new experiment that goes on from any event of another one."""

from __future__ import annotations

import argparse

from offbeat.cli.output import add_home, add_json, print_json
from offbeat.text import printable


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "fork",
        help="go on from any event of an experiment, as a new one",
        description="Make a new experiment that has the events of another one up to EVENT, and its checkpoints. The "
        "source is only read; what either does from then on never reaches the other. Checkpoints of trials that have ended are "
        "shared between them, and not to be changed by hand; a trial that can go on has its own. `offbeat replay NAME --at "
        "EVENT` shows what the new one begins with.",
        epilog="Example: offbeat fork digits --at 120 --name digits-2 --option reduction_factor=2 && offbeat resume digits-2",
        allow_abbrev=False,
    )
    parser.add_argument("source", metavar="NAME", help="of the source, or its folder")
    parser.add_argument("--at", type=int, required=True, metavar="EVENT", help="the last event that both have, from 0")
    parser.add_argument("--name", required=True, metavar="NEW", help="of the new experiment")
    add_scheduler(parser)
    parser.add_argument("--seed", type=int, help="another seed for what is decided from here on")
    parser.add_argument(
        "--without-checkpoints", action="store_true", help="give it none: all unfinished trials begin again"
    )
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=handle)


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """Adds --scheduler and --option."""
    parser.add_argument("--scheduler", metavar="PLUGIN", help="another scheduler for the same space and metric")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another argument of the scheduler; repeat it",
    )


def handle(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.cli.run import pairs
    from offbeat.replay import fork

    made = fork(
        args.source,
        args.at,
        args.name,
        args.home,
        scheduler=args.scheduler,
        options=pairs(args.option, "--option"),
        seed=args.seed,
        without_checkpoints=args.without_checkpoints,
    )
    if args.json:
        print_json(made)
        return 0
    print(f"{made.name}: events 0 to {made.event} of {made.source}, {made.scheduler}, seed {made.seed}")
    if made.shared:
        shared = made.bytes - made.copied
        print(
            f"Checkpoints of {len(made.shared)} trials, {made.bytes / 1e6:.1f} MB"
            + (f", {shared / 1e6:.1f} MB of them shared with {made.source}" if shared else "")
        )
    if made.begin_again:
        trials = ", ".join(map(str, made.begin_again))
        print(f"These begin again, since what {made.source} has of them is from later: trials {trials}")
    for note in made.notes:
        print(f"Note: {printable(note)}")
    print(f"Go on with  {made.goes_on_with}")
    return 0
