"""`offbeat run`: an experiment from `experiment.toml`, or from a script and options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from offbeat.cli.output import add_home, add_json, print_json

if TYPE_CHECKING:
    from offbeat.tuner import Tuner

LIMITS: Final = {
    "max_wallclock_time": (float, "SECONDS", "end after this time, all sessions together"),
    "max_num_trials_started": (int, "N", "start at most N trials"),
    "max_num_trials_completed": (int, "N", "end when N trials ran to their own end"),
    "max_num_trials_finished": (int, "N", "end when N trials ended in any way"),
    "max_num_evaluations": (int, "N", "end after N reports"),
    "max_cost": (float, "DOLLARS", "end when the trials have cost this much"),
}
"""Fields of StoppingCriterion that are options of `run` and `resume`."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "run",
        help="start an experiment: a training script, or an experiment.toml",
        description="Start an experiment. Either all of it stands in a .toml file (options then replace what it "
        "says), or the script is named here with its space and metric.",
        epilog="Example: offbeat run train.py --space 'lr=loguniform(1e-4, 1)' --space epochs=27 --metric val_error "
        "--resource epoch --max-resource epochs --max-wallclock-time 60",
        allow_abbrev=False,
    )
    parser.add_argument("what", nargs="?", metavar="SCRIPT|FILE.toml")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of experiment.toml, and end")
    parser.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="NAME=DOMAIN",
        help="a hyperparameter: 'lr=loguniform(1e-4, 1)', 'act=choice([\"relu\", \"tanh\"])', with a condition: "
        "'momentum=uniform(0, 1) when optimizer == \"sgd\"', a constraint: 'fit=require(\"batch * layers <= 512\")', a "
        "constant: epochs=27, or a .toml or .json file with all of them; repeat it",
    )
    parser.add_argument(
        "--metric", action="append", metavar="NAME", help="reported metric to optimise; repeat it for several"
    )
    parser.add_argument("--mode", metavar="min|max", help="of the metric, or one for each: min,max (default min)")
    parser.add_argument("--resource", metavar="NAME", help="name under which the script reports its epoch or step")
    parser.add_argument("--max-resource", metavar="NAME", help="entry of the space that says how far to train")
    parser.add_argument(
        "--scheduler",
        metavar="PLUGIN",
        help="default: asha with --resource (moasha for several metrics), else random-search",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another argument of the scheduler; repeat it",
    )
    parser.add_argument("--backend", metavar="PLUGIN", help="default: local")
    parser.add_argument(
        "--backend-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another argument of the backend; repeat it",
    )
    parser.add_argument(
        "--preload",
        action="append",
        metavar="MODULE",
        help="import it once instead of in every trial, which then begins in milliseconds; repeat it",
    )
    parser.add_argument("--seed", type=int)
    parser.add_argument("--name", help="of the experiment; default: the script's name with date and time")
    add_session_options(parser)
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=run)


def add_session_options(parser: argparse.ArgumentParser) -> None:
    """What `resume` may change too."""
    parser.add_argument("--workers", type=int, metavar="N", help="trials that run at once")
    for name, (kind, metavar, text) in LIMITS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
    parser.add_argument(
        "--max-failures", type=count_or_share, metavar="N|SHARE", help="failed trials allowed: 5, or 0.2"
    )
    parser.add_argument(
        "--max-retries", type=int, metavar="N", help="starts of a failed trial before its failure counts"
    )
    parser.add_argument(
        "--checkpoint-budget", metavar="BYTES", help="most that all checkpoints may take on disk: '10 GB'"
    )
    parser.add_argument(
        "--grace", type=float, metavar="SECONDS", help="between asking a trial to end and making it end"
    )
    parser.add_argument("--observer", action="append", metavar="PLUGIN", help="default: console and csv; repeat it")
    parser.add_argument("--quiet", action="store_true", help="no progress on the terminal")


def budget(given: str | None) -> int | str | None:
    """An amount of bytes as `Tuner` takes it: a number alone is one."""
    return int(given) if given is not None and given.isdecimal() else given


def count_or_share(text: str) -> int | float:
    """A whole number as a count, another one as a share."""
    return float(text) if "." in text else int(text)


