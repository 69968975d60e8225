"""Grid search: every combination of a few values of each hyperparameter; nothing is ever stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.grid import GridSearcher


@described
@explained
class GridSearch(SingleFidelity):
    """Tries the points of a grid, each once, lets every trial run to its end, and ends when the grid is used up.

    Which points, and in which order, is said at `GridSearcher`; conditions and constraints of the space are honoured.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: name of the reported metric, or several names.
        mode: "min" or "max", one for all metrics or one for each.
        num_samples: points by the name of a numeric hyperparameter (default 5 each), or one number for all of them;
            choices, ordinals and `finrange` have all their values in the grid.
        shuffle_config: take the points in a random order; otherwise names are sorted (parents before children) and the
            last one varies fastest.
        points_to_evaluate: configurations to begin with, maybe partial, and not again in the grid; None: none.
        allow_duplicates: begin again at the end of the grid, until a stop criterion ends the run.
        random_seed: of the order; None chooses one, which the journal keeps.
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
        num_samples: Mapping[str, int] | int | None = None,
        shuffle_config: bool = True,
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
        searcher = GridSearcher(
            space,
            objective,
            num_samples=num_samples,
            shuffle_config=shuffle_config,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
        )
        super().__init__(space, objective, random_seed, searcher)
