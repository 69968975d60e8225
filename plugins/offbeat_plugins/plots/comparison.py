"""Schedulers compared over several seeds: one line and one band for each group of experiments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from offbeat.errors import InvalidArgument, nearest
from offbeat.results import Experiment
from offbeat.text import shown
from offbeat_plugins.plots import canvas, steps
from offbeat_plugins.plots.best import improvements
from offbeat_plugins.plots.given import Given, common_metric, draws, nothing, several

IGNORED = frozenset({"config_space", "random_seed", "points_to_evaluate", "metric", "mode"})
"""Options of a scheduler in which experiments of one group may differ, or which are the task and not the method."""


@draws("several")
def comparison(
    experiments: Given | Iterable[Given] | Mapping[str, Given | Iterable[Given]],
    *,
    statistic: Literal["median", "mean"] = "median",
    metric: str | None = None,
    mode: str | None = None,
    ax: Any = None,
) -> Any:
    """The best value so far over time of groups of experiments, each with a band over its seeds.

    All lines of a group are read at all moments at which one of them improves: no grid of our own makes anything coarser.

    Args:
        experiments: a mapping of names to experiments; else those with the same scheduler, options and number of workers,
            seed aside, are one group, and named after what sets them apart.
        statistic: "median" with the band between the quartiles, where an experiment without a result yet is worse than
            all others; or "mean" with one standard error to each side, from when all of the group have a result.
        metric: by default the first objective, which all have to share; their spaces may differ.
        mode: "min" or "max", for a metric that is no objective.
        ax: matplotlib axes to draw into.

    Raises InvalidArgument, NothingToPlot, MissingExtra.
    """
    if statistic not in ("median", "mean"):
        raise InvalidArgument(f"statistic={statistic!r} is not valid. {nearest(str(statistic), ('median', 'mean'))}")
    found = (
        {name: several(one) for name, one in experiments.items()}
        if isinstance(experiments, Mapping)
        else groups(several(experiments))
    )
    first = next(iter(found.values()))[0]
    if sum(map(len, found.values())) < 2:
        raise nothing(first, "a comparison needs two experiments at least, of several schedulers or seeds.")
    spec = common_metric([one for group in found.values() for one in group], metric, mode)
    drawn = []
    figure, axes = None, None
    until = max(one.elapsed for group in found.values() for one in group)
    seen: list[float] = []
    for number, (name, group) in enumerate(found.items()):
        lines = [line for one in group if (line := improvements(one, spec.name, spec.mode))]
        # An experiment that never had a result stays infinitely bad; it must not vanish from its group.
        lines += [[]] * (len(group) - len(lines))
        if not any(lines):
            continue
        if axes is None:
            figure, axes = canvas.place(ax, (9, 4.8))
        times, table = steps.on_grid(lines, max(one.elapsed for one in group), spec.mode)
        if statistic == "median":
            lower, middle, upper = (steps.quantile(table, q) for q in (0.25, 0.5, 0.75))
        else:
            middle, error = steps.mean_and_error(table)
            lower, upper = middle - error, middle + error
        look = canvas.colour(number)
        label = canvas.text(f"{name} ({len(group)})")
        if len(group) > 1:
            steps.draw_band(axes, times, (lower, upper), look["color"])
        steps.draw_line(axes, times, middle, label, **look)
        drawn.append(name)
        seen += [value for value in middle.tolist() if value - value == 0]
    if axes is None:
        raise nothing(first, f"no experiment has a number called {spec.name!r} yet.")
    canvas.suit(axes, "y", seen)
    canvas.seconds(axes, until)
    canvas.quiet(axes)
    axes.set_ylabel(f"best {canvas.text(spec.name)} so far ({spec.mode})")
    band = "quartiles" if statistic == "median" else "standard error"
    canvas.title(axes, f"{statistic} of the best {canvas.text(spec.name)} so far, with {band} over the experiments")
    canvas.legend(axes)
    return figure


def groups(experiments: Iterable[Experiment]) -> dict[str, list[Experiment]]:
    """Experiments by what they have in common, named after what sets them apart, in the order given."""
    found: dict[str, list[Experiment]] = {}
    facts: dict[str, dict[str, str]] = {}
    for one in experiments:
        told = _facts(one)
        key = repr(sorted(told.items()))
        found.setdefault(key, []).append(one)
        facts[key] = told
    names = {fact for told in facts.values() for fact in told}
    telling = [name for name in sorted(names) if len({told.get(name) for told in facts.values()}) > 1]
    labelled: dict[str, list[Experiment]] = {}
    for key, group in found.items():
        parts = [f"{name}={facts[key][name]}" for name in telling if name != "scheduler" and name in facts[key]]
        labelled[", ".join([facts[key]["scheduler"], *parts])] = group
    return labelled


def _facts(experiment: Experiment) -> dict[str, str]:
    component = experiment.spec.scheduler
    options = component.options or {}
    told = {name: shown(value) for name, value in options.items() if name not in IGNORED}
    return {"scheduler": component.name, "workers": str(experiment.limits.n_workers), **told}
