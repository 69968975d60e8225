"""Random search (Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization"): nothing is ever stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.random import RandomSearcher


@described
@explained
class RandomSearch(SingleFidelity):
    """Draws configurations at random, each at most once, and lets every trial run to its end.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: name of the reported metric, or several names.
        mode: "min" or "max", one for all metrics or one for each.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        random_seed: None chooses one, which the journal keeps.
        resource_attr: name under which the script reports its progress, if it does; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        nonfinite: what NaN or an infinite value means, for all metrics or by name: "fail" ends the trial as failed,
            "worst" counts as the worst value so far, "ignore" drops the report.

    Raises InvalidArgument, InvalidSpace.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str | Sequence[str],
        mode: Mode | Sequence[Mode] = "min",
        *,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
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
        searcher = RandomSearcher(
            space, objective, points_to_evaluate=points_to_evaluate, allow_duplicates=allow_duplicates
        )
        super().__init__(space, objective, random_seed, searcher)
