"""`offbeat import`: another tool's results as an experiment that can be shown, exported, compared and learned from."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from offbeat.cli.output import add_home, add_json, print_json


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "import",
        help="make an experiment of the results of Optuna, Ray Tune or Syne Tune",
        description="Read another tool's results and write them into a new experiment. The source is not changed and "
        "nothing is unpickled. What the source does not say is assumed, and said. The experiment can be shown, exported and "
        "compared like any other, but not resumed.",
        epilog="offbeat import optuna sqlite:///study.db --study NAME; offbeat import ray ~/ray_results/NAME --metric loss "
        "--mode min; offbeat import syne-tune ~/syne-tune/NAME",
        allow_abbrev=False,
    )
    parser.add_argument("tool", metavar="TOOL", help="optuna, ray, syne-tune; offbeat plugins importers lists all")
    parser.add_argument("source", metavar="SOURCE", help="a folder, a file, or sqlite:///FILE")
    parser.add_argument("--name", metavar="NAME", help="of the new experiment (default: as the tool calls it)")
    parser.add_argument("--study", metavar="NAME", help="which one, where the source holds several")
    parser.add_argument("--metric", action="append", metavar="NAME", help="the objective; repeat for several")
    parser.add_argument(
        "--mode",
        action="append",
        choices=("min", "max"),
        help="whether it is minimised or maximised; repeat for several",
    )
    parser.add_argument("--resource", metavar="NAME", help="what counts the progress of a trial: epoch, step ...")
    parser.add_argument(
        "--space",
        action="append",
        metavar="NAME=DOMAIN|FILE",
        help="a hyperparameter, as in 'lr=loguniform(1e-4, 1)', instead of what the source says; repeat, all are needed",
    )
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=import_)


def import_(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.importing import import_experiment

    experiment = import_experiment(
        args.tool,
        args.source,
        name=args.name,
        study=args.study,
        metric=args.metric,
        mode=args.mode,
        resource_attr=args.resource,
        space=_space(args.space),
        home=args.home,
    )
    origin = experiment.spec.metadata["imported"]
    for note in origin["notes"]:
        print(f"offbeat: {note}", file=sys.stderr)
    if args.json:
        print_json(experiment.summary())
        return 0
    counts = ", ".join(f"{n} {status}" for status, n in experiment.counts().items())
    print(f"{experiment.name}: {len(experiment.ledger)} trials ({counts}), {experiment.n_results} results")
    print(f"  from       {' '.join(filter(None, (origin['tool'], origin['version'])))}, {origin['source']}")
    print(f"  folder     {experiment.folder.path}")
    print(f"Look at it: offbeat show {experiment.name}")
    return 0


def _space(texts: list[str] | None) -> Any:
    """The space that is given entry by entry, None if none is."""
    if not texts:
        return None
    from offbeat.cli.space_option import space_entry
    from offbeat.space.entries import entries_from_json

    entries: dict[str, Any] = {}
    for text in texts:
        entries |= space_entry(text)
    return entries_from_json(
        {name: entry if isinstance(entry, dict) else {"constant": entry} for name, entry in entries.items()}
    )
