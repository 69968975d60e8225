"""Counterfactual replay: what another scheduler would have made of the trials that were recorded.

It runs on the recorded curves (same configurations, same order, as many workers). Where it would have stopped every trial no
later than it was, the answer is exact. Where it would have let one run on, its future is unknown, and from that moment on so
is everything: bounds are given that hold whatever the unknown results are, and beside them two guesses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from offbeat import events as ev
from offbeat.errors import InvalidArgument
from offbeat.events import ANY_NUMBER, TrialResult
from offbeat.home import ExperimentFolder
from offbeat.protocols import Scheduler
from offbeat.replay.changed import changed_scheduler
from offbeat.replay.curves import known
from offbeat.replay.figures import Bounds, Disagreement, Scenario, View
from offbeat.replay.imagining import imagined
from offbeat.replay.integrity import events_of, found
from offbeat.results.experiment import spec_of
from offbeat.state import OBSERVED


class Counterfactual(msgspec.Struct, frozen=True, kw_only=True):
    """What another scheduler would have made of an experiment's trials.

    Attributes:
        scheduler: the other one; metric, mode, resource_attr: what is compared.
        exact: no trial would have gone on behind the end of its record.
        unknown_from: else, seconds on the imagined run's clock from which the answer depends on what nobody knows.
        best, resource, seconds: bounds; see `Scenario`. They assume that a training ends at its highest level, and for
            `seconds` that no unknown level takes longer than the slowest recorded one.
        recorded: the same figures as they were.
        stale, hopeful: two guesses: unknown results stay at the trial's last value; they are as good as the best trial's
            at that level. Equal to the bounds where those are exact.
        compared, agree: recorded results that both have decided upon, and on how many they decide alike; disagreements:
            the others. A trial that is stopped where its training ends is decided alike with one that ends by itself.
            Without unknown futures these are exact, else those of `stale`.
        earlier, longer: trials that would have been stopped or paused for good earlier, and let run longer.
        untried: recorded trials that it would not have started.
    """

    experiment: str
    scheduler: str
    metric: str
    mode: str
    resource_attr: str
    trials: int
    exact: bool
    unknown_from: float | None
    best: Bounds
    resource: Bounds
    seconds: Bounds
    recorded: Scenario
    stale: Scenario
    hopeful: Scenario
    compared: int
    agree: int
    disagreements: Sequence[Disagreement]
    earlier: Sequence[int]
    longer: Sequence[int]
    untried: Sequence[int]


def counterfactual(
    experiment: ExperimentFolder | str | os.PathLike[str],
    scheduler: str | Callable[[], Scheduler] | None = None,
    home: str | os.PathLike[str] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    limit: float | None = None,
) -> Counterfactual:
    """Replays an experiment's results with another scheduler of the stopping or promotion type.

    Args:
        experiment: name, path or folder.
        scheduler: name of a plugin, or a function that makes a scheduler (it is run several times); None: the recorded one
            with other options.
        home: folder of experiments.
        options: arguments of the scheduler's constructor; see `changed_scheduler`.
        seed: another seed.
        limit: a value of the first objective that none can beat (0 for an error); without it an unknown future has no
            bound on its good side.

    Raises:
        ExperimentNotFound, JournalDamaged, JournalTooNew.
        InvalidArgument: the scheduler is for another space, metric or resource; the results have no resource levels; there
            are no results; nothing was to be changed.
        PluginFailed: the scheduler fails on these results.
    """
    folder = found(experiment, home)
    spec = spec_of(folder)
    if spec.resource_attr is None:
        raise InvalidArgument(
            f"{spec.name!r} has no resource levels (resource_attr): nothing was decided on the way, and nothing could be."
        )
    events = [recorded.event for recorded in events_of(folder)]
    trials = known(events)
    if not trials.levels:
        raise InvalidArgument(f"{spec.name!r} has no results yet.")
    limits = spec.limits
    for event in events:
        if isinstance(event, ev.LimitsChanged):
            limits = event.limits

    if scheduler is not None and not isinstance(scheduler, str) and not callable(scheduler):
        raise InvalidArgument(
            "scheduler= is run several times, each time from its initial state: give lambda: ASHA(...)."
        )

    def made() -> Scheduler:
        own = scheduler() if callable(scheduler) else scheduler
        fresh = changed_scheduler(spec, scheduler=own, options=options, seed=seed)
        if fresh is None:
            raise InvalidArgument("Name another scheduler, other options or another seed: with none it is `verify`.")
        return fresh

    first = made()
    objective = first.objective
    view = View(trials, objective.metrics[0].name, objective.metrics[0].mode, spec.resource_attr)
    top = objective.max_t or trials.levels[-1]
    if limit is not None and view.best is not None and view.sign * limit > view.sign * view.best:
        raise InvalidArgument(f"limit={limit!r}: {view.best!r} was reported, which is better.")
    workers = trials.workers if limits.n_workers == ANY_NUMBER else limits.n_workers
    run = partial(imagined, trials, n_workers=workers, asynchronous=limits.asynchronous, top=top)
    stale = run(first, view.stale)
    unknown = view.first_unknown(stale)
    hopeful = stale if unknown is None else run(made(), view.hopeful)
    blind = _is_blind(first)
    best, resource, seconds = view.bounds(stale, unknown, top, limit, blind)
    reached = view.reached(stale)
    disagreements, compared = view.disagreements(stale, top)
    return Counterfactual(
        experiment=folder.name,
        scheduler=type(first).__name__,
        metric=view.metric,
        mode=view.mode,
        resource_attr=view.resource_attr,
        trials=len(trials.curves),
        exact=unknown is None,
        unknown_from=None if unknown is None else stale[unknown].at,
        best=best,
        resource=resource,
        seconds=seconds,
        recorded=view.recorded(events[-1].at),
        stale=view.scenario(stale),
        hopeful=view.scenario(hopeful),
        compared=compared,
        agree=compared - len(disagreements),
        disagreements=disagreements,
        earlier=[one.trial for one in trials.curves if one.trial in reached and reached[one.trial] < one.level],
        longer=[one.trial for one in trials.curves if reached.get(one.trial, 0) > one.level],
        untried=[one.trial for one in trials.curves if one.trial not in reached],
    )


def _is_blind(scheduler: Scheduler) -> bool:
    """Whether it is not shown results at all, so that nothing of what happens depends on them."""
    wanted = getattr(scheduler, "observes", None)
    return wanted is not None and TrialResult not in OBSERVED & frozenset(wanted)
