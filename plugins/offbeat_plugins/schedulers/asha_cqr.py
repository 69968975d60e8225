"""ASHA with CQR: rungs say who goes on, conformal quantile regression what to try (Salinas et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite, Objective
from offbeat.space import Space
from offbeat_plugins.schedulers.asha import ASHA
from offbeat_plugins.schedulers.rungs import Rule
from offbeat_plugins.searchers.cqr import CQRSearcher


@described
@explained
class ASHACQR(ASHA):
    """ASHA whose new configurations may be the best of a high rung, by a draw from predicted quantiles.

    The quantiles are those of `CQRSearcher`, on the values at the highest rung, or max_t, that has `num_init_random` of
    them. Values of different levels are never mixed; the paper takes the last value of each trial instead, by which those
    that were stopped early compete with those that ran on. Needs the extra `trees`.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        type, grace_period, reduction_factor, brackets, rung_levels, rung_increment, rung_system_per_bracket, rule: see
            `ASHA`.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise none is started once a finite space is exhausted.
        num_init_random: values that a level has to have before it is learned from.
        random_fraction: share of the later proposals that are random nevertheless.
        num_candidates: how many configurations are compared for each proposal.
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
        type: Literal["stopping", "promotion"] = "stopping",  # noqa: A002 - the name that users know
        grace_period: int = 1,
        reduction_factor: float = 3,
        brackets: int = 1,
        rung_levels: Sequence[int] | None = None,
        rung_increment: int | None = None,
        rung_system_per_bracket: bool = False,
        rule: Rule = "quantile",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 5,
        random_fraction: float = 0.0,
        num_candidates: int = 2000,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        space = Space.of(config_space)
        searcher = CQRSearcher(
            space,
            Objective.of(metric, mode),
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            random_fraction=random_fraction,
            by_level=True,
            num_candidates=num_candidates,
        )
        super().__init__(
            space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
            type=type,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            brackets=brackets,
            rung_levels=rung_levels,
            rung_increment=rung_increment,
            rung_system_per_bracket=rung_system_per_bracket,
            rule=rule,
            searcher=searcher,
            random_seed=random_seed,
            nonfinite=nonfinite,
        )
