"""Calls into plugins that may do anything: whatever they raise comes back as a value, and one that hangs is left behind."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import traceback
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

import anyio

PATIENCE: Final = 0.5
"""Seconds that a cancelled coroutine gets to end; one that does not is left behind."""


class Raised(NamedTuple):
    """In the place of an answer: what was raised instead (SystemExit and the like too)."""

    error: BaseException


def told(error: BaseException) -> tuple[str, str]:
    """(one line, traceback) of what a plugin raised, as a journal can hold them, even where its own text cannot be had."""
    try:
        text = str(error)
    except Exception:  # its `__str__` may be as wrong as the rest
        text = "its text cannot be had"
    line = f"{type(error).__name__}: {text}"[:2000]
    return _writable(line), _writable("".join(traceback.format_exception(error))[-8000:])


def _writable(text: str) -> str:
    return text.encode(errors="replace").decode()


async def _caught(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # SystemExit in a task would end the host's loop
        return Raised(error)


async def contained(awaitable: Awaitable[Any], seconds: float | None = None) -> Any:
    """The answer, or Raised; a deadline of `seconds` gives Raised(TimeoutError).

    It runs in a task of its own, so that a cancellation that the plugin brought about is told from the caller's, which
    alone is raised here.
    """
    task = asyncio.ensure_future(_caught(awaitable))
    try:
        await asyncio.wait([task], timeout=seconds)
    except asyncio.CancelledError:
        await _abandoned(task)
        raise
    if not task.done():
        await _abandoned(task)
        return Raised(TimeoutError(f"no answer within {seconds:g} s"))
    return Raised(asyncio.CancelledError("it cancelled itself")) if task.cancelled() else task.result()


async def _abandoned(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.wait([task], timeout=PATIENCE)


class Worker:
    """A thread of its own for the plain methods of one plugin.

    A daemon, so that a method that hangs holds up neither the loop nor the interpreter's end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._busy = False

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The answer, or Raised. Cancelling it leaves the call behind."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def settle(answer: Any) -> None:
            self._busy = False
            if not future.done():
                future.set_result(answer)

        def job() -> None:
            try:
                answer = context.run(function, *arguments)
            except BaseException as error:  # see Raised
                answer = Raised(error)
            try:
                loop.call_soon_threadsafe(settle, answer)
            except RuntimeError:  # the loop was closed
                return

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._busy = True
        self._jobs.put(job)
        return await future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def close(self) -> None:
        """Ends the thread, once its call is over."""
        self._jobs.put(None)
        if self._thread is not None and not self._busy:
            self._thread.join()
