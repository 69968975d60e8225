"""`offbeat sim`: experiments in simulated time, to compare schedulers and to try a plan before it is paid for."""

from __future__ import annotations

import argparse
import inspect
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from offbeat.cli.output import add_home, add_json, print_json, print_table
from offbeat.cli.run import LIMITS, budget, given_limits, one_or_several, pairs

DEFAULT_BLACKBOX: Final = "digits"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "sim",
        help="run experiments in simulated time, on recorded trainings",
        description="Run experiments in simulated time: trials are looked up in a blackbox instead of being trained. "
        "Everything else is as in a real run.",
        epilog="Example: offbeat sim --blackbox digits --scheduler asha --workers 4 --max-wallclock-time 3600 "
        "--faults spot-5% --seeds 10",
        allow_abbrev=False,
    )
    parser.add_argument("file", nargs="?", metavar="FILE.toml", help="an experiment.toml whose [backend] is simulated")
    parser.add_argument("--blackbox", metavar="NAME", help=f"recorded trainings (default: {DEFAULT_BLACKBOX})")
    parser.add_argument("--dataset", metavar="NAME", help="which data set of the blackbox")
    parser.add_argument("--repository", metavar="DIR", help="folder of blackbox folders (offbeat blackboxes)")
    parser.add_argument("--scheduler", metavar="PLUGIN", help="default: asha, or random-search without resource levels")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another argument of the scheduler; repeat it",
    )
    parser.add_argument(
        "--backend-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another argument of the simulated backend, such as delay_start=5; repeat it",
    )
    parser.add_argument(
        "--metric", action="append", metavar="NAME", help="default: the blackbox's first objective; repeat for several"
    )
    parser.add_argument("--mode", metavar="min|max", help="default: as the blackbox declares it; for several: min,max")
    parser.add_argument("--workers", type=int, metavar="N", help="trials that run at once (default 4)")
    parser.add_argument(
        "--faults",
        metavar="PROFILE",
        help="what goes wrong: spot-5%% (preemptions an hour), crash-2%%, hang-1%%, slow-10%%",
    )
    parser.add_argument(
        "--max-retries", type=int, metavar="N", help="starts of a failed trial before its failure counts"
    )
    parser.add_argument("--checkpoint-size", metavar="BYTES", help="of each trial: '35 MB'")
    parser.add_argument("--checkpoint-budget", metavar="BYTES", help="most that all checkpoints may take: '1 GB'")
    parser.add_argument("--price", type=float, metavar="DOLLARS", help="of a worker's hour")
    parser.add_argument("--seed", type=int, help="of the first experiment (default 0)")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="experiments, with seeds counted up (default 1)"
    )
    parser.add_argument("--name", help="keep the experiments, under NAME or NAME-SEED; without it they are thrown away")
    for name, (kind, metavar, text) in LIMITS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=sim)


