"""Carries a conductor's requests to the scheduler and the answers back, whatever the scheduler does meanwhile."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from offbeat.conductor import Conductor
from offbeat.contained import Raised, contained, told
from offbeat.errors import PluginFailed
from offbeat.log import get_logger
from offbeat.plain import Asked
from offbeat.protocols import ProposalRequest, SchedulerContext
from offbeat.watchdog import Watchdog


class Asking:
    """At most one request is open at a time.

    Args:
        deadline: seconds after which an asynchronous proposal is cancelled and counts as failed.
        elapsed: reads the experiment's clock; after_turn: called behind each answer that was awaited.
    """

    def __init__(
        self,
        conductor: Conductor,
        watchdog: Watchdog,
        deadline: float,
        elapsed: Callable[[], float],
        after_turn: Callable[[], None],
    ) -> None:
        self._conductor = conductor
        self._watchdog = watchdog
        self._deadline = deadline
        self._elapsed = elapsed
        self._after_turn = after_turn
        self._request: ProposalRequest | None = None
        self._answer: Awaitable[Any] | None = None
        self._wanted = asyncio.Event()
        self._where = f"propose of scheduler {conductor.state.spec.scheduler.name!r}"

    @property
    def open(self) -> bool:
        """Whether an answer has to be awaited."""
        return self._request is not None

    def fill(self) -> None:
        """Asks for whatever free slots want, until an answer has to be awaited or nothing more is wanted."""
        conductor, elapsed, watchdog = self._conductor, self._elapsed, self._watchdog
        plain, slots, state = conductor.plain, conductor.ledger.slots, conductor.state
        watchdog.where = self._where
        try:
            while self._request is None:
                asked = plain.fill(elapsed)
                if asked is None:
                    if len(slots) >= state.limits.n_workers and not state.limits.prefetch:
                        return
                    asked = self._ask()
                if asked is None:
                    return
                request, answer = asked
                if inspect.isawaitable(answer):
                    self._request, self._answer = request, answer
                    self._wanted.set()
                else:
                    self._answered(request, answer)
        finally:
            watchdog.where = ""

    def _ask(self) -> Asked | None:
        """The next request and its answer. The clock is read for each: a proposal takes its time."""
        conductor = self._conductor
        request = conductor.filling.next_request(self._elapsed())
        if request is None:
            return None
        try:
            return request, conductor.scheduler.propose(request, conductor.ledger)
        except BaseException as error:  # whatever it raises, SystemExit too, is a failed proposal
            return request, Raised(error)

    def _answered(self, request: ProposalRequest, answer: Any) -> None:
        self._request = None
        if self._conductor.closing is not None:
            return
        if isinstance(answer, Raised):
            self._conductor.filling.proposal_failed(request, answer.error, self._elapsed())
        else:
            self._conductor.filling.proposed(request, answer, self._elapsed())

    async def wait(self) -> None:
        """Awaits the answer to the open request, within the deadline."""
        request, pending = self._request, self._answer
        self._answer = None
        assert request is not None
        assert pending is not None
        self._answered(request, await contained(pending, self._deadline))
        self._after_turn()

    async def in_background(self) -> None:
        """Awaits one answer after the other."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._request is not None:
                await self.wait()

    @asynccontextmanager
    async def running(self, time: Literal["real", "simulated"]) -> AsyncIterator[None]:
        """The scheduler's own context, if it has one, around a session. Raises PluginFailed for what that raises."""
        scheduler = self._conductor.scheduler
        running = getattr(scheduler, "running", None)
        if running is None:
            yield
            return
        context = SchedulerContext(time=time, n_workers=self._conductor.state.limits.n_workers)
        name = self._conductor.state.spec.scheduler.name
        try:
            opened = running(context)
            await opened.__aenter__()
        except Exception as error:
            raise PluginFailed("scheduler", name, "running", told(error)[0]) from error
        try:
            yield
        finally:
            # No deadline: a scope around this call alone would lie across a task group that the scheduler has entered.
            try:
                await opened.__aexit__(None, None, None)
            except Exception as error:  # the trials have ended: nothing is lost by it
                get_logger().error("the scheduler did not close", scheduler=name, error=told(error)[0])

    def close(self) -> None:
        """Gives up a coroutine that nobody came to await."""
        if (close := getattr(self._answer, "close", None)) is not None:
            close()
