"""`offbeat plugins`: what is installed under which name, and whether it can be used."""

from __future__ import annotations

import argparse

from offbeat.cli.output import add_json, print_json, print_table


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "plugins",
        help="list the installed plugins and their health",
        description="List the installed plugins. Each is imported to find out whether it can be used; runs import only "
        "what they use.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "group",
        nargs="?",
        metavar="GROUP",
        help="schedulers, searchers, backends, reporters, stoppers, blackboxes, blackbox_types, exporters; or integrations, "
        "each of which loads its library",
    )
    add_json(parser)
    parser.set_defaults(handler=plugins)


def plugins(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.registry import available, health

    entries = [
        {
            "name": info.name,
            "group": info.group,
            "distribution": info.distribution,
            "version": info.version,
            "target": info.target,
            "health": health(info),
        }
        for info in available(args.group)
    ]
    if args.json:
        print_json(entries)
        return 0
    heads = ("name", "group", "distribution", "version", "health")
    print_table(heads, [tuple(entry[head] for head in heads) for entry in entries])
    return 0
