"""`offbeat check`: the resume linter for a training script."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from offbeat.cli.output import add_json, print_json


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "check",
        help="check a training script: reports, signals, checkpoints, resume",
        description="Run a training script a few reports far, kill it, stop it, go on with it, and compare with an "
        "uninterrupted run. Says what a search would stumble over, why it matters, and how to mend it.",
        epilog="Example: offbeat check train.py --space 'lr=loguniform(1e-4, 1)' --metric val_error --resource epoch "
        "--max-resource epochs. Exit status: 0 all well, 1 findings that matter, 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument("what", metavar="SCRIPT|FILE.toml")
    parser.add_argument(
        "--space", action="append", default=[], metavar="NAME=DOMAIN", help="as for offbeat run; its default is run"
    )
    parser.add_argument(
        "--config", action="append", default=[], metavar="NAME=VALUE", help="a value to run with instead; repeat it"
    )
    parser.add_argument("--metric", action="append", metavar="NAME", help="reported metric; repeat it")
    parser.add_argument("--resource", metavar="NAME", help="name under which the script reports its epoch or step")
    parser.add_argument("--max-resource", metavar="NAME", help="flag that says how far to train")
    parser.add_argument("--steps", type=int, metavar="K", help="reports before each interruption (default 3)")
    parser.add_argument("--seed", type=int, help="handed to the script in every run (default 1)")
    parser.add_argument(
        "--grace", type=float, metavar="SECONDS", help="between asking to end and making it end (default 10)"
    )
    parser.add_argument(
        "--patience", type=float, metavar="SECONDS", help="without a report before a run is given up (default 300)"
    )
    parser.add_argument(
        "--tolerance", type=float, metavar="SHARE", help="relative difference that counts as equal (default 1e-6)"
    )
    parser.add_argument(
        "--backend-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument of the local backend, such as 'binary=[\"torchrun\"]'; repeat it",
    )
    parser.add_argument("--quiet", action="store_true", help="do not say which run is being made")
    add_json(parser)
    parser.set_defaults(handler=check)


def check(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.check import check as checked
    from offbeat.check import plan

    script, space, options = _described(args)
    made = plan(script, space, **options)
    quiet = args.quiet or args.json
    report = checked(made, (lambda _: None) if quiet else _tell)
    if args.json:
        print_json(report.to_json())
    else:
        print(report.text())
    return 1 if report.problems else 0


def _tell(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


def _described(args: argparse.Namespace) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Script, space and arguments of `plan`: from an experiment.toml where one is named, with the options over it."""
    from offbeat.cli import experiment_file
    from offbeat.cli.run import pairs
    from offbeat.cli.space_option import space_entry
    from offbeat.errors import InvalidArgument

    tables: dict[str, Any] = {}
    script, base = args.what, Path.cwd()
    if Path(args.what).suffix == ".toml":
        path = Path(args.what)
        if not path.is_file():
            raise InvalidArgument(f"There is no file {args.what!r}.")
        tables, base = experiment_file.read(path), path.absolute().parent
    backend = experiment_file.rooted(tables.get("backend", {}), base)
    if backend.pop("plugin", "local") not in ("local", "offbeat:local"):
        raise InvalidArgument("offbeat check runs scripts on this machine: [backend] has to be local.")
    script = backend.pop("entry_point", script)
    if Path(script).suffix == ".toml":
        raise InvalidArgument(f"{args.what}: [backend] needs entry_point, the training script.")
    backend.update(experiment_file.rooted(pairs(args.backend_option, "--backend-option"), Path.cwd()))
    scheduler = tables.get("scheduler", {})
    entries = dict(tables.get("space", {}))
    for text in args.space:
        entries.update(space_entry(text))
    metric = args.metric or scheduler.get("metric") or ()
    experiment = tables.get("experiment", {})
    given = {
        "steps": args.steps,
        "seed": args.seed if args.seed is not None else experiment.get("seed"),
        "grace": args.grace if args.grace is not None else experiment.get("grace"),
        "patience": args.patience,
        "tolerance": args.tolerance,
    }
    options = {
        "config": pairs(args.config, "--config"),
        "metrics": (metric,) if isinstance(metric, str) else tuple(metric),
        "resource_attr": args.resource or scheduler.get("resource_attr") or scheduler.get("time_attr"),
        "max_resource_attr": args.max_resource or scheduler.get("max_resource_attr"),
        "backend": backend,
        **{name: value for name, value in given.items() if value is not None},
    }
    return script, experiment_file.config_space(entries), options
