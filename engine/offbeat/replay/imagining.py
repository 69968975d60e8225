"""Another scheduler on known curves, in simulated time, with the engine's own conductor.

The new scheduler is given the recorded configurations in the recorded order, on as many workers, and decides for itself who
goes on. Where it lets a trial run on behind the end of its curve, the future has to be imagined: `Fill` says how.
"""

from __future__ import annotations

import inspect
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from typing import Any, TypeAlias

from offbeat import events as ev
from offbeat.decisions import Decision, Proposal, Start
from offbeat.errors import InvalidArgument, OffbeatError, PluginFailed
from offbeat.events import Event
from offbeat.protocols import LedgerView, ProposalRequest, Scheduler
from offbeat.replay.curves import Known, KnownCurve, paces
from offbeat.signals import StartTrial
from offbeat.stopping import StoppingCriterion
from offbeat.testing.rehearsal import Rehearsal
from offbeat.testing.scripted import End, Report, ScriptedBackend, Step

Fill: TypeAlias = Callable[[KnownCurve, int], dict[str, Any]]
"""Metrics of a curve at a level behind its end."""


class Given:
    """A scheduler whose new trials get the recorded configurations, in their order."""

    def __init__(self, inner: Scheduler, configs: Sequence[dict[str, Any]]) -> None:
        self.inner, self._configs = inner, configs
        self.objective, self.space, self.seed = inner.objective, inner.space, inner.seed
        self.observes = getattr(inner, "observes", None)

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """What the scheduler decides."""
        return self.inner.observe(event, ledger)

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """What the scheduler proposes, but for the configuration."""
        answer = self.inner.propose(request, ledger)
        if inspect.isawaitable(answer):
            return self._later(answer, ledger)
        return self._given(answer, ledger)

    async def _later(self, answer: Awaitable[Proposal | None], ledger: LedgerView) -> Proposal | None:
        return self._given(await answer, ledger)

    def _given(self, answer: Proposal | None, ledger: LedgerView) -> Proposal | None:
        if not isinstance(answer, Start):
            return answer
        if answer.donor is not None:
            raise InvalidArgument(
                "The scheduler starts trials from the checkpoints of others: what those would have done is not recorded. "
                "`offbeat bench --from` compares it on a model of these trials."
            )
        number = len(ledger)
        if number >= len(self._configs):
            return None
        return Start(config=dict(self._configs[number]), until=answer.until, why=answer.why, tags=answer.tags)


def imagined(
    known: Known, scheduler: Scheduler, fill: Fill, *, n_workers: int, asynchronous: bool, top: int
) -> list[ev.Event]:
    """The events of a run of a scheduler, in its initial state, on known curves.

    Args:
        known: the trials.
        scheduler: that decides.
        fill: what comes behind a curve that was cut.
        n_workers: trials that run at once.
        asynchronous: whether a free worker is filled at once.
        top: the level at which trainings end.

    Raises PluginFailed for a scheduler that fails or never comes to an end.
    """
    name = type(scheduler).__name__
    resource = str(scheduler.objective.resource_attr)
    told = scheduler.objective.max_resource_attr

    def script(start: StartTrial) -> Iterator[Step]:
        curve = known.curves[start.trial]
        until = start.config.get(told) if told is not None else None
        last = until if isinstance(until, int) else top
        for point in curve.points:
            if point.level > last:
                return
            yield Report(dict(point.metrics), point.seconds)
        if curve.ending == "failed":
            yield End("failed", curve.reason)
        elif curve.ending == "cut":
            pace, before = _pace(known, curve), curve.level
            for level in _levels_behind(known, before, last):
                yield Report({**fill(curve, level), resource: level}, pace * (level - before))
                before = level

    run = Rehearsal(
        Given(scheduler, [curve.config for curve in known.curves]),
        ScriptedBackend(script, checkpoints=True),
        stop_criterion=StoppingCriterion(max_num_trials_started=len(known.curves)),
        n_workers=n_workers,
        asynchronous=asynchronous,
    )
    most = 1_000 + 20 * len(known.curves) * (top + 10)
    # In a thread of its own: a scheduler that proposes asynchronously is awaited on a loop, and the caller may have one.
    with ThreadPoolExecutor(1, thread_name_prefix="offbeat-imagine") as thread:
        try:
            return thread.submit(run.run, most).result().events
        except OffbeatError:
            raise
        except Exception as error:  # a stranger's scheduler may raise anything
            raise PluginFailed(
                "scheduler", name, "a replay on recorded results", f"{type(error).__name__}: {error}"
            ) from error


def _pace(known: Known, curve: KnownCurve) -> float:
    """Seconds that a level takes this trial, or where nothing is known of it, all of them."""
    own = paces(curve) or [pace for other in known.curves for pace in paces(other)]
    return fmean(own) if own else 1.0


def _levels_behind(known: Known, level: int, top: int) -> list[int]:
    """Levels at which a trial would go on to report: those that others did, and the last one."""
    levels = [one for one in known.levels[bisect_right(known.levels, level) :] if one <= top]
    step = min((b - a for a, b in zip(known.levels, known.levels[1:], strict=False)), default=1)
    reached = levels[-1] if levels else level
    levels += range(reached + step, top + 1, step)
    return levels if not levels or levels[-1] == top else [*levels, top]
