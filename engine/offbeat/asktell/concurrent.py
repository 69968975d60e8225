"""Ask and tell for several clients at once on one event loop: one group of the journal answers all who wait."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import anyio

from offbeat.asktell.desk import Desk
from offbeat.asktell.study import Study
from offbeat.asktell.trial import AskedTrial, Decision
from offbeat.commits import Committer
from offbeat.contained import Raised, contained
from offbeat.errors import JournalUnwritable
from offbeat.protocols import ProposalRequest


class AsyncAskTell(Study):
    """Asked for configurations and told results, by clients that share an event loop.

        async with AsyncAskTell(ASHA(...), "my-study", adopt=True) as study:
            trial = await study.ask()
            decision = await study.tell(trial, epoch=1, loss=0.3)

    What is decided while the disk is busy is written together, and then answered. Cancelling a call takes back nothing that
    was decided; a trial that a cancelled `ask` was about to answer is given back. Arguments and errors: see `Study`.
    """

    def _begin(self) -> None:
        self._asking = asyncio.Lock()
        self._changed = asyncio.Event()
        self._proposing: asyncio.Task[None] | None = None
        self._committer: Committer | None = None
        self._writing: asyncio.Task[None] | None = None
        self._taken = 0

    async def __aenter__(self) -> Self:
        """Opens the study; a long journal is read in a thread."""
        with ThreadPoolExecutor(1, thread_name_prefix="offbeat-open") as thread:
            opened = asyncio.wrap_future(thread.submit(self._open))
            try:
                await asyncio.shield(opened)
            except asyncio.CancelledError:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([opened])
                if opened.exception() is None:
                    await self._release()
                raise
        if self._journal is not None:
            self._taken = self._journal.next_seq
            self._committer = Committer(self._journal, "commit", lambda command: None)
            self._writing = asyncio.create_task(self._committer.run(), name=f"offbeat {self.name} journal")
        try:
            await self._commit()
        except BaseException:
            await self._release()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ask(self) -> AskedTrial | None:
        """A trial to execute: a new one, or one to go on with; None once nothing will ever be left.

        Waits while `n_workers` trials are out, or the scheduler has nothing to propose until it is told more.

        Raises:
            PluginFailed: the scheduler failed several times in a row.
            StudyClosed: it was closed meanwhile.
        """
        async with self._asking:
            trial = await self._next()
        try:
            await self._commit()
        except asyncio.CancelledError:
            if trial is not None and not self._closed:
                self._opened().lost(trial, "whoever asked for it went away", self._now())
                self._tell_all()
            raise
        return trial

    async def _next(self) -> AskedTrial | None:
        while True:
            desk = self._usable()
            self._changed.clear()
            if desk.full and desk.conductor.closing is None:
                step = None
            elif isinstance(step := desk.next(self._now()), AskedTrial):
                return step
            if desk.conductor.error is not None:
                await self._commit()
                raise desk.conductor.error
            if desk.conductor.closing is not None:
                return None
            if isinstance(step, ProposalRequest):
                if self._proposing is None:
                    # A task of its own: an answer is not lost where who asked for it has given up.
                    self._proposing = asyncio.create_task(self._propose(desk, step), name="offbeat proposal")
                await asyncio.wait([self._proposing])
            else:
                await self._changed.wait()

    async def _propose(self, desk: Desk, request: ProposalRequest) -> None:
        answer: Any
        try:
            answer = desk.conductor.scheduler.propose(request, desk.ledger)
            if inspect.isawaitable(answer):
                answer = await contained(answer, self._deadline)
        except (Exception, SystemExit) as error:  # whatever it raises is a failed proposal
            answer = Raised(error)
        finally:
            self._proposing = None
        desk.answered(request, answer, self._now())

    async def tell(self, trial: AskedTrial | int, /, **metrics: Any) -> Decision:
        """As `AskTell.tell`; others are answered while this one waits for the disk."""
        decision: Decision = await self._turn(lambda desk: desk.tell(trial, metrics, self._now()))
        return decision

    async def complete(self, trial: AskedTrial | int, /, **metrics: Any) -> None:
        """As `AskTell.complete`."""
        await self._turn(lambda desk: desk.complete(trial, metrics, self._now()))

    async def fail(self, trial: AskedTrial | int, /, reason: str = "") -> None:
        """As `AskTell.fail`."""
        await self._turn(lambda desk: desk.fail(trial, reason, self._now()))

    async def lost(self, trial: AskedTrial | int, /, reason: str = "") -> None:
        """As `AskTell.lost`."""
        await self._turn(lambda desk: desk.lost(trial, reason, self._now()))

    async def _turn(self, turn: Callable[[Desk], Any]) -> Any:
        answer = turn(self._usable())
        self._tell_all()
        await self._commit()
        error = self._opened().conductor.error
        if error is not None:
            raise error
        return answer

    async def close(self) -> None:
        """Ends the session; trials that are out are handed out again when the study is resumed. A second call is none."""
        if self._closed or self._desk is None:
            return
        self._closed = True
        closing = asyncio.create_task(self._close(self._desk), name="offbeat close")
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([closing])
            raise

    async def _close(self, desk: Desk) -> None:
        proposing = self._proposing
        if proposing is not None:
            proposing.cancel()
            await asyncio.wait([proposing])
        desk.close(self._now())
        self._tell_all()
        try:
            await self._commit()
        finally:
            await self._release()

    def _tell_all(self) -> None:
        """Whoever waits for a trial looks again."""
        self._changed.set()

    async def _commit(self) -> None:
        """Waits until everything so far is on the disk. Raises JournalUnwritable."""
        events = self._opened().take()
        committer, writing = self._committer, self._writing
        if committer is None or writing is None:
            return
        self._taken += len(events)
        committer.add(events, ())
        if not await committer.progress(self._taken - 1):
            await asyncio.wait([writing])
            error = writing.exception()
            raise error if error is not None else JournalUnwritable(str(self.folder), "the study was closed meanwhile")

    async def _release(self) -> None:
        self._closed = True
        with anyio.CancelScope(shield=True):
            if self._committer is not None and self._writing is not None:
                self._committer.finish()
                await asyncio.wait([self._writing])
                self._writing.exception()  # looked at, so that asyncio does not report it as lost; it was told
            if self._journal is not None:
                await anyio.to_thread.run_sync(self._journal.close)
