"""`offbeat ls`, `show` and `best`: experiments, trials and configurations as the journal tells them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from offbeat.byte_sizes import in_words
from offbeat.cli.output import add_home, add_json, curve, flags, print_json, print_table, shown_exactly
from offbeat.text import printable, shown

if TYPE_CHECKING:
    from offbeat.events import ComponentDescription
    from offbeat.results import Best, Experiment, Trial

FILTERS: Final = ("status", "metric", "scheduler", "backend")
"""Options of `ls` that are arguments of `list_experiments`."""

MOST: Final = 10
"""Results of a Pareto set that `show` and the end of a run print."""

TAIL: Final = 10
"""Lines of a trial's stderr that `show` prints."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands."""
    ls = commands.add_parser("ls", help="list the experiments", allow_abbrev=False)
    ls.add_argument("names", metavar="NAME", nargs="*", help="only those whose name fits a pattern: 'digits-*'")
    for option in FILTERS:
        ls.add_argument(f"--{option}", action="append", metavar="NAME", help=f"only this {option}; repeat for others")
    ls.add_argument("--since", metavar="WHEN", help="only those that began or went on since: 12h, 2d, 2026-11-23")
    show = commands.add_parser("show", help="show an experiment, or one of its trials", allow_abbrev=False)
    show.add_argument("name", metavar="NAME")
    show.add_argument("trial", metavar="TRIAL", type=int, nargs="?")
    show.add_argument("-n", type=int, default=10, metavar="N", help="how many trials to list, best first (default 10)")
    best = commands.add_parser(
        "best", help="print the best configurations; of several objectives the Pareto set", allow_abbrev=False
    )
    best.add_argument("name", metavar="NAME")
    best.add_argument("-n", type=int, metavar="N", help="how many (default: one; the whole Pareto set)")
    best.add_argument("--metric", metavar="NAME", help="by this objective alone")
    best.add_argument(
        "--checkpoint",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="print the path of the best trial's checkpoint alone; with FOLDER, copy it there first",
    )
    for parser, handler in ((ls, list_all), (show, show_one), (best, show_best)):
        add_home(parser)
        add_json(parser)
        parser.set_defaults(handler=handler)


def list_all(args: argparse.Namespace) -> int:
    """Handles `ls`. An experiment that cannot be read is listed with the reason."""
    from offbeat.results import list_experiments

    filters = {option: getattr(args, option) for option in FILTERS}
    listing = list_experiments(args.names or None, since=args.since, home=args.home, **filters)
    skipped = [] if args.status else listing.skipped
    if args.json:
        unreadable = [{**one._asdict(), "status": "unreadable"} for one in skipped]
        print_json([*listing, *unreadable])
        return 0
    if not listing and not skipped:
        if args.names or args.since or any(filters.values()):
            print(f"No experiment in {listing.home} fits.")
        else:
            print(f"No experiment in {listing.home}. Start one: offbeat demo")
        return 0
    rows: list[tuple[object, ...]] = [
        (
            one.name,
            one.status,
            _moment(one.started),
            round(one.elapsed, 1),
            one.trials,
            one.results,
            f"{one.metric} {shown(one.best['value'])}" if one.best else "",
        )
        for one in listing
    ]
    rows += [(one.name, "unreadable", "", None, None, None, "") for one in skipped]
    print_table(("name", "status", "began", "seconds", "trials", "results", "best"), rows)
    for one in skipped:
        print(f"{one.name}: {printable(one.reason)}")
    return 0


