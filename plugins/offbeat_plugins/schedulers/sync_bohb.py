"""BOHB (Falkner et al. 2018): Hyperband's brackets say who goes on, Parzen densities what to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite, Objective
from offbeat.space import Space
from offbeat_plugins.schedulers.sync_hyperband import SyncHyperband
from offbeat_plugins.searchers.tpe import Arithmetic, TPESearcher


@described
@explained
class SyncBOHB(SyncHyperband):
    """Synchronous Hyperband whose new configurations are likelier among the good ones of a high level than among the others.

    New ones enter the first rung of each bracket only. The densities are those of `BOHB`, on the values at the highest level
    where either of the two gets `min_points` trials; see there, also for how they differ from the paper's.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        grace_period, reduction_factor, brackets: see `SyncHyperband`.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise none is started once a finite space is exhausted.
        min_points: trials in either density at least; None: the number of hyperparameters plus 1.
        random_fraction: share of the later proposals that are random nevertheless.
        top_n_percent, top_n_most, num_candidates, prior_weight, arithmetic: see `TPESearcher`.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore".

    Raises InvalidArgument, InvalidSpace, MissingExtra.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
        grace_period: int = 1,
        reduction_factor: float = 3,
        brackets: int | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        min_points: int | None = None,
        random_fraction: float = 1 / 3,
        top_n_percent: float = 15.0,
        top_n_most: int = 25,
        num_candidates: int = 64,
        prior_weight: float = 0.3,
        arithmetic: Arithmetic = "numpy",
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        space = Space.of(config_space)
        searcher = TPESearcher(
            space,
            Objective.of(metric, mode),
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=2,
            random_fraction=random_fraction,
            by_level=True,
            top_n_percent=top_n_percent,
            top_n_most=top_n_most,
            num_candidates=num_candidates,
            prior_weight=prior_weight,
            min_points=len(space.domains) + 1 if min_points is None else min_points,
            arithmetic=arithmetic,
        )
        super().__init__(
            space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            brackets=brackets,
            searcher=searcher,
            random_seed=random_seed,
            nonfinite=nonfinite,
        )
