"""A process for a model, watched from the engine's loop: it may be killed, run out of memory or hang, and the engine goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import anyio

from offbeat.errors import OffbeatError
from offbeat_plugins.modelling import codec

MEMORY: Final = 2 * 2**30
"""Bytes of private memory, address space included, that a model may take by default; what it really uses is about half."""

ROOM: Final = 768 * 2**20
"""Bytes of a process beyond which the next call gets a new one: compiling leaves hundreds of MB behind that are not wanted again,
since what was compiled is in the cache."""

CLOSING: Final = 5.0
"""Seconds that a process has to end in after SIGKILL, before it is left to the system."""

THREADS: Final[Mapping[str, str]] = {
    # BLAS and XLA threads beside busy trials make a fit many times slower than one thread.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class ModelFailed(OffbeatError):
    """A model has no answer: it raised, hung, or its process ended. The message says which; a next call may go well."""


class ModelWorker:
    """One process that computes one call after the other; started by the first, started again after it has died.

        async with ModelWorker(deadline=60) as worker:
            answer = await worker.call("package.module:function", {"x": x, "y": y})

    Args:
        deadline: seconds that a call may take before the process is killed.
        memory: bytes of private memory that the process may take.
        environment: variables beside those of this process.

    A context manager: afterwards the process is gone. Calls wait for each other.
    """

    def __init__(
        self, *, deadline: float = 60.0, memory: int = MEMORY, environment: Mapping[str, str] | None = None
    ) -> None:
        self._deadline = deadline
        self._memory = memory
        self._environment = {**THREADS, **(environment or {})}
        #: A task, so that a process that is started in the moment of a cancellation is known to whoever ends it.
        self._process: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._endings: set[asyncio.Task[str]] = set()
        self._turn = asyncio.Lock()
        self._number = 0
        self._answered = 0
        self._closed = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        process = self._process
        if process is None or not process.done() or process.cancelled() or process.exception() is not None:
            return None
        return process.result().pid

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        with anyio.CancelScope(shield=True):
            await self._kill()
            if self._endings:
                await asyncio.wait(self._endings)

    async def call(self, function: str, arguments: Mapping[str, Any], *, deadline: float | None = None) -> Any:
        """What the function "module:name" answers to keyword arguments (numbers, text, lists, dicts, NumPy arrays).

        Raises ModelFailed. Cancelled, it kills the process, whose answer nobody would wait for.
        """
        seconds = self._deadline if deadline is None else deadline
        async with self._turn:
            if self._closed:
                raise ModelFailed(f"{function}: the model's process has been closed.")
            self._number += 1
            request = codec.dump((self._number, function, dict(arguments)))
            try:
                async with asyncio.timeout(seconds):
                    answer = await self._exchange(request)
            except TimeoutError:
                await self._kill()
                raise ModelFailed(f"{function} had no answer within {seconds:g} s and was killed.") from None
            except (OSError, EOFError, ValueError):
                ending = await self._kill()
                raise ModelFailed(f"{function}: the model's process ended ({ending}).") from None
            except asyncio.CancelledError:
                with anyio.CancelScope(shield=True):
                    await self._kill()
                raise
            await self._renew_if_large()
        _, wrong, value = answer
        if wrong:
            raise ModelFailed(f"{function} failed: {wrong}")
        return value

    async def _renew_if_large(self) -> None:
        """Ends a process that has grown beyond ROOM, unless a single call did it: a new one would grow as much."""
        self._answered += 1
        if self._answered > 1 and self.pid is not None and _resident(self.pid) > ROOM:
            await self._kill()

    async def _exchange(self, request: bytes) -> Any:
        if self._process is None:
            self._process = asyncio.create_task(self._started())
        process = await asyncio.shield(self._process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(request).to_bytes(4, "little") + request)
        await process.stdin.drain()
        size = int.from_bytes(await process.stdout.readexactly(4), "little")
        return codec.load(await process.stdout.readexactly(size))

    async def _started(self) -> asyncio.subprocess.Process:
        self.starts += 1
        self._answered = 0
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a file of the host's folder must not stand in for one of the library
            "-m",
            "offbeat_plugins.modelling.child",
            str(self._memory),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **self._environment},
            start_new_session=True,
        )

    async def _kill(self) -> str:
        """Ends the process if there is one, also if the caller is cancelled meanwhile; answers how it ended."""
        started, self._process = self._process, None
        if started is None:
            return "there was none"
        ending = asyncio.create_task(_ended(started))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return await asyncio.shield(ending)


async def _ended(started: asyncio.Task[asyncio.subprocess.Process]) -> str:
    try:
        process = await started
    except OSError as error:
        return str(error)
    if process.returncode is None:
        with suppress(asyncio.TimeoutError, TimeoutError):
            # One that has just died by itself says more than the signal that comes too late.
            await asyncio.wait_for(asyncio.shield(process.wait()), 0.05)
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session, and may have started others
    with anyio.move_on_after(CLOSING):
        await process.wait()
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()
    return _ending(process.returncode)


def _ending(code: int | None) -> str:
    if code is None:
        return "it does not go away"
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"


def _resident(pid: int) -> int:
    """Bytes of a process that are in memory; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
