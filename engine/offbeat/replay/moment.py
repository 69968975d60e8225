"""Replay: an experiment as it was once an event had happened, and what came before and behind it.

Events are numbered from 0 as everywhere else (`seq` in tables, `verify`, `explain`); the state at event 7 is the one in which
it has happened.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from offbeat import events as ev
from offbeat.errors import InvalidArgument, JournalError
from offbeat.events import ExperimentSpec, Limits
from offbeat.home import ExperimentFolder
from offbeat.protocols import Scheduler
from offbeat.replay.integrity import events_of, found
from offbeat.replay.origin import authors
from offbeat.replay.rebuilding import Rebuilt, rebuilt
from offbeat.replay.refold import MISFITS, Refold, SchedulerRaised, Turn
from offbeat.replay.telling import name_of, sentence, trial_of
from offbeat.results.experiment import COUNTED, spec_of
from offbeat.trial import TrialId, TrialRecord

STEPS = 5
"""Events before and behind that are told unless somebody wants more."""


class Step(msgspec.Struct, frozen=True):
    """An event in words.

    Attributes:
        event: its number; at: seconds on the experiment's clock; what: its wire name; trial: whose, if anybody's.
    """

    event: int
    at: float
    what: str
    trial: int | None
    text: str


class TrialThen(msgspec.Struct, frozen=True, kw_only=True):
    """A trial as it was; see `offbeat.trial.TrialRecord`. `last` and `best` are values of the first objective."""

    trial: int
    status: str
    attempt: int
    resource: int
    reports: int
    until: int | None
    last: float | None
    best: float | None
    reason: str
    config: Mapping[str, Any]


class IncumbentThen(msgspec.Struct, frozen=True, kw_only=True):
    """The best result by then, by the first objective."""

    trial: int
    value: float
    resource: int
    event: int
    at: float
    config: Mapping[str, Any]


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as it was; nothing in it changes any more.

    Attributes:
        metric: the first objective. resource_attr: what resource levels count.
        event: number of the last event that had happened; events: how many there are in all; at: its time in seconds.
        step: that event; before, after: so many before and behind it, oldest first.
        trials: by number. running: on a worker (told to end or not); queued: for a worker; paused: to be resumed, or not.
        rungs: the scheduler's `rung_table()`, None if it has none or cannot be had.
        incumbent: None before the first result. limits: those in force.
        notes: what cannot be shown, and why.
    """

    experiment: str
    metric: str
    resource_attr: str | None
    event: int
    events: int
    at: float
    session: int
    step: Step
    before: Sequence[Step]
    after: Sequence[Step]
    trials: Sequence[TrialThen]
    running: Sequence[int]
    queued: Sequence[int]
    paused: Sequence[int]
    rungs: Sequence[Mapping[str, Any]] | None
    incumbent: IncumbentThen | None
    limits: Limits
    notes: Sequence[str] = ()


def replay(
    experiment: ExperimentFolder | str | os.PathLike[str],
    at: int | None = None,
    home: str | os.PathLike[str] | None = None,
    *,
    scheduler: Scheduler | None = None,
    steps: int = STEPS,
) -> Moment:
    """An experiment as it was once event `at` had happened (default: the last one); takes no lock.

    Args:
        experiment: name, path or folder.
        at: number of the event, from 0.
        home: folder of experiments.
        scheduler: in its initial state, where the journal cannot describe it; without it there are no rungs.
        steps: how many events before and behind are told.

    Raises:
        ExperimentNotFound, JournalDamaged (also if the damage lies behind the event), JournalTooNew.
        InvalidArgument: there is no such event.
    """
    if at is not None and (isinstance(at, bool) or not isinstance(at, int) or at < 0):
        raise InvalidArgument(f"at={at!r}: give the number of an event, from 0.")
    folder = found(experiment, home)
    spec = spec_of(folder)
    notes: list[str] = []
    turns = []
    for author in authors(spec):
        given = scheduler is not None and author.scheduler == spec.scheduler
        one = Rebuilt(scheduler) if given and scheduler is not None else rebuilt(author.scheduler, spec)
        if one.problem:
            notes.append(f"rungs cannot be shown: {one.problem}")
        if one.note:
            notes.append(one.note)
        turns.append(Turn(one.scheduler, author.last))
    walk = _Walk(spec, Refold(spec, turns), steps, notes)
    count = walk.to(folder, at)
    if walk.step is None or (at is not None and at >= count):
        last = f"they are numbered 0 to {count - 1}" if count else "there are none"
        raise InvalidArgument(f"There is no event {at} in {folder.name}: {last}.")
    return walk.moment(folder.name, count)


