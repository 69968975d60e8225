"""`offbeat ls`, `show` and `best`: experiments, trials and configurations as the journal tells them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from offbeat.cli.output import add_home, add_json, curve, flags, print_json, print_table, shown, shown_exactly
from offbeat.text import printable

if TYPE_CHECKING:
    from offbeat.events import ComponentDescription
    from offbeat.results import Best, Experiment
    from offbeat.trial import TrialRecord

TAIL: Final = 10
"""Lines of a trial's stderr that `show` prints."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands."""
    ls = commands.add_parser("ls", help="list the experiments", allow_abbrev=False)
    show = commands.add_parser("show", help="show an experiment, or one of its trials", allow_abbrev=False)
    show.add_argument("name", metavar="NAME")
    show.add_argument("trial", metavar="TRIAL", type=int, nargs="?")
    show.add_argument("-n", type=int, default=10, metavar="N", help="how many trials to list, best first (default 10)")
    best = commands.add_parser("best", help="print the best configurations", allow_abbrev=False)
    best.add_argument("name", metavar="NAME")
    best.add_argument("-n", type=int, default=1, metavar="N", help="how many (default 1)")
    for parser, handler in ((ls, list_all), (show, show_one), (best, show_best)):
        add_home(parser)
        add_json(parser)
        parser.set_defaults(handler=handler)


def list_all(args: argparse.Namespace) -> int:
    """Handles `ls`. An experiment that cannot be read is listed with the reason."""
    from offbeat.errors import OffbeatError
    from offbeat.home import experiments, root
    from offbeat.results import load

    entries: list[dict[str, Any]] = []
    for folder in experiments(args.home):
        try:
            entries.append(load(folder).summary())
        except OffbeatError as error:
            entries.append(
                {"name": folder.name, "path": str(folder.path), "status": "unreadable", "reason": str(error)}
            )
    if args.json:
        print_json(entries)
        return 0
    if not entries:
        print(f"No experiment in {root(args.home)}. Start one: offbeat demo")
        return 0
    print_table(
        ("name", "status", "began", "seconds", "trials", "results", "best"),
        [
            (
                entry["name"],
                entry["status"],
                _moment(entry.get("started")),
                round(entry["elapsed"], 1) if "elapsed" in entry else None,
                entry.get("trials"),
                entry.get("results"),
                f"{entry['metric']} {shown(entry['best']['value'])}" if entry.get("best") else "",
            )
            for entry in entries
        ],
    )
    for entry in entries:
        if entry["status"] == "unreadable":
            print(f"{entry['name']}: {entry['reason']}")
    return 0


def show_one(args: argparse.Namespace) -> int:
    """Handles `show`."""
    from offbeat.results import load

    _check_n(args.n)
    experiment = load(args.name, args.home)
    if args.trial is not None:
        return _show_trial(experiment, args.trial, as_json=args.json)
    spec = experiment.spec
    if args.json:
        print_json(
            {
                **experiment.summary(),
                "spec": spec,
                "limits": experiment.limits,
                "sessions": experiment.sessions,
                "trials": [trial_entry(experiment, trial) for trial in experiment.ledger],
            }
        )
        return 0
    status = f"{experiment.status} by process {experiment.running.pid}" if experiment.running else experiment.status
    print(f"{experiment.name}: {status}")
    print(f"  folder     {experiment.folder.path}")
    print(f"  scheduler  {_component(spec.scheduler)}, seed {spec.seed}")
    print(f"  backend    {_component(spec.backend)}")
    print(f"  metric     {', '.join(f'{metric.name} ({metric.mode})' for metric in spec.metrics)}")
    print(f"  limits     {limits_text(experiment)}")
    for session in experiment.sessions:
        last = session is experiment.sessions[-1]
        end = f"{session.outcome}: {session.reason}" if session.outcome else ""
        end = end or _open_end(experiment, last=last)
        until = f" to {session.closed:.1f} s" if session.closed is not None else " s on"
        print(f"  session {session.number}  {_moment(session.started)}, {session.opened:.1f}{until}, {end}")
    counts = ", ".join(f"{n} {status}" for status, n in experiment.counts().items())
    late = f", {experiment.n_late} late or repeated ones (not counted)" if experiment.n_late else ""
    print(f"  trials     {counts or 'none yet'}; {experiment.n_results} results{late}\n")
    best = experiment.best()
    if best is not None:
        print_best(experiment)
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
    from offbeat.results import load

    _check_n(args.n)
    experiment = load(args.name, args.home)
    found = experiment.best(n=args.n)
    if args.json:
        print_json([best_entry(one) for one in found])
        return 0
    if not found:
        print("No trial has reported anything yet.")
        return 1
    if args.n == 1:
        print_best(experiment, with_curve=False)
        return 0
    # Of conditional hyperparameters, the first configuration may lack some that others have.
    names = list(in_order(experiment, {name: None for one in found for name in one.config}))
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


