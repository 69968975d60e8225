"""What a plugin supplies. Nothing here has to be inherited from: having the methods is enough.

A stranger's plugin imports from `offbeat`, declares an entry point in one of the groups below, and is found by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from offbeat.decisions import Decision, Proposal
from offbeat.errors import InvalidArgument, nearest
from offbeat.events import Event, Limits, MetricSpec
from offbeat.seeds import generator
from offbeat.signals import Command, Signal, StartTrial
from offbeat.trial import Status, TrialId

if TYPE_CHECKING:
    from numpy.random import Generator

    from offbeat.home import ExperimentFolder
    from offbeat.importing import Foreign, Wanted
    from offbeat.space import Space

API_VERSION: Final = 1
"""Plugins may state `api_version`; one that states another than this is refused by name."""

GROUPS: Final = (
    "offbeat.schedulers", "offbeat.searchers", "offbeat.backends", "offbeat.reporters", "offbeat.stoppers",
    "offbeat.blackboxes", "offbeat.blackbox_types", "offbeat.exporters", "offbeat.importers", "offbeat.plots",
)  # fmt: skip
"""Groups of plugins that the engine loads by name."""

OUTWARD: Final = ("offbeat.integrations",)
"""Groups of classes for other libraries: listed only when asked for, since whoever loads one loads that library."""

Mode: TypeAlias = Literal["min", "max"]
NonFinite: TypeAlias = Literal["fail", "worst", "ignore"]


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """What a scheduler optimises and in what unit it counts the progress of a trial.

    Attributes:
        metrics: the first one ranks trials where one number is needed (`best`); constraints and costs come last, and results
            in which a constraint does not hold are not ranked.
        resource_attr: name under which scripts report the resource (epoch ...), None where it does not matter.
        max_resource_attr: name of the hyperparameter or constant by which a script is told how far to run.
        max_t: highest resource level, None if unknown.
    """

    metrics: tuple[MetricSpec, ...]
    resource_attr: str | None = None
    max_resource_attr: str | None = None
    max_t: int | None = None

    @staticmethod
    def of(
        metric: str | Sequence[str],
        mode: Mode | Sequence[Mode] = "min",
        *,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
        resource_attr: str | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
        needed: Sequence[MetricSpec] = (),
    ) -> Objective:
        """An objective from the arguments that schedulers take.

        `needed` are constraints and costs; `nonfinite` applies to them too. Raises InvalidArgument.
        """
        names = [metric] if isinstance(metric, str) else list(metric)
        if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
            raise InvalidArgument(f"metric={metric!r}: give one name, or several different ones.")
        modes: list[Mode] = [mode] * len(names) if isinstance(mode, str) else list(mode)
        if len(modes) != len(names):
            raise InvalidArgument(f"mode={mode!r} has {len(modes)} entries for {len(names)} metrics {names!r}.")
        for one in modes:
            if one not in ("min", "max"):
                raise InvalidArgument(f"mode={one!r} is not valid. {nearest(str(one), ('min', 'max'))}")
        known = [*names, *(spec.name for spec in needed)]
        for spec in needed:
            if known.count(spec.name) > 1 or spec.name == resource_attr:
                other = "resource_attr" if spec.name == resource_attr else "metric"
                raise InvalidArgument(
                    f"{spec.words} names {spec.name!r}, which is in use as {other}: a metric has one meaning."
                )
        policies: Mapping[str, NonFinite]
        policies = nonfinite if isinstance(nonfinite, Mapping) else dict.fromkeys(known, nonfinite)
        for name, policy in policies.items():
            if name not in known:
                raise InvalidArgument(f"nonfinite names {name!r}, which is not a metric. {nearest(name, known)}")
            if policy not in ("fail", "worst", "ignore"):
                raise InvalidArgument(f"nonfinite={policy!r} is not valid: use 'fail', 'worst' or 'ignore'.")
        wanted = [*(MetricSpec(n, m) for n, m in zip(names, modes, strict=True)), *needed]
        specs = tuple(msgspec.structs.replace(spec, nonfinite=policies.get(spec.name, "fail")) for spec in wanted)
        return Objective(metrics=specs, resource_attr=resource_attr, max_resource_attr=max_resource_attr, max_t=max_t)

    @property
    def optimised(self) -> tuple[MetricSpec, ...]:
        """The metrics without constraints and costs."""
        return tuple(spec for spec in self.metrics if spec.role == "objective")

    @property
    def constraints(self) -> tuple[MetricSpec, ...]:
        """Those that have to hold."""
        return tuple(spec for spec in self.metrics if spec.role == "constraint")


class ProposalRequest(msgspec.Struct, frozen=True):
    """A free slot asks for work.

    Attributes:
        number: counts requests from 0 and is the key of all randomness in the answer.
        slot: the worker that is free; `offbeat.events.AHEAD` where the answer will wait for one.
        seed: the experiment's seed.
        may_start: False once a limit forbids new trials: answer a `Resume` or None.
    """

    number: int
    slot: int
    seed: int
    may_start: bool = True

    def rng(self, purpose: str) -> Generator:
        """A NumPy generator of this request's own; the same for every call with the same purpose."""
        return generator(self.seed, purpose, self.number)


