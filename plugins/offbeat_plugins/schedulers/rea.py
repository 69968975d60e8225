"""REA: regularised evolution says what to try (Real et al. 2019); nothing is ever stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.evolution import EvolutionSearcher


@described
@explained
class REA(SingleFidelity):
    """Mutates good configurations of the last trials, and lets every trial run to its end.

    How it chooses is said at `EvolutionSearcher`.

    Args:
        config_space: hyperparameters by name, or a Space, with two configurations at least.
        metric: name of the reported metric; mode: "min" or "max".
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        population_size: how many of the last trials are the population; as long as fewer have been measured, draws are random.
        sample_size: how many of these a parent is the best of.
        random_seed: None chooses one, which the journal keeps.
        resource_attr: name under which the script reports its progress, if it does; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        nonfinite: what NaN or an infinite value means: "fail" ends the trial as failed, "worst" counts as the worst value so
            far, "ignore" drops the report.

    Raises InvalidArgument, InvalidSpace.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
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
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            nonfinite=nonfinite,
        )
        if len(objective.metrics) > 1:
            names = [spec.name for spec in objective.metrics]
            raise InvalidArgument(f"metric={names!r}: REA ranks trials by one metric; MOREA takes several.")
        searcher = EvolutionSearcher(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            population_size=population_size,
            sample_size=sample_size,
        )
        super().__init__(space, objective, random_seed, searcher)
