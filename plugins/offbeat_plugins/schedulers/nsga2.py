"""NSGA-II (Deb et al. 2002) with any number of workers, none of which ever waits; nothing is ever stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.schedulers.constraints import constraint_specs
from offbeat_plugins.schedulers.several import several_metrics
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.nsga2 import NSGA2Searcher


@described
@explained
class NSGA2(SingleFidelity):
    """Crosses and mutates the configurations on and near the Pareto front, and lets every trial run to its end.

    How it chooses is said at `NSGA2Searcher`.

    Args:
        config_space: hyperparameters by name, or a Space, with two configurations at least.
        metric: names of the reported metrics, two at least; `metrics` is the same. mode: "min" or "max", or one for each.
        constraints: reported metric -> "<= number" or ">= number"; what fulfils them all comes before what does not.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        population_size: how many of the best trials are the population; as long as fewer have been measured, draws are
            random.
        crossover_probability: of a child to have parts of both parents.
        mutation_probability: of each hyperparameter to be changed; None: one of them on average.
        random_seed: None chooses one, which the journal keeps.
        resource_attr: name under which the script reports its progress, if it does; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        nonfinite: what NaN or an infinite value means: "fail" ends the trial as failed, "worst" counts as the worst value so
            far, "ignore" drops the report; or one for each metric.

    Raises InvalidArgument, InvalidSpace.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: Sequence[str] | None = None,
        mode: Mode | Sequence[Mode] = "min",
        *,
        metrics: Sequence[str] | None = None,
        constraints: Mapping[str, str] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        population_size: int = 20,
        crossover_probability: float = 0.9,
        mutation_probability: float | None = None,
        random_seed: int | None = None,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        space = Space.of(config_space)
        objective = objective_of(
            space,
            several_metrics(metric, metrics, owner="NSGA2", instead="REA"),
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            nonfinite=nonfinite,
            needed=() if constraints is None else constraint_specs(constraints),
        )
        searcher = NSGA2Searcher(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            population_size=population_size,
            crossover_probability=crossover_probability,
            mutation_probability=mutation_probability,
        )
        super().__init__(space, objective, random_seed, searcher)
