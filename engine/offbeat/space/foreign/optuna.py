"""From and to Optuna's distributions (Akiba et al. 2019, arXiv:1907.10902)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from offbeat.errors import InvalidArgument, InvalidSpace
from offbeat.space.checks import shown
from offbeat.space.constructors import (
    choice,
    finrange,
    lograndint,
    loguniform,
    qrandint,
    quniform,
    randint,
    uniform,
)
from offbeat.space.domain import Domain, shown_domain
from offbeat.space.finite import Choice, FiniteRange
from offbeat.space.foreign.packages import entry, package
from offbeat.space.listing import values_of
from offbeat.space.numeric import Float, Integer
from offbeat.space.quantized import Quantized
from offbeat.space.space import Space


def from_optuna(distributions: Mapping[str, Any]) -> Space:
    """The Space of a mapping from names to Optuna's distributions, such as `trial.distributions`.

    Steps that start at a multiple of themselves become `quniform` or `qrandint`, others `finrange`. Raises MissingExtra,
    InvalidArgument for something else than a mapping, InvalidSpace that names the entry which has no counterpart.
    """
    library = package("optuna.distributions")
    if not isinstance(distributions, Mapping):
        raise InvalidArgument(f"{shown(distributions)} is no mapping from names to distributions.")
    entries = {}
    for name, distribution in distributions.items():
        with entry(name):
            entries[name] = _domain(library, distribution)
    return Space(entries)


def _domain(library: Any, distribution: Any) -> Domain:
    if isinstance(distribution, library.CategoricalDistribution):
        return choice(list(distribution.choices))
    if not isinstance(distribution, library.FloatDistribution | library.IntDistribution):
        raise InvalidSpace(f"{shown(distribution)} is no distribution of Optuna.")
    low, high, step = distribution.low, distribution.high, distribution.step
    whole = isinstance(distribution, library.IntDistribution)
    if step is None or low == high or (whole and step == 1):
        if whole:
            return lograndint(low, high) if distribution.log else randint(low, high)
        return loguniform(low, high) if distribution.log else uniform(low, high)
    if distribution.log:
        raise InvalidSpace("steps on a log scale have no counterpart here; use qloguniform or leave the step out.")
    if abs(low / step - round(low / step)) <= 1e-9:
        return qrandint(low, high, step) if whole else quniform(low, high, step)
    return finrange(low, high, round((high - low) / step) + 1, cast_int=whole)


def to_optuna(space: Space) -> dict[str, Any]:
    """Optuna's distribution for each hyperparameter; constants are left out.

    What they cannot say: reversed log scales, steps on a log scale, ordinals, lists, `optional`, conditions and
    constraints (Optuna's own way for those is Python's `if`). Raises MissingExtra, InvalidSpace that names the entry.
    """
    library = package("optuna.distributions")
    for name, expression in (*space.conditions.items(), *space.constraints.items()):
        with entry(name):
            raise InvalidSpace(
                f"{expression} has no counterpart among Optuna's distributions; decide it in the objective."
            )
    made = {}
    for name, domain in space.domains.items():
        with entry(name):
            made[name] = _distribution(library, domain)
    return made


def _distribution(library: Any, domain: Domain) -> Any:
    match domain:
        case Float(lower, upper, "linear" | "log"):
            return library.FloatDistribution(lower, upper, log=domain.scale == "log")
        case Integer(lower, upper):
            return library.IntDistribution(lower, upper, log=domain.scale == "log")
        case Choice(values):
            return library.CategoricalDistribution(values)
        case Quantized(scale="linear"):
            steps = values_of(domain)
            if domain.whole:
                return library.IntDistribution(steps[0], steps[-1], step=int(domain.q))
            return _stepped(library, domain, steps, domain.q)
        case FiniteRange(lower, upper, points, "linear", False):
            return _stepped(library, domain, domain.values, (upper - lower) / max(points - 1, 1))
        case _:
            raise InvalidSpace(
                f"{shown_domain(domain)} has no counterpart among Optuna's distributions; use another domain."
            )


def _stepped(library: Any, domain: Domain, values: Sequence[float], step: float) -> Any:
    low, high = values[0], values[-1]
    if low == high:
        return library.FloatDistribution(low, low)
    # Optuna computes with decimal texts, and cuts a range that is not a multiple of its step to the last digit.
    if float(Decimal(str(low)) + Decimal(str(step)) * (len(values) - 1)) != high:
        raise InvalidSpace(
            f"{shown_domain(domain)} has no counterpart among Optuna's distributions; its step is no decimal."
        )
    return library.FloatDistribution(low, high, step=step)
