"""CBO: Bayesian optimisation among what fulfils constraints (Gardner et al. 2014); nothing is ever stopped.

"Bayesian optimization with inequality constraints".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.events import MetricSpec
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.schedulers.constraints import constraint_specs
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.gp import GaussianProcessSearcher


@described
@explained
class ConstrainedBayesianOptimization(SingleFidelity):
    """Tries where the expected improvement on the best feasible value, times the probability of being feasible, is largest.

    Every constraint is on a reported metric, which has to be in every report as the metric itself has to be, and has a
    Gaussian process of its own. A trial is feasible if all constraints hold in its last report. While none is feasible,
    the probability of being feasible alone counts. `best`, of results and of ask and tell, is the best result in which all
    constraints hold, None while there is none.

        ConstrainedBayesianOptimization(space, metric="loss", constraints={"latency": "<= 0.5", "accuracy": ">= 0.9"})

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: name of the reported metric; mode: "min" or "max".
        constraints: reported metric -> "<= number" or ">= number".
        constraint_attr: one reported metric that is feasible at 0 and below: the same as constraints={name: "<= 0"}, which
            it replaces.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        num_init_random: as long as fewer trials have been measured, draws are random.
        transform, max_size_data, backend, deadline: see `GaussianProcessSearcher`.
        random_seed: None chooses one, which the journal keeps.
        resource_attr: name under which the script reports its progress, if it does; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        nonfinite: what NaN or an infinite value means, of the metric and of the constraints: "fail" ends the trial as
            failed, "worst" counts as the worst value so far, "ignore" drops the report; or a mapping from names to these.

    Raises InvalidArgument, InvalidSpace, MissingExtra.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
        constraints: Mapping[str, str] | None = None,
        constraint_attr: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 5,
        transform: str = "standardise",
        max_size_data: int = 1008,
        backend: Literal["auto", "numpy", "jax"] = "auto",
        deadline: float = 120.0,
        random_seed: int | None = None,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        space = Space.of(config_space)
        objective = objective_of(
            space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            nonfinite=nonfinite,
            needed=_specs(constraints, constraint_attr),
        )
        searcher = GaussianProcessSearcher(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            transform=transform,
            max_size_data=max_size_data,
            backend=backend,
            deadline=deadline,
        )
        super().__init__(space, objective, random_seed, searcher)


def _specs(constraints: Mapping[str, str] | None, constraint_attr: str | None) -> list[MetricSpec]:
    """The constraints as metrics. Raises InvalidArgument."""
    if (constraints is None) == (constraint_attr is None):
        told = "none is given" if constraints is None else "both are given"
        raise InvalidArgument(
            f"constraints= or constraint_attr=: {told}. Say constraints={{'latency': '<= 0.5'}}, or constraint_attr='latency' "
            "for '<= 0'."
        )
    if constraint_attr is not None:
        if not isinstance(constraint_attr, str) or not constraint_attr:
            raise InvalidArgument(f"constraint_attr={constraint_attr!r}: give the name of one reported metric.")
        return [MetricSpec(constraint_attr, "min", role="constraint", bound=0.0)]
    return constraint_specs(constraints)
