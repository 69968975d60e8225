"""What embedding code may tell a running session: each is checked, and becomes an event like everything else.

An instruction that cannot be carried out raises and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from offbeat import events as ev
from offbeat.conductor import Conductor
from offbeat.describe import describe
from offbeat.errors import InvalidArgument
from offbeat.limits import LimitWatch
from offbeat.parts import checked_limits
from offbeat.signals import StopTrial
from offbeat.stopping import as_stopper
from offbeat.trial import Status, TrialId, TrialRecord


def stop_trial(conductor: Conductor, at: float, *, trial: int, why: str) -> None:
    """Ends a trial for good, whatever it is doing. Raises InvalidArgument for one that is not there or has ended."""
    record = _record(conductor, trial)
    status = record.status
    if status.ended:
        raise InvalidArgument(f"Trial {trial} has ended already ({status.value}).")
    if status is Status.RUNNING or status is Status.PAUSING:
        running = status is Status.RUNNING
        conductor.record(ev.Instructed(at, "stop", record.id, None, why))
        if running:
            conductor.commands.append(StopTrial(record.id, record.attempt))
    elif status is not Status.STOPPING:
        conductor.record(ev.TrialStopped(at, record.id, record.attempt, "user", why))
        conductor.checkpoints.tidy(at)
    conductor.check_limits(at)


def enqueue(conductor: Conductor, at: float, *, config: Mapping[str, Any], why: str) -> None:
    """Has a configuration tried before the scheduler is asked again; what it lacks is filled in with defaults.

    Raises InvalidConfig.
    """
    complete = conductor.scheduler.space.complete(config)
    conductor.record(ev.Instructed(at, "enqueue", TrialId(-1), complete, why))


def approve(conductor: Conductor, at: float, *, trial: int, why: str) -> None:
    """Lets a trial start that waits for it. Raises InvalidArgument for one that does not."""
    record = _record(conductor, trial)
    if record.id not in conductor.state.held:
        waiting = ", ".join(map(str, conductor.state.held)) or "none"
        raise InvalidArgument(f"Trial {trial} does not wait for approval (waiting: {waiting}).")
    conductor.record(ev.Instructed(at, "approve", record.id, None, why))


def change(conductor: Conductor, at: float, *, changes: Mapping[str, Any]) -> None:
    """Other limits from here on: fields of `offbeat.events.Limits`, `stop_criterion` being a criterion or None.

    Raises InvalidArgument for limits that cannot be, and for a criterion on metrics that nobody has watched so far.
    """
    changes = dict(changes)
    stopper = conductor.stopper
    if "stop_criterion" in changes:
        given = changes["stop_criterion"]
        stopper = None if given is None else as_stopper(given)
        changes["stop_criterion"] = None if stopper is None else describe(stopper, "offbeat.stoppers")
    if stopper is not None and (missing := set(stopper.watched_metrics) - set(conductor.state.usage.metrics)):
        raise InvalidArgument(
            f"The new criterion is about {', '.join(sorted(missing))}, of which this session has kept no record: stop it "
            "and give the criterion to Tuner.resume, which reads the past again."
        )
    if changes.get("checkpoint_budget") is not None and conductor.state.limits.checkpoint_budget is None:
        raise InvalidArgument(
            "checkpoint_budget: this session does not measure checkpoints, since it began without a budget for them: stop it "
            "and give the budget to Tuner.resume."
        )
    limits = checked_limits(msgspec.structs.replace(conductor.state.limits, **changes))
    conductor.stopper = stopper
    conductor.limits = LimitWatch(stopper, conductor.state.usage)
    conductor.change_limits(at, limits)
    conductor.tick(at)


def _record(conductor: Conductor, trial: int) -> TrialRecord:
    record = conductor.ledger.trials.get(TrialId(trial))
    if record is None:
        count = len(conductor.ledger)
        there = f"there are 0 to {count - 1}" if count else "there is none yet"
        raise InvalidArgument(f"There is no trial {trial!r}; {there}.")
    return record
