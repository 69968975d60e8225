"""An opened coroutine backend: commands become tasks and cancellations, reports and ends become signals.

A report is answered when its batch has been decided on, which shows by the engine asking for the next one. By then every
stop and pause that follows has been submitted, or announced where it waits for the disk; a trial that is told one of them
gets no answer but the cancellation.
"""

from __future__ import annotations

import asyncio
import inspect
import reprlib
from collections.abc import Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import anyio

from offbeat.contained import told
from offbeat.home import ExperimentFolder
from offbeat.log import get_logger
from offbeat.protocols import Attempt, BackendContext
from offbeat.signals import (
    Command,
    DeleteCheckpoints,
    Ended,
    Garbled,
    PauseTrial,
    Reported,
    Saved,
    Signal,
    StartTrial,
    StopTrial,
)
from offbeat.trial import TrialId
from offbeat_plugins.backends.coroutines.trial import Decision, Trial
from offbeat_plugins.backends.processes import folders

INTERRUPT_GRACE: Final = 0.5
"""Seconds that coroutines get when all trials are ended at once."""

SAMPLE: Final = 200


class Run:
    """One attempt.

    Attributes:
        told: a stop or pause was decided; cancelled: it has arrived; over: the attempt has ended, or is not waited for.
        unanswered: reports that the cancellation will answer.
    """

    __slots__ = ("cancelled", "coroutine", "over", "reports", "start", "task", "timer", "told", "trial", "unanswered")

    def __init__(self, start: StartTrial) -> None:
        self.start = start
        self.reports = 0
        self.told = self.cancelled = self.over = False
        self.unanswered: list[asyncio.Future[Decision]] = []
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.trial: Trial
        self.task: asyncio.Task[Any]


