"""`offbeat export`: an experiment's results or trials as a file, or on standard output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from offbeat.cli.output import add_home

TEXTS: Final = ("csv", "jsonl")
"""Formats that a terminal can show."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "export",
        help="write results or trials as CSV, JSON lines or Parquet",
        description="Write one row for each counted result (or trial) of an experiment, running ones too.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--format", metavar="PLUGIN", help="csv, jsonl, parquet, arrow; default: what FILE ends with, else csv"
    )
    parser.add_argument("--table", choices=["results", "trials"], default="results", help="default: results")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    parser.add_argument("--late", action="store_true", help="late and repeated results too (column `verdict`)")
    add_home(parser)
    parser.set_defaults(handler=export)


def export(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.errors import InvalidArgument
    from offbeat.results import load
    from offbeat.results.saving import save

    if args.late and args.table == "trials":
        raise InvalidArgument("--late is about results; leave it out, or ask for --table results.")
    experiment = load(args.name, args.home)
    table = experiment.results(late=args.late) if args.table == "results" else experiment.table("trials")
    if args.output is not None:
        path = Path(args.output)
        form = args.format or (None if path.suffix else "csv")
        print(f"Written: {save(table, path, form)}", file=sys.stderr)
        return 0
    form = args.format or "csv"
    if form not in TEXTS and sys.stdout.isatty():
        raise InvalidArgument(f"{form} is no text for a terminal: say where to write it with --output FILE.")
    for piece in table.encode(form):
        sys.stdout.buffer.write(piece)
    return 0
