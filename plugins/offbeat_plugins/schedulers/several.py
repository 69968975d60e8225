"""Arguments that schedulers of several objectives share."""

from __future__ import annotations

from collections.abc import Sequence

from offbeat.errors import InvalidArgument


def several_metrics(
    metric: Sequence[str] | None, metrics: Sequence[str] | None, *, owner: str, instead: str
) -> list[str]:
    """The names of the objectives from an argument with a second name, two at least. Raises InvalidArgument.

    Args:
        metric: one of both is given, or both alike.
        metrics: likewise.
        owner: whose arguments they are.
        instead: what to use for one objective.
    """
    if metric is not None and metrics is not None and list(metric) != list(metrics):
        raise InvalidArgument(f"metric={metric!r} and metrics={metrics!r} mean the same argument: give one of them.")
    given = metrics if metric is None else metric
    if given is None:
        raise InvalidArgument(f"{owner} needs metrics=: a list of the names of the reported metrics to optimise.")
    names = [given] if isinstance(given, str) else list(given)
    if len(names) < 2:
        raise InvalidArgument(f"metrics={names!r}: {owner} needs two objectives at least. For one there is {instead}.")
    return names
