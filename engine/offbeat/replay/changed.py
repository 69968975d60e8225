"""Another scheduler for the same search: other options, another seed, another method; space and metrics stay."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from offbeat.describe import arguments_of
from offbeat.errors import InvalidArgument, nearest
from offbeat.events import ExperimentSpec
from offbeat.protocols import Scheduler
from offbeat.registry import load
from offbeat.replay.rebuilding import rebuilt


def changed_scheduler(
    spec: ExperimentSpec,
    *,
    scheduler: str | Scheduler | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Scheduler | None:
    """A scheduler in its initial state for the experiment's space and metrics; None if nothing is to be changed.

    Args:
        spec: what the experiment is.
        scheduler: name of a plugin, or an object; None: the recorded one, with other options.
        options: arguments of its constructor over the recorded ones, or for another plugin over what the experiment says
            (space, metric, mode, resource, highest level, seed).
        seed: in place of the recorded one.

    Raises InvalidArgument for one that searches another space or ranks by other metrics, UnknownPlugin, and what the
    constructor raises.
    """
    if scheduler is None and not options and seed is None:
        return None
    if scheduler is not None and not isinstance(scheduler, str):
        if options or seed is not None:
            raise InvalidArgument("options and a seed go with a scheduler given by name; this one is an object.")
        made = scheduler
    else:
        made = _made(spec, scheduler, dict(options or {}), seed)
    check_fits(made, spec)
    return made


def _made(spec: ExperimentSpec, name: str | None, options: dict[str, Any], seed: int | None) -> Scheduler:
    recorded = rebuilt(spec.scheduler, spec)
    same = name is None or name in (spec.scheduler.name, f"{spec.scheduler.distribution}:{spec.scheduler.name}")
    if seed is not None:
        options["random_seed"] = seed
    if same:
        if recorded.problem:
            raise InvalidArgument(f"The recorded scheduler cannot be changed: {recorded.problem}.")
        made: Scheduler = type(recorded.scheduler)(**{**(arguments_of(recorded.scheduler) or {}), **options})
        return made
    plugin = load("offbeat.schedulers", str(name))
    takes = inspect.signature(plugin).parameters
    given = {key: value for key, value in _said(recorded.scheduler).items() if key in takes and value is not None}
    built: Scheduler = plugin(**{**given, **options})
    return built


def _said(recorded: Scheduler) -> dict[str, Any]:
    """What the experiment says to every scheduler, under the names that they share."""
    objective = recorded.objective
    specs = list(objective.optimised)
    several = len(specs) > 1
    names, modes = [one.name for one in specs], [one.mode for one in specs]
    return {
        "config_space": recorded.space,
        "metric": names if several else names[0],
        "mode": modes if several else modes[0],
        "nonfinite": {one.name: one.nonfinite for one in specs} if several else specs[0].nonfinite,
        "resource_attr": objective.resource_attr,
        "max_resource_attr": objective.max_resource_attr,
        "max_t": objective.max_t if objective.max_resource_attr is None else None,
        "random_seed": recorded.seed,
    }


def check_fits(scheduler: Scheduler, spec: ExperimentSpec) -> None:
    """Raises InvalidArgument for a scheduler to which the recorded results mean nothing."""
    space, objective = scheduler.space.to_json(), scheduler.objective
    if space != spec.space:
        names = [name for name in {**space, **spec.space} if space.get(name) != spec.space.get(name)]
        raise InvalidArgument(
            f"The scheduler searches another space than {spec.name!r}: it differs in {', '.join(map(repr, names))}."
        )
    theirs, ours = (
        [(one.name, one.mode) for one in metrics if one.role == "objective"]
        for metrics in (objective.metrics, spec.metrics)
    )
    if theirs != ours:
        raise InvalidArgument(
            f"The scheduler is about {_words(theirs)}, {spec.name!r} about {_words(ours)}. "
            + nearest(theirs[0][0], [name for name, _ in ours])
        )
    sure = [one.name for one in spec.metrics]
    for one in objective.metrics:
        if one.name not in sure:
            raise InvalidArgument(
                f"The scheduler needs {one.words}, and results of {spec.name!r} need not have it. {nearest(one.name, sure)}"
            )
    if objective.resource_attr != spec.resource_attr:
        raise InvalidArgument(
            f"The scheduler counts the resource by {objective.resource_attr!r}, {spec.name!r} by {spec.resource_attr!r}: "
            "its results have no such level."
        )


def _words(metrics: list[tuple[str, Any]]) -> str:
    return ", ".join(f"{name} ({mode})" for name, mode in metrics)
