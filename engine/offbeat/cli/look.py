"""`offbeat ls`, `show` and `best`: experiments, trials and configurations as the journal tells them."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import TYPE_CHECKING, Any

from offbeat.cli.output import add_home, add_json, curve, flags, print_json, print_table, shown, shown_exactly

if TYPE_CHECKING:
    from offbeat.cli.reading import Reading
    from offbeat.trial import TrialRecord

TAIL = 10
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
    from offbeat.cli.reading import Reading
    from offbeat.errors import OffbeatError
    from offbeat.home import experiments, root

    entries: list[dict[str, Any]] = []
    for folder in experiments(args.home):
        try:
            reading = Reading(str(folder.path))
            best = best_entries(reading, 1)
            entries.append(
                {
                    "name": folder.name,
                    "state": reading.state,
                    "began": reading.sessions[0].host.wall_time if reading.sessions else None,
                    "elapsed": reading.elapsed,
                    "trials": len(reading.ledger) if reading.sessions else 0,
                    "metric": reading.spec.metrics[0].name,
                    "best": best[0]["value"] if best else None,
                }
            )
        except OffbeatError as error:
            entries.append({"name": folder.name, "state": f"unreadable: {error}"})
    if args.json:
        print_json(entries)
        return 0
    if not entries:
        print(f"No experiment in {root(args.home)}. Start one: offbeat demo")
        return 0
    print_table(
        ("name", "state", "began", "seconds", "trials", "best"),
        [
            (
                entry["name"],
                entry["state"],
                _moment(entry.get("began")),
                round(entry.get("elapsed", 0.0), 1),
                entry.get("trials"),
                "" if entry.get("best") is None else f"{entry['metric']} {shown(entry['best'])}",
            )
            for entry in entries
        ],
    )
    return 0


def show_one(args: argparse.Namespace) -> int:
    """Handles `show`."""
    from offbeat.cli.reading import Reading

    reading = Reading(args.name, args.home)
    if args.trial is not None:
        return _show_trial(reading, args.trial, as_json=args.json)
    spec = reading.spec
    if args.json:
        print_json(
            {
                "name": spec.name,
                "folder": str(reading.folder.path),
                "state": reading.state,
                "elapsed": reading.elapsed,
                "spec": spec,
                "limits": reading.limits,
                "sessions": [
                    {"number": s.number, "host": s.host, "began": s.began, "ended": s.ended, "outcome": s.outcome, "reason": s.reason}
                    for s in reading.sessions
                ],
                "trials": [trial_entry(reading, trial) for trial in reading.ledger],
            }
        )
        return 0
    print(f"{spec.name}: {reading.state}" + (f" ({reading.engine})" if reading.live else ""))
    print(f"  folder     {reading.folder.path}")
    print(f"  scheduler  {component(spec.scheduler.name, spec.scheduler.distribution, spec.scheduler.version)}")
    print(f"  backend    {component(spec.backend.name, spec.backend.distribution, spec.backend.version)}")
    print(f"  metric     {', '.join(f'{metric.name} ({metric.mode})' for metric in spec.metrics)}")
    print(f"  limits     {limits_text(reading)}")
    for session in reading.sessions:
        end = f"{session.outcome}: {session.reason}" if session.outcome else "open" if reading.live else "the engine died"
        span = f"{session.began:.1f} to {max(session.ended, session.began):.1f} s" if session.outcome else f"from {session.began:.1f} s"
        print(f"  session {session.number}  {_moment(session.host.wall_time)}, {span}, {end}")
    print(f"  trials     {status_counts(reading)}\n")
    if reading.ranking():
        print_best(reading)
        print()
    _print_trials(reading, args.n)
    print(f"\nOne trial: offbeat show {spec.name} TRIAL; why it was started and stopped: offbeat explain {spec.name} TRIAL")
    return 0


def show_best(args: argparse.Namespace) -> int:
    """Handles `best`."""
    from offbeat.cli.reading import Reading

    reading = Reading(args.name, args.home)
    entries = best_entries(reading, args.n)
    if args.json:
        print_json(entries)
        return 0
    if not entries:
        print("No trial has reported yet.")
        return 1
    if args.n == 1:
        print_best(reading, with_curve=False)
        return 0
    metric, resource = reading.spec.metrics[0].name, reading.spec.resource_attr or "reports"
    names = list(entries[0]["config"])
    print_table(
        ("trial", metric, resource, *names),
        [(e["trial"], e["value"], e["resource"], *(e["config"].get(name) for name in names)) for e in entries],
    )
    return 0


def best_entries(reading: Reading, n: int) -> list[dict[str, Any]]:
    """The best trials as JSON."""
    return [{**trial_entry(reading, trial), "value": value} for value, trial in reading.ranking()[:n]]


def trial_entry(reading: Reading, trial: TrialRecord) -> dict[str, Any]:
    """A trial as JSON."""
    metric = reading.spec.metrics[0].name
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


def print_best(reading: Reading, *, with_curve: bool = True) -> None:
    """The best trial: value, configuration, its flags, and its curve."""
    ranking = reading.ranking()
    if not ranking:
        print("No trial has reported anything.")
        return
    value, trial = ranking[0]
    spec = reading.spec
    metric, resource = spec.metrics[0].name, spec.resource_attr
    at = f" at {resource} {trial.best[resource]}" if resource and trial.best and resource in trial.best else ""
    print(f"Best: {metric} {shown(value)}, trial {trial.id}{at}")
    width = max(map(len, trial.config), default=0)
    for name, setting in trial.config.items():
        print(f"  {name:<{width}}  {shown_exactly(setting)}")
    if with_curve:
        points = reading.curve(trial.id)
        if len(points) > 1:
            print()
            print(curve(points, metric=metric, resource=resource or "report"))
    else:
        print(f"As flags: {flags(trial.config)}")


def _show_trial(reading: Reading, number: int, *, as_json: bool) -> int:
    trial = reading.trial(number)
    results = reading.results(number)
    if as_json:
        entry = trial_entry(reading, trial)
        print_json({**entry, "results": results})
        return 0
    spec, folder = reading.spec, reading.folder.attempt(number, max(trial.attempt, 0))
    print(f"{spec.name}, trial {number}: {trial.status.value}" + (f" ({trial.reason})" if trial.reason else ""))
    for name, value in trial.config.items():
        print(f"  {name} = {shown_exactly(value)}")
    print(f"  attempts {trial.attempt + 1}, reports {trial.reports}, not usable {trial.rejected}, {trial.active:.1f} s")
    print(f"  output   {folder}")
    points = reading.curve(number)
    if len(points) > 1:
        print()
        print(curve(points, metric=spec.metrics[0].name, resource=spec.resource_attr or "report"))
    elif results:
        print(f"  reported {', '.join(f'{name}={shown(value)}' for name, value in results[0].metrics.items())}")
    tail = _tail(folder / "stderr")
    if tail:
        print("\nEnd of its stderr:")
        print("\n".join(f"  {line}" for line in tail))
    return 0


def _tail(path: Any) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16384))
            return file.read().decode("utf-8", "replace").splitlines()[-TAIL:]
    except OSError:
        return []


def _print_trials(reading: Reading, n: int) -> None:
    from offbeat.cli.reading import constants

    spec = reading.spec
    metric = spec.metrics[0].name
    fixed = constants(spec.space)
    ranked = [trial for _, trial in reading.ranking()]
    seen = {trial.id for trial in ranked}
    order = ranked + [trial for trial in reading.ledger if trial.id not in seen]
    names = [name for name in spec.space if name not in fixed]
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


def status_counts(reading: Reading) -> str:
    """`12 finished, 61 stopped`."""
    from offbeat.trial import Status

    parts = [f"{count} {status.value}" for status in Status if (count := len(reading.ledger.having(status)))]
    return ", ".join(parts) or "none yet"


def limits_text(reading: Reading) -> str:
    """Workers and stop criterion in one line."""
    limits = reading.limits
    criterion = limits.stop_criterion
    text = f"{limits.n_workers} workers"
    if criterion is not None:
        options = criterion.options
        text += ", " + (
            ", ".join(f"{name}={value}" for name, value in options.items()) if options is not None else criterion.name
        )
    if limits.max_failures is not None:
        text += f", max_failures={limits.max_failures}"
    return text


def component(name: str, distribution: str, version: str) -> str:
    """`asha (offbeat 0.1.0)`."""
    return f"{name} ({distribution} {version})" if distribution else name


def _moment(wall: float | None) -> str:
    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S") if wall else ""
