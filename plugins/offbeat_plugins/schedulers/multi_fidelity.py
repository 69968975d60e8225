"""What schedulers that compare trials at resource levels need to be told: a resource, its maximum, and one metric."""

from __future__ import annotations

from collections.abc import Mapping

from offbeat.arguments import highest_level, one_name
from offbeat.errors import InvalidArgument
from offbeat.protocols import Mode, NonFinite, Objective
from offbeat.space import Space


def multi_fidelity_objective(
    name: str,
    space: Space,
    metric: str,
    mode: Mode,
    *,
    resource_attr: str | None,
    time_attr: str | None,
    max_resource_attr: str | None,
    max_t: int | None,
    nonfinite: NonFinite | Mapping[str, NonFinite],
    several: str = "give its name alone.",
) -> tuple[Objective, int]:
    """The objective of a scheduler, and the highest resource level. Raises InvalidArgument.

    `name` of the scheduler and `several`, what somebody who gave several metrics should do, are for the messages; the rest
    are its constructor's arguments.
    """
    resource = one_name(resource_attr, time_attr, name="resource_attr", alias_name="time_attr")
    if resource is None:
        raise InvalidArgument(
            f"{name} needs resource_attr=: the name under which the training script reports its progress, as in "
            "report(epoch=epoch + 1, ...) and resource_attr='epoch'."
        )
    top = required_level(name, space, max_t, max_resource_attr)
    objective = Objective.of(
        metric, mode, nonfinite=nonfinite, resource_attr=resource, max_resource_attr=max_resource_attr, max_t=top
    )
    if len(objective.metrics) > 1:
        raise InvalidArgument(f"metric={metric!r}: {name} ranks trials by one metric; {several}")
    return objective, top


def required_level(name: str, space: Space, max_t: int | None, max_resource_attr: str | None) -> int:
    """See `offbeat.arguments.highest_level`; raises InvalidArgument where there is none."""
    top = highest_level(space, max_t, max_resource_attr)
    if top is None:
        raise InvalidArgument(
            f"{name} needs the highest resource level: pass max_t=..., or put a constant such as 'epochs': 81 into "
            "config_space and name it in max_resource_attr=."
        )
    return top
