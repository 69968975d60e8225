"""PASHA: successive halving that goes to higher levels only as long as they still change the ranking (Bohdal et al. 2023).

"PASHA: Efficient HPO and NAS with Progressive Resource Allocation".
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from offbeat.arguments import explained
from offbeat.decisions import Decision, Pause, Proposal
from offbeat.describe import described
from offbeat.events import Event, TrialResult
from offbeat.protocols import LedgerView, Mode, NonFinite, ProposalRequest, SchedulerContext, Searcher
from offbeat.space import Space
from offbeat.trial import TrialId
from offbeat_plugins.schedulers import soft_ranking
from offbeat_plugins.schedulers.asha import ASHA
from offbeat_plugins.schedulers.rungs import Rule


@described
@explained
class PASHA:
    """ASHA of the promotion type that begins with the two lowest rungs and unlocks another one when it has to.

    That is when the trials of the highest unlocked rung are ranked there otherwise than at the rung below. Trials whose
    values are closer than the noise may be ranked either way; how large it is, is estimated from the learning curves of pairs
    that keep swapping places (see `soft_ranking`). max_t is the last level to be unlocked.

    Once the space is exhausted the run ends with the paused trials at the highest unlocked rung: to train them on is left to
    the user, as in the paper.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        grace_period, reduction_factor, rung_levels, rung_increment, rule: see `ASHA`.
        searcher: name of a plugin in `offbeat.searchers`, or an object with its two methods.
        points_to_evaluate, allow_duplicates: for a searcher given by name, see RandomSearcher.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore".

    Raises InvalidArgument, InvalidSpace, UnknownPlugin.
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
        rung_levels: Sequence[int] | None = None,
        rung_increment: int | None = None,
        rule: Rule = "quantile",
        searcher: str | Searcher = "random",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        self._asha = ASHA(
            config_space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
            type="promotion",
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            rung_levels=rung_levels,
            rung_increment=rung_increment,
            rule=rule,
            searcher=searcher,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            random_seed=random_seed,
            nonfinite=nonfinite,
        )
        self.space, self.objective, self.seed = self._asha.space, self._asha.objective, self._asha.seed
        self.recorded_arguments = self._asha.recorded_arguments
        # It has no attribute `due`: the estimate of the noise takes the results between the rungs too.
        self.observes, self.prefetch = self._asha.observes, self._asha.prefetch
        ranked = self.objective.metrics[0]
        self._metric, self._sign = ranked.name, 1.0 if ranked.mode == "min" else -1.0
        self._curves: dict[TrialId, dict[int, float]] = {}
        self._rungs = self._asha.rungs
        #: Place of the highest level that trials are promoted to, among the rungs and max_t.
        self._top = 1
        self._asha.promote_up_to(self._rungs[0].next_level)

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Pauses a trial at each rung, and unlocks the next one where the rankings of the two highest differ."""
        if type(event) is TrialResult:
            curve = self._curves.setdefault(event.trial, {})
            curve[event.resource] = self._sign * event.metrics[self._metric]
        decisions = self._asha.observe(event, ledger)
        if not decisions or type(decisions[0]) is not Pause or self._agree():
            return decisions
        low, high = self._rungs[self._top - 1].level, self._rungs[self._top].level
        limit = self._rungs[self._top].next_level
        self._top += 1
        self._asha.promote_up_to(limit)
        why = f"{decisions[0].why}; rankings at {low} and {high} differ, so level {limit} is unlocked"
        return (msgspec.structs.replace(decisions[0], why=why),)

    def _agree(self) -> bool:
        """Whether the two highest unlocked rungs rank trials alike; True where there is nothing more to unlock."""
        if self._top >= len(self._rungs):
            return True
        above = {trial: value for value, trial in self._rungs[self._top].entries.items()}
        below = {trial: value for value, trial in self._rungs[self._top - 1].entries.items() if trial in above}
        top, previous = [above[trial] for trial in below], list(below.values())
        # Without a noise at first: to estimate it takes longer.
        return soft_ranking.agree(top, previous, 0.0) or soft_ranking.agree(
            top, previous, soft_ranking.noise([self._curves[trial] for trial in below])
        )

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """Resumes a trial that is good enough, up to the highest unlocked level, else starts a new one."""
        return self._asha.propose(request, ledger)

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """What the searcher needs while a session runs, if anything."""
        return self._asha.running(context)

    def checkpoint_chance(self, trial: TrialId, ledger: LedgerView) -> float:
        """As ASHA's: whether higher rungs will be unlocked is not foreseen."""
        return self._asha.checkpoint_chance(trial, ledger)

    def rung_table(self) -> list[dict[str, Any]]:
        """As that of ASHA."""
        return self._asha.rung_table()