class TrialView(Protocol):
    """A trial as plugins see it; see `offbeat.trial.TrialRecord` for the meaning of each attribute."""

    @property
    def id(self) -> TrialId: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def status(self) -> Status: ...
    @property
    def attempt(self) -> int: ...
    @property
    def resource(self) -> int: ...
    @property
    def reports(self) -> int: ...
    @property
    def until(self) -> int | None: ...
    @property
    def last(self) -> Mapping[str, Any] | None: ...
    @property
    def best(self) -> Mapping[str, Any] | None: ...
    @property
    def tags(self) -> Mapping[str, Any]: ...
    @property
    def rejected(self) -> int: ...
    @property
    def reason(self) -> str: ...


class LedgerView(Protocol):
    """All trials, read-only."""

    def __getitem__(self, trial: TrialId) -> TrialView: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[TrialView]: ...
    def having(self, *statuses: Status) -> Sequence[TrialView]:
        """Trials in one of the statuses, by id."""
        ...


class SchedulerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a scheduler gets to know of the session that it is used in.

    Attributes:
        time: "real": proposals may take their time elsewhere (`propose` answers an awaitable) while trials run;
            "simulated": time stands still until the answer is there, so that it is best given at once.
        n_workers: trials that run at once (may change later).
    """

    time: Literal["real", "simulated"]
    n_workers: int


@runtime_checkable
class Scheduler(Protocol):
    """Decides what to try, what to stop and what to resume. Entry-point group: `offbeat.schedulers`.

    State changes in `observe` only, so that reading the journal again rebuilds it; `propose` may take its time and
    changes nothing. Randomness comes from the request alone. It may have an attribute `observes`, the types of the events
    that it wants to be shown; without one it is shown all that concern trials. It may have an attribute `due`, a mapping
    that it changes in `observe`: results of a trial below the resource level that stands there are not shown to it, since
    it would let them pass. Schedulers that have another inside need neither.

    One that needs more than plain calls (a process for its model) may have `running(context) -> AbstractAsyncContextManager`:
    it is entered, with a `SchedulerContext`, before the first trial starts and left after the last one has ended; what it
    awaits in leaving is for it to shield and to limit. Ask and tell, and whoever reads a journal again, do without. An
    attribute `prefetch` says how many proposals it wants to be asked for ahead of a free worker, see `Tuner`.
    """

    @property
    def objective(self) -> Objective: ...
    @property
    def space(self) -> Space: ...
    @property
    def seed(self) -> int: ...

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Takes in one event; on a `TrialResult` may answer decisions. An empty answer lets the trial run on.

        Called for every event about trials, in journal order, in live runs and when a journal is read again; must be
        fast (it runs between a report and its decision) and must not look at time, randomness or anything outside.
        `event.metrics` holds a finite number for each metric of the objective, `event.resource` an int.
        """
        ...

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """What the free slot shall do; None: nothing until another event has come (or for ever, if all is done).

        May be a coroutine function. The answer is journaled as `suggested` and comes back through `observe`.
        """
        ...


