"""`offbeat demo`: tunes a real training script on real data, on this machine."""

from __future__ import annotations

import argparse

from offbeat.cli.output import add_home


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "demo",
        help="tune a small network on handwritten digits, about 30 seconds",
        description="Tune a small neural network on the UCI handwritten digits with ASHA on this machine.",
        allow_abbrev=False,
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="trials that run at once (default 4)")
    parser.add_argument("--name", help="of the experiment; default: with date and time")
    parser.add_argument("--seed", type=int, default=0)
    add_home(parser)
    parser.set_defaults(handler=demo)


def demo(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.cli.run import run_and_report
    from offbeat.demo import EPOCHS, SCRIPT, tuner

    experiment = tuner(seconds=args.seconds, workers=args.workers, name=args.name, seed=args.seed, home=args.home)
    print(
        f"Tuning {SCRIPT}\n"
        f"for {args.seconds:g} s: seven hyperparameters, up to {EPOCHS} epochs a trial, {args.workers} trials at once. "
        "ASHA stops the weak ones early.\n"
        f"Watch from another terminal: offbeat status {experiment.name}\n"
    )
    return run_and_report(experiment)
