"""MOBSTER with synchronous brackets: Hyperband says who goes on, a Gaussian process what to try (Klein et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite, Objective
from offbeat.space import Space
from offbeat_plugins.schedulers.brackets import hyperband
from offbeat_plugins.schedulers.multi_fidelity import required_level
from offbeat_plugins.schedulers.sync_hyperband import SyncHyperband
from offbeat_plugins.searchers.gp import Arithmetic
from offbeat_plugins.searchers.mobster import Kernel, Level, MOBSTERSearcher


@described
@explained
class SyncMOBSTER(SyncHyperband):
    """Synchronous Hyperband whose new configurations promise most under a model of the values at all levels.

    New ones enter the first rung of each bracket only. How they are chosen is said at `MOBSTERSearcher`; a trial that runs
    counts with the model's expectation at the level that it is to reach, one that pauses does not. While real trials run, the
    model is computed in a process of its own.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        grace_period, reduction_factor, brackets: see `SyncHyperband`.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise none is started once a finite space is exhausted.
        num_init_random: as long as fewer trials have a value at a level, draws are random.
        kernel, acquisition_level, transform, max_size_data, backend, deadline: see `MOBSTERSearcher`.
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
        num_init_random: int = 6,
        kernel: Kernel = "exp-decay",
        acquisition_level: Level = "bohb",
        transform: str = "standardise",
        max_size_data: int = 500,
        backend: Arithmetic = "auto",
        deadline: float = 120.0,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        space = Space.of(config_space)
        top = required_level("SyncMOBSTER", space, max_t, max_resource_attr)
        plans = hyperband(top, grace_period=grace_period, reduction_factor=reduction_factor)
        searcher = MOBSTERSearcher(
            space,
            Objective.of(metric, mode),
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            milestones=sorted({level for plan in plans for _, level in plan}),
            first_milestones=[plan[0].level for plan in plans],
            num_init_random=num_init_random,
            kernel=kernel,
            acquisition_level=acquisition_level,
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
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            brackets=brackets,
            searcher=searcher,
            random_seed=random_seed,
            nonfinite=nonfinite,
        )
