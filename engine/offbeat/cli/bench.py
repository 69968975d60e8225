"""`offbeat bench`: schedulers compared in simulated time, with statistics and a page on what to use when."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from offbeat.cli.output import add_home, add_json, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from offbeat.bench import Comparison
    from offbeat.bench.past import Past

SCHEDULERS: Final = "random,asha,asha:type=promotion,median-stopping-rule"
ENDS: Final = "random,tpe,rea"
"""Who is compared by default where trials report nothing before their end."""

FOLDER: Final = "offbeat-bench"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "bench",
        help="compare schedulers on recorded trainings, with many seeds and statistics",
        description="Compare schedulers in simulated time. Finished runs are kept: a campaign that was interrupted goes on, "
        "and only what has changed (a scheduler, its options, a benchmark, a seed, the code) is run again.",
        epilog="Example: offbeat bench --schedulers random,asha:type=promotion,mine=asha:brackets=2 --benchmarks "
        "digits,mine.toml --seeds 30 --jobs 4",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--schedulers",
        action="append",
        metavar="NAME[:KEY=VALUE,...],...",
        help=f"who is compared, LABEL= in front renames; repeat it or use commas (default: {SCHEDULERS}; {ENDS} "
        "for experiments without resource levels)",
    )
    parser.add_argument(
        "--benchmarks",
        metavar="NAME,...",
        help="digits, lcbench-7593, <blackbox>-<dataset>, or FILE.toml with definitions (default: digits, or none with "
        "--from)",
    )
    parser.add_argument(
        "--from",
        dest="past",
        action="extend",
        nargs="+",
        default=[],
        metavar="EXPERIMENT",
        help="your own experiments, to whose journals curves and costs are fitted",
    )
    parser.add_argument(
        "--workers", metavar="N,...", help="with --from: worker counts to compare, with equal total work (2,4,8)"
    )
    parser.add_argument("--max-t", type=int, metavar="N", help="with --from: the level at which a training ends")
    parser.add_argument("--seeds", default="10", metavar="N", help="how many, or a range such as 10-19 (default 10)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at once (default 1)")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="seconds for one run (default 600)")
    parser.add_argument("--repository", metavar="DIR", help="folder of recorded benchmarks")
    parser.add_argument(
        "--recorded", action="append", default=[], metavar="FILE", help="runs of other tools, JSON lines; repeat it"
    )
    parser.add_argument(
        "-o", "--output", default=FOLDER, metavar="DIR", help=f"where runs, tables and page lie (default: {FOLDER})"
    )
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=bench)


def bench(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.bench import compare
    from offbeat.bench.writing import write

    folder = Path(args.output)
    past = _past(args)
    names = args.benchmarks or ("" if past else "digits")
    progress, end = _progress()
    try:
        comparison = compare(
            args.schedulers or (ENDS if past and not names and past.fit.levels == (1, 1) else SCHEDULERS),
            [*(one.strip() for one in names.split(",") if one.strip()), *(past.benchmarks if past else ())],
            _seeds(args.seeds),
            folder=folder,
            jobs=args.jobs,
            timeout=args.timeout,
            repository=args.repository,
            recorded=args.recorded,
            progress=progress,
        )
    except KeyboardInterrupt:
        end()
        print(
            f"offbeat: interrupted. Finished runs are kept in {folder / 'cells'}; the same command goes on from there.",
            file=sys.stderr,
        )
        return 130
    end()
    files, why = write(comparison, folder)
    if why:
        print(f"offbeat: no pictures: {why}", file=sys.stderr)
    if args.json:
        print_json(_document(comparison, files) | _past_document(comparison, past))
    else:
        _show(comparison, folder)
        _show_past(comparison, past)
    for method, benchmark, seed, error in comparison.failures:
        print(f"offbeat: {method} on {benchmark} with seed {seed} failed: {error}", file=sys.stderr)
    return 1 if comparison.failures else 0


def _past(args: argparse.Namespace) -> Past | None:
    """Benchmarks fitted to the user's experiments; what there is to know of the fit is told before they are run."""
    from offbeat.errors import InvalidArgument

    if not args.past:
        for option, value in (("--workers", args.workers), ("--max-t", args.max_t)):
            if value is not None:
                raise InvalidArgument(f"{option} is about experiments that are given with --from.")
        return None
    from offbeat.bench.past import past

    try:
        workers = None if args.workers is None else [int(one) for one in args.workers.split(",")]
    except ValueError:
        raise InvalidArgument(f"--workers {args.workers!r}: write counts, as in 2,4,8.") from None
    found = past(args.past, workers=workers, max_t=args.max_t, home=args.home)
    for line in found.fit.lines():
        print(line, file=sys.stderr if args.json else sys.stdout)
    if not args.json:
        print()
    return found


