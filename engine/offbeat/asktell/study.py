"""What both forms of ask and tell have in common: arguments, opening and closing, and what can be read at any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from offbeat import events as ev
from offbeat import home as homes
from offbeat.asktell.desk import Desk
from offbeat.asktell.incumbent import Incumbent
from offbeat.asktell.trial import AskedTrial, StudyClosed
from offbeat.clock import Clock, SystemClock
from offbeat.conductor import Conductor
from offbeat.errors import ExperimentNotFound, InvalidArgument
from offbeat.journal import Journal, read_journal
from offbeat.opening import fresh_journal, reopened, specification, this_host, warn_of_gaps
from offbeat.parts import (
    check_has,
    check_scheduler,
    checked_limits,
    checked_metadata,
    rebuilt,
    recorded_spec,
)
from offbeat.protocols import LedgerView, Scheduler
from offbeat.results import Best
from offbeat.state import State
from offbeat.stopping import as_stopper

UNCHANGED: Final[Any] = object()
"""Default of limits: as the experiment had them last; for a new one, none."""


class Study:
    """Asked for configurations and told results; whoever asks executes the trials.

    Args:
        scheduler: decides (`ASHA(config_space, metric=..., ...)`). None: as the journal of `experiment` describes it.
        experiment: name of an experiment in `home`, or its folder as a path. What is answered then is on the disk before
            it is answered; an experiment that exists is gone on with, if the scheduler is the one that it was made with
            (give it a `random_seed`). None: everything stays in memory.
        n_workers: most trials that may be out at once; None for any number.
        stop_criterion, max_failures, max_retries: as for `Tuner`.
        adopt: what becomes of trials that were out when an earlier process died. False: they are handed out again, as
            their next attempt. True: whoever has them lives on; they stay out, and `out` lists them.
        metadata: JSON to keep with a new experiment.
        home: folder of experiments instead of `$OFFBEAT_HOME` or `~/offbeat`.
        proposal_deadline: seconds after which an asynchronous proposal is cancelled and counts as failed.

    Raises:
        InvalidArgument: an argument cannot work; or the scheduler is not that of the experiment, with the difference.
        ExperimentNotFound, ExperimentLocked, JournalError: nothing was changed.
    """

    def __init__(
        self,
        scheduler: Scheduler | None = None,
        experiment: str | os.PathLike[str] | None = None,
        *,
        n_workers: int | None = UNCHANGED,
        stop_criterion: Any = UNCHANGED,
        max_failures: int | float | None = UNCHANGED,
        max_retries: int = UNCHANGED,
        adopt: bool = False,
        metadata: Mapping[str, Any] | None = None,
        home: str | os.PathLike[str] | None = None,
        proposal_deadline: float = 600.0,
        clock: Clock | None = None,
    ) -> None:
        if isinstance(scheduler, str | os.PathLike):
            raise InvalidArgument(
                f"scheduler={os.fspath(scheduler)!r}: give the scheduler as an object first; experiment={os.fspath(scheduler)!r} "
                "alone goes on with an experiment that there is."
            )
        if scheduler is not None:
            check_has(
                scheduler, "scheduler", "offbeat.schedulers", ("observe", "propose", "objective", "space", "seed")
            )
        elif experiment is None:
            raise InvalidArgument("Give a scheduler, or the experiment whose scheduler is to go on.")
        changes = {
            "n_workers": ev.ANY_NUMBER if n_workers is None else n_workers,
            "max_failures": max_failures,
            "max_retries": max_retries,
        }
        self._changes = {name: value for name, value in changes.items() if value is not UNCHANGED}
        self._limits = checked_limits(structs.replace(ev.Limits(n_workers=ev.ANY_NUMBER), **self._changes))
        self._recorded_stopper = stop_criterion is UNCHANGED
        self._stopper = as_stopper(stop_criterion) if stop_criterion not in (UNCHANGED, None) else None
        self._scheduler = scheduler
        self._folder = None if experiment is None else _folder(experiment, home)
        self._metadata = checked_metadata(metadata)
        self._adopts = adopt
        self._deadline = proposal_deadline
        self._clock = clock or SystemClock()
        self._base = self._began = 0.0
        self._journal: Journal | None = None
        self._desk: Desk | None = None
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """Called at the end of the constructor."""

    # --- what can be read at any time

    @property
    def name(self) -> str | None:
        """The experiment's name; None in memory."""
        return None if self._folder is None else self._folder.name

    @property
    def folder(self) -> Path | None:
        """The experiment's folder; None in memory."""
        return None if self._folder is None else self._folder.path

    @property
    def ledger(self) -> LedgerView:
        """All trials."""
        return self._opened().ledger

    @property
    def out(self) -> list[AskedTrial]:
        """Trials that are out, by id: handed out, and neither complete nor failed, lost, stopped or paused."""
        return self._opened().out

    @property
    def done(self) -> bool:
        """Whether no trial will ever be handed out any more: nothing is left to try, or the stop criterion is met."""
        return self._opened().conductor.closing is not None

    @property
    def reason(self) -> str:
        """Why it is `done`; "" if it is not."""
        closing = self._opened().conductor.closing
        return "" if closing is None else closing[1]

    def best(self) -> Best | None:
        """The best result so far by the first objective, None before the first."""
        desk = self._opened()
        return desk.incumbent.best(desk.ledger, self._folder)

    # --- opening

    def _opened(self) -> Desk:
        if self._desk is None:
            raise StudyClosed("The study is not open yet: `async with` opens it.")
        return self._desk

    def _usable(self) -> Desk:
        """The desk. Raises StudyClosed; what the study has failed with."""
        desk = self._opened()
        if self._closed:
            again = (
                f"{type(self).__name__}(experiment={str(self.folder)!r}) opens it again"
                if self._folder
                else "make a new one"
            )
            raise StudyClosed(f"The study was closed: {again}.")
        if desk.conductor.error is not None:
            raise desk.conductor.error
        return desk

    def _now(self) -> float:
        return self._base + self._clock.monotonic() - self._began

    def _open(self) -> Journal | None:
        """Opens the experiment and begins a session; what it recorded waits to be committed."""
        folder = self._folder
        if folder is not None and folder.journal.is_dir() and next(read_journal(folder), None) is not None:
            conductor, incumbent, limits = self._reopen(folder)
        elif self._scheduler is None:
            assert folder is not None
            home = folder.path.parent
            raise ExperimentNotFound(folder.name, str(home), [other.name for other in homes.experiments(home)])
        else:
            conductor, incumbent, limits = (
                self._open_new(self._scheduler),
                Incumbent(self._scheduler.objective.metrics),
                None,
            )
        self._began = self._clock.monotonic()
        at = self._base
        conductor.open(at, this_host(self._clock))
        if limits is not None:
            conductor.change_limits(at, limits)
        if alive := conductor.alive():
            conductor.adopted(at, [attempt.start.trial for attempt in alive] if self._adopts else ())
        conductor.tick(at)
        conductor.commands.clear()
        self._desk = Desk(conductor, incumbent)
        return self._journal

    def _open_new(self, scheduler: Scheduler) -> Conductor:
        spec = specification(
            self.name or "in-memory",
            scheduler=scheduler,
            backend=ev.ComponentDescription("offbeat.backends", ev.ASK_TELL, options={}),
            limits=self._limits,
            stopper=self._stopper,
            metadata=self._metadata,
        )
        if self._folder is not None:
            warn_of_gaps(spec)
            self._journal = fresh_journal(self._folder, self._clock)
        return Conductor(State(spec, scheduler, self._stopper), self._stopper)

    def _reopen(self, folder: homes.ExperimentFolder) -> tuple[Conductor, Incumbent, ev.Limits | None]:
        spec = recorded_spec(folder)
        if spec.backend.name != ev.ASK_TELL:
            raise InvalidArgument(
                f"The trials of experiment {folder.name!r} are executed by a backend ({spec.backend.name}): go on with "
                f"`offbeat resume {folder.name}` or Tuner.resume({folder.name!r}), or choose another name."
            )
        if self._scheduler is None:
            scheduler: Scheduler = rebuilt(spec.scheduler, "scheduler")
        else:
            scheduler = self._scheduler
            check_scheduler(scheduler, spec)
        incumbent = Incumbent(spec.metrics)
        found = reopened(
            folder,
            scheduler,
            stopper=self._stopper,
            recorded_stopper=self._recorded_stopper,
            changes=self._changes,
            watch=incumbent.add,
        )
        self._journal, self._base = found.journal, found.at
        return Conductor(found.state, found.stopper), incumbent, found.limits if found.changed else None


def _folder(experiment: str | os.PathLike[str], home: str | os.PathLike[str] | None) -> homes.ExperimentFolder:
    """By name in `home`, by path elsewhere. Raises InvalidArgument for a name that no folder can have."""
    if isinstance(experiment, str) and os.sep not in experiment:
        return homes.ExperimentFolder(homes.root(home) / homes.checked_name(experiment))
    path = Path(experiment).expanduser().absolute()
    homes.checked_name(path.name)
    return homes.ExperimentFolder(path)
