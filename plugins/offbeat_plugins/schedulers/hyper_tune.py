"""Hyper-Tune: brackets drawn by what low levels have proved to tell of high ones (Li et al. 2022).

"Hyper-Tune: Towards Efficient Hyper-parameter Tuning at Scale" (arXiv:2201.06834).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import Mode, NonFinite, Objective
from offbeat.seeds import Rows
from offbeat.space import Space
from offbeat_plugins.schedulers.asha import ASHA
from offbeat_plugins.schedulers.multi_fidelity import required_level
from offbeat_plugins.schedulers.rungs import Rule
from offbeat_plugins.schedulers.rungs import rung_levels as levels_of
from offbeat_plugins.searchers.gp import Arithmetic
from offbeat_plugins.searchers.hyper_tune import HyperTuneSearcher


@described
@explained
class HyperTune(ASHA):
    """ASHA whose bracket and configuration are chosen by how well each level predicts the ranking at the highest one.

    Bracket b skips the b lowest rungs. It is drawn with probability proportional to the weight of the level where it begins
    over that level: long first rungs are given to trials where short ones have proved to mislead. Weights are learned, see
    `HyperTuneSearcher`, and kept in the journal; until there are some, the brackets' shares are Hyperband's, and levels that
    have fewer than 6 values are not drawn later either. Promotions are those of `ASHA`: the paper holds one back
    until its rung has reduction_factor times as many values as the one above.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        type, grace_period, reduction_factor, rung_levels, rung_increment, rung_system_per_bracket, rule: see `ASHA`.
        brackets: how many to draw from; None: one for each rung.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise none is started once a finite space is exhausted.
        num_init_random: as long as fewer trials have a value at a rung, draws are random.
        refit_evidence, transform, max_size_data, backend, deadline: see `HyperTuneSearcher`.
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
        type: Literal["stopping", "promotion"] = "promotion",  # noqa: A002 - the name that users know
        grace_period: int = 1,
        reduction_factor: float = 3,
        brackets: int | None = None,
        rung_levels: Sequence[int] | None = None,
        rung_increment: int | None = None,
        rung_system_per_bracket: bool = False,
        rule: Rule = "quantile",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 6,
        refit_evidence: float = 1.0,
        transform: str = "standardise",
        max_size_data: int = 500,
        backend: Arithmetic = "auto",
        deadline: float = 120.0,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        space = Space.of(config_space)
        top = required_level("HyperTune", space, max_t, max_resource_attr)
        levels = levels_of(
            top,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            rung_increment=rung_increment,
            levels=rung_levels,
        )
        self._model = searcher = HyperTuneSearcher(
            space,
            Objective.of(metric, mode),
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            milestones=(*levels, top),
            num_init_random=num_init_random,
            refit_evidence=refit_evidence,
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
            brackets=len(levels) if brackets is None else brackets,
            rung_levels=rung_levels,
            rung_increment=rung_increment,
            rung_system_per_bracket=rung_system_per_bracket,
            rule=rule,
            searcher=searcher,
            random_seed=random_seed,
            nonfinite=nonfinite,
        )

    def _draw_bracket(self, seed: int, number: int) -> int:
        weights = self._model.weights(number)
        shares = [weights.get(level, 0.0) / level for level in self._milestones[: len(self._bracket_ends) + 1]]
        if not any(shares):
            return super()._draw_bracket(seed, number)
        ends = list(accumulate(shares))
        return bisect_right(ends[:-1], Rows(seed, "hyper-tune-bracket", 1).row(number)[0] * ends[-1])
