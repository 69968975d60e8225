"""Fork: a new experiment that shares its past with another one, up to any event, and goes on by itself.

Its journal begins with the same events, and its specification says where they come from. To the engine it looks as if the
source had crashed behind that event: trials that were running are taken up in simulated time where they were, and are lost
and started again in real time. So `resume` needs to know nothing of forks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from offbeat import events as ev
from offbeat import home as homes
from offbeat.describe import describe
from offbeat.errors import ExperimentExists, InvalidArgument, JournalError
from offbeat.events import ASK_TELL, IMPORTED, ExperimentSpec
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, decision_digest, holder
from offbeat.protocols import Scheduler
from offbeat.replay.changed import changed_scheduler
from offbeat.replay.integrity import events_of, found
from offbeat.replay.origin import KEY, Origin, origin_of
from offbeat.replay.rebuilding import Silent
from offbeat.replay.refold import MISFITS, Refold, SchedulerRaised, Turn
from offbeat.replay.sharing import CheckpointsMissing, Size, share
from offbeat.results.experiment import spec_of
from offbeat.trial import Status, TrialId, TrialRecord

GROUP: Final = 1_000
"""Events of the past that are written at once."""

ANOTHER: Final = "choose another name for the fork"

_PROGRESS: Final = (ev.TrialStarted, ev.TrialResumed, ev.TrialResult, ev.ReportRejected)

_ENDS: Final = (ev.TrialPaused, ev.TrialStopped, ev.TrialFinished, ev.TrialFailed, ev.TrialLost)


class Forked(msgspec.Struct, frozen=True, kw_only=True):
    """A new experiment.

    Attributes:
        name, folder: of the new one; source, event: where it comes from, and the last event that both have.
        digest: decision digest of the shared events behind the first.
        scheduler, seed: that decide from here on.
        shared: trials whose checkpoints it has; bytes: in all of them; copied: of these, the rest takes no room of its own.
        begin_again: unfinished trials that begin again without a checkpoint: they went on in the source behind the event, so
            that what lies there is of a future that the fork does not have.
        goes_on_with: the command or call that takes it up.
        notes: what else there is to know.
    """

    name: str
    folder: Path
    source: str
    event: int
    digest: str
    scheduler: str
    seed: int
    shared: tuple[int, ...]
    bytes: int
    copied: int
    begin_again: tuple[int, ...]
    goes_on_with: str
    notes: tuple[str, ...] = ()


def fork(
    experiment: ExperimentFolder | str | os.PathLike[str],
    at: int,
    name: str,
    home: str | os.PathLike[str] | None = None,
    *,
    scheduler: str | Scheduler | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    without_checkpoints: bool = False,
) -> Forked:
    """Makes a new experiment out of the first events of another, which is only read; go on with `Tuner.resume(name)`.

    With the scheduler unchanged, and in simulated time, it decides what the source decided. With a real backend, trials that
    the source ran on behind the event begin again, unless their checkpoints are from before. Checkpoints of trials that have
    ended are shared with the source and not to be changed by hand; a trial that can go on has its own.

    Args:
        experiment: name, path or folder of the source.
        at: number of the last event that the new one has too, from 0.
        name: of the new experiment.
        home: folder of experiments, of the new one too; a source given by its path may lie elsewhere.
        scheduler: what decides from here on, see `changed_scheduler`; default: as before.
        options: other arguments of its constructor.
        seed: another seed; trials that go on get theirs from it too.
        without_checkpoints: give none to the new experiment: all unfinished trials begin again.

    Raises:
        ExperimentNotFound, ExperimentExists, JournalDamaged, JournalTooNew.
        InvalidArgument: there is no such event, the scheduler cannot take up this past, or the source was imported.
        CheckpointsMissing, CannotShare, JournalUnwritable: nothing is left of the new experiment.
    """
    if isinstance(at, bool) or not isinstance(at, int) or at < 0:
        raise InvalidArgument(f"at={at!r}: give the number of an event, from 0.")
    source = found(experiment, home)
    spec = spec_of(source)
    if spec.backend.name == IMPORTED:
        raise InvalidArgument(
            f"{source.name} was imported: it has no backend that could go on with its trials. Start a new experiment, and "
            "let it begin with the best configurations of this one (points_to_evaluate=)."
        )
    parent = source.path.parent if home is None else homes.root(home)
    target = ExperimentFolder(parent / homes.checked_name(name))
    if os.path.lexists(target.path):
        raise ExperimentExists(name, ANOTHER)
    other = changed_scheduler(spec, scheduler=scheduler, options=options, seed=seed)
    past = _Past(source, spec, at, other)
    origin = Origin(
        experiment=source.name,
        folder=str(source.path),
        event=at,
        digest=decision_digest(islice(past.events(), 1, None)),
        scheduler=spec.scheduler,
        seed=spec.seed,
        before=origin_of(spec),
    )
    return _written(source, target, _specification(spec, name, other, origin), past, origin, without_checkpoints)


def _specification(spec: ExperimentSpec, name: str, other: Scheduler | None, origin: Origin) -> ExperimentSpec:
    spec = msgspec.structs.replace(spec, name=name, metadata={**spec.metadata, KEY: msgspec.to_builtins(origin)})
    if other is None:
        return spec
    return msgspec.structs.replace(
        spec,
        scheduler=describe(other, "offbeat.schedulers"),
        seed=other.seed,
        metrics=other.objective.metrics,
        max_t=other.objective.max_t,
    )


class _Past:
    """The first events of a journal, and what became of their trials later.

    Attributes:
        went_on: trials of which anything was heard behind them, or that run now.
        trials: as they were; deleted: those without a checkpoint, by a decision of then or later; notes: for the user.
    """

    def __init__(self, folder: ExperimentFolder, spec: ExperimentSpec, last: int, other: Scheduler | None) -> None:
        self._folder, self._last = folder, last
        self.went_on: set[TrialId] = set()
        self.deleted: set[TrialId] = set()
        self.notes: list[str] = []
        refold = Refold(spec, [Turn(other if other is not None else Silent(spec), None)])
        self.trials = refold.state.ledger.trials
        alive = holder(folder) is not None
        count = 0
        strangers = 0
        slots: set[TrialId] = set()
        for recorded in events_of(folder):
            count = recorded.seq + 1
            event = recorded.event
            if isinstance(event, ev.CheckpointDeleted):
                self.deleted.add(event.trial)
            if isinstance(event, ev.TrialStarted | ev.TrialResumed):
                slots.add(event.trial)
                if recorded.seq <= last:
                    self.deleted.discard(event.trial)
            elif isinstance(event, _ENDS):
                slots.discard(event.trial)
            if recorded.seq > last:
                if isinstance(event, _PROGRESS):
                    self.went_on.add(event.trial)
                continue
            strangers += self._take_in(refold, event, recorded.seq)
        if last >= count:
            raise InvalidArgument(
                f"There is no event {last} in {folder.name}: they are numbered 0 to {count - 1}."
                if count
                else f"There are no events in {folder.name}."
            )
        if alive:
            self.went_on |= slots
        if other is not None and strangers:
            self.notes.append(
                f"the new scheduler would have decided otherwise on {strangers} results of the past that it takes over"
            )

    def _take_in(self, refold: Refold, event: ev.Event, seq: int) -> bool:
        """Folds an event in; whether the new scheduler would have decided otherwise on it."""
        try:
            decided = refold.take_in(event, seq)
        except SchedulerRaised as error:
            raise InvalidArgument(
                f"The scheduler cannot take up this past: at event {seq} it raises {error}."
            ) from error
        except MISFITS as error:
            raise JournalError(f"Event {seq} does not fit those before it: {error}.") from error
        if decided is None or not isinstance(event, ev.TrialResult) or isinstance(refold.scheduler, Silent):
            return False
        if decided.verdict == "pause" and event.verdict == "continue":
            raise InvalidArgument(
                f"The scheduler cannot take up this past: at event {seq} it pauses trial {event.trial}, which went on. "
                f"Fork at an event before {seq}, or take a scheduler that does not pause."
            )
        return decided.verdict != event.verdict

    def events(self) -> Iterator[ev.Event]:
        """The first events, read again."""
        return (recorded.event for recorded in islice(events_of(self._folder), self._last + 1))


def _written(  # noqa: PLR0917 - all of what there is to write
    source: ExperimentFolder,
    target: ExperimentFolder,
    spec: ExperimentSpec,
    past: _Past,
    origin: Origin,
    without_checkpoints: bool,
) -> Forked:
    """Writes the new experiment beside its place and moves it there: it is there as a whole or not at all."""
    making = ExperimentFolder(target.path.with_name(f".{target.name}.forking-{os.getpid()}"))
    shutil.rmtree(making.path, ignore_errors=True)
    try:
        with Journal.create(making) as journal:
            events = past.events()
            first = next(events)
            assert isinstance(first, ev.ExperimentOpened)
            group: list[ev.Event] = [msgspec.structs.replace(first, spec=spec), *islice(events, GROUP)]
            while group:
                journal.commit(group, sync=False)
                group = list(islice(events, GROUP))
        shared, begin_again, size = _checkpoints(source, making, past, without_checkpoints)
        making.path.rename(target.path)
    except BaseException as error:
        shutil.rmtree(making.path, ignore_errors=True)
        if isinstance(error, OSError) and os.path.lexists(target.path):
            raise ExperimentExists(target.name, ANOTHER) from error
        raise
    notes = list(past.notes)
    notes += [
        f"trial {trial} is to begin with the checkpoint of trial {record.donor}, which the fork does not have"
        for trial, record in past.trials.items()
        if record.attempt < 0 and record.donor is not None and int(record.donor) in begin_again
    ]
    call = f"offbeat.AskTell(experiment={target.name!r})"
    return Forked(
        name=target.name,
        folder=target.path,
        source=source.name,
        event=origin.event,
        digest=origin.digest,
        scheduler=spec.scheduler.name,
        seed=spec.seed,
        shared=tuple(shared),
        bytes=size.bytes,
        copied=size.copied,
        begin_again=tuple(begin_again),
        goes_on_with=call if spec.backend.name == ASK_TELL else f"offbeat resume {target.name}",
        notes=tuple(notes),
    )


def _checkpoints(
    source: ExperimentFolder, target: ExperimentFolder, past: _Past, without: bool
) -> tuple[list[int], list[int], Size]:
    """Shares what is of the past: trials that have it, trials that begin again, and bytes."""
    shared: list[int] = []
    begin_again: list[int] = []
    size = Size()
    for trial, record in past.trials.items():
        there, over = source.checkpoints(trial), record.status.ended or record.status is Status.STOPPING
        if without or trial in past.went_on or trial in past.deleted:
            if not over and record.resource and source.trial(trial).is_dir():
                begin_again.append(int(trial))
        elif there.is_dir():
            if any(there.iterdir()):
                ended = record.status.ended
                size = size.plus(share(there, target.checkpoints(trial), source.path, ended=ended))
                shared.append(int(trial))
        elif _had_some(source, record):
            raise CheckpointsMissing(source.name, int(trial), str(there))
    return shared, begin_again, size


def _had_some(source: ExperimentFolder, record: TrialRecord) -> bool:
    """Whether a trial that can go on had a folder for checkpoints: processes are given one when they start."""
    over = record.status.ended or record.status is Status.STOPPING
    return bool(not over and record.resource and source.attempt(record.id, record.attempt).is_dir())
