"""TPE: a tree-structured Parzen estimator says what to try (Bergstra et al. 2011); nothing is ever stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.tpe import Arithmetic, TPESearcher


@described
@explained
class TPE(SingleFidelity):
    """Tries what is more likely among the good configurations than among the others, and lets every trial run to its end.

    How it chooses, and what the arguments that are not explained here do, is said at `TPESearcher`.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: name of the reported metric; mode: "min" or "max".
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        num_init_random: as long as fewer trials have been measured, draws are random.
        random_fraction: share of the later proposals that are random nevertheless.
        top_n_percent, top_n_most, num_candidates, prior_weight, arithmetic: see `TPESearcher`.
        random_seed: None chooses one, which the journal keeps.
        resource_attr: name under which the script reports its progress, if it does; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        nonfinite: what NaN or an infinite value means: "fail" ends the trial as failed, "worst" counts as the worst value so
            far, "ignore" drops the report.

    Raises InvalidArgument, InvalidSpace, MissingExtra.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 6,
        random_fraction: float = 0.0,
        top_n_percent: float = 15.0,
        top_n_most: int = 25,
        num_candidates: int = 64,
        prior_weight: float = 0.3,
        arithmetic: Arithmetic = "numpy",
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
        searcher = TPESearcher(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            random_fraction=random_fraction,
            top_n_percent=top_n_percent,
            top_n_most=top_n_most,
            num_candidates=num_candidates,
            prior_weight=prior_weight,
            arithmetic=arithmetic,
        )
        super().__init__(space, objective, random_seed, searcher)


class KDE(TPE):
    """TPE under the name that Syne Tune has for it, with the same arguments and defaults as `TPE`."""
