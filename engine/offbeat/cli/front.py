"""The Pareto set of an experiment with several objectives, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offbeat.cli.output import print_table
from offbeat.text import printable, shown

if TYPE_CHECKING:
    from offbeat.results import Experiment, ParetoPoint


def has_several(experiment: Experiment) -> bool:
    """Whether there is more than one objective."""
    return sum(spec.role == "objective" for spec in experiment.spec.metrics) > 1


def front_entry(point: ParetoPoint) -> dict[str, Any]:
    """A result as JSON."""
    return {
        "trial": point.trial.id,
        "values": point.values,
        "resource": point.resource,
        "at": point.at,
        "status": point.trial.status.value,
        "config": point.config,
        "checkpoints": point.checkpoints,
    }


def print_front(experiment: Experiment, most: int | None = None) -> bool:
    """The Pareto set as a table, and its hypervolume; False if there is none.

    Args:
        experiment: with several objectives.
        most: rows at most.
    """
    from offbeat.results import in_order

    spec = experiment.spec
    words = " and ".join(metric.words for metric in spec.metrics if metric.role == "objective")
    bounds = ", ".join(metric.words for metric in spec.metrics if metric.role == "constraint")
    found = experiment.pareto()
    if not found:
        told = f"fulfils {bounds}" if bounds else "has reported all objectives"
        print(f"No Pareto set of {printable(words)}: no trial {printable(told)} yet.")
        return False
    volume = experiment.hypervolume()
    corner = ", ".join(f"{name} {shown(value)}" for name, value in volume.reference.items())
    where = f" where {bounds}" if bounds else ""
    print(f"Pareto set of {printable(words + where)}: {len(found)} results")
    print(f"Hypervolume {shown(volume.value)}, measured from {printable(corner)}")
    # Of conditional hyperparameters, the first configuration may lack some that others have.
    names = list(in_order(spec.space, {name: None for one in found for name in one.config}))
    print_table(
        ("trial", *found[0].values, *([spec.resource_attr] if spec.resource_attr else []), *names),
        [
            (
                one.trial.id,
                *one.values.values(),
                *([one.resource] if spec.resource_attr else []),
                *(one.config.get(name) for name in names),
            )
            for one in found[:most]
        ],
    )
    if most is not None and len(found) > most:
        print(f"... and {len(found) - most} more: offbeat best {experiment.name}")
    return True
