"""MOREA: regularised evolution with several objectives; nothing is ever stopped.

Real et al. 2019 for the evolution; the ranking is that of MOASHA (Schmucker et al. 2021, arXiv:2106.12639).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.multiobjective.priorities import Priority
from offbeat_plugins.schedulers.several import several_metrics
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.evolution import EvolutionSearcher


@described
@explained
class MOREA(SingleFidelity):
    """Mutates configurations of the last trials that are good in all objectives together; every trial runs to its end.

    How it chooses is said at `EvolutionSearcher`; the population is ranked by `priority`.

    Args:
        config_space: hyperparameters by name, or a Space, with two configurations at least.
        metric: names of the reported metrics, two at least; `metrics` is the same. mode: "min" or "max", or one for each.
        priority: see `MOASHA`.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        population_size: how many of the last trials are the population; as long as fewer have been measured, draws are random.
        sample_size: how many of these a parent is the best of.
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
        priority: Priority = "non-dominated",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        population_size: int = 100,
        sample_size: int = 10,
        random_seed: int | None = None,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        space = Space.of(config_space)
        objective = objective_of(
            space,
            several_metrics(metric, metrics, owner="MOREA", instead="REA"),
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            nonfinite=nonfinite,
        )
        searcher = EvolutionSearcher(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            population_size=population_size,
            sample_size=sample_size,
            priority=priority,
        )
        super().__init__(space, objective, random_seed, searcher)
