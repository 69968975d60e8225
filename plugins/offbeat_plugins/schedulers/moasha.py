"""MOASHA: asynchronous successive halving with several objectives (Schmucker et al. 2021, arXiv:2106.12639)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import accumulate
from typing import Any

import msgspec

from offbeat.arguments import explained, highest_level, one_name, seed_or_fresh
from offbeat.decisions import Continue, Decision, Proposal, Start, Stop
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.events import Event, Suggested, TrialFailed, TrialFinished, TrialResult, TrialStopped
from offbeat.protocols import LedgerView, Mode, NonFinite, Objective, ProposalRequest, SchedulerContext, Searcher
from offbeat.registry import load
from offbeat.seeds import Rows
from offbeat.space import Space
from offbeat.trial import TrialId
from offbeat_plugins.multiobjective.priorities import Priority, weights_of
from offbeat_plugins.schedulers import rungs
from offbeat_plugins.schedulers.priority_rung import PriorityRung
from offbeat_plugins.schedulers.searching import Answer, Searching
from offbeat_plugins.schedulers.several import several_metrics

OBSERVES = frozenset((Suggested, TrialResult, TrialStopped, TrialFinished, TrialFailed))
"""Events that the rungs are built from."""


@described
@explained
class MOASHA:
    """Gives many configurations a little of the resource, and stops those that are behind in all objectives together.

    At each rung a trial's vector of objectives is ranked among all that were recorded there, and the trial is stopped if
    more than the share 1 / reduction_factor of them rank strictly before it; the first one always goes on. A trial that
    dominates all others always goes on, and the order in which they came does not matter. `best` answers by the first
    objective; `Experiment.pareto` has the Pareto set.

        MOASHA(config_space, metrics=["val_loss", "latency"], mode=["min", "min"], time_attr="epoch")

    A report above a rung that was skipped counts at the highest rung that it has passed.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: names of the reported metrics, two at least; `metrics` is the same. mode: "min" or "max", or one for each.
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run. With it a script
            ends by itself at max_t, and need not be stopped there.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        priority: "non-dominated": by non-dominated sorting, within a front by an epsilon-net; "linear": by the mean of the
            objectives; weights by objective, such as {"val_loss": 1, "latency": 0.1}, for their weighted sum, in the units
            in which they are reported; or the name of the one objective that decides.
        grace_period, reduction_factor: rungs at grace_period * reduction_factor ** k below max_t.
        rung_increment: rungs in equal steps from grace_period instead; rung_levels: an explicit list instead.
        brackets: bracket b skips the b lowest rungs.
        searcher: name of a plugin in `offbeat.searchers` that takes several objectives, or an object with its two methods.
        points_to_evaluate, allow_duplicates: for a searcher given by name, see RandomSearcher.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore"; or one for each metric.

    Raises InvalidArgument, InvalidSpace, UnknownPlugin.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: Sequence[str] | None = None,
        mode: Mode | Sequence[Mode] = "min",
        *,
        metrics: Sequence[str] | None = None,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
        priority: Priority = "non-dominated",
        grace_period: int = 1,
        reduction_factor: float = 3,
        brackets: int = 1,
        rung_levels: Sequence[int] | None = None,
        rung_increment: int | None = None,
        searcher: str | Searcher = "random",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        self.space = Space.of(config_space)
        names = several_metrics(metric, metrics, owner="MOASHA", instead="ASHA")
        resource = one_name(resource_attr, time_attr, name="resource_attr", alias_name="time_attr")
        if resource is None:
            raise InvalidArgument(
                "MOASHA needs time_attr=: the name under which the training script reports its progress, as in "
                "report(epoch=epoch + 1, ...) and time_attr='epoch'."
            )
        top = highest_level(self.space, max_t, max_resource_attr)
        if top is None:
            raise InvalidArgument(
                "MOASHA needs the highest resource level: pass max_t=..., or put a constant such as 'epochs': 81 into "
                "config_space and name it in max_resource_attr=."
            )
        self.objective = Objective.of(
            names, mode, nonfinite=nonfinite, resource_attr=resource, max_resource_attr=max_resource_attr, max_t=top
        )
        self.seed = seed_or_fresh(random_seed)
        self.recorded_arguments = {"random_seed": self.seed}
        self._signed = [(spec.name, 1.0 if spec.mode == "min" else -1.0) for spec in self.objective.metrics]
        self._tells_maximum = max_resource_attr is not None
        self._max_t = top
        self._levels = rungs.rung_levels(
            top,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            rung_increment=rung_increment,
            levels=rung_levels,
        )
        rungs.require_factor(reduction_factor)
        weights = weights_of(priority, self.objective.metrics)
        self._rungs = [PriorityRung(level, len(names), reduction_factor, weights) for level in self._levels]
        #: Level of each rung, then max_t: where a trial is looked at next.
        self._milestones = (*self._levels, top)
        self._bracket_ends = tuple(accumulate(rungs.bracket_shares(self._milestones, brackets)))[:-1]
        self._bracket_rows: tuple[int, Rows] | None = None
        self._searcher: Searcher = (
            load("offbeat.searchers", searcher)(
                self.space, self.objective, points_to_evaluate=points_to_evaluate, allow_duplicates=allow_duplicates
            )
            if isinstance(searcher, str)
            else searcher
        )
        self._searching = Searching(self._searcher)
        self.prefetch = self._searching.prefetch
        wanted = self._searching.observes
        #: None: the searcher is passed everything.
        self._passed_on = None if wanted is None else frozenset(wanted)
        self.observes = None if self._passed_on is None else OBSERVES | self._passed_on
        #: Trial -> resource level at which it is looked at next; see `offbeat.protocols.Scheduler`.
        self.due: dict[TrialId, int] = {}

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Decides on a result that has reached a rung or max_t; lets all others pass."""
        if type(event) is TrialResult:
            due = self.due[event.trial]
            if event.resource < due:
                return ()
            decision = self._reached(event, due)
            self._pass_on(event, ledger)
            return (decision,)
        if type(event) is Suggested:
            if event.kind == "start":
                self.due[event.trial] = self._milestones[int(event.tags.get("bracket", 0))]
        elif (trial := getattr(event, "trial", None)) is not None and ledger[trial].status.ended:
            self.due.pop(trial, None)
        self._pass_on(event, ledger)
        return ()

    def _pass_on(self, event: Event, ledger: LedgerView) -> None:
        if self._passed_on is None or type(event) in self._passed_on:
            self._searcher.observe(event, ledger)

    def _reached(self, event: TrialResult, due: int) -> Decision:
        trial, resource, metrics = event.trial, event.resource, event.metrics
        index = bisect_right(self._levels, resource) - 1
        # What is due now was not recorded yet; after the last rung only max_t is left.
        self.due[trial] = self._milestones[index + 1]
        goes_on, why = True, ""
        if index >= 0 and self._levels[index] >= due:
            vector = tuple([sign * metrics[name] for name, sign in self._signed])
            goes_on, why = self._rungs[index].judge(trial, vector)
        if resource >= self._max_t:
            # A script that was told its maximum is about to end by itself, perhaps while saving its model.
            ends_itself = resource == self._max_t and self._tells_maximum
            return (Continue if ends_itself else Stop)(trial, "reached max_t")
        return (Continue if goes_on else Stop)(trial, why)

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """A new trial, as long as the searcher has configurations."""
        if not request.may_start:
            return None
        return self._searching.ask(request, ledger, lambda answer: self._start(answer, request))

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """What the searcher needs while a session runs, if anything."""
        return self._searching.running(context)

    def _start(self, answer: Answer, request: ProposalRequest) -> Start | None:
        if answer is None:
            return None
        until = self._max_t if self._tells_maximum else None
        bracket = self._draw_bracket(request)
        if isinstance(answer, Start):
            return msgspec.structs.replace(answer, until=until, tags={**answer.tags, "bracket": bracket})
        return Start(config=answer, until=until, tags={"bracket": bracket})

    def _draw_bracket(self, request: ProposalRequest) -> int:
        if not self._bracket_ends:
            return 0
        if self._bracket_rows is None or self._bracket_rows[0] != request.seed:
            self._bracket_rows = (request.seed, Rows(request.seed, "moasha-bracket", 1))
        return bisect_right(self._bracket_ends, self._bracket_rows[1].row(request.number)[0])

    def rung_table(self) -> list[dict[str, Any]]:
        """The rungs from the lowest up, for `offbeat explain`, as that of ASHA; the values of entries are their places."""
        return [
            {"level": rung.level, "entries": rung.ranked(), "cut": rung.cut(), "ranked_by": "place"}
            for rung in self._rungs
        ]
