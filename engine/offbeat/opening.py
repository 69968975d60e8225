"""How an experiment is begun and gone on with: what it is, on which machine it runs, the journal, everything folded."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

import offbeat
from offbeat import events as ev
from offbeat.budget import Usage
from offbeat.clock import Clock
from offbeat.describe import describe
from offbeat.errors import ExperimentExists, ExperimentLocked
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, holder, read_journal
from offbeat.log import get_logger
from offbeat.parts import checked_limits, rebuilt, recorded_spec
from offbeat.protocols import Scheduler
from offbeat.state import State
from offbeat.stopping import Stopper


def specification(
    name: str,
    *,
    scheduler: Scheduler,
    backend: ev.ComponentDescription,
    limits: ev.Limits,
    stopper: Stopper | None,
    metadata: dict[str, Any],
) -> ev.ExperimentSpec:
    """What a new experiment is."""
    objective = scheduler.objective
    stop = describe(stopper, "offbeat.stoppers") if stopper is not None else None
    return ev.ExperimentSpec(
        name=name,
        seed=scheduler.seed,
        metrics=objective.metrics,
        resource_attr=objective.resource_attr,
        max_t=objective.max_t,
        space=scheduler.space.to_json(),
        scheduler=describe(scheduler, "offbeat.schedulers"),
        backend=backend,
        limits=msgspec.structs.replace(limits, stop_criterion=stop),
        metadata=metadata,
    )


def warn_of_gaps(spec: ev.ExperimentSpec) -> None:
    """Tells of every part that the journal cannot describe."""
    for component in (spec.scheduler, spec.backend, spec.limits.stop_criterion):
        if component is not None and component.options is None:
            get_logger().warning(
                "the journal cannot describe a component; pass it again on resume",
                component=component.name,
                group=component.group,
            )


def fresh_journal(folder: ExperimentFolder, clock: Clock) -> Journal:
    """The journal of a new experiment. Raises ExperimentExists, ExperimentLocked, JournalUnwritable."""
    try:
        return Journal.create(folder)
    except ExperimentExists:
        # A run that ended before its first event (a crash, a backend that could not start) has not used the name up.
        if folder.journal.is_dir() and next(read_journal(folder), None) is None:
            return Journal.open(folder)
        if (other := holder(folder)) is not None:
            raise ExperimentLocked(folder.name, other.describe(clock.wall())) from None
        raise


class Reopened(NamedTuple):
    """An experiment folded up to its last event.

    Attributes:
        stopper, limits: as they hold from here on; changed: these are not the limits that held last.
        at: time of the last event on the experiment's clock.
    """

    journal: Journal
    state: State
    stopper: Stopper | None
    limits: ev.Limits
    changed: bool
    at: float


def reopened(
    folder: ExperimentFolder,
    scheduler: Scheduler,
    *,
    stopper: Stopper | None,
    recorded_stopper: bool,
    changes: Mapping[str, Any],
    watch: Callable[[ev.Event], object] | None = None,
) -> Reopened:
    """Reads the journal into the scheduler, and takes it over.

    `stopper` is another criterion than the recorded one, unless `recorded_stopper` says that this one goes on; `changes`
    are other limits, by name; `watch` is shown every event too.

    Raises ExperimentLocked, JournalError; InvalidArgument for limits that cannot be, or a criterion that has to be passed.
    """
    state = State(recorded_spec(folder), scheduler, stopper)
    last = 0.0

    def fold(event: ev.Event) -> None:
        nonlocal last
        last = max(last, event.at)
        state.fold(event)
        if watch is not None:
            watch(event)

    journal = Journal.open(folder, fold)
    try:
        before = state.limits
        if recorded_stopper:
            stop = before.stop_criterion
            stopper = rebuilt(stop, "stop_criterion") if stop is not None else None
        else:
            stop = describe(stopper, "offbeat.stoppers") if stopper is not None else None
        limits = checked_limits(msgspec.structs.replace(before, stop_criterion=stop, **changes))
        watched = set(stopper.watched_metrics) if stopper is not None else set()
        if missing := watched - set(state.usage.metrics):
            # Another criterion than before: what it reads of the past has to be gathered first.
            past = Usage(missing)
            for entry in read_journal(folder):
                past.apply(entry.event)
            state.usage.metrics |= past.metrics
            state.usage.watch(missing)
    except BaseException:
        journal.close()
        raise
    return Reopened(journal, state, stopper, limits, limits != before, last)


def this_host(clock: Clock) -> ev.Host:
    """Where and when a session begins."""
    return ev.Host(
        wall_time=clock.wall(),
        hostname=socket.gethostname(),
        pid=os.getpid(),
        python=platform.python_version(),
        offbeat=offbeat.__version__,
    )
