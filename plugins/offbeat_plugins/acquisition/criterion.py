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
from offbeat_plugins.surrogates.process import Posterior, Setting, predict, pulled_back

Acquisition: TypeAlias = Literal["log-ei", "ucb", "thompson"]

ACQUISITIONS: Final = ("log-ei", "ucb", "thompson")


class Aim(NamedTuple):
    """Numbers of a criterion, all in the standardised targets of their outputs.

    Attributes:
        best: (S,), lowest objective value to be improved on.
        improve: 1, or 0 while no point is known to be feasible: then only feasibility counts (Gardner et al. 2014).
        bounds: (constraints,), feasible up to here.
        exponent: what the mean of the logarithm of cost is multiplied by; 0: costs do not count.
        kappa: of the confidence bound.
    """

    best: Any
    improve: Any
    bounds: Any
    exponent: Any
    kappa: Any


class Roles(NamedTuple):
    """Which output is what: the objective comes first, then constraints, then the logarithm of cost if there is one."""

    acquisition: Acquisition
    constraints: int
    cost: bool


def criterion(
    setting: Setting, processes: Sequence[Posterior], x: Any, aim: Aim, roles: Roles, *, gradient: bool
) -> tuple[Any, Any]:
    """Value (q,) at x (q, d) and, if asked for, its gradient (q, d); larger is better.

    Constrained EI is log EI plus the log probabilities of every constraint; EI per cost takes the log cost off.
    """
    xp, log_ndtr = setting.ar.xp, setting.ar.log_ndtr
    objective = predict(setting, processes[0], x)
    if roles.acquisition == "ucb":
        scored = lower_confidence_bound(xp, objective.mean, objective.variance, aim.kappa)
    else:
        scored = log_expected_improvement(xp, log_ndtr, objective.mean, objective.variance, aim.best)
    value = aim.improve * scored.value
    slope: Any = None
    if gradient:
        slope = aim.improve * pulled_back(setting, processes[0], objective, x, scored[1:])
    for place in range(roles.constraints):
        process = processes[1 + place]
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
