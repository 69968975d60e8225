"""Schedulers that let every trial run to its end: all they have to say is what their searcher proposes."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from offbeat.arguments import highest_level, one_name, seed_or_fresh
from offbeat.decisions import Decision, Start
from offbeat.events import Event, MetricSpec
from offbeat.protocols import LedgerView, Mode, NonFinite, Objective, ProposalRequest, SchedulerContext, Searcher
from offbeat.space import Space
from offbeat_plugins.schedulers.searching import Answer, Searching


def objective_of(
    space: Space,
    metric: str | Sequence[str],
    mode: Mode | Sequence[Mode],
    *,
    resource_attr: str | None,
    time_attr: str | None,
    max_resource_attr: str | None,
    nonfinite: NonFinite | Mapping[str, NonFinite],
    needed: Sequence[MetricSpec] = (),
) -> Objective:
    """The objective of a scheduler that need not know of a resource, `needed`: constraints, costs. Raises InvalidArgument."""
    resource = one_name(resource_attr, time_attr, name="resource_attr", alias_name="time_attr")
    # Without a resource nothing is counted, so that a constant called "epochs" means nothing here.
    counted = resource is not None or max_resource_attr is not None
    return Objective.of(
        metric,
        mode,
        nonfinite=nonfinite,
        resource_attr=resource,
        max_resource_attr=max_resource_attr,
        max_t=highest_level(space, None, max_resource_attr) if counted else None,
        needed=needed,
    )


class SingleFidelity:
    """The scheduler around a searcher.

    Args:
        space, objective, searcher: of the scheduler.
        random_seed: None chooses one, which the journal keeps.

    Raises InvalidArgument.
    """

    def __init__(self, space: Space, objective: Objective, random_seed: int | None, searcher: Searcher) -> None:
        self.space = space
        self.objective = objective
        self.seed = seed_or_fresh(random_seed)
        self.recorded_arguments = {"random_seed": self.seed}
        self._searcher = searcher
        self._searching = Searching(searcher)
        self.observes = self._searching.observes
        self.prefetch = self._searching.prefetch

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Shows the searcher what it wants to see; decides nothing."""
        self._searcher.observe(event, ledger)
        return ()

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """What the searcher needs while a session runs, if anything."""
        return self._searching.running(context)

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Start | Awaitable[Start | None] | None:
        """What the searcher proposes; None once it has nothing more."""
        if not request.may_start:
            return None
        return self._searching.ask(request, ledger, _started)

    def foresee(self, request: ProposalRequest, ledger: LedgerView) -> Sequence[Start | None] | None:
        """What `propose` will answer to this request and those after it, as far as the searcher can say."""
        answers = self._searching.foresee(request, ledger)
        return None if answers is None else [_started(answer) for answer in answers]


def _started(answer: Answer) -> Start | None:
    return Start(config=answer) if isinstance(answer, dict) else answer