def _show_past(comparison: Comparison, past: Past | None) -> None:
    from offbeat.bench.past import by_workers

    if past is None or len(past.benchmarks) < 2:
        return
    rows = list(by_workers(comparison, past.benchmarks))
    methods = list(rows[0]["regret"]) if rows else []
    print("\nWorkers, with equal total work: mean normalised regret at the end")
    print_table(
        ("workers", "seconds", *methods),
        [(one["workers"], one["seconds"], *(one["regret"].get(method) for method in methods)) for one in rows],
        indent="  ",
    )


def _past_document(comparison: Comparison, past: Past | None) -> dict[str, Any]:
    from offbeat.bench.past import by_workers

    if past is None:
        return {}
    return {"past": {"fit": past.fit, "workers": list(by_workers(comparison, past.benchmarks))}}


def _seeds(text: str) -> int | list[int]:
    """`30`, `10-19` or `1,5,7`. Raises InvalidArgument."""
    from offbeat.errors import InvalidArgument

    found: list[int] = []
    wrong = False
    try:
        if "," not in text and "-" not in text:
            return int(text)
        for part in text.split(","):
            first, dash, last = part.partition("-")
            numbers = range(int(first), int(last) + 1) if dash else [int(first)]
            wrong = wrong or not numbers
            found += numbers
    except ValueError:
        wrong = True
    if wrong:
        raise InvalidArgument(f"--seeds {text!r}: write how many, or which, as in 30 or 10-19.")
    return found


def _progress() -> tuple[Callable[[int, int, int], None] | None, Callable[[], None]]:
    """What is told after each run, and what ends the line; nothing where nobody watches."""
    if not sys.stderr.isatty():
        return None, lambda: None
    from offbeat.clock import SystemClock

    clock = SystemClock()
    began, first = clock.monotonic(), [0]

    def tell(done: int, total: int, failed: int) -> None:
        first[0] = first[0] or done
        each = (clock.monotonic() - began) / max(1, done - first[0] + 1)
        left = f", about {max(1, round(each * (total - done)))} s left" if done < total else ""
        print(f"\r\033[K{done} of {total} runs{f', {failed} failed' if failed else ''}{left}", end="", file=sys.stderr)
        sys.stderr.flush()

    def end() -> None:
        if first[0]:
            print("\r\033[K", end="", file=sys.stderr)

    return tell, end


def _show(comparison: Comparison, folder: Path) -> None:
    from offbeat.bench.advice import advice
    from offbeat.bench.page import cautions, scores, unsuitable

    for group in comparison.groups:
        print(f"{group.title}: {group.scale}, mean and 95 % interval")
        print_table(*scores(group), indent="  ")
        for sentence in advice(group):
            print(f"  {sentence.replace('**', '')}")
        print()
    for sentence, names in cautions(comparison).items():
        print(f"Careful with {', '.join(names)}: {sentence}")
    for (method, why), names in unsuitable(comparison).items():
        print(f"{method} was not run on {', '.join(names)}: {why}")
    print(f"Tables, pictures and page: {folder / 'comparison.html'}")


def _document(comparison: Comparison, files: list[Path]) -> dict[str, Any]:
    import msgspec

    from offbeat.bench.advice import advice

    return {
        "benchmarks": [
            {**msgspec.structs.asdict(one), "blackbox": str(one.blackbox)} for one in comparison.benchmarks.values()
        ],
        "groups": [
            {
                "name": group.name,
                "scale": group.scale,
                "benchmarks": group.values.benchmarks,
                "scores": group.scores,
                "pairs": group.pairs,
                "advice": advice(group),
                "left_out": group.left_out,
            }
            for group in comparison.groups
        ],
        "failures": [
            dict(zip(("method", "benchmark", "seed", "error"), one, strict=True)) for one in comparison.failures
        ],
        "unsuitable": [
            {"method": method, "benchmark": benchmark, "why": why}
            for (method, benchmark), why in comparison.unsuitable.items()
        ],
        "files": [str(path) for path in files],
    }
