"""Cost-aware Bayesian optimisation: improvement per unit of cost (Snoek et al. 2012, section 3.2); nothing is ever stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.events import MetricSpec
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.gp import GaussianProcessSearcher


@described
@explained
class CostAwareBayesianOptimization(SingleFidelity):
    """Tries where the expected improvement, divided by a power of the expected cost, is largest.

    The cost is a reported metric, such as the seconds that the trial took so far: the last report of a trial says what the
    whole trial cost. The logarithm of cost has a Gaussian process of its own, so that costs over decades are no trouble; a
    cost of 0 or less counts as the smallest one above 0. Worth it where configurations differ much in cost; where they do
    not, the choice is that of `BayesianOptimization`.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: name of the reported metric; mode: "min" or "max".
        cost_attr: name under which the script reports the trial's cost so far; "st_worker_time" is there without asking for
            it in scripts that use a Reporter.
        cost_exponent: the improvement is divided by cost to this power: 0 ignores the cost, 1 counts improvement per unit.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        num_init_random: as long as fewer trials have been measured, draws are random.
        transform, max_size_data, backend, deadline: see `GaussianProcessSearcher`.
        random_seed: None chooses one, which the journal keeps.
        resource_attr: name under which the script reports its progress, if it does; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        nonfinite: what NaN or an infinite value means, of the metric and of the cost: "fail" ends the trial as failed, "worst"
            counts as the worst value so far, "ignore" drops the report; or a mapping from names to these.

    Raises InvalidArgument, InvalidSpace, MissingExtra.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
        cost_attr: str,
        cost_exponent: float = 1.0,
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
        if not isinstance(cost_attr, str) or not cost_attr:
            raise InvalidArgument(f"cost_attr={cost_attr!r}: give the name under which the script reports the cost.")
        space = Space.of(config_space)
        objective = objective_of(
            space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            nonfinite=nonfinite,
            needed=[MetricSpec(cost_attr, role="cost")],
        )
        searcher = GaussianProcessSearcher(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            transform=transform,
            cost_exponent=cost_exponent,
            max_size_data=max_size_data,
            backend=backend,
            deadline=deadline,
        )
        super().__init__(space, objective, random_seed, searcher)