def show_one(args: argparse.Namespace) -> int:
    """Handles `show`."""
    import msgspec

    from offbeat.results import load

    _check_n(args.n)
    experiment = load(args.name, args.home)
    if args.trial is not None:
        return _show_trial(experiment, args.trial, as_json=args.json)
    spec = experiment.spec
    if args.json:
        print_json(
            {
                **msgspec.structs.asdict(experiment.summary()),
                "spec": spec,
                "limits": experiment.limits,
                "sessions": experiment.sessions,
                "trials": [trial_entry(trial) for trial in experiment.trials],
            }
        )
        return 0
    status = f"{experiment.status} by process {experiment.running.pid}" if experiment.running else experiment.status
    print(f"{experiment.name}: {status}")
    print(f"  folder     {experiment.folder.path}")
    print(f"  scheduler  {_component(spec.scheduler)}, seed {spec.seed}")
    print(f"  backend    {_component(spec.backend)}")
    print(f"  metric     {', '.join(metric.words for metric in spec.metrics)}")
    print(f"  limits     {limits_text(experiment)}")
    if origin := spec.metadata.get("imported"):
        print(f"  imported   {printable(origin['source'])}, digest {origin['digest'] or 'unknown'}")
    for session in experiment.sessions:
        last = session is experiment.sessions[-1]
        end = f"{session.outcome}: {session.reason}" if session.outcome else ""
        end = end or _open_end(experiment, last=last)
        until = f" to {session.closed:.1f} s" if session.closed is not None else " s on"
        print(f"  session {session.number}  {_moment(session.started)}, {session.opened:.1f}{until}, {end}")
    counts = ", ".join(f"{n} {status}" for status, n in experiment.counts().items())
    late = f", {experiment.n_late} late or repeated ones (not counted)" if experiment.n_late else ""
    print(f"  trials     {counts or 'none yet'}; {experiment.n_results} results{late}\n")
    if experiment.best() is not None:
        print_found(experiment)
        print()
    _print_trials(experiment, args.n)
    name = experiment.name
    print(f"\nOne trial: offbeat show {name} TRIAL; why it was started and stopped: offbeat explain {name} TRIAL")
    return 0


def _open_end(experiment: Experiment, *, last: bool) -> str:
    """What to say of a session that did not close."""
    if not last:
        return "the engine died; the next session went on from there"
    if experiment.running:
        return "open"
    return f"the engine died; go on with: {experiment.goes_on_with}"


def _check_n(n: int) -> None:
    from offbeat.errors import InvalidArgument

    if n < 1:
        raise InvalidArgument(f"-n {n}: give a whole number from 1 up.")


def show_best(args: argparse.Namespace) -> int:
    """Handles `best`."""
    from offbeat.cli.front import front_entry, has_several, print_front
    from offbeat.results import in_order, load

    if args.n is not None:
        _check_n(args.n)
    experiment = load(args.name, args.home)
    if args.checkpoint is not None:
        from offbeat.cli.best_checkpoint import show_checkpoint

        return show_checkpoint(experiment, args)
    if args.metric is None and has_several(experiment):
        if args.json:
            print_json([front_entry(one) for one in experiment.pareto()[: args.n]])
            return 0
        return 0 if print_front(experiment, args.n) else 1
    found = experiment.best(args.metric, n=args.n or 1)
    if args.json:
        print_json([best_entry(one) for one in found])
        return 0
    if not found:
        print("No trial has reported anything yet.")
        return 1
    if args.n in (None, 1):
        print_best(experiment, found[0], with_curve=False)
        return 0
    # Of conditional hyperparameters, the first configuration may lack some that others have.
    names = list(in_order(experiment.spec.space, {name: None for one in found for name in one.config}))
    print_table(
        ("trial", found[0].metric, experiment.spec.resource_attr or "resource", *names),
        [(one.trial.id, one.value, one.resource, *(one.config.get(name) for name in names)) for one in found],
    )
    return 0


def best_entry(best: Best) -> dict[str, Any]:
    """A best result as JSON."""
    return {
        "trial": best.trial.id,
        "metric": best.metric,
        "value": best.value,
        "resource": best.resource,
        "at": best.at,
        "status": best.trial.status.value,
        "config": best.config,
        "checkpoints": best.checkpoints,
    }


def trial_entry(trial: Trial) -> dict[str, Any]:
    """A trial as JSON."""
    return {
        "trial": trial.id,
        "status": trial.status.value,
        "reason": trial.reason,
        "attempt": trial.attempts - 1,
        "resource": trial.resource,
        "reports": trial.reports,
        "rejected": trial.record.rejected,
        "value": trial.value,
        "best": trial.best,
        "last": trial.last,
        "seconds": trial.seconds,
        "cost": trial.cost,
        "config": trial.config,
    }


def print_found(experiment: Experiment) -> None:
    """The best trial with its curve; of several objectives the Pareto set."""
    from offbeat.cli.front import has_several, print_front

    if has_several(experiment):
        print_front(experiment, MOST)
    elif (best := experiment.best()) is not None:
        print_best(experiment, best)
    else:
        print("No trial has reported anything.")


