"""What came of each trial: its best value of a metric, best trial first."""

from __future__ import annotations

from typing import NamedTuple

from offbeat.events import MetricSpec
from offbeat.results import Experiment, Trial
from offbeat.results.history import history
from offbeat_plugins.plots.given import metric_of, nothing


class Outcome(NamedTuple):
    """A trial and its best finite value."""

    trial: Trial
    value: float


def outcomes(experiment: Experiment, metric: str | None, mode: str | None) -> tuple[MetricSpec, list[Outcome]]:
    """The metric, and all trials that have reported it, best first. Raises InvalidArgument, NothingToPlot."""
    spec = metric_of(experiment, metric, mode)
    sign = 1 if spec.mode == "min" else -1
    found = []
    for trial, results in history(experiment).results.items():
        values = [value for result in results if (value := result.value(spec.name)) is not None and value - value == 0]
        if values:
            found.append(Outcome(experiment.trials[trial], sign * min(sign * value for value in values)))
    if not found:
        raise nothing(experiment, f"nobody has reported a number called {spec.name!r} yet.")
    return spec, sorted(found, key=lambda outcome: (sign * outcome.value, outcome.trial.id))
