"""`Tuner.run`: a loop in a thread of its own, the caller waiting interruptibly, signals turned into stops."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from offbeat import audience
from offbeat.errors import InvalidArgument
from offbeat.session import Outcome, running

if TYPE_CHECKING:
    from offbeat.driver import Driver
    from offbeat.tuner import Tuner

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")

ABANDON_AFTER: Final = 5.0
"""Seconds beyond the grace that a stuck loop gets before the caller goes on without it."""


class _Foreground:
    """The thread with the engine's loop, and what the waiting thread asks of it."""

    def __init__(self, tuner: Tuner) -> None:
        self._tuner = tuner
        self._driver: Driver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = threading.Event()
        self._left = threading.Event()  # the session is over; what is left is the loop's own end
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self.received: list[int] = []

    def run(self) -> Outcome:
        """Starts the thread and waits for its end."""
        # In the caller's context: a notebook's kernel finds there which cell an output belongs to.
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(self._in_thread,), name="offbeat", daemon=True)
        with self._handlers():
            thread.start()
            while not self._over.is_set():
                try:
                    self._wait()
                except KeyboardInterrupt:
                    # Not from our handler: a host (a notebook's kernel) turned SIGINT into this by itself.
                    self._signalled(signal.SIGINT, None)
        if self._error is not None:
            raise self._error
        if self.received:
            number = self.received[0]
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        assert self._outcome is not None
        return self._outcome

    def _wait(self) -> None:
        """Waits for the thread; goes on without one whose loop a plugin does not give back."""
        while not self._over.wait(0.5):
            patience = self._patience()
            if patience is not None and not self._over.wait(patience):
                driver = self._driver
                if driver is not None and not self._left.is_set():
                    self._error = driver.blocked
                    driver.interrupt()
                self._over.set()

    def _patience(self) -> float | None:
        """Seconds after which waiting has no sense any more, None while it has."""
        if self._left.is_set() or len(self.received) > 1:
            return ABANDON_AFTER
        if self._driver is not None and self._driver.blocked is not None:
            return self._tuner.grace + ABANDON_AFTER
        return None

    def _in_thread(self) -> None:
        try:
            asyncio.run(self._main())
        finally:
            self._over.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            async with self._tuner.driving(audience.of_run()) as driver, running(driver) as session:
                self._driver = driver
                if self.received:
                    session.stop(_name(self.received[0]), hurry=len(self.received) > 1)
                self._outcome = await session.wait()
        except BaseException as error:  # it is raised again in the waiting thread
            self._error = self._error or error
        finally:
            self._left.set()

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(number)
        loop, driver = self._loop, self._driver
        if loop is not None and driver is not None:
            try:
                loop.call_soon_threadsafe(self._stop, driver, number)
            except RuntimeError:  # the loop has just ended
                return

    def _stop(self, driver: Driver, number: int) -> None:
        """Runs on the loop: nothing may be written where a signal is handled."""
        hurry = len(self.received) > 1
        driver.stop(_name(number), hurry=hurry)
        if not hurry:
            logging.getLogger("offbeat").warning(
                "stopping: trials get %g s to end; a second interrupt ends them at once", self._tuner.grace
            )

    @contextmanager
    def _handlers(self) -> Iterator[None]:
        """Signals that nobody handles are ours while we wait, if the caller is the main thread and no loop runs in it.

        In a notebook a loop does run, but SIGINT is meant for the cell, which waits here: it is ours whoever handles it.
        In a cell with `await` that is the kernel by a callback on that loop, which would not come before the run's end.
        """
        replaced: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            cell = audience.in_notebook()
            for name in ("SIGINT",) if cell else () if _loop_runs() else _SIGNALS:
                number = getattr(signal, name, None)
                if number is None:
                    continue
                if cell or signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    replaced[number] = signal.signal(number, self._signalled)
        try:
            yield
        finally:
            for number, handler in replaced.items():
                signal.signal(number, handler)


def _name(number: int) -> str:
    return signal.Signals(number).name


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run_in_thread(tuner: Tuner) -> Outcome:
    """See `Tuner.run`. Raises InvalidArgument where trials would share a loop that the caller holds up."""
    if _loop_runs() and getattr(tuner.trial_backend, "shares_loop", False):
        raise InvalidArgument(
            "An event loop runs here, and run() would hold it up while the objective, a coroutine, ran in another one: use "
            "`await tuner.arun()`."
        )
    return _Foreground(tuner).run()
