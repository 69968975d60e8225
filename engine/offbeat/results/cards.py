"""What experiments, trials and listings show of themselves in a notebook."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from offbeat.events import ASK_TELL
from offbeat.markup import Html, card, element, facts, faint, plot, table, tuned
from offbeat.text import shown

if TYPE_CHECKING:
    from offbeat.results.experiment import Experiment
    from offbeat.results.listing import Listing
    from offbeat.results.trials import Trial
    from offbeat.tuner import Tuner

MOST: Final = 10
"""Trials in the table of an experiment, best first."""


def experiment_card(experiment: Experiment) -> str:
    """Status, best trial, the best value over time, and the best trials."""
    spec = experiment.spec
    counts = ", ".join(f"{n} {status}" for status, n in experiment.counts().items())
    late = f", {experiment.n_late} late or repeated (not counted)" if experiment.n_late else ""
    rows: list[tuple[str, object]] = [
        ("status", _status(experiment)),
        (
            "search",
            f"{spec.scheduler.name} on {spec.backend.name}, {experiment.limits.n_workers} workers, seed {spec.seed}",
        ),
        ("metric", ", ".join(metric.words for metric in spec.metrics)),
        ("trials", f"{counts or 'none yet'}; {experiment.n_results} results{late}"),
    ]
    best = experiment.best() if spec.metrics else None
    if best is not None:
        rows.append(("best", _best(experiment, best)))
    rows.append(("folder", experiment.folder.path))
    parts: list[object] = [element("strong", experiment.name), facts(rows)]
    if spec.metrics:
        improved = [(one.at, one.value) for one in experiment.incumbents]
        parts.append(
            plot(
                improved, steps=True, until=experiment.elapsed, x_name="seconds", y_name=f"best {spec.metrics[0].name}"
            )
        )
    parts.append(_trials(experiment, MOST))
    return card(*parts)


def tuner_card(tuner: Tuner) -> str:
    """The tuner's experiment where it has one, else what it would run."""
    from offbeat.errors import JournalError
    from offbeat.results.experiment import Experiment

    if tuner.folder.journal.is_dir():
        try:
            return experiment_card(Experiment(tuner.folder))
        except JournalError:  # it is about to begin
            pass
    names = ", ".join(metric.words for metric in tuner.scheduler.objective.metrics)
    search = (
        f"{type(tuner.scheduler).__name__} on {type(tuner.trial_backend).__name__}, {tuner.limits.n_workers} workers"
    )
    rows: list[tuple[str, object]] = [("status", "has not run yet"), ("search", search), ("metric", names)]
    if tuner.stopper is not None:
        rows.append(("ends by", repr(tuner.stopper)))
    rows.append(("folder", tuner.folder.path))
    return card(element("strong", tuner.name), facts(rows))


def trials_card(experiment: Experiment) -> str:
    """The trials of an experiment, best first."""
    return card(_trials(experiment, 5 * MOST))


def trial_card(experiment: Experiment, trial: Trial) -> str:
    """A trial's configuration, how it went, and its curve."""
    spec = experiment.spec
    head = [element("strong", f"{experiment.name}, trial {trial.id}"), f": {trial.status.value}"]
    if trial.reason:
        head.append(faint(f" ({trial.reason})"))
    rows: list[tuple[str, object]] = [("attempts", trial.attempts), ("reports", trial.reports)]
    if trial.record.rejected:
        rows.append(("not usable", trial.record.rejected))
    if spec.resource_attr:
        rows.append((spec.resource_attr, trial.resource))
    rows.append(("seconds", round(trial.seconds, 3)))
    if trial.cost:
        rows.append(("cost", trial.cost))
    if trial.value is not None:
        rows.append((f"best {spec.metrics[0].name}", trial.value))
    if trial.last is not None:
        told = {name: value for name, value in trial.last.items() if not name.startswith("st_")}
        rows.append(("last result", tuned(told)))
    if trial.checkpoints is not None:
        rows.append(("checkpoints", trial.checkpoints))
    parts: list[object] = [
        element("div", *head),
        table(("hyperparameter", "value"), [(name, repr_of(value)) for name, value in trial.config.items()]),
        facts(rows),
    ]
    if spec.metrics:
        points = [(float(p.resource or i), p.value) for i, p in enumerate(trial.curve(), 1)]
        parts.append(plot(points, x_name=spec.resource_attr or "report", y_name=spec.metrics[0].name))
    return card(*parts)


def listing_card(listing: Listing) -> str:
    """Experiments as a table, and what could not be read."""
    rows = [
        (
            one.name,
            one.status,
            datetime.fromtimestamp(one.started).astimezone().strftime("%Y-%m-%d %H:%M") if one.started else "",
            round(one.elapsed, 1),
            one.scheduler,
            one.backend,
            one.trials,
            one.results,
            f"{one.metric} {shown(one.best['value'])}" if one.best else "",
        )
        for one in listing
    ]
    heads = ("name", "status", "began", "seconds", "scheduler", "backend", "trials", "results", "best")
    parts: list[object] = [faint(f"{len(listing)} experiments in {listing.home}"), table(heads, rows)]
    parts += [element("div", faint(f"{name}: unreadable, {reason}")) for name, _, reason in listing.skipped]
    return card(*parts)


def repr_of(value: Any) -> object:
    """A hyperparameter with all its digits."""
    return repr(value) if isinstance(value, float) else str(value) if not isinstance(value, int) else value


def _status(experiment: Experiment) -> Html:
    running, last = experiment.running, experiment.sessions[-1]
    if running is not None:
        return element("span", f"running by process {running.pid}, {experiment.elapsed:.1f} s so far")
    why = f": {last.reason}" if last.reason else ""
    asked = experiment.spec.backend.name == ASK_TELL
    call = experiment.goes_on_with if asked else f"Tuner.resume({experiment.name!r}).run()"
    again = "" if experiment.status == "done" else f"; go on with {call}"
    return element("span", f"{experiment.status}{why}{again}")


def _best(experiment: Experiment, best: Any) -> Html:
    resource = experiment.spec.resource_attr
    at = f" at {resource} {best.resource}" if resource and best.resource else ""
    return element(
        "span",
        element("strong", f"{best.metric} {shown(best.value)}"),
        f", trial {best.trial.id}{at} ",
        faint(tuned(best.config)),
    )


def _trials(experiment: Experiment, most: int) -> Html:
    spec = experiment.spec
    names = [name for name, entry in spec.space.items() if "domain" in entry]
    ranked = experiment.trials.ranked()
    rows = [
        (
            trial.id,
            trial.status.value,
            trial.resource if spec.resource_attr else trial.reports,
            trial.value,
            *(trial.config.get(name) for name in names),
        )
        for trial in ranked[:most]
    ]
    metric = spec.metrics[0].name if spec.metrics else "best"
    found = table(("trial", "status", spec.resource_attr or "reports", metric, *names), rows)
    if len(ranked) <= most:
        return found
    return element("div", found, faint(f"and {len(ranked) - most} more"))