@runtime_checkable
class Searcher(Protocol):
    """Proposes configurations for a scheduler, which has one. Entry-point group: `offbeat.searchers`.

    Built by name as `cls(space, objective, points_to_evaluate=..., allow_duplicates=...)`; its state changes in
    `observe` only. It may have `observes`, `prefetch` and `running` as a scheduler may, and a method `suggest` with the
    arguments of `propose`, for schedulers that ask it instead: it answers a `Start`, which beside the configuration says why.
    """

    def observe(self, event: Event, ledger: LedgerView) -> None:
        """Takes in an event that the scheduler passes on: all but results, and the results that it judged (at rungs)."""
        ...

    def propose(
        self, request: ProposalRequest, ledger: LedgerView
    ) -> dict[str, Any] | Awaitable[dict[str, Any] | None] | None:
        """A configuration for a new trial; None if there is none left. Changes nothing."""
        ...


class Attempt(msgspec.Struct, frozen=True):
    """An attempt that was alive when the last session ended, as offered to a backend for re-adoption.

    Attributes:
        start: the command that began it; started_at: when, on the experiment's clock.
        next_seq: number of the first report that is not in the journal; resource: highest level that is.
        command: what the attempt had been told last, and when.
    """

    start: StartTrial
    started_at: float
    next_seq: int
    resource: int
    command: Literal["", "stop", "pause"] = ""
    command_at: float = 0.0


class BackendContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend gets to know when it is opened.

    Attributes:
        folder: the experiment's folder; the backend may write under `trials/`.
        n_workers: most attempts that will be alive at once (may be changed later by `resize`).
        grace: seconds between asking a trial to end and making it end.
        resource_attr: name of the resource in reports, if any.
        now: time on the experiment's clock, from which simulated time goes on.
    """

    experiment: str
    folder: ExperimentFolder
    n_workers: int
    grace: float = 10.0
    resource_attr: str | None = None
    now: float = 0.0


class BackendSession(Protocol):
    """An opened backend. All methods are called from the engine's event loop; none may block it.

    Signals are decided on in batches: a call of `receive_nowait` or `receive` says that those given before have been, and
    that every command that follows from them was submitted, or waits for the disk. A backend whose trials wait for
    decisions may have `announce(commands)` beside these methods: it is called with the commands of a turn before they
    wait; each of them is submitted later, unless the session ends first.
    """

    def adopt(self, attempts: Sequence[Attempt]) -> Collection[TrialId]:
        """Takes charge of attempts of an earlier session that are still alive; the others count as lost."""
        ...

    def submit(self, command: Command) -> None:
        """Begins to carry out a command and returns at once; what comes of it arrives as a signal.

        Never raises for a trial's sake: a script that is missing is an `Ended(how="failed")`.
        """
        ...

    def receive_nowait(self) -> Sequence[Signal]:
        """Signals that are there, oldest first; empty if none."""
        ...

    async def receive(self) -> Sequence[Signal]:
        """Waits for at least one signal. Cancelling it loses nothing. Never called in simulated time."""
        ...

    def interrupt(self) -> None:
        """Ends all attempts at once, callable from any thread: used when the event loop is stuck."""
        ...


class SimulatedSession(BackendSession, Protocol):
    """An opened backend with `time = "simulated"`."""

    def next_signal(self, until: float = inf) -> Signal | None:
        """The next signal, to whose time simulated time advances; None, and `until`, if there is none up to then."""
        ...


@runtime_checkable
class Backend(Protocol):
    """Executes trials. Entry-point group: `offbeat.backends`.

    Attributes:
        time: "real", or "simulated" if signals carry their own time.

    With `suspends = True` an interruption leaves attempts as they are: closing the session ends nothing, and `adopt` of the
    next one takes each up exactly where it was. Any other end of the session ends them in that moment, without a command.

    One that runs trials in the engine's event loop states `shares_loop = True`: it is not run while its caller's loop waits.
    """

    @property
    def time(self) -> Literal["real", "simulated"]: ...

    def open(self, context: BackendContext) -> AbstractAsyncContextManager[BackendSession]:
        """Starts up; on leaving the context every attempt that is still alive is ended within `grace`, and reaped."""
        ...


@runtime_checkable
class Blackbox(Protocol):
    """Recorded or modelled trainings, which a simulated backend looks up instead of training. Immutable.

    Entry-point group: `offbeat.blackboxes`; the entry point is a callable with one optional argument, the name of the data
    set, that answers the blackbox and raises InvalidArgument with the nearest name for one that it does not know.
    Group `offbeat.blackbox_types`: classes and functions that make one of their own arguments, or find one in files.

    Attributes:
        space: configurations that it answers for.
        levels: resource levels of every curve, increasing, from 1 up; (1,) where nothing but the end is known.
        resource_attr: name of the resource in reports.
        objectives: name -> "min", "max" or, where neither is better, None; `elapsed_attr` may be among them.
        elapsed_attr: the objective that holds the seconds of training up to each level; None where no time is known.
        seeds: how many replicates there are, numbered from 0.
    """

    @property
    def space(self) -> Space: ...
    @property
    def levels(self) -> Sequence[int]: ...
    @property
    def resource_attr(self) -> str: ...
    @property
    def objectives(self) -> Mapping[str, Mode | None]: ...
    @property
    def elapsed_attr(self) -> str | None: ...
    @property
    def seeds(self) -> int: ...

    def curve(self, config: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
        """The whole curve of a configuration: for each objective an array or list with a number for each level.

        NaN in every objective but the elapsed time says that the level is missing; in one alone, that the training
        reported NaN. Entries of the config that the space does not have are passed over. What it raises fails the trial.
        """
        ...

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Sequence[Mapping[str, Any]]:
        """One curve for each pair of a configuration and a seed, at once where that is cheaper."""
        ...


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event and its place in the journal, counted from 0."""

    seq: int
    event: Event


