"""Automatic termination (Makarova et al. 2022, "Automatic Termination for Hyperparameter Optimization", AutoML-Conf).

A search is over once what it may still gain is less than what its measurements can tell. What may be gained is bounded by a
Gaussian process (`acquisition.regret`); what can be told is a threshold that is given, or the statistical error of the best
trial's cross-validation. Everything else is decided by the scheduler that this one is put around.

It is a scheduler and not a stopping criterion, since a model takes its time: the bound is computed where proposals are, in a
process of its own while real trials run, it is written into each proposal, and what follows from it is read from there when a
journal is read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from inspect import isawaitable
from math import isfinite, sqrt
from typing import Any, Final

from msgspec import structs

from offbeat.arguments import explained, require_count, require_seconds
from offbeat.decisions import Decision, Nothing, Proposal, Resume, Start
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.events import Event, ModelFitted, Suggested, TrialResult
from offbeat.protocols import LedgerView, Mode, ProposalRequest, Scheduler, SchedulerContext
from offbeat.space import Space
from offbeat.trial import TrialId
from offbeat_plugins.modelling.worker import ModelFailed
from offbeat_plugins.schedulers.inner import inner_scheduler
from offbeat_plugins.searchers.gp import GaussianProcessSearcher

OBSERVES: Final = GaussianProcessSearcher.observes - {ModelFitted}
"""What the bound is made of: all that the model learns from, but for what it would propose."""

TAG: Final = "regret"
"""In the tags of proposals: {"bound", "threshold"}, the latter null where it is not known, and "over": true at the end."""

DIGITS: Final = 6
"""Significant ones of what is written down and compared."""


@described
@explained
class AutomaticTerminationCriterion:
    """Ends the search once the regret of the best trial is, in all likelihood, below a threshold.

        AutomaticTerminationCriterion(config_space, threshold=0.005, metric="loss")
        AutomaticTerminationCriterion(scheduler=ASHA(...), std_attr="fold_std", num_folds=10)

    Regret is how far the value of the best trial is from the best there is in the space, in the metric's own unit. When its
    upper bound has fallen to the threshold nothing more is proposed: trials that run come to their end as the other scheduler
    decides, and so does a proposal that already waits for a worker. Then the run is done, with bound and threshold as its
    reason. Each proposal says how far it is. Combine it with a `StoppingCriterion`, whichever comes first.

    A trial counts with its last value once it has ended; where there is a resource, with its value at the highest level that
    `warm_up` trials have reached. Values that are all equal tell nothing and end nothing.

    Args:
        config_space, metric, mode, random_seed, resource_attr, time_attr, max_resource_attr: for a scheduler given by name,
            which is built with them.
        threshold: regret that is small enough, in the metric's unit. Give this, or `std_attr` and `num_folds`.
        scheduler: name of a plugin in `offbeat.schedulers` with one metric, or an object.
        scheduler_options: further arguments of a scheduler given by name.
        std_attr: name under which trials report the standard deviation of the metric over the folds of their
            cross-validation; the threshold is the standard error of the best trial's mean, whose variance is (1 / folds +
            1 / (folds - 1)) times that of a fold (Nadeau and Bengio 2003).
        num_folds: folds of that cross-validation, 2 or more.
        beta: square of the deviations that the confidence bounds are away from the mean; None: the paper's schedule,
            which grows with the logarithm of the number of trials (about 4 at 20 trials of 4 hyperparameters).
        warm_up: as long as fewer trials have been measured nothing ends.
        topq: share of the trials that the model is fitted to, the best ones, 20 at least.
        deadline: seconds that a fit may take in its own process, while real trials run.

    Raises InvalidArgument, UnknownArgument, UnknownPlugin, and what the scheduler's constructor raises.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space | None = None,
        threshold: float | None = None,
        metric: str | None = None,
        mode: Mode | None = None,
        *,
        scheduler: str | Scheduler = "bayesian-optimization",
        scheduler_options: Mapping[str, Any] | None = None,
        std_attr: str | None = None,
        num_folds: int | None = None,
        beta: float | None = None,
        warm_up: int = 20,
        topq: float = 0.5,
        deadline: float = 60.0,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        random_seed: int | None = None,
    ) -> None:
        _check_threshold(threshold, std_attr, num_folds)
        if beta is not None:
            _require_positive("beta", beta)
        require_count("warm_up", warm_up)
        if warm_up < 2:
            raise InvalidArgument(f"warm_up={warm_up}: a model needs 2 measured trials at least.")
        if isinstance(topq, bool) or not isinstance(topq, int | float) or not 0 <= topq <= 1:
            raise InvalidArgument(f"topq={topq!r}: give a share of the trials from 0 to 1.")
        require_seconds("deadline", deadline)
        given = {
            "config_space": config_space, "metric": metric, "mode": mode, "resource_attr": resource_attr,
            "time_attr": time_attr, "max_resource_attr": max_resource_attr, "random_seed": random_seed,
        }  # fmt: skip
        self.scheduler = inner_scheduler("AutomaticTerminationCriterion", scheduler, given, scheduler_options)
        if isinstance(scheduler, str):
            self.recorded_arguments = {"random_seed": self.scheduler.seed}
        self.space, self.seed, self.objective = self.scheduler.space, self.scheduler.seed, self.scheduler.objective
        if len(self.objective.metrics) > 1:
            names = [spec.name for spec in self.objective.metrics]
            raise InvalidArgument(f"The scheduler has the metrics {names!r}: the regret of one metric can be bounded.")
        self._threshold = None if threshold is None else float(threshold)
        self._std_attr = std_attr
        self._error = 0.0 if num_folds is None else sqrt(1.0 / num_folds + 1.0 / (num_folds - 1.0))
        self._beta = None if beta is None else float(beta)
        self._warm_up, self._topq = warm_up, float(topq)
        # A searcher of its own, which is never asked what to try: it keeps the values and has the model.
        self._model = GaussianProcessSearcher(
            self.space, self.objective, num_init_random=warm_up, backend="numpy", deadline=deadline,
            by_level=self.objective.resource_attr is not None,
        )  # fmt: skip
        wanted = getattr(self.scheduler, "observes", None)
        self._passed_on = None if wanted is None else frozenset(wanted)
        self.observes = None if self._passed_on is None else OBSERVES | self._passed_on
        self.prefetch = int(getattr(self.scheduler, "prefetch", 0))
        #: Trial -> level -> what was reported under `std_attr` there.
        self._stds: dict[TrialId, dict[int, float]] = {}
        #: Measured trials when the last bound was written down.
        self._bounded_at = 0
        #: Why the search is over; "": it is not.
        self._over = ""

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Lets the other scheduler decide."""
        if type(event) in OBSERVES:
            self._model.observe(event, ledger)
        if type(event) is TrialResult and self._std_attr is not None:
            std = event.metrics.get(self._std_attr)
            if isinstance(std, int | float) and not isinstance(std, bool) and std >= 0:
                self._stds.setdefault(event.trial, {})[event.resource] = float(std)
        elif type(event) is Suggested and (told := event.tags.get(TAG)) is not None:
            self._bounded_at = told["trials"]
            if told.get("over"):
                self._over = event.why
        if self._passed_on is None or type(event) in self._passed_on:
            return self.scheduler.observe(_without_tag(event), ledger)
        return ()

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """What the other scheduler proposes, with the bound; Nothing, with the reason, once it is low enough."""
        if self._over:
            return Nothing(why=self._over)
        learned = self._model.learned()
        count = len(learned.rows)
        if count < self._warm_up or count == self._bounded_at:
            return self.scheduler.propose(request, ledger)
        threshold = self._threshold
        if threshold is None:
            best = self._model.trial(int(learned.rows[int(learned.values[:, 0].argmin())]))
            threshold = self._error_of(best, learned.level)
        found: Any
        try:
            found = self._model.regret(request, learned, beta=self._beta, top=self._topq)
        except ModelFailed as error:
            found = error
        # Asked at once, since what it answers depends on what has happened up to now.
        answer: Any = self.scheduler.propose(request, ledger)
        if isawaitable(found) or isawaitable(answer):
            return self._later(found, answer, threshold, count)
        return _told(answer, self._judged(found, threshold, count))

    async def _later(self, found: Any, answer: Any, threshold: float | None, count: int) -> Proposal | None:
        proposal = asyncio.ensure_future(answer) if isawaitable(answer) else None
        try:
            try:
                bound = await found if isawaitable(found) else found
            except ModelFailed as error:
                bound = error
            note = self._judged(bound, threshold, count)
            if isinstance(note, Nothing) or proposal is None:
                return _told(answer, note)
            return _told(await proposal, note)
        finally:
            if proposal is not None and not proposal.done():
                proposal.cancel()
                await asyncio.wait([proposal])

    def _error_of(self, trial: TrialId, level: int | None) -> float | None:
        """The statistical error of a trial's value; None where it has not reported its deviation."""
        stds = self._stds.get(trial, {})
        std = stds.get(max(stds, default=0) if level is None else level)
        return None if std is None else self._error * std

    def _judged(self, found: dict[str, Any] | ModelFailed, threshold: float | None, count: int) -> Nothing | _Note:
        """The end of the search, or what the next proposal is to say of it."""
        if isinstance(found, ModelFailed):
            line = str(found).partition("\n")[0]
            return _Note({"trials": count}, f"regret is not bounded: {line}")
        if not found:
            return _Note({"trials": count}, "regret is not bounded: all values that count are equal")
        bound = float(f"{found['bound']:.{DIGITS}g}")
        limit = None if threshold is None else float(f"{threshold:.{DIGITS}g}")
        tags = {"trials": count, "bound": bound, "threshold": limit}
        if limit is None:
            return _Note(tags, f"regret at most {bound:g}; the best trial did not report {self._std_attr!r}")
        if bound > limit:
            return _Note(tags, f"regret at most {bound:g}, the search ends at {limit:g}")
        name = self.objective.metrics[0].name
        why = f"regret of {name} is at most {bound:g} after {count} trials, not above the threshold {limit:g}"
        return Nothing(why=why, tags={TAG: {**tags, "over": True}})

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """The bound's own process, and the other scheduler's context."""
        return self._both(context)

    @asynccontextmanager
    async def _both(self, context: SchedulerContext) -> AsyncIterator[None]:
        own = getattr(self.scheduler, "running", None)
        async with self._model.running(context), nullcontext() if own is None else own(context):
            yield

    def rung_table(self) -> list[dict[str, Any]]:
        """The other scheduler's, for `offbeat explain`."""
        table = getattr(self.scheduler, "rung_table", None)
        return [] if table is None else list(table())


