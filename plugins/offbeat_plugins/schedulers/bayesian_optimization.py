"""Bayesian optimisation with a Gaussian process (Snoek et al. 2012); nothing is ever stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite
from offbeat.space import Space
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity, objective_of
from offbeat_plugins.searchers.gp import GaussianProcessSearcher


@described
@explained
class BayesianOptimization(SingleFidelity):
    """Tries where a Gaussian process expects the largest improvement, and lets every trial run to its end.

    While real trials run, the model is computed in a process of its own, ahead of the next free worker; in simulated time
    and in ask and tell it is computed at once. With the extra `jax` it is one compiled program; without it the same
    algorithm runs in NumPy and LAPACK.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: name of the reported metric; mode: "min" or "max".
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        num_init_random: as long as fewer trials have been measured, draws are random.
        acquisition, transform, max_size_data, backend, deadline: see `GaussianProcessSearcher`.
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
        num_init_random: int = 3,
        acquisition: Literal["log-ei", "ucb", "thompson"] = "log-ei",
        transform: str = "half-rank",
        max_size_data: int = 1008,
        backend: Literal["auto", "numpy", "jax"] = "auto",
        deadline: float = 120.0,
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
        searcher = GaussianProcessSearcher(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            acquisition=acquisition,
            transform=transform,
            max_size_data=max_size_data,
            backend=backend,
            deadline=deadline,
        )
        super().__init__(space, objective, random_seed, searcher)
