"""Ask and tell for one process that asks, trains and tells: plain calls, from any thread."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable
from typing import Any, Self

from offbeat.asktell.desk import Desk
from offbeat.asktell.study import Study
from offbeat.asktell.trial import AskedTrial, Decision
from offbeat.contained import Raised, contained
from offbeat.errors import InvalidArgument, JournalUnwritable
from offbeat.protocols import ProposalRequest


class AskTell(Study):
    """Asked for configurations and told results, by plain calls.

        study = AskTell(ASHA(space, metric="loss", resource_attr="epoch", random_seed=0), "my-study")
        while (trial := study.ask()) is not None:
            for epoch in range(1, trial.config["epochs"] + 1):
                if study.tell(trial, epoch=epoch, loss=train(trial.config, epoch)) != "continue":
                    break
            else:
                study.complete(trial)
        print(study.best())

    Calls may come from several threads; each waits for the one before it, disk included. A context manager: leaving it
    closes the study, after which nothing of it is left but what lies on the disk. Arguments and errors: see `Study`.
    """

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._runner: asyncio.Runner | None = None
        self._broken: JournalUnwritable | None = None
        self._open()
        try:
            self._commit()
        except BaseException:
            self._release()
            raise

    def ask(self) -> AskedTrial | None:
        """A trial to execute: a new one, or one to go on with; None if there is none (for now, or for ever if `done`).

        Raises:
            AllOut: `n_workers` trials are out.
            PluginFailed: the scheduler failed several times in a row.
            InvalidArgument: the scheduler proposes asynchronously and an event loop runs here: use AsyncAskTell.
        """
        with self._lock:
            desk = self._usable()
            while isinstance(step := desk.next(self._now()), ProposalRequest):
                desk.answered(step, self._proposal(desk, step), self._now())
            self._commit()
            self._usable()
            return step

    def tell(self, trial: AskedTrial | int, /, **metrics: Any) -> Decision:
        """A result of a trial that is out; "stop" and "pause" mean that it is out no longer.

        Values are numbers, text or booleans, NumPy scalars and one-element arrays included; NaN and infinities are
        treated as the metric's policy says. For a bare number the trial's current attempt is meant.

        Raises:
            TrialNotOut: nobody has this trial.
            InvalidArgument, TypeError, ValueError: the result cannot be used; nothing was recorded.
            JournalUnwritable: the disk refuses; the study is of no use any more.
        """
        with self._lock:
            decision = self._usable().tell(trial, metrics, self._now())
            self._commit()
            self._usable()
            return decision

    def complete(self, trial: AskedTrial | int, /, **metrics: Any) -> None:
        """The trial ran to its end; `metrics` are a last result. Raises what `tell` raises."""
        with self._lock:
            self._usable().complete(trial, metrics, self._now())
            self._commit()
            self._usable()

    def fail(self, trial: AskedTrial | int, /, reason: str = "") -> None:
        """The trial failed; with `max_retries` it is handed out again. Raises TrialNotOut; TooManyFailures."""
        with self._lock:
            self._usable().fail(trial, reason, self._now())
            self._commit()
            self._usable()

    def lost(self, trial: AskedTrial | int, /, reason: str = "") -> None:
        """Whoever had the trial is gone: it will be handed out again. Raises TrialNotOut."""
        with self._lock:
            self._usable().lost(trial, reason, self._now())
            self._commit()

    def close(self) -> None:
        """Ends the session; trials that are out are handed out again when the study is resumed. A second call is none."""
        with self._lock:
            if self._closed:
                return
            try:
                if self._broken is None:
                    self._opened().close(self._now())
                    self._commit()
            finally:
                self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _usable(self) -> Desk:
        if self._broken is not None:
            raise self._broken
        return super()._usable()

    def _commit(self) -> None:
        events = self._opened().take()
        if self._journal is None or not events:
            return
        try:
            self._journal.commit(events, sync=True)
        except JournalUnwritable as error:
            self._broken = error
            raise

    def _release(self) -> None:
        self._closed = True
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()
        if self._journal is not None:
            self._journal.close()

    def _proposal(self, desk: Desk, request: ProposalRequest) -> Any:
        """The scheduler's answer, or `Raised`."""
        try:
            answer = desk.conductor.scheduler.propose(request, desk.ledger)
        except (Exception, SystemExit) as error:  # whatever it raises is a failed proposal
            return Raised(error)
        return self._awaited(answer) if inspect.isawaitable(answer) else answer

    def _awaited(self, answer: Awaitable[Any]) -> Any:
        """Runs a coroutine on a loop of the study's own, which stays the same for all of them."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if self._runner is None:
                self._runner = asyncio.Runner()
            return self._runner.run(contained(answer, self._deadline))
        if inspect.iscoroutine(answer):
            answer.close()
        raise InvalidArgument(
            "The scheduler takes its time over proposals, and an event loop runs here: use AsyncAskTell and `await study.ask()`."
        )
