"""`offbeat plot`: pictures of experiments as files."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from offbeat.cli.output import add_home, add_json, print_json

if TYPE_CHECKING:
    from offbeat.results import Experiment

FORMATS: Final = ("png", "svg", "pdf")

DPI: Final = 150


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "plot",
        help="draw experiments: best so far, timeline, curves, rungs ...",
        description="Draw experiments, running and simulated ones too, into files. Without --kind every plot that they "
        "have something for is drawn into a folder.",
        epilog="Example: offbeat plot digits-0 digits-1 digits-2 --kind best --out best.svg. "
        "offbeat plugins plots lists the kinds.",
        allow_abbrev=False,
    )
    parser.add_argument("names", metavar="EXPERIMENT", nargs="+")
    parser.add_argument("--kind", action="append", metavar="PLUGIN", help="best, curves, rungs ...; repeat it")
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE|DIR",
        help="with one --kind a file that ends with .png, .svg or .pdf; else a folder (default: EXPERIMENT-plots)",
    )
    parser.add_argument("--format", choices=FORMATS, help="of files in a folder (default: png)")
    parser.add_argument("--metric", metavar="NAME", help="default: the first objective")
    parser.add_argument("--mode", choices=["min", "max"], help="of a metric that is no objective")
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=plot)


def plot(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.errors import InvalidArgument, NothingToPlot
    from offbeat.results import load

    experiments = [load(name, args.home) for name in args.names]
    file = Path(args.out) if args.out is not None and Path(args.out).suffix[1:].lower() in FORMATS else None
    if file is not None and args.format not in (None, file.suffix[1:].lower()):
        raise InvalidArgument(f"--out {args.out} and --format {args.format} say different things; leave one out.")
    kinds = _kinds(args.kind)
    pictures = list(_pictures(kinds, experiments))
    if file is not None and len(pictures) > 1:
        raise InvalidArgument(
            f"--out {args.out} is one file, but {len(pictures)} pictures are asked for: name a folder."
        )
    folder = Path(args.out or f"{experiments[0].name}-plots") if file is None else file.parent
    folder.mkdir(parents=True, exist_ok=True)
    options = {"metric": args.metric, "mode": args.mode}
    written: list[dict[str, str]] = []
    left_out: list[dict[str, str]] = []
    for kind, draw, which, name in pictures:
        try:
            figure = draw(which, **_taken(draw, options))
        except NothingToPlot as reason:
            if args.kind is not None and len(pictures) == 1:
                raise
            left_out.append({"kind": kind, "reason": str(reason)})
            continue
        path = file or folder / f"{name}.{args.format or 'png'}"
        _save(figure, path)
        written.append({"kind": kind, "path": str(path)})
        if not args.json:
            print(f"Written: {path}", flush=True)
    if args.json:
        print_json({"written": written, "left_out": left_out})
    else:
        for one in left_out:
            print(f"Left out: {one['kind']}: {one['reason']}", file=sys.stderr)
    return 0 if written else 1


def _kinds(wanted: Sequence[str] | None) -> dict[str, Any]:
    """Plots by name: those that were asked for, or all that draw experiments."""
    from offbeat.errors import InvalidArgument
    from offbeat.registry import available, load

    if wanted is None:
        found = {info.name: load("offbeat.plots", f"{info.distribution}:{info.name}") for info in available("plots")}
        return {name: draw for name, draw in found.items() if hasattr(draw, "draws")}
    chosen = {name: load("offbeat.plots", name) for name in dict.fromkeys(wanted)}
    for name, draw in chosen.items():
        if not hasattr(draw, "draws"):
            raise InvalidArgument(f"--kind {name}: this plot does not draw experiments.")
    return chosen


def _pictures(kinds: dict[str, Any], experiments: list[Experiment]) -> Iterator[tuple[str, Any, Any, str]]:
    """(kind, plot, what it is given, name of the file) of each picture."""
    for kind, draw in kinds.items():
        if draw.draws == "several" or len(experiments) == 1:
            yield kind, draw, experiments, kind
        else:
            for number, one in enumerate(experiments):
                same = [other.name for other in experiments].count(one.name) > 1
                yield kind, draw, one, f"{kind}-{one.name}{f'-{number}' if same else ''}"


def _taken(draw: Any, options: dict[str, Any]) -> dict[str, Any]:
    takes = inspect.signature(draw).parameters
    return {name: value for name, value in options.items() if value is not None and name in takes}


def _save(figure: Any, path: Path) -> None:
    """Writes beside the old file, then replaces it: whoever looks meanwhile finds a whole picture."""
    temporary = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        figure.savefig(temporary, dpi=DPI)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