class CoroutineSession:
    """What `CoroutineBackend.open` gives; see `offbeat.protocols.BackendSession`.

    Args:
        objective: is given a trial and answers a coroutine.
        stale: trials that have a folder already; whatever checkpoints lie there are not a new trial's.
    """

    def __init__(
        self,
        objective: Callable[[Trial], Coroutine[Any, Any, object]],
        context: BackendContext,
        stale: Collection[str] = (),
    ) -> None:
        self._objective = objective
        self._stale = stale
        self._grace = context.grace
        self._folder = context.folder
        self._loop = asyncio.get_running_loop()
        self._runs: dict[TrialId, Run] = {}
        self._signals: list[Signal] = []
        self._asked: list[tuple[Run, asyncio.Future[Decision]]] = []
        self._given: list[tuple[Run, asyncio.Future[Decision]]] = []
        self._waiter: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._sizes_wanted = context.checkpoint_sizes
        self._to_measure: set[TrialId] = set()
        self._disk: ThreadPoolExecutor | None = None

    # --- the engine's side

    def adopt(self, attempts: Sequence[Attempt]) -> Collection[TrialId]:
        """None: no coroutine outlives the engine that awaited it."""
        return ()

    def submit(self, command: Command) -> None:
        """Begins to carry out a command."""
        if isinstance(command, StartTrial):
            self._start(command)
        elif isinstance(command, DeleteCheckpoints):
            self._on_disk().submit(_remove, str(self._folder.checkpoints(command.trial)))
        else:
            run = self._runs.get(command.trial)
            if run is not None and run.start.attempt == command.attempt:
                self._cancel(run, self._grace)

    def announce(self, commands: Sequence[Command]) -> None:
        """Trials that will be told to stop or pause get no other answer to what they have reported."""
        for command in commands:
            if isinstance(command, StopTrial | PauseTrial):
                run = self._runs.get(command.trial)
                if run is not None and run.start.attempt == command.attempt:
                    run.told = True

    def receive_nowait(self) -> Sequence[Signal]:
        """Signals that are there, oldest first; those that were given before have been decided on."""
        if self._given:
            self._answer()
        if not self._signals:
            return ()
        taken, self._signals = self._signals, []
        self._given, self._asked = self._asked, self._given
        return taken

    async def receive(self) -> Sequence[Signal]:
        """Waits for at least one signal; cancelling it loses nothing."""
        if self._given:
            self._answer()
        while not self._signals:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.receive_nowait()

    def interrupt(self) -> None:
        """Ends all attempts at once, with half a second's grace. From any thread."""
        with suppress(RuntimeError):  # the loop is closed, and all coroutines with it
            self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        for run in list(self._runs.values()):
            self._cancel(run, min(INTERRUPT_GRACE, self._grace))

    async def close(self) -> None:
        """Ends what still runs, within the grace; cancelled meanwhile, at once."""
        cancelled: asyncio.CancelledError | None = None
        for run in list(self._runs.values()):
            self._cancel(run, self._grace)
        with anyio.CancelScope(shield=True):
            while self._runs:
                self._idle.clear()
                try:
                    await self._idle.wait()
                except asyncio.CancelledError as again:
                    cancelled = again
                    self._interrupt()
            for run, future in (*self._given, *self._asked):
                # A task that an objective left behind must not wait for an engine that is gone.
                run.told = True
                future.cancel()
            self._given.clear()
            self._asked.clear()
            if self._disk is not None:
                await anyio.to_thread.run_sync(self._disk.shutdown)
        if cancelled is not None:
            raise cancelled

    # --- starting and ending

    def _start(self, start: StartTrial) -> None:
        run = Run(start)

        def send(metrics: dict[str, Any]) -> asyncio.Future[Decision]:
            return self._report(run, metrics)

        def refuse(reason: str, metrics: dict[str, Any]) -> None:
            if not run.over:
                self._push(Garbled(start.trial, start.attempt, reason, _short(metrics)))

        run.trial = Trial(start, self._folder, send, refuse)
        self._runs[start.trial] = run
        run.task = self._loop.create_task(self._execute(run), name=f"offbeat trial {start.trial}.{start.attempt}")
        run.task.add_done_callback(lambda task: self._ended(run, task))

    async def _execute(self, run: Run) -> Any:
        start = run.start
        if start.attempt == 0 and (start.donor is not None or str(start.trial) in self._stale):
            await self._loop.run_in_executor(self._on_disk(), _prepare, self._folder, start.trial, start.donor)
        coroutine = run.coroutine = self._objective(run.trial)
        try:
            return await coroutine
        except SystemExit as error:  # out of a task it would end the host's loop
            raise Exited(*error.args) from error

    def _cancel(self, run: Run, grace: float) -> None:
        """Cancels an attempt; after the grace it is not waited for any longer."""
        run.told = True
        if run.timer is not None:
            run.timer.cancel()
        run.timer = self._loop.call_later(grace, self._give_up, run, grace)
        if not run.cancelled:
            run.cancelled = True
            run.task.cancel()
            for future in run.unanswered:
                future.cancel()

    def _give_up(self, run: Run, grace: float) -> None:
        """The grace is over: the coroutine is closed as if its last reference were gone."""
        if run.task.done():
            return  # its end is on the way
        coroutine = run.coroutine
        reason = f"did not end within {grace:g} s after its cancellation and was closed by force"
        if coroutine is not None:
            with suppress(BaseException):  # what it raises now is nobody's
                coroutine.close()
            if inspect.getcoroutinestate(coroutine) != inspect.CORO_CLOSED:
                reason = f"did not end within {grace:g} s after its cancellation, nor by force, and is left behind"
        # Whatever is left of the task wakes up once more.
        run.task.cancel()
        trial, attempt = int(run.start.trial), run.start.attempt
        get_logger().warning("a trial's coroutine refuses to end", trial=trial, attempt=attempt, what=reason)
        self._over(run, Ended(run.start.trial, attempt, "failed", reason))

    def _ended(self, run: Run, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if not run.over:
            self._over(run, self._end_of(run, task, error))

    def _end_of(self, run: Run, task: asyncio.Task[Any], error: BaseException | None) -> Ended:
        trial, attempt = run.start.trial, run.start.attempt
        if isinstance(error, Exited):
            error = error.__cause__
        line, detail = told(error) if error is not None else ("", "")
        if run.cancelled:
            return Ended(trial, attempt, "ended", f"raised {line} while it was being ended" if line else "", detail)
        if error is not None:
            return Ended(trial, attempt, "failed", f"raised {line}", detail)
        if task.cancelled():
            reason = "was cancelled, but not by the engine: by itself, by something it awaited, or by the application"
            return Ended(trial, attempt, "failed", reason)
        answer = task.result()
        if run.reports == 0 and answer is not None:
            what = f"returned {_short(answer, 80)} instead of reporting it: `await trial.report(name=value, ...)`"
            return Ended(trial, attempt, "failed", what)
        if run.reports == 0 and not run.start.resume:
            what = "returned without a report: the objective has to `await trial.report(name=value, ...)`"
            return Ended(trial, attempt, "failed", what)
        return Ended(trial, attempt, "finished")

    def _over(self, run: Run, ended: Ended) -> None:
        run.over = run.told = True
        if run.timer is not None:
            run.timer.cancel()
        for future in run.unanswered:
            future.cancel()
        if self._runs.get(run.start.trial) is run:
            del self._runs[run.start.trial]
        self._measure(run.start)
        self._push(ended)
        if not self._runs:
            self._idle.set()

    def _measure(self, start: StartTrial) -> None:
        """Has the trial's checkpoints measured, unless that waits to be done already."""
        if self._sizes_wanted and start.trial not in self._to_measure:
            self._to_measure.add(start.trial)
            self._on_disk().submit(self._measured, start)

    def _measured(self, start: StartTrial) -> None:
        """In the thread: what is written from here on is for the next time."""
        self._to_measure.discard(start.trial)
        size = folders.size(str(self._folder.checkpoints(start.trial)))
        self._loop.call_soon_threadsafe(self._push, Saved(start.trial, start.attempt, size))

    def _on_disk(self) -> ThreadPoolExecutor:
        if self._disk is None:
            self._disk = ThreadPoolExecutor(1, "offbeat-checkpoints")
        return self._disk

    # --- the trials' side

    def _report(self, run: Run, metrics: dict[str, Any]) -> asyncio.Future[Decision]:
        if run.over and run.task.done():
            raise RuntimeError(f"Trial {run.start.trial} has ended: nothing that it reports is taken any more.")
        future: asyncio.Future[Decision] = self._loop.create_future()
        if run.cancelled:
            # Not at once: a coroutine that goes on reporting has to give the loop its turn.
            self._loop.call_soon(future.cancel)
            return future
        start = run.start
        self._signals.append(Reported(start.trial, start.attempt, run.reports, metrics))
        self._measure(start)
        self._asked.append((run, future))
        run.reports += 1
        self._wake()
        return future

    def _answer(self) -> None:
        for run, future in self._given:
            if run.cancelled or run.over:
                future.cancel()
            elif run.told:
                run.unanswered.append(future)
            elif not future.done():
                future.set_result("continue")
        self._given.clear()

    def _push(self, signal: Signal) -> None:
        self._signals.append(signal)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Exited(Exception):
    """The objective called sys.exit."""


def _prepare(folder: ExperimentFolder, trial: TrialId, donor: TrialId | None) -> None:
    """A new trial begins with its donor's checkpoints, or with none."""
    own = str(folder.checkpoints(trial))
    folders.remove(own)
    if donor is not None:
        folders.make(str(folder.trial(trial)))
        folders.copy(str(folder.checkpoints(donor)), own, lambda: None)


def _remove(path: str) -> None:
    # A checkpoint that cannot be deleted costs room, never the run.
    with suppress(OSError):
        folders.set_aside(path)
        folders.sweep(path)


def _short(value: object, size: int = SAMPLE) -> str:
    try:
        text = repr(value)
    except Exception:  # anybody's repr
        text = f"a {type(value).__name__}"
    text = text if len(text) <= size else reprlib.repr(value)[:size]
    return text.encode(errors="replace").decode()
