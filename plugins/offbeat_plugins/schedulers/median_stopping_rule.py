"""The median stopping rule (Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization", section 3.2.2).

A trial is stopped when, at the resource level that it has just reached, more than half of all trials that were there are
strictly better. Everything else (what to try, what to pause, other stops) is decided by the scheduler that it is put around.

The paper compares a trial's best value so far with the median of the finished trials' running averages; here, as is usual
for asynchronous runs, like is compared with like: running averages with running averages (`running_average=True`), or
values with values, over all trials that reported at the level, running ones included.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

from msgspec import structs

from offbeat.arguments import explained, one_name, require_count
from offbeat.decisions import Decision, Proposal, Stop
from offbeat.describe import described
from offbeat.errors import InvalidArgument, nearest
from offbeat.events import Event, TrialFailed, TrialFinished, TrialResult, TrialStopped
from offbeat.protocols import LedgerView, Mode, Objective, ProposalRequest, Scheduler, SchedulerContext
from offbeat.space import Space
from offbeat.trial import Status, TrialId
from offbeat_plugins.schedulers.inner import inner_scheduler

OBSERVES: Final[frozenset[type[Event]]] = frozenset((TrialResult, TrialStopped, TrialFinished, TrialFailed))


@described
@explained
class MedianStoppingRule:
    """Stops trials that are worse than the median at their level; asks another scheduler for everything else.

        MedianStoppingRule(config_space, metric="loss", resource_attr="epoch")
        MedianStoppingRule(scheduler=ASHA(...), running_average=False)

    The other scheduler sees every event that it wants to; its decisions on trials that the rule lets pass stand, and so do
    those on other trials. At the highest level (`max_t`, where it is known) nothing is stopped: such a trial is about to end
    by itself. With a metric that NaN can stand for, that metric's policy (`nonfinite`) applies before anything is compared.

    Args:
        config_space, metric, mode, max_resource_attr, random_seed: for a scheduler given by name, which is built with
            them; of several metrics the first one is compared. For an object: `metric` alone may be given, to choose one
            of its metrics, by default the first.
        scheduler: name of a plugin in `offbeat.schedulers`, or an object.
        scheduler_options: further arguments of a scheduler given by name.
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same. It can
            be left out where the scheduler object has one.
        running_average: compare the mean of all that a trial has reported so far, and not the value at the level alone.
        grace_time: below this level nothing is stopped; what is reported there counts all the same.
        grace_population: nothing is stopped at a level where fewer trials than this, itself included, have reported.
        rank_cutoff: a trial is stopped if more than this share of the trials at its level, itself included, is strictly
            better.

    Raises InvalidArgument, UnknownPlugin, and what the scheduler's constructor raises.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space | None = None,
        metric: str | Sequence[str] | None = None,
        mode: Mode | Sequence[Mode] | None = None,
        *,
        scheduler: str | Scheduler = "random-search",
        scheduler_options: Mapping[str, Any] | None = None,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        running_average: bool = True,
        grace_time: int = 1,
        grace_population: int = 5,
        rank_cutoff: float = 0.5,
        random_seed: int | None = None,
    ) -> None:
        resource = one_name(resource_attr, time_attr, name="resource_attr", alias_name="time_attr")
        require_count("grace_time", grace_time)
        require_count("grace_population", grace_population)
        if isinstance(rank_cutoff, bool) or not isinstance(rank_cutoff, int | float) or not 0 <= rank_cutoff <= 1:
            raise InvalidArgument(
                f"rank_cutoff={rank_cutoff!r}: give a share of the trials from 0 to 1; 0.5 is the median."
            )
        given = {
            "config_space": config_space,
            "metric": metric,
            "mode": mode,
            "resource_attr": resource,
            "max_resource_attr": max_resource_attr,
            "random_seed": random_seed,
        }
        # What counts the resource is the rule's business even where the scheduler does not ask.
        self.scheduler = inner_scheduler(
            "MedianStoppingRule", scheduler, given, scheduler_options, own=("metric", "resource_attr")
        )
        if isinstance(scheduler, str):
            self.recorded_arguments = {"random_seed": self.scheduler.seed}
        chosen = None if isinstance(scheduler, str) else metric
        self.space, self.seed = self.scheduler.space, self.scheduler.seed
        self.objective = _objective(self.scheduler.objective, resource)
        compared = _compared(self.objective, chosen)
        self._metric, self._sign = compared.name, 1.0 if compared.mode == "min" else -1.0
        self._averages = running_average
        self._grace_time, self._grace_population = grace_time, grace_population
        self._cutoff = float(rank_cutoff)
        wanted = getattr(self.scheduler, "observes", None)
        self._passed_on = None if wanted is None else frozenset(wanted)
        #: What the rule wants to see, and what the other scheduler does; None: everything.
        self.observes = None if self._passed_on is None else OBSERVES | self._passed_on
        self.prefetch = int(getattr(self.scheduler, "prefetch", 0))
        #: Level -> what trials had there, better (lower) first, and whose value it is.
        self._levels: dict[int, tuple[list[float], list[TrialId]]] = {}
        #: Trial -> sum and number of the values that it has reported.
        self._sums: dict[TrialId, tuple[float, int]] = {}

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Lets the other scheduler decide; a trial that is worse than the median at its level is stopped whatever it says."""
        passed_on = self._passed_on is None or type(event) in self._passed_on
        decisions = self.scheduler.observe(event, ledger) if passed_on else ()
        if type(event) is TrialResult:
            if why := self._reached(event):
                others = [one for one in decisions or () if one.trial != event.trial]
                return [*others, Stop(event.trial, why)]
        elif (
            (trial := getattr(event, "trial", None)) is not None and trial in self._sums and ledger[trial].status.ended
        ):
            del self._sums[trial]
        return decisions

    def _reached(self, event: TrialResult) -> str:
        """Takes in a result; answers why the trial is to be stopped, "" if it is not."""
        trial, level = event.trial, event.resource
        value = self._sign * event.metrics[self._metric]
        if self._averages:
            total, count = self._sums.get(trial, (0.0, 0))
            total, count = self._sums[trial] = (total + value, count + 1)
            value = total / count
        values, trials = self._levels.setdefault(level, ([], []))
        better = bisect_left(values, value)
        place = bisect_right(values, value, better)
        values.insert(place, value)
        trials.insert(place, trial)
        top = self.objective.max_t
        if level < self._grace_time or len(values) < self._grace_population or (top is not None and level >= top):
            return ""
        cut = self._cut(len(values))
        if better < cut:
            return ""
        what = f"running average {self._sign * value:.6g}" if self._averages else f"{self._sign * value:.6g}"
        return (
            f"{self.objective.resource_attr} {level}: {what} has {better} of {len(values)} before it, {cut - 1} allowed"
        )

    def _cut(self, size: int) -> int:
        """How many of so many distinct values are good enough: those with at most the share `rank_cutoff` before them."""
        allowed = int(self._cutoff * size)
        # The product may be rounded to either side of what the quotient, which is the rule, says.
        while allowed + 1 < size and (allowed + 1) / size <= self._cutoff:
            allowed += 1
        while allowed and allowed / size > self._cutoff:
            allowed -= 1
        return min(allowed + 1, size)

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """What the other scheduler proposes."""
        return self.scheduler.propose(request, ledger)

    def checkpoint_chance(self, trial: TrialId, ledger: LedgerView) -> float:
        """The other scheduler's answer; without one paused trials are resumed some time."""
        own = getattr(self.scheduler, "checkpoint_chance", None)
        return float(ledger[trial].status is Status.PAUSED if own is None else own(trial, ledger))

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """The other scheduler's own context, if it has one."""
        own = getattr(self.scheduler, "running", None)
        return nullcontext() if own is None else own(context)

    def rung_table(self) -> list[dict[str, Any]]:
        """The levels from the lowest up, for `offbeat explain`.

        Each is {"level", "entries": [(what is compared, trial), ...] best first, "cut": how many of them are good enough,
        0: not judged at this level (yet)}.
        """
        return [
            {
                "level": level,
                "entries": [(self._sign * value, trial) for value, trial in zip(values, trials, strict=True)],
                "cut": self._cut(len(values))
                if level >= self._grace_time and len(values) >= self._grace_population
                else 0,
            }
            for level, (values, trials) in sorted(self._levels.items())
        ]


def _objective(inner: Objective, resource: str | None) -> Objective:
    if resource is None and inner.resource_attr is None:
        raise InvalidArgument(
            "MedianStoppingRule needs resource_attr=: the name under which the training script reports its progress, as in "
            "report(epoch=epoch + 1, ...) and resource_attr='epoch'."
        )
    if resource is not None and inner.resource_attr not in (None, resource):
        raise InvalidArgument(
            f"resource_attr={resource!r}, but the scheduler has {inner.resource_attr!r}: leave it out, or pass the same."
        )
    return inner if resource is None else structs.replace(inner, resource_attr=resource)


def _compared(objective: Objective, chosen: object) -> Any:
    """The metric that trials are compared by."""
    if chosen is None:
        return objective.metrics[0]
    for spec in objective.metrics:
        if spec.name == chosen:
            return spec
    names = [spec.name for spec in objective.metrics]
    raise InvalidArgument(f"metric={chosen!r} is not a metric of the scheduler. {nearest(str(chosen), names)}")
