"""What a plot was given: experiments, loaded or by name, one or several, and what it is drawn from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from offbeat.errors import InvalidArgument, NothingToPlot, nearest
from offbeat.events import MetricSpec
from offbeat.home import ExperimentFolder
from offbeat.results import Experiment, load

Given: TypeAlias = Experiment | ExperimentFolder | str | os.PathLike[str]
"""An experiment, or where it lies."""

F = TypeVar("F", bound=Callable[..., Any])


def draws(what: Literal["one", "several"]) -> Callable[[F], F]:
    """Decorator that says how many experiments a plot draws into one picture; see `offbeat.protocols.Plot`."""

    def mark(plot: F) -> F:
        plot.draws = what  # type: ignore[attr-defined]
        return plot

    return mark


def several(experiments: Given | Iterable[Given]) -> list[Experiment]:
    """All of them, loaded. Raises InvalidArgument for none, and what `load` raises."""
    if isinstance(experiments, Experiment | ExperimentFolder | str | os.PathLike):
        return [_loaded(experiments)]
    found = [_loaded(one) for one in experiments]
    if not found:
        raise InvalidArgument("No experiment was given: pass one, or a list of them, loaded or by name.")
    return found


def one(experiments: Given | Iterable[Given], plot: str) -> Experiment:
    """The only one. Raises InvalidArgument for several."""
    found = several(experiments)
    if len(found) > 1:
        raise InvalidArgument(f"{plot} draws one experiment, not {len(found)}: call it for each, with ax= if wanted.")
    return found[0]


def _loaded(experiment: Given) -> Experiment:
    return experiment if isinstance(experiment, Experiment) else load(experiment)


def metric_of(experiment: Experiment, metric: str | None, mode: str | None) -> MetricSpec:
    """The metric to draw: the first objective if none is named. Raises InvalidArgument, NothingToPlot."""
    if mode not in (None, "min", "max"):
        raise InvalidArgument(f"mode={mode!r} is not valid. {nearest(str(mode), ('min', 'max'))}")
    objectives = {spec.name: spec for spec in experiment.spec.metrics}
    if metric is None:
        if not objectives:
            raise NothingToPlot(f"{experiment.name} has no objective: say which metric is meant with metric=.")
        found = experiment.spec.metrics[0]
    elif metric in objectives:
        found = objectives[metric]
    elif mode is None:
        raise InvalidArgument(
            f"metric={metric!r} is not an objective of {experiment.name}. {nearest(metric, objectives)} For another "
            "reported metric say mode='min' or mode='max'."
        )
    else:
        return MetricSpec(metric, mode)  # type: ignore[arg-type]
    return found if mode is None else MetricSpec(found.name, mode)  # type: ignore[arg-type]


def common_metric(experiments: Sequence[Experiment], metric: str | None, mode: str | None) -> MetricSpec:
    """The metric to draw of all of them; their spaces may differ.

    Raises InvalidArgument where one of them has another objective, unless `mode` says how values are to be compared; and
    what `metric_of` raises.
    """
    first, *others = experiments
    spec = metric_of(first, metric, mode)
    for other in others if mode is None else ():
        theirs = [one for one in other.spec.metrics if one.name == spec.name]
        if not theirs or theirs[0].mode != spec.mode:
            told = ", ".join(one.words for one in (theirs or other.spec.metrics)) or "nothing"
            raise InvalidArgument(
                f"{first.name} is drawn by {spec.name} ({spec.mode}), and {other.name} optimises {told}: draw those together "
                "that have an objective in common, or say metric= and mode= (--metric, --mode)."
            )
    return spec


def nothing(experiment: Experiment, needs: str) -> NothingToPlot:
    """The error for an experiment that has not what a plot needs."""
    return NothingToPlot(f"{experiment.name} ({experiment.status}, {len(experiment.ledger)} trials): {needs}")
