"""`offbeat blackboxes`: recorded trainings that can be had by name, what they hold, and whether their files are whole."""

from __future__ import annotations

import argparse
from typing import Any

from offbeat.cli.output import add_json, print_json, print_table


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "blackboxes",
        help="list the recorded trainings that are here, or what one holds",
        description="List the blackboxes that can be had by name without a download: plugins, folders of the repository, "
        "and what was fetched from the hub. With a NAME, its tasks.",
        epilog="Example: offbeat blackboxes lcbench --repository tables. What can be fetched is not listed: "
        "fcnet, nasbench201, lcbench, pd1, hpob_NNNN, tabrepo_MODEL ...",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of them, with its tasks")
    parser.add_argument(
        "--repository",
        metavar="DIR",
        help="folder of blackbox folders (default: $OFFBEAT_BLACKBOXES or ~/.offbeat/blackboxes)",
    )
    parser.add_argument("--fetch", action="store_true", help="fetch NAME from the hub first")
    parser.add_argument(
        "--verify", action="store_true", help="read every task of NAME, and compare the hashes of what was fetched"
    )
    parser.add_argument("--hub", metavar="OWNER/NAME", help="another data set repository of the hub")
    add_json(parser)
    parser.set_defaults(handler=blackboxes)


def blackboxes(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.errors import InvalidArgument
    from offbeat.registry import available, load

    if args.name is None and (args.fetch or args.verify):
        raise InvalidArgument("--fetch and --verify are for one blackbox: offbeat blackboxes NAME --verify")
    repository = load("offbeat.blackbox_types", "offbeat:repository")(args.repository, custom_repo_id=args.hub)
    if args.fetch:
        repository.fetch(args.name)
    plugins = [info.name for info in available("offbeat.blackboxes")]
    if args.name is not None:
        found = _plugin(args.name) if args.name in plugins and not args.fetch else repository.describe(args.name)
        return _one(found, repository.verify(args.name) if args.verify and found["path"] else None, args)
    everything = [*map(_plugin, plugins), *map(repository.describe, repository.names())]
    if args.json:
        print_json(everything)
        return 0
    heads = ("name", "from", "layout", "tasks", "configurations", "seeds", "levels", "objectives")
    print_table(heads, [_line(one) for one in everything])
    print(f"\nFolders: {repository.root}{'' if repository.root.is_dir() else ' (there is no such folder yet)'}")
    for one in everything:
        if one["problem"]:
            print(f"{one['name']}: {one['problem']}")
    return 0


def _one(found: dict[str, Any], fault: str | None, args: argparse.Namespace) -> int:
    if fault is not None:
        found = {**found, "problem": fault}
    if args.json:
        print_json(found)
    else:
        for head in ("name", "from", "path", "layout"):
            if found[head]:
                print(f"{head:<7} {found[head]}")
        if found["tasks"]:
            print("\nobjectives")
            for name, mode in found["tasks"][0]["objectives"].items():
                role = "seconds of training" if name == found["tasks"][0]["elapsed_attr"] else mode or ""
                print(f"  {name}  {role}".rstrip())
            print()
            heads = ("task", "configurations", "seeds", "levels")
            print_table(heads, [[_cell(task[head]) for head in heads] for task in found["tasks"]])
        if found["problem"]:
            print(f"\nproblem: {found['problem']}")
        elif args.verify:
            print("\nwhole: every task can be read")
    return 1 if found["problem"] else 0


def _plugin(name: str) -> dict[str, Any]:
    """What a plugin's blackbox holds, where it has one data set."""
    from offbeat.blackbox import load_blackbox
    from offbeat.errors import OffbeatError

    found: dict[str, Any] = {"name": name, "from": "plugin", "path": None, "layout": None, "tasks": [], "problem": None}
    try:
        blackbox = load_blackbox(name)
    except OffbeatError as error:
        return {**found, "problem": str(error)}
    configs = getattr(blackbox, "configs", None)
    found["tasks"] = [
        {
            "task": name,
            "configurations": None if configs is None else len(configs),
            "seeds": blackbox.seeds,
            "levels": len(blackbox.levels),
            "objectives": dict(blackbox.objectives),
            "elapsed_attr": blackbox.elapsed_attr,
        }
    ]
    return found


def _line(found: dict[str, Any]) -> list[object]:
    """A line of the list; numbers that differ between tasks as a range."""
    tasks = found["tasks"]
    if found["problem"] or not tasks:
        return [
            found["name"],
            found["from"],
            found["layout"] or "",
            len(tasks),
            "",
            "",
            "",
            "cannot be read" if found["problem"] else "",
        ]
    names = list(tasks[0]["objectives"])
    shown = ", ".join(names[:3]) + (f" ... ({len(names)})" if len(names) > 3 else "")
    ranges = [_range([task[head] for task in tasks]) for head in ("configurations", "seeds", "levels")]
    return [found["name"], found["from"], found["layout"] or "", len(tasks), *ranges, shown]


def _range(numbers: list[int | None]) -> str:
    known = [number for number in numbers if number is not None]
    if not known:
        return "any"
    return str(known[0]) if min(known) == max(known) else f"{min(known)}-{max(known)}"


def _cell(value: object) -> object:
    return "any" if value is None else value
