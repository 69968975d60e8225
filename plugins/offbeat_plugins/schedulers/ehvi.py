"""Bayesian optimisation by expected hypervolume improvement (Daulton et al. 2020, arXiv:2006.05078); nothing is ever stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.schedulers.constraints import constraint_specs
from offbeat_plugins.schedulers.several import several_metrics
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.gp import GaussianProcessSearcher


@described
@explained
class EHVI(SingleFidelity):
    """Tries where the volume that the Pareto front dominates is expected to grow most.

    Every objective has a Gaussian process of its own; the expected improvement is exact, and in logarithms. The volume is
    measured in transformed values, from a reference point: the one given, or by default a little worse than the worst
    values on the front as it is then, by a tenth of the front's range. With constraints the improvement is multiplied by
    the probability of every constraint to hold.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: names of the reported metrics, two at least; `metrics` is the same. mode: "min" or "max", or one for each.
        reference_point: for each objective a value, as reported, that is just not acceptable any more.
        constraints: reported metric -> "<= number" or ">= number"; see `ConstrainedBayesianOptimization`.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        num_init_random: as long as fewer trials have been measured, draws are random.
        transform, max_size_data, backend, deadline: see `GaussianProcessSearcher`; every objective is transformed by itself.
        random_seed: None chooses one, which the journal keeps.
        resource_attr: name under which the script reports its progress, if it does; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        nonfinite: what NaN or an infinite value means: "fail" ends the trial as failed, "worst" counts as the worst value so
            far, "ignore" drops the report; or one for each metric.

    Raises InvalidArgument, InvalidSpace, MissingExtra.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: Sequence[str] | None = None,
        mode: Mode | Sequence[Mode] = "min",
        *,
        metrics: Sequence[str] | None = None,
        reference_point: Mapping[str, float] | None = None,
        constraints: Mapping[str, str] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 5,
        transform: str = "half-rank",
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
            several_metrics(metric, metrics, owner="EHVI", instead="BayesianOptimization"),
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            nonfinite=nonfinite,
            needed=() if constraints is None else constraint_specs(constraints),
        )
        searcher = GaussianProcessSearcher(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            acquisition="log-ehvi",
            reference_point=reference_point,
            transform=transform,
            max_size_data=max_size_data,
            backend=backend,
            deadline=deadline,
        )
        super().__init__(space, objective, random_seed, searcher)
