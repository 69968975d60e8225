"""Asynchronous successive halving that promotes by cost, for configurations that cost very different amounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from offbeat.arguments import explained
from offbeat.decisions import Decision
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.events import Event, MetricSpec, TrialResult, TrialResumed, TrialStarted
from offbeat.protocols import LedgerView, Mode, NonFinite, Objective, Searcher
from offbeat.space import Space
from offbeat.trial import TrialId
from offbeat_plugins.schedulers.asha import ASHA
from offbeat_plugins.schedulers.cost_rungs import CostRung


class Meter(msgspec.Struct):
    """What a trial's attempts have cost.

    Attributes:
        before: cost of the attempts before this one, as far as this one goes on from them.
        reports, rejected: how many the trial had when this attempt began.
    """

    before: float = 0.0
    reports: int = 0
    rejected: int = 0


@described
@explained
class CostASHA(ASHA):
    """ASHA of the promotion type that gives each rung's best a share of what was spent, not of how many trials there are.

    Of the trials that came to a rung, best first, as many are good enough as have together cost no more than level / next
    level of all that they have cost. So one cheap good trial does not let an expensive one go on with it; where all cost the
    same, the rule is that of the paper (`ASHA(type="promotion", rule="paper")`). What a trial has cost adds up over its
    attempts; it begins again with one that begins again, which shows in reports of levels that were there before.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        cost_attr: name under which the script reports what its attempt has cost so far, in any unit, 0 or more:
            "st_worker_time", seconds, stands in every report of `offbeat.Reporter`.
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr, max_t: see ASHA.
        grace_period, reduction_factor, rung_increment, rung_levels, brackets, rung_system_per_bracket: see ASHA.
        searcher, points_to_evaluate, allow_duplicates: see ASHA.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore"; for the metric and the cost.

    Raises InvalidArgument, InvalidSpace, UnknownPlugin.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
        cost_attr: str = "st_worker_time",
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
        grace_period: int = 1,
        reduction_factor: float = 3,
        brackets: int = 1,
        rung_levels: Sequence[int] | None = None,
        rung_increment: int | None = None,
        rung_system_per_bracket: bool = False,
        searcher: str | Searcher = "random",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        if not isinstance(cost_attr, str) or not cost_attr:
            raise InvalidArgument(f"cost_attr={cost_attr!r}: give the name under which the script reports its cost.")
        others: NonFinite | Mapping[str, NonFinite] = nonfinite
        if not isinstance(nonfinite, str):
            others = {name: policy for name, policy in nonfinite.items() if name != cost_attr}
        super().__init__(
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
            brackets=brackets,
            rung_levels=rung_levels,
            rung_increment=rung_increment,
            rung_system_per_bracket=rung_system_per_bracket,
            searcher=searcher,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            random_seed=random_seed,
            nonfinite=others,
        )
        self.objective = Objective.of(
            metric,
            mode,
            nonfinite=nonfinite,
            resource_attr=self.objective.resource_attr,
            max_resource_attr=max_resource_attr,
            max_t=self.objective.max_t,
            needed=(MetricSpec(cost_attr, role="cost"),),
        )
        self._cost_attr = cost_attr
        self._meters: dict[TrialId, Meter] = {}
        #: What each trial had cost when it was looked at last.
        self._spent: dict[TrialId, float] = {}
        self._systems = [
            [CostRung(rung.level, rung.next_level, self._spent) for rung in column] for column in self._systems
        ]
        self.promote_up_to(self._max_t)
        if self.observes is not None:
            self.observes |= {TrialStarted, TrialResumed}

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """As ASHA does, beside keeping account of what trials cost."""
        kind = type(event)
        if kind is TrialResult:
            if event.resource >= self.due[event.trial]:  # type: ignore[attr-defined]
                self._pay(event, ledger)  # type: ignore[arg-type]
        elif kind is TrialStarted or kind is TrialResumed:
            self._begin(event.trial, ledger)  # type: ignore[attr-defined]
        return super().observe(event, ledger)

    def _begin(self, trial: TrialId, ledger: LedgerView) -> None:
        """Another attempt, which may go on from the one before it."""
        record, meter = ledger[trial], self._meters.setdefault(trial, Meter())
        if record.reports > meter.reports and record.last is not None:
            meter.before += max(0.0, record.last[self._cost_attr])
        meter.reports, meter.rejected = record.reports, record.rejected

    def _pay(self, event: TrialResult, ledger: LedgerView) -> None:
        record, meter = ledger[event.trial], self._meters.setdefault(event.trial, Meter())
        usable = record.reports - meter.reports + record.rejected - meter.rejected
        if event.seq + 1 > usable:
            # The attempt has sent more than was counted: what an earlier one had reported, so it began again.
            meter.before = 0.0
        self._spent[event.trial] = meter.before + max(0.0, event.metrics[self._cost_attr])
