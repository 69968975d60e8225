"""Tuner: scheduler, backend, limits and observers put together into an experiment, and run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import anyio
import msgspec

from offbeat import audience
from offbeat import events as ev
from offbeat import home as homes
from offbeat.byte_sizes import byte_count
from offbeat.clock import Clock, SystemClock
from offbeat.commits import Durability
from offbeat.conductor import Conductor
from offbeat.describe import describe
from offbeat.driver import Driver, Options
from offbeat.errors import InvalidArgument
from offbeat.journal import Journal
from offbeat.opening import fresh_journal, reopened, specification, this_host, warn_of_gaps
from offbeat.parts import (
    check_has,
    check_measures,
    check_same,
    check_scheduler,
    checked_limits,
    checked_metadata,
    named_observers,
    rebuilt,
    recorded_spec,
)
from offbeat.protocols import Backend, Scheduler
from offbeat.session import Outcome, Session, running
from offbeat.state import State
from offbeat.stopping import Stopper, as_stopper

UNCHANGED: Final[Any] = object()
"""Default of arguments of `Tuner.resume`: what the experiment had last."""


class Tuner:
    """Runs many trials at once and decides what to try, what to stop and what to resume.

    Args:
        trial_backend: executes trials (`LocalBackend(entry_point=...)`).
        scheduler: decides (`ASHA(config_space, metric=..., ...)`).
        stop_criterion: when to end; a `StoppingCriterion`, `PlateauStopper`, combinations of them with `&` and `|`, or
            a function of `offbeat.budget.Usage`. None: when the search space is exhausted.
        n_workers: trials that run at once.
        name: of the experiment, and of its folder; by default the script's name with date and time.
        observers: names of plugins ("console", "csv", "jsonl") or objects with `handle(events)`. Default: console and
            csv for `run`, csv alone for `arun` and `session`; in a notebook, notebook and csv for `run` and `arun`.
        max_failures: failed trials allowed: a count, or a share of the ended trials as a float below 1 (judged from ten
            ended trials on). None: no limit, except that a run ends when as many trials as there are workers (at least
            three) have failed and none ever reported.
        max_retries: how often a failed trial is started again before its failure counts.
        asynchronous_scheduling: False: wait until all workers are free, then start a whole batch.
        wait_trial_completion_when_stopping: let running trials end when the criterion is met, instead of ending them.
        approval: each new trial waits until `Session.approve` lets it start.
        prefetch: configurations that are asked for while all workers are busy, so that none waits for a model; they know
            nothing of what comes in meanwhile. None: what the scheduler's attribute `prefetch` says, and none in simulated
            time, which stands still while a model thinks.
        checkpoint_budget: what the checkpoints of all trials may take on disk, in bytes or as "10 GB". Beyond it those are
            deleted whose loss is expected to cost least, see `offbeat.checkpoints`; such a trial begins again if it is
            resumed, and what it repeats is not counted twice. It is exceeded by one checkpoint at most, as long as there
            is room for those of running trials, of the best one, and of donors.
        metadata: JSON to keep with the experiment.
        home: folder of experiments instead of `$OFFBEAT_HOME` or `~/offbeat`.
        grace: seconds between asking a trial to end and making it end.
        durability: see `offbeat.commits.Committer`; default "commit" for real trials, "batch" for simulated ones.
        proposal_deadline, blocked_after: see `offbeat.driver.Options`.

    Raises:
        InvalidArgument: an argument cannot work, or one that it lacks.
    """

    def __init__(
        self,
        trial_backend: Backend,
        scheduler: Scheduler,
        stop_criterion: Any = None,
        n_workers: int = 4,
        *,
        name: str | None = None,
        observers: Sequence[Any] | None = None,
        max_failures: int | float | None = None,
        max_retries: int = 0,
        asynchronous_scheduling: bool = True,
        wait_trial_completion_when_stopping: bool = False,
        approval: bool = False,
        prefetch: int | None = None,
        checkpoint_budget: int | str | None = None,
        metadata: Mapping[str, Any] | None = None,
        home: str | os.PathLike[str] | None = None,
        grace: float = 10.0,
        durability: Durability | None = None,
        proposal_deadline: float = 600.0,
        blocked_after: float | None = 30.0,
        clock: Clock | None = None,
    ) -> None:
        check_has(trial_backend, "trial_backend", "offbeat.backends", ("open", "time"))
        check_has(scheduler, "scheduler", "offbeat.schedulers", ("observe", "propose", "objective", "space", "seed"))
        if isinstance(grace, bool) or not isinstance(grace, int | float) or not grace >= 0:
            raise InvalidArgument(f"grace={grace!r}: give a number of seconds, 0 or more.")
        self.trial_backend = trial_backend
        self.scheduler = scheduler
        self.stopper: Stopper | None = as_stopper(stop_criterion) if stop_criterion is not None else None
        self.limits = checked_limits(
            ev.Limits(
                n_workers=n_workers,
                max_failures=max_failures,
                max_retries=max_retries,
                asynchronous=asynchronous_scheduling,
                wait_for_trials=wait_trial_completion_when_stopping,
                approval=approval,
                prefetch=_prefetch(trial_backend, scheduler) if prefetch is None else prefetch,
                checkpoint_budget=_bytes(checkpoint_budget),
            )
        )
        check_measures(trial_backend, self.limits.checkpoint_budget)
        if approval and trial_backend.time == "simulated":
            raise InvalidArgument(
                "approval=True needs a backend in real time: simulated time does not wait for people."
            )
        self.metadata = checked_metadata(metadata)
        self._clock = clock or SystemClock()
        self.name = homes.checked_name(name) if name is not None else self._default_name()
        self.folder = homes.ExperimentFolder(homes.root(home) / self.name)
        self._observers = observers
        self._options = Options(
            durability=durability or ("commit" if trial_backend.time == "real" else "batch"),
            grace=grace,
            proposal_deadline=proposal_deadline,
            blocked_after=blocked_after,
        )
        self.grace = grace
        self._resuming = False
        self._changed: set[str] = set()
        self._used = False

    def _default_name(self) -> str:
        stem = str(getattr(self.trial_backend, "default_name", "experiment"))
        stem = "".join(c if c.isalnum() and c.isascii() else "-" for c in stem).strip("-") or "experiment"
        moment = datetime.fromtimestamp(self._clock.wall(), UTC)
        return homes.checked_name(f"{stem[:60]}-{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}")

    @classmethod
    def resume(
        cls,
        name: str,
        *,
        home: str | os.PathLike[str] | None = None,
        trial_backend: Backend | None = None,
        scheduler: Scheduler | None = None,
        stop_criterion: Any = UNCHANGED,
        n_workers: int = UNCHANGED,
        max_failures: int | float | None = UNCHANGED,
        max_retries: int = UNCHANGED,
        wait_trial_completion_when_stopping: bool = UNCHANGED,
        checkpoint_budget: int | str | None = UNCHANGED,
        observers: Sequence[Any] | None = None,
        grace: float = 10.0,
        durability: Durability | None = None,
        proposal_deadline: float = 600.0,
        blocked_after: float | None = 30.0,
        clock: Clock | None = None,
    ) -> Tuner:
        """A tuner that goes on with an experiment, from its last event; call `run`, `arun` or `session` on it.

        Unfinished trials go on from their checkpoints as their next attempt. Limits that are passed replace the
        recorded ones from here on (a `limits-changed` event). `trial_backend` and `scheduler` are needed only where the
        journal could not describe them.

        Raises:
            ExperimentNotFound, JournalDamaged, JournalTooNew: nothing was changed.
            InvalidArgument: a component has to be passed again, or is of another kind than the recorded one.
        """
        folder = homes.find(name, home)
        spec = recorded_spec(folder)
        tuner = cls(
            trial_backend if trial_backend is not None else rebuilt(spec.backend, "trial_backend"),
            scheduler if scheduler is not None else rebuilt(spec.scheduler, "scheduler"),
            n_workers=spec.limits.n_workers,
            name=folder.name,
            observers=observers,
            home=folder.path.parent,
            grace=grace,
            durability=durability,
            proposal_deadline=proposal_deadline,
            blocked_after=blocked_after,
            clock=clock,
        )
        if trial_backend is not None:
            check_same(trial_backend, spec.backend)
        if scheduler is not None:
            check_scheduler(scheduler, spec)
        changes = {
            "n_workers": n_workers,
            "max_failures": max_failures,
            "max_retries": max_retries,
            "wait_for_trials": wait_trial_completion_when_stopping,
            "checkpoint_budget": UNCHANGED if checkpoint_budget is UNCHANGED else _bytes(checkpoint_budget),
        }
        changes = {field: value for field, value in changes.items() if value is not UNCHANGED}
        limits = checked_limits(msgspec.structs.replace(spec.limits, **changes))
        check_measures(tuner.trial_backend, limits.checkpoint_budget)
        tuner._resuming = True
        tuner._changes = changes
        tuner._changed = {"stop_criterion"} if stop_criterion is not UNCHANGED else set()
        tuner.stopper = as_stopper(stop_criterion) if stop_criterion not in (UNCHANGED, None) else None
        return tuner

    _changes: Mapping[str, Any] = {}

    # --- ways to run

    def run(self) -> Outcome:
        """Runs the session in a thread of its own while the caller waits: in scripts, notebooks, any thread.

        The first Ctrl-C (or SIGTERM, SIGHUP, where they have no handler) stops within `grace`, the second at once; then
        KeyboardInterrupt (or SystemExit with 128 + signal number) is raised, and the experiment can be resumed.

        Raises:
            OffbeatError: what the session failed with.
        """
        from offbeat.foreground import run_in_thread

        return run_in_thread(self)

    async def arun(self) -> Outcome:
        """Runs the session on the caller's asyncio loop; nothing of the host is touched.

        Cancelled, it stops within `grace`, cancelled again at once, and re-raises.
        """
        async with self.driving(audience.of_arun()) as driver, running(driver) as session:
            return await session.wait()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Runs the session while the block runs: `async with tuner.session() as session`."""
        async with self.driving(audience.of_session()) as driver, running(driver) as session:
            yield session

    def best(self) -> Any:
        """The best result so far, see `offbeat.results.Experiment.best`; works during and after the run."""
        from offbeat.results import load as load_experiment

        return load_experiment(self.folder).best()

    def _repr_html_(self) -> str:
        from offbeat.results.cards import tuner_card

        return tuner_card(self)

    # --- putting the parts together

    @asynccontextmanager
    async def driving(self, observers: Sequence[Any]) -> AsyncIterator[Driver]:
        """The parts put together: an opened journal with everything folded, and the driver on top of it.

        `running` starts it; most callers want `run`, `arun` or `session`.
        """
        if self._used:
            raise InvalidArgument(f"This tuner has run already; go on with Tuner.resume({self.name!r}).")
        watching = named_observers(self._observers if self._observers is not None else observers)
        self._used = True
        # Reading a long journal takes seconds: a host's loop must not wait for it, nor lend its threads.
        with ThreadPoolExecutor(1, thread_name_prefix="offbeat-open") as thread:
            opened = asyncio.wrap_future(thread.submit(self._open_resumed if self._resuming else self._open_new))
            try:
                journal, conductor, limits, base = await asyncio.shield(opened)
            except asyncio.CancelledError:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([opened])
                if opened.exception() is None:
                    opened.result()[0].close()
                raise
        try:
            yield Driver(
                conductor,
                journal,
                self.trial_backend,
                folder=self.folder,
                clock=self._clock,
                base=base,
                host=this_host(self._clock),
                observers=watching,
                limits=limits,
                options=self._options,
            )
        finally:
            journal.close()

    def _open_new(self) -> tuple[Journal, Conductor, None, float]:
        spec = specification(
            self.name,
            scheduler=self.scheduler,
            backend=describe(self.trial_backend, "offbeat.backends"),
            limits=self.limits,
            stopper=self.stopper,
            metadata=self.metadata,
        )
        warn_of_gaps(spec)
        conductor = self._conductor(State(spec, self.scheduler, self.stopper))
        return fresh_journal(self.folder, self._clock), conductor, None, 0.0

    def _conductor(self, state: State) -> Conductor:
        delete_checkpoints = bool(getattr(self.trial_backend, "delete_checkpoints", False))
        suspends = bool(getattr(self.trial_backend, "suspends", False))
        return Conductor(state, self.stopper, delete_checkpoints=delete_checkpoints, suspends=suspends)

    def _open_resumed(self) -> tuple[Journal, Conductor, ev.Limits | None, float]:
        found = reopened(
            self.folder,
            self.scheduler,
            stopper=self.stopper,
            recorded_stopper="stop_criterion" not in self._changed,
            changes=self._changes,
        )
        self.stopper, self.limits = found.stopper, found.limits
        return found.journal, self._conductor(found.state), self.limits if found.changed else None, found.at


def _bytes(given: int | str | None) -> int | None:
    return None if given is None else byte_count(given, "checkpoint_budget")


def _prefetch(backend: Backend, scheduler: Scheduler) -> int:
    """What a scheduler wants where nothing else is said."""
    return 0 if backend.time == "simulated" else int(getattr(scheduler, "prefetch", 0))