def run(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.cli import experiment_file
    from offbeat.errors import InvalidArgument

    if args.schema:
        print(experiment_file.SCHEMA.read_text(encoding="utf-8"), end="")
        return 0
    if args.what is None:
        raise InvalidArgument("Name a training script or an experiment.toml; offbeat run --help shows an example.")
    path = Path(args.what)
    if path.suffix == ".toml":
        if not path.is_file():
            raise InvalidArgument(f"There is no file {str(path)!r}.")
        tables, base, where = experiment_file.read(path), path.absolute().parent, str(path)
    else:
        several = len(args.metric or ()) > 1
        kind = "random-search" if args.resource is None else "moasha" if several else "asha"
        tables = {"backend": {"plugin": "local", "entry_point": args.what}, "scheduler": {"plugin": kind}}
        base, where = Path.cwd(), ""
    merge(tables, args)
    limits = given_limits(args)
    if not tables.get("stop") and not limits:
        print("offbeat: no limit is given; the run ends when everything was tried, or by Ctrl-C", file=sys.stderr)
    tuner = experiment_file.build(
        tables, base=base, where=where, home=args.home, observers=observers(args), limits=limits
    )
    return run_and_report(tuner, as_json=args.json)


def merge(tables: dict[str, Any], args: argparse.Namespace) -> None:
    """Puts the options that were given over the file's tables."""
    from offbeat.cli.experiment_file import rooted
    from offbeat.cli.space_option import space_entry

    experiment = tables.setdefault("experiment", {})
    scheduler = tables.setdefault("scheduler", {})
    backend = tables.setdefault("backend", {})
    for table, name, value in (
        (experiment, "name", args.name),
        (experiment, "workers", args.workers),
        (experiment, "seed", args.seed),
        (experiment, "max_failures", args.max_failures),
        (experiment, "max_retries", args.max_retries),
        (experiment, "checkpoint_budget", budget(args.checkpoint_budget)),
        (experiment, "grace", args.grace),
        (backend, "plugin", args.backend),
        (backend, "preload", args.preload),
        (scheduler, "plugin", args.scheduler),
        (scheduler, "metric", one_or_several(args.metric)),
        (scheduler, "mode", one_or_several(args.mode.split(",") if args.mode else None)),
        (scheduler, "resource_attr", args.resource),
        (scheduler, "max_resource_attr", args.max_resource),
    ):
        if value is not None:
            table[name] = value
    scheduler.update(pairs(args.option, "--option"))
    # What was typed counts from where it was typed, not from the file's folder.
    backend.update(rooted(pairs(args.backend_option, "--backend-option"), Path.cwd()))
    for text in args.space:
        tables.setdefault("space", {}).update(space_entry(text))


def one_or_several(texts: Sequence[str] | None) -> str | list[str] | None:
    """A single one as itself."""
    if texts is None:
        return None
    return texts[0].strip() if len(texts) == 1 else [text.strip() for text in texts]


def given_limits(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of StoppingCriterion that were given as options."""
    return {name: value for name in LIMITS if (value := getattr(args, name)) is not None}


def observers(args: argparse.Namespace) -> list[Any] | None:
    """Names of observers; None: the tuner's own choice."""
    if args.observer:
        return list(args.observer)
    return ["csv"] if args.quiet else None


def pairs(texts: Sequence[str], option: str) -> dict[str, Any]:
    """`KEY=VALUE` texts; a value is JSON, or else a text."""
    from offbeat.cli.space_option import json_or_text
    from offbeat.errors import InvalidArgument

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InvalidArgument(f"{option} {text!r}: write KEY=VALUE.")
        found[name.strip()] = json_or_text(value)
    return found


def run_and_report(tuner: Tuner, *, as_json: bool = False) -> int:
    """Runs, says how it ended, and gives the exit status."""
    try:
        outcome = tuner.run()
    except KeyboardInterrupt:
        return _interrupted(tuner.name, 130)
    except SystemExit as exit_:
        return _interrupted(tuner.name, exit_.code if isinstance(exit_.code, int) else 1)
    if as_json:
        from offbeat.cli.front import front_entry, has_several
        from offbeat.cli.look import best_entry
        from offbeat.results import load

        found = load(outcome.folder)
        best = found.best()
        print_json(
            {
                "name": outcome.name,
                "folder": str(outcome.folder),
                "outcome": outcome.outcome,
                "reason": outcome.reason,
                "best": best_entry(best) if best is not None else None,
                **({"pareto": list(map(front_entry, found.pareto()))} if has_several(found) else {}),
            }
        )
    else:
        print_end(outcome.name, outcome.folder)
    return 0 if outcome.outcome == "done" else 1


def print_end(name: str, folder: Path) -> None:
    """The best configuration with its curve, where everything lies, and the command that shows it again."""
    from offbeat.cli.look import print_found
    from offbeat.results import load

    print()
    print_found(load(folder))
    print(f"\nEverything is in  {folder}")
    print(f"See it again with  offbeat show {name}")


def _interrupted(name: str, status: int) -> int:
    print(f"offbeat: interrupted; go on with: offbeat resume {name}", file=sys.stderr)
    return status
