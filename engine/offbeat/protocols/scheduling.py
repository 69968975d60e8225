"""What decides: schedulers and searchers, what they are asked, and the trials as they see them."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import msgspec

from offbeat.decisions import Decision, Proposal
from offbeat.events import Event
from offbeat.protocols.objective import Objective
from offbeat.seeds import generator
from offbeat.trial import Status, TrialId

if TYPE_CHECKING:
    from numpy.random import Generator

    from offbeat.space import Space


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

    It may say which checkpoints it still needs, in a method `checkpoint_chance(trial, ledger) -> float`: how likely it is,
    from 0 (never) to 1 (surely), that a trial without an attempt goes on, or another begins with a copy of its checkpoint.
    Asked where checkpoints are deleted; like `observe` it is fast and looks at nothing outside. Without it those of paused
    trials are needed, those of ended ones are not.
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
        """What the free slot shall do; None, or a `Nothing` that says why: nothing until another event has come, or for ever.

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