class ExperimentView(Protocol):
    """What observers may read: the folder, the specification and the live ledger (from the event loop only)."""

    @property
    def folder(self) -> ExperimentFolder: ...
    @property
    def spec(self) -> Any: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def ledger(self) -> LedgerView: ...
    @property
    def elapsed(self) -> float: ...


@runtime_checkable
class Observer(Protocol):
    """Is told about events and decides nothing. Entry-point group: `offbeat.reporters`; see `offbeat.hookspecs`.

    Beside `handle` it may have `start(experiment) -> int | None` (first sequence number wanted; None: this session's
    events), `finish()`, and the class attribute `latest_only = True` if it may miss events rather than lag behind.
    Plain methods run in a worker thread, coroutine methods in the event loop.
    """

    def handle(self, events: Sequence[Recorded]) -> Awaitable[None] | None:
        """Takes in events in journal order, in batches."""
        ...


class Exporter(Protocol):
    """Turns a table of results (`offbeat.results.Table`) into another form. Entry-point group: `offbeat.exporters`.

    Built without arguments. Has `convert` for a form in memory, or `encode` for a format of files, or both; the entry
    point's name is the ending of such files.
    """

    def convert(self, table: Any) -> Any:
        """The table in this form."""
        ...

    def encode(self, table: Any) -> Iterator[bytes]:
        """The bytes of a file, piece by piece."""
        ...


class Plot(Protocol):
    """Draws experiments. Entry-point group: `offbeat.plots`; the entry point is a function.

    Attributes:
        draws: "one" experiment in one picture, or "several"; `offbeat plot` offers those plots that have the attribute.
    """

    draws: Literal["one", "several"]

    def __call__(self, experiments: Any, *, ax: Any = None) -> Any:
        """The matplotlib figure: a new one, or that of the axes.

        Takes experiments as `load_experiment` gives them or by name. Raises NothingToPlot where they have nothing of
        the kind, MissingExtra.
        """
        ...


class Importer(Protocol):
    """Reads results of another tool. Entry-point group: `offbeat.importers`. Built without arguments.

    Never unpickles, changes nothing in the source, and needs the tool itself only where its files have no stable form.
    """

    def read(self, source: str, wanted: Wanted) -> Foreign:
        """The experiment; raises InvalidArgument that says what is missing, wrong, or which names there are."""
        ...
