"""`offbeat verify`: makes every decision and proposal of a journal anew, and says whether they are the recorded ones."""

from __future__ import annotations

import argparse
from typing import Any

from offbeat.cli.output import add_home, add_json, print_json
from offbeat.text import printable


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "verify",
        help="make every decision of an experiment anew and compare",
        description="Reads a journal, checks that its bytes are those that were written, and makes every decision and "
        "proposal anew from the recorded reports and the seed. Names the first difference. Changes nothing, and works "
        "while the experiment runs.",
        epilog="Exit status: 0 verified, 1 not.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="of the experiment, or its folder")
    parser.add_argument("--digest", metavar="HEX", help="the decision digest that it has to have, from another machine")
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="SHARE",
        help="how far values that a model proposed may be off, on the scale of the unit cube (default 1e-6)",
    )
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.replay import TOLERANCE, verify

    report = verify(args.name, args.home, tolerance=TOLERANCE if args.tolerance is None else args.tolerance)
    same = args.digest is None or args.digest.lower() == report.digest
    if not same:
        report.verified = False
        report.problem = report.problem or f"the decision digest is {report.digest}, not {args.digest}"
    if args.json:
        import msgspec

        print_json({**msgspec.to_builtins(report), "sentence": report.sentence()})
    else:
        _show(report)
    return 0 if report.verified else 1


def _show(report: Any) -> None:
    print(f"{report.experiment}: {report.events} events, {report.trials} trials, {report.results} results")
    print(printable(report.sentence()))
    if (one := report.difference) is not None:
        for name in {**one.recorded, **one.recomputed}:
            print(f"  {name}:")
            print(f"    recorded    {printable(repr(one.recorded.get(name)))}")
            if one.recomputed:
                print(f"    recomputed  {printable(repr(one.recomputed.get(name)))}")
        print(f"  Look at it: offbeat replay {report.experiment} --at {one.event}")
    for note in report.notes:
        print(f"Note: {printable(note)}")
    if report.digest:
        print(f"Decision digest {report.digest}")
