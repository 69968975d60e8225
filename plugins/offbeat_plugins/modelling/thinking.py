"""Where a searcher's model is computed: at once, or in a process of its own while trials run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any, Final, TypeVar

from offbeat.protocols import SchedulerContext
from offbeat_plugins.modelling.worker import MEMORY, ModelFailed, ModelWorker

T = TypeVar("T")

FIRST: Final = 300.0
"""Seconds that the first call may take: it imports and compiles."""


class Thinking:
    """One function of arrays, "module:name", and where it is called.

    In simulated time, in ask and tell and wherever no session runs, it is called here and now. While a session in real time
    runs (`running`), it is called in a process of its own: a call answers an awaitable, and the engine goes on meanwhile.

    Args:
        function: of keyword arguments that are numbers, text, lists, dicts and NumPy arrays, and of such an answer.
        deadline: seconds that a call may take in the process; memory: bytes that the process may take.
    """

    def __init__(self, function: str, *, deadline: float = 60.0, memory: int = MEMORY) -> None:
        self._name = function
        self._deadline, self._memory = deadline, memory
        self._worker: ModelWorker | None = None

    def __call__(self, arguments: Mapping[str, Any], function: str = "") -> Any | Awaitable[Any]:
        """The answer of the function, or of another one, or an awaitable of it. Raises ModelFailed, or the awaitable does."""
        function = function or self._name
        if self._worker is not None:
            return self._worker.call(function, arguments)
        module, _, name = function.partition(":")
        try:
            return getattr(import_module(module), name)(**arguments)
        except Exception as error:  # as from the process: a model that fails is an answer
            raise ModelFailed(f"{function} failed: {type(error).__name__}: {error}") from error

    def then(self, arguments: Mapping[str, Any], made: Callable[[Any], T]) -> T | Awaitable[T]:
        """What is made of the answer, at once or later, as the call is. Raises ModelFailed, or the awaitable does."""
        answer = self(arguments)
        return _later(answer, made) if isinstance(answer, Awaitable) else made(answer)

    @asynccontextmanager
    async def running(self, context: SchedulerContext, warm_up: Mapping[str, Any] | None = None) -> AsyncIterator[None]:
        """The process, while a session in real time runs; in simulated time nothing is started.

        Args:
            context: of the session.
            warm_up: arguments of a first call, which loads and compiles while the first trials run; its answer is not used.
        """
        if context.time == "simulated":
            yield
            return
        async with ModelWorker(deadline=self._deadline, memory=self._memory) as worker:
            self._worker = worker
            warming = asyncio.create_task(_tried(worker, self._name, warm_up))
            try:
                yield
            finally:
                self._worker = None
                warming.cancel()
                with suppress(asyncio.CancelledError):
                    await warming


async def _later(answer: Awaitable[Any], made: Callable[[Any], T]) -> T:
    return made(await answer)


async def _tried(worker: ModelWorker, function: str, arguments: Mapping[str, Any] | None) -> None:
    """The first call; what is wrong with it will be said by the next."""
    if arguments is not None:
        with suppress(ModelFailed):
            await worker.call(function, arguments, deadline=FIRST)