class _Walk:
    """The way through a journal, to one event and a few more."""

    def __init__(self, spec: ExperimentSpec, refold: Refold, steps: int, notes: list[str]) -> None:
        self.step: Step | None = None
        self._spec, self._refold, self._notes = spec, refold, notes
        self._before: deque[Step] = deque(maxlen=steps)
        self._after: list[Step] = []
        self._steps = steps
        self._at = 0.0
        self._incumbent: tuple[int, float, int, int, float] | None = None
        first = spec.metrics[0]
        self._metric, self._sign = first.name, 1 if first.mode == "min" else -1

    def to(self, folder: ExperimentFolder, at: int | None) -> int:
        """Reads all events and folds in those up to `at`; answers how many there are."""
        count = 0
        for recorded in events_of(folder):
            count = recorded.seq + 1
            if at is None or recorded.seq <= at:
                if self.step is not None:
                    self._before.append(self.step)
                self._fold(recorded.event, recorded.seq)
                self.step = self._told(recorded.event, recorded.seq)
            elif len(self._after) < self._steps:
                self._after.append(self._told(recorded.event, recorded.seq))
        return count

    def _told(self, event: ev.Event, seq: int) -> Step:
        text = sentence(event, self._spec)
        return Step(seq, event.at, name_of(event), trial_of(event), text)

    def _fold(self, event: ev.Event, seq: int) -> None:
        self._at = max(self._at, event.at)
        try:
            if isinstance(event, ev.TrialResult) and event.verdict in COUNTED:
                self._rank(event, seq)
            self._refold.take_in(event, seq)
        except SchedulerRaised as error:
            self._notes.append(f"rungs are those before event {seq}: the scheduler raised {error}")
        except MISFITS as error:
            raise JournalError(f"Event {seq} does not fit those before it: {error}.") from error

    def _rank(self, event: ev.TrialResult, seq: int) -> None:
        value = event.metrics[self._metric]
        best = self._incumbent
        if best is None or self._sign * value < self._sign * best[1]:
            self._incumbent = (int(event.trial), value, event.resource, seq, event.at)

    def moment(self, name: str, count: int) -> Moment:
        """What was found."""
        state = self._refold.state
        ledger = state.ledger
        step = self.step
        assert step is not None
        best = self._incumbent
        table = getattr(self._refold.scheduler, "rung_table", None)
        return Moment(
            experiment=name,
            metric=self._metric,
            resource_attr=self._spec.resource_attr,
            event=step.event,
            events=count,
            at=self._at,
            session=state.session,
            step=step,
            before=tuple(self._before),
            after=tuple(self._after),
            trials=tuple(self._then(record) for record in ledger),
            running=tuple(sorted(int(trial) for trial in ledger.slots.values())),
            queued=tuple(int(trial) for trial in state.queue),
            paused=tuple(sorted(int(trial) for trial in ledger.paused)),
            rungs=None if table is None else tuple(table()),
            incumbent=None
            if best is None
            else IncumbentThen(
                trial=best[0],
                value=best[1],
                resource=best[2],
                event=best[3],
                at=best[4],
                config=dict(ledger.trials[TrialId(best[0])].config),
            ),
            limits=state.limits,
            notes=tuple(self._notes),
        )

    def _then(self, record: TrialRecord) -> TrialThen:
        metric = self._metric
        return TrialThen(
            trial=int(record.id),
            status=record.status.value,
            attempt=record.attempt,
            resource=record.resource,
            reports=record.reports,
            until=record.until,
            last=None if record.last is None else record.last.get(metric),
            best=None if record.best is None else record.best.get(metric),
            reason=record.reason,
            config=dict(record.config),
        )