def trial_entry(experiment: Experiment, trial: TrialRecord) -> dict[str, Any]:
    """A trial as JSON."""
    metric = experiment.spec.metrics[0].name
    return {
        "trial": trial.id,
        "status": trial.status.value,
        "reason": trial.reason,
        "attempt": trial.attempt,
        "resource": trial.resource,
        "reports": trial.reports,
        "rejected": trial.rejected,
        "value": trial.best[metric] if trial.best is not None else None,
        "best": trial.best,
        "last": trial.last,
        "seconds": trial.active,
        "config": trial.config,
    }


def print_best(experiment: Experiment, *, with_curve: bool = True) -> None:
    """The best trial: value, configuration, and its curve or its flags."""
    best = experiment.best()
    if best is None:
        print("No trial has reported anything.")
        return
    resource = experiment.spec.resource_attr
    at = f" at {resource} {best.resource}" if resource and best.resource else ""
    print(f"Best: {best.metric} {shown(best.value)}, trial {best.trial.id}{at}")
    config = in_order(experiment, best.config)
    width = max(map(len, config), default=0)
    for name, setting in config.items():
        print(f"  {name:<{width}}  {printable(shown_exactly(setting))}")
    if not with_curve:
        constants = {name: entry["constant"] for name, entry in experiment.spec.space.items() if "constant" in entry}
        print(f"As flags: {printable(flags(in_order(experiment, {**constants, **config})))}")
    else:
        _print_curve(experiment, best.trial.id)


def in_order(experiment: Experiment, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in the order in which its space was written."""
    return {name: config[name] for name in (*experiment.spec.space, *config) if name in config}


def _print_curve(experiment: Experiment, trial: int) -> None:
    points = [(float(point.resource or i), float(point.value)) for i, point in enumerate(experiment.curve(trial), 1)]
    if len(points) > 1:
        print()
        spec = experiment.spec
        print(curve(points, metric=spec.metrics[0].name, resource=spec.resource_attr or "report"))


def trial_of(experiment: Experiment, number: int) -> TrialRecord:
    """A trial by its number. Raises InvalidArgument that says which there are."""
    from offbeat.errors import InvalidArgument
    from offbeat.trial import TrialId

    count = len(experiment.ledger)
    if not 0 <= number < count:
        there = f"0 to {count - 1}" if count else "none yet"
        raise InvalidArgument(f"Experiment {experiment.name!r} has no trial {number}; there are {there}.")
    return experiment.ledger[TrialId(number)]


def _show_trial(experiment: Experiment, number: int, *, as_json: bool) -> int:
    trial = trial_of(experiment, number)
    if as_json:
        results = [row for row in experiment.results() if row["trial"] == number]
        print_json({**trial_entry(experiment, trial), "results": results})
        return 0
    folder = experiment.folder.attempt(number, max(trial.attempt, 0))
    print(
        f"{experiment.name}, trial {number}: {trial.status.value}"
        + (f" ({printable(trial.reason)})" if trial.reason else "")
    )
    for name, value in in_order(experiment, trial.config).items():
        print(f"  {name} = {printable(shown_exactly(value))}")
    print(f"  attempts {trial.attempt + 1}, reports {trial.reports}, not usable {trial.rejected}, {trial.active:.1f} s")
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
    ranked = [best.trial for best in experiment.best(n=len(experiment.ledger))]
    seen = {trial.id for trial in ranked}
    order = ranked + [trial for trial in experiment.ledger if trial.id not in seen]
    names = [name for name, entry in spec.space.items() if "domain" in entry]
    print_table(
        ("trial", "status", spec.resource_attr or "reports", metric, *names),
        [
            (
                trial.id,
                trial.status.value,
                trial.resource if spec.resource_attr else trial.reports,
                trial.best[metric] if trial.best else None,
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
    return f"{description.name} ({description.distribution} {description.version})"


def _moment(wall: float | None) -> str:
    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S") if wall else ""