def sim(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.cli import experiment_file
    from offbeat.errors import InvalidArgument

    if args.seeds < 1:
        raise InvalidArgument(f"--seeds {args.seeds}: give a whole number from 1 up.")
    if args.file is not None:
        path = Path(args.file)
        if not path.is_file():
            raise InvalidArgument(f"There is no file {str(path)!r}.")
        tables, base, where = experiment_file.read(path), path.absolute().parent, str(path)
    else:
        tables, base, where = {}, Path.cwd(), ""
    _merge(tables, args)
    first = args.seed if args.seed is not None else tables["experiment"].get("seed", 0)
    rows = []
    with ExitStack() as stack:
        home = args.home
        if args.name is None:
            home = stack.enter_context(tempfile.TemporaryDirectory(prefix="offbeat-sim-"))
        for seed in range(first, first + args.seeds):
            name = "sim" if args.name is None else args.name
            own = {
                **tables,
                "experiment": {
                    **tables["experiment"], "seed": seed, "name": name if args.seeds == 1 else f"{name}-{seed}",
                },
                "backend": {**tables["backend"]},
            }  # fmt: skip
            if "faults" in own["backend"]:
                own["backend"].setdefault("fault_seed", seed)
            tuner = experiment_file.build(
                own, base=base, where=where, home=home, observers=[], limits=given_limits(args)
            )
            rows.append(_simulated(tuner, seed))
    if args.json:
        print_json({"experiments": rows, "mean": _means(rows)})
    else:
        _show(rows)
    return 0 if all(row["outcome"] == "done" for row in rows) else 1


def _merge(tables: dict[str, Any], args: argparse.Namespace) -> None:
    """What the command line says put over the file, and what neither says taken from the blackbox."""
    from offbeat.errors import InvalidArgument

    experiment = tables.setdefault("experiment", {})
    backend = tables.setdefault("backend", {})
    scheduler = tables.setdefault("scheduler", {})
    if backend.setdefault("plugin", "simulated") not in ("simulated", "offbeat:simulated"):
        raise InvalidArgument(
            f"[backend] plugin is {backend['plugin']!r}; offbeat sim takes 'simulated'. Use offbeat run."
        )
    for table, key, value in (
        (experiment, "workers", args.workers),
        (experiment, "max_retries", args.max_retries),
        (experiment, "checkpoint_budget", budget(args.checkpoint_budget)),
        (backend, "checkpoint_size", budget(args.checkpoint_size)),
        (backend, "blackbox", args.blackbox),
        (backend, "dataset", args.dataset),
        (backend, "repository", args.repository),
        (backend, "faults", args.faults),
        (backend, "dollars_per_hour", args.price),
        (scheduler, "plugin", args.scheduler),
        (scheduler, "metric", one_or_several(args.metric)),
        (scheduler, "mode", one_or_several(args.mode.split(",") if args.mode else None)),
    ):
        if value is not None:
            table[key] = value
    scheduler.update(pairs(args.option, "--option"))
    backend.update(pairs(args.backend_option, "--backend-option"))
    backend.setdefault("blackbox", DEFAULT_BLACKBOX)
    _complete(tables, backend, scheduler)


def _complete(tables: dict[str, Any], backend: dict[str, Any], scheduler: dict[str, Any]) -> None:
    """Space, metric and resource as the blackbox has them, where nothing else was said."""
    from offbeat.blackbox import load_blackbox
    from offbeat.errors import InvalidArgument, nearest
    from offbeat.registry import load

    blackbox = load_blackbox(backend["blackbox"], backend.get("dataset"), repository=backend.get("repository"))
    levels, resource = blackbox.levels, blackbox.resource_attr
    several = len(levels) > 1
    elapsed = backend.get("elapsed_time_attr") or blackbox.elapsed_attr
    ranked = [name for name, mode in blackbox.objectives.items() if mode is not None and name != elapsed]
    if ranked:
        scheduler.setdefault("metric", ranked[0])
    given = scheduler.get("metric")
    metrics = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    for metric in metrics:
        if metric not in blackbox.objectives:
            raise InvalidArgument(
                f"metric={metric!r} is no objective of the blackbox. {nearest(str(metric), blackbox.objectives)}"
            )
    modes = [blackbox.objectives[metric] for metric in metrics]
    if len(modes) > 1:
        scheduler.setdefault("mode", [mode or "min" for mode in modes])
    elif modes and modes[0] is not None:
        scheduler.setdefault("mode", modes[0])
    pruning = "moasha" if len(metrics) > 1 else "asha"
    scheduler.setdefault("plugin", pruning if several else "random-search")
    takes = inspect.signature(load("offbeat.schedulers", scheduler["plugin"])).parameters
    if "space" not in tables:
        space = blackbox.space.to_json()
        maximum = next((name for name, one in blackbox.space.constants.items() if one == levels[-1]), f"max_{resource}")
        if several:
            space.setdefault(maximum, {"constant": levels[-1]})
            if "max_resource_attr" in takes:
                scheduler.setdefault("max_resource_attr", maximum)
        tables["space"] = space
    if "resource_attr" in takes and several and "time_attr" not in scheduler:
        scheduler.setdefault("resource_attr", resource)
    if (told := scheduler.get("max_resource_attr")) is not None:
        backend.setdefault("max_resource_attr", told)


def _simulated(tuner: Any, seed: int) -> dict[str, Any]:
    """Runs one experiment and says what came of it."""
    from offbeat.results import load

    outcome = tuner.run()
    found = load(outcome.folder)
    best = found.best()
    counts = found.counts()
    return {
        "seed": seed,
        "name": outcome.name,
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "metric": found.spec.metrics[0].name,
        "best": None if best is None else best.value,
        "best_at": None if best is None else best.at,
        "config": None if best is None else best.config,
        "simulated_time": found.elapsed,
        "trials": len(found.ledger),
        "results": found.n_results,
        "failed": counts.get("failed", 0),
        "restarts": sum(record.attempt for record in found.ledger if record.attempt > 0),
        "worker_hours": sum(record.active for record in found.ledger) / 3600,
        "cost": sum(record.cost for record in found.ledger),
    }


_COLUMNS: Final = (
    "seed",
    "best",
    "best_at",
    "simulated_time",
    "trials",
    "results",
    "failed",
    "restarts",
    "worker_hours",
    "cost",
)
_AVERAGED: Final = _COLUMNS[1:]


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    columns = {name: [row[name] for row in rows if row[name] is not None] for name in _AVERAGED}
    return {name: statistics.fmean(values) for name, values in columns.items() if values}


def _show(rows: Sequence[dict[str, Any]]) -> None:
    metric = rows[0]["metric"]
    heads = [metric if name == "best" else name.replace("_", " ") for name in _COLUMNS]
    lines: list[Sequence[object]] = [[row[name] for name in _COLUMNS] for row in rows]
    if len(rows) > 1:
        means = _means(rows)
        lines.append(["mean", *(means.get(name) for name in _AVERAGED)])
    print_table(heads, lines)
    if len(rows) == 1:
        row = rows[0]
        print(f"\nEnded: {row['reason']}")
        if row["config"] is not None:
            from offbeat.cli.output import flags

            print(f"Best:  {flags(row['config'])}")