def print_best(experiment: Experiment, best: Best, *, with_curve: bool = True) -> None:
    """A trial: value, configuration, and its curve or its flags."""
    from offbeat.results import in_order

    resource = experiment.spec.resource_attr
    at = f" at {resource} {best.resource}" if resource and best.resource else ""
    print(f"Best: {best.metric} {shown(best.value)}, trial {best.trial.id}{at}")
    config = best.config
    width = max(map(len, config), default=0)
    for name, setting in config.items():
        print(f"  {name:<{width}}  {printable(shown_exactly(setting))}")
    if not with_curve:
        constants = {name: entry["constant"] for name, entry in experiment.spec.space.items() if "constant" in entry}
        print(f"As flags: {printable(flags(in_order(experiment.spec.space, {**constants, **config})))}")
    else:
        _print_curve(experiment, best.trial.id)


def _print_curve(experiment: Experiment, trial: int) -> None:
    points = [(float(point.resource or i), float(point.value)) for i, point in enumerate(experiment.curve(trial), 1)]
    if len(points) > 1:
        print()
        spec = experiment.spec
        print(curve(points, metric=spec.metrics[0].name, resource=spec.resource_attr or "report"))


def _show_trial(experiment: Experiment, number: int, *, as_json: bool) -> int:
    trial = experiment.trials[number]
    if as_json:
        results = [row for row in experiment.results(late=True) if row["trial"] == number]
        print_json({**trial_entry(trial), "results": results})
        return 0
    folder = experiment.folder.attempt(number, max(trial.attempts - 1, 0))
    print(
        f"{experiment.name}, trial {number}: {trial.status.value}"
        + (f" ({printable(trial.reason)})" if trial.reason else "")
    )
    for name, value in trial.config.items():
        print(f"  {name} = {printable(shown_exactly(value))}")
    rejected = trial.record.rejected
    print(f"  attempts {trial.attempts}, reports {trial.reports}, not usable {rejected}, {trial.seconds:.1f} s")
    if folder.is_dir():  # a simulated or imported trial has printed nothing
        print(f"  output   {folder}")
    if trial.last is not None:
        print(f"  last     {', '.join(f'{k}={shown(v)}' for k, v in trial.last.items() if not k.startswith('st_'))}")
    _print_curve(experiment, number)
    if tail := _tail(folder / "stderr"):
        print("\nEnd of its stderr:")
        print("\n".join(f"  {printable(line)}" for line in tail))
    return 0


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16384))
            return file.read().decode("utf-8", "replace").splitlines()[-TAIL:]
    except OSError:
        return []


def _print_trials(experiment: Experiment, n: int) -> None:
    spec = experiment.spec
    metric = spec.metrics[0].name
    order = experiment.trials.ranked()
    names = [name for name, entry in spec.space.items() if "domain" in entry]
    print_table(
        ("trial", "status", spec.resource_attr or "reports", metric, *names),
        [
            (
                trial.id,
                trial.status.value,
                trial.resource if spec.resource_attr else trial.reports,
                trial.value,
                *(trial.config.get(name) for name in names),
            )
            for trial in order[:n]
        ],
    )
    if len(order) > n:
        print(f"... and {len(order) - n} more (-n {len(order)} lists all)")


def limits_text(experiment: Experiment) -> str:
    """Workers, stop criterion and failures allowed, in one line."""
    limits = experiment.limits
    parts = [limits.workers]
    if (criterion := limits.stop_criterion) is not None:
        parts.append(_criterion_text(criterion.name, criterion.options))
    if limits.max_failures is not None:
        parts.append(f"max_failures={limits.max_failures}")
    if limits.checkpoint_budget is not None:
        parts.append(f"checkpoints up to {in_words(limits.checkpoint_budget)}")
    return ", ".join(parts)


def _criterion_text(name: str, options: Mapping[str, Any] | None) -> str:
    if not options:
        return name
    if name == "combined":
        parts: list[Mapping[str, Any]] = [part["$component"] for part in options["criteria"]]
        between = " or " if options.get("how") == "any" else " and "
        return f"({between.join(_criterion_text(part['name'], part['options']) for part in parts)})"
    told = ", ".join(f"{key}={value}" for key, value in options.items())
    return told if name == "criterion" else f"{name}({told})"


def _component(description: ComponentDescription) -> str:
    if not description.distribution:
        return description.name
    return f"{description.name} ({f'{description.distribution} {description.version}'.strip()})"


def _moment(wall: float | None) -> str:
    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S") if wall else ""