class _Note:
    """What a proposal says of the bound: its tag, and a clause for people."""

    __slots__ = ("clause", "tag")

    def __init__(self, tag: dict[str, Any], clause: str) -> None:
        self.tag, self.clause = tag, clause


def _told(proposal: Any, note: Nothing | _Note) -> Proposal | None:
    """The other scheduler's proposal with the note, or the end."""
    if isinstance(note, Nothing):
        return note
    if not isinstance(proposal, Start | Resume):
        ended: Proposal | None = proposal
        return ended
    why = f"{proposal.why}; {note.clause}" if proposal.why else note.clause
    return structs.replace(proposal, why=why, tags={**proposal.tags, TAG: note.tag})


def _without_tag(event: Event) -> Event:
    """The event as the other scheduler's proposal would have made it."""
    if type(event) is Suggested and TAG in event.tags:
        return structs.replace(event, tags={name: value for name, value in event.tags.items() if name != TAG})
    return event


def _check_threshold(threshold: object, std_attr: object, num_folds: object) -> None:
    if (threshold is None) is (std_attr is None):
        raise InvalidArgument(
            "AutomaticTerminationCriterion needs threshold=, a regret in the metric's unit that is small enough, or std_attr= "
            "and num_folds=, from which the statistical error of the best trial follows: one of the two."
        )
    if threshold is not None:
        _require_positive("threshold", threshold)
    if (std_attr is None) is not (num_folds is None):
        raise InvalidArgument("std_attr= and num_folds= belong together: both, or neither.")
    if std_attr is not None and (not isinstance(std_attr, str) or not std_attr):
        raise InvalidArgument(f"std_attr={std_attr!r}: give the name of one reported metric.")
    if num_folds is not None and (isinstance(num_folds, bool) or not isinstance(num_folds, int) or num_folds < 2):
        raise InvalidArgument(f"num_folds={num_folds!r}: give a whole number from 2 up.")


def _require_positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise InvalidArgument(f"{name}={value!r}: give a finite number above 0.")
