"""MOBSTER: rungs say who goes on, a Gaussian process over configuration and resource what to try (Klein et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite, Objective
from offbeat.space import Space
from offbeat_plugins.schedulers.asha import ASHA
from offbeat_plugins.schedulers.multi_fidelity import required_level
from offbeat_plugins.schedulers.rungs import Rule
from offbeat_plugins.schedulers.rungs import rung_levels as levels_of
from offbeat_plugins.searchers.gp import Arithmetic
from offbeat_plugins.searchers.mobster import Kernel, Level, MOBSTERSearcher


@described
@explained
class MOBSTER(ASHA):
    """ASHA whose new configurations promise most under a model of all values at all rungs.

    How it chooses is said at `MOBSTERSearcher`. While real trials run, the model is computed in a process of its own.

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
        num_init_random: as long as fewer trials have a value at a rung, draws are random.
        kernel, refit_evidence, acquisition_level, min_distance, transform, max_size_data, backend, deadline: see
            `MOBSTERSearcher`.
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
        num_init_random: int = 6,
        kernel: Kernel = "exp-decay",
        refit_evidence: float = 1.0,
        acquisition_level: Level = "bohb",
        min_distance: float = 0.02,
        transform: str = "standardise",
        max_size_data: int = 500,
        backend: Arithmetic = "auto",
        deadline: float = 120.0,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        space = Space.of(config_space)
        top = required_level("MOBSTER", space, max_t, max_resource_attr)
        levels = levels_of(
            top,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            rung_increment=rung_increment,
            levels=rung_levels,
        )
        searcher = MOBSTERSearcher(
            space,
            Objective.of(metric, mode),
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            milestones=(*levels, top),
            num_init_random=num_init_random,
            kernel=kernel,
            refit_evidence=refit_evidence,
            acquisition_level=acquisition_level,
            min_distance=min_distance,
            transform=transform,
            max_size_data=max_size_data,
            backend=backend,
            deadline=deadline,
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
