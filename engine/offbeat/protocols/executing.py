"""What runs trials: backends and their sessions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from math import inf
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec

from offbeat.signals import Command, Signal, StartTrial
from offbeat.trial import TrialId

if TYPE_CHECKING:
    from offbeat.home import ExperimentFolder


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
        checkpoint_sizes: whether `Saved` signals are wanted.
    """

    experiment: str
    folder: ExperimentFolder
    n_workers: int
    grace: float = 10.0
    resource_attr: str | None = None
    now: float = 0.0
    checkpoint_sizes: bool = False


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
    """An opened backend with `time = "simulated"`.

    It may have `pass_on(until, passing)`, which is `next_signal(until)` but that reports need not become signals (see
    `offbeat.signals.Passing`): it may put the result that a report is into `passing.events`, in its place in time, if the
    report has the resource as an int that grows within the trial, the metric and no cost, is `plain`, comes before `until`
    and not before `passing.since`, and its attempt was not told to end. It answers `passing` once the room for those on
    which nobody decides is used up, and the result itself where somebody does.
    """

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

    One that tells the sizes of checkpoints where that is wanted states `measures_checkpoints = True`.

    One that runs trials in the engine's event loop states `shares_loop = True`: it is not run while its caller's loop waits.
    """

    @property
    def time(self) -> Literal["real", "simulated"]: ...

    def open(self, context: BackendContext) -> AbstractAsyncContextManager[BackendSession]:
        """Starts up; on leaving the context every attempt that is still alive is ended within `grace`, and reaped."""
        ...
