"""A running experiment as embedding code sees it, and the task that owns it.

The engine runs in one task of its own, so that a cancellation (`task.cancel`, `asyncio.timeout`, a cancelled anyio scope)
reaches the waiting code and not the engine's insides: the first one stops the session gracefully, the second at once, and
then it is raised again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import anyio

from offbeat import instructions
from offbeat.driver import Driver
from offbeat.errors import InvalidArgument, nearest
from offbeat.events import Limits
from offbeat.protocols import LedgerView, Recorded


class Outcome(NamedTuple):
    """How a session ended.

    Attributes:
        outcome: "done" (criterion met, or nothing left to try) or "interrupted" (it can be resumed).
        reason: one sentence.
        name, folder: the experiment and where it lies.
    """

    outcome: Literal["done", "interrupted", "failed"]
    reason: str
    name: str
    folder: Path


class Session:
    """A session in progress; made by `Tuner.session`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self._driver.folder.name

    @property
    def folder(self) -> Path:
        """The experiment's folder."""
        return self._driver.folder.path

    @property
    def ledger(self) -> LedgerView:
        """All trials, live; read it on the loop's thread."""
        return self._driver.ledger

    @property
    def elapsed(self) -> float:
        """Seconds on the experiment's clock."""
        return self._driver.elapsed

    async def events(self, start: int | None = None) -> AsyncIterator[Recorded]:
        """Events with their sequence numbers, from `start` on (0: all from the beginning; None: from now).

        Ends when the session has ended. A slow reader delays nobody and misses nothing.
        """
        async for recorded in self._driver.bus.stream(start):
            yield recorded

    def stop(self, reason: str = "stopped by the application", *, hurry: bool = False) -> None:
        """Begins to end the session; the experiment can be resumed. With `hurry` trials get no grace."""
        self._driver.stop(reason, hurry=hurry)

    async def stop_trial(self, trial: int, why: str = "stopped from outside") -> None:
        """Ends a trial for good, whatever it is doing; returns when that is in the journal.

        Raises InvalidArgument for a trial that is not there or has ended, and when the session does not run.
        """
        await self._driver.instruct(partial(instructions.stop_trial, trial=trial, why=why))

    async def enqueue(self, *configs: Mapping[str, Any], why: str = "") -> None:
        """Has configurations tried before the scheduler is asked again, in this order; partial ones get defaults.

        Raises InvalidConfig for one that the space does not have; those before it are enqueued.
        """
        for config in configs:
            await self._driver.instruct(partial(instructions.enqueue, config=config, why=why))

    async def change(self, **limits: Any) -> None:
        """Other limits from here on.

        Args:
            limits: n_workers, stop_criterion, max_failures, max_retries, approval, as `Tuner` takes them, and
                asynchronous, wait_for_trials. With fewer workers those that are busy end their trials first.

        Raises InvalidArgument, with the nearest name for one that there is not.
        """
        for name in limits:
            if name not in Limits.__struct_fields__:
                raise InvalidArgument(f"There is no limit {name!r}. {nearest(name, Limits.__struct_fields__)}")
        await self._driver.instruct(partial(instructions.change, changes=limits))

    @property
    def waiting(self) -> list[int]:
        """Trials that wait for approval, the oldest first."""
        return [int(trial) for trial in self._driver.conductor.state.held]

    async def approve(self, trial: int, why: str = "") -> None:
        """Lets a trial start that waits for it; returns when that is in the journal. To refuse it: `stop_trial`.

        Raises InvalidArgument for a trial that does not wait.
        """
        await self._driver.instruct(partial(instructions.approve, trial=trial, why=why))

    async def wait(self) -> Outcome:
        """Waits for the session's end. Raises what it failed with; cancelled, it stops the session (see the module)."""
        await self._over(None)
        assert self._task is not None
        self._task.result()
        outcome, reason = self._driver.conductor.closing or ("interrupted", "the session ended early")
        return Outcome(outcome, reason, self.name, self.folder)

    async def _over(self, cancelled: asyncio.CancelledError | None) -> None:
        """Waits until the engine's task is done. `cancelled`: what has stopped the session already, raised at the end."""
        assert self._task is not None
        while not self._task.done():
            try:
                # A cancelled anyio scope would raise at every await; once the session is stopping it is waited for.
                with anyio.CancelScope(shield=cancelled is not None):
                    await asyncio.wait([self._task])
            except asyncio.CancelledError as error:
                self._driver.stop("cancelled", hurry=cancelled is not None)
                cancelled = error
        if cancelled is not None:
            if not self._task.cancelled():
                self._task.exception()  # looked at, so that asyncio does not report it as lost
            raise cancelled


@asynccontextmanager
async def running(driver: Driver) -> AsyncIterator[Session]:
    """Starts a session; leaving the block stops it gracefully if it still runs, and waits for its end."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidArgument("offbeat runs on asyncio event loops; this one is of another kind.") from None
    session = Session(driver)
    session._task = asyncio.create_task(driver.run(), name=f"offbeat {driver.spec.name}")
    try:
        yield session
    except asyncio.CancelledError as error:
        driver.stop("cancelled")
        await session._over(error)
        raise
    except BaseException:
        driver.stop("the session was left by an error")
        # Whatever the session fails with now must not hide what it was left by.
        with suppress(Exception):
            await session.wait()
        raise
    driver.stop("the session was left")
    await session.wait()
