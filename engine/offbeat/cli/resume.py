"""`offbeat resume`: goes on with an experiment; what is changed is recorded."""

from __future__ import annotations

import argparse
from typing import Any

from offbeat.cli.output import add_home, add_json
from offbeat.cli.run import add_session_options, budget, given_limits, observers, run_and_report


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "resume",
        help="go on with an experiment, with other limits if wanted",
        description="Go on with an experiment after an interruption, a crash, or its end (then with other limits). "
        "Unfinished trials go on from their checkpoints. Limits that are not given stay as they were; --grace, "
        "--observer and --quiet are not recorded and have to be given again.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="of the experiment, or its folder")
    add_session_options(parser)
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=resume)


def resume(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.cli.limits import changed_criterion
    from offbeat.results import load
    from offbeat.tuner import Tuner

    changes: dict[str, Any] = {
        argument: value
        for argument, value in (
            ("n_workers", args.workers),
            ("max_failures", args.max_failures),
            ("max_retries", args.max_retries),
            ("checkpoint_budget", budget(args.checkpoint_budget)),
            ("grace", args.grace),
            ("observers", observers(args)),
        )
        if value is not None
    }
    limits = given_limits(args)
    if limits:
        changes["stop_criterion"] = changed_criterion(load(args.name, args.home).limits.stop_criterion, limits)
    return run_and_report(Tuner.resume(args.name, home=args.home, **changes), as_json=args.json)
