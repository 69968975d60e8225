"""What a suggestion maximises, of the processes of one or several outputs, and its gradient by the codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from offbeat_plugins.acquisition.functions import (
    log_cost,
    log_expected_improvement,
    log_probability_below,
    lower_confidence_bound,
)
from offbeat_plugins.acquisition.hypervolume import (
    Boxes,
    Scalarisation,
    log_expected_hypervolume_improvement,
    scalarised_confidence_bound,
)
from offbeat_plugins.surrogates.process import Posterior, Setting, predict, pulled_back

Acquisition: TypeAlias = Literal["log-ei", "ucb", "thompson", "log-ehvi", "chebyshev"]

ACQUISITIONS: Final = ("log-ei", "ucb", "thompson", "log-ehvi", "chebyshev")

SEVERAL: Final = ("log-ehvi", "chebyshev")
"""Those of several objectives."""


class Aim(NamedTuple):
    """Numbers of a criterion, all in the standardised targets of their outputs.

    Attributes:
        best: (S,), lowest objective value to be improved on.
        improve: 1, or 0 while no point is known to be feasible: then only feasibility counts (Gardner et al. 2014).
        bounds: (constraints,), feasible up to here.
        exponent: what the mean of the logarithm of cost is multiplied by; 0: costs do not count.
        kappa: of the confidence bound.
        several: what a criterion of several objectives aims at, of these in their order: `Boxes` for "log-ehvi",
            `Scalarisation` for "chebyshev"; else nothing.
    """

    best: Any
    improve: Any
    bounds: Any
    exponent: Any
    kappa: Any
    several: Boxes | Scalarisation | tuple[()] = ()


class Roles(NamedTuple):
    """Which output is what: objectives come first, then constraints, then the logarithm of cost if there is one."""

    acquisition: Acquisition
    constraints: int
    cost: bool
    objectives: int = 1


def criterion(
    setting: Setting, processes: Sequence[Posterior], x: Any, aim: Aim, roles: Roles, *, gradient: bool
) -> tuple[Any, Any]:
    """Value (q,) at x (q, d) and, if asked for, its gradient (q, d); larger is better.

    Constrained EI is log EI plus the log probabilities of every constraint; EI per cost takes the log cost off.
    """
    xp, log_ndtr = setting.ar.xp, setting.ar.log_ndtr
    objectives = [predict(setting, process, x) for process in processes[: roles.objectives]]
    means, variances = [one.mean for one in objectives], [one.variance for one in objectives]
    if isinstance(aim.several, Boxes):
        value, parts = log_expected_hypervolume_improvement(xp, log_ndtr, means, variances, aim.several)
    elif isinstance(aim.several, Scalarisation):
        value, parts = scalarised_confidence_bound(xp, means, variances, aim.several, aim.kappa)
    else:
        if roles.acquisition == "ucb":
            scored = lower_confidence_bound(xp, means[0], variances[0], aim.kappa)
        else:
            scored = log_expected_improvement(xp, log_ndtr, means[0], variances[0], aim.best)
        value, parts = scored.value, [scored]
    value = aim.improve * value
    slope: Any = None
    if gradient:
        slopes = [
            pulled_back(setting, process, at, x, part[1:])
            for process, at, part in zip(processes, objectives, parts, strict=False)
        ]
        slope = aim.improve * sum(slopes[1:], slopes[0])
    for place in range(roles.constraints):
        process = processes[roles.objectives + place]
        at = predict(setting, process, x)
        scored = log_probability_below(xp, log_ndtr, at.mean, at.variance, aim.bounds[place])
        value = value + scored.value
        if gradient:
            slope = slope + pulled_back(setting, process, at, x, scored[1:])
    if roles.cost:
        process = processes[-1]
        at = predict(setting, process, x)
        value = value + log_cost(at.mean, aim.exponent)
        if gradient:
            share = xp.zeros_like(at.mean) - aim.exponent / at.mean.shape[1]
            slope = slope + pulled_back(setting, process, at, x, (share, xp.zeros_like(at.variance)))
    return value, slope
