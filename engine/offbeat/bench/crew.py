"""Processes that run cells side by side; one that crashes or hangs costs its cell and is replaced."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Any, Final, NamedTuple

import msgspec

from offbeat.bench.cell import Cell
from offbeat.bench.worker import Answer
from offbeat.clock import Clock, SystemClock

SINGLE_THREAD: Final = dict.fromkeys(
    (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)  # fmt: skip
"""Cells run side by side; a thread pool in each would have them wait for each other."""

WORKER: Final = (sys.executable, "-m", "offbeat.bench.worker")


class Finished(NamedTuple):
    """A cell and what came of it."""

    cell: Cell
    answer: Answer


class Crew:
    """Up to `jobs` workers.

    Args:
        jobs: how many.
        timeout: seconds after which a cell counts as hung and its worker is ended.
        command: a worker's command line.
    """

    def __init__(
        self, jobs: int, timeout: float, *, clock: Clock | None = None, command: Sequence[str] = WORKER
    ) -> None:
        self._jobs, self._timeout = jobs, timeout
        self._clock = clock or SystemClock()
        self._command = list(command)
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []

    def run(self, cells: Sequence[Cell]) -> Iterator[Finished]:
        """The cells in the order in which they end. Leaving the loop, for whatever reason, ends all workers."""
        waiting = list(reversed(cells))
        try:
            while waiting or any(worker.cell for worker in self._workers):
                self._hand_out(waiting)
                yield from self._collect()
        finally:
            self.close()

    def close(self) -> None:
        """Ends all workers at once."""
        for worker in self._workers:
            self._end(worker)
        self._workers.clear()

    def _hand_out(self, waiting: list[Cell]) -> None:
        while waiting:
            idle = next((worker for worker in self._workers if worker.cell is None), None)
            if idle is None:
                if len(self._workers) >= self._jobs:
                    return
                idle = _Worker(self._command)
                self._workers.append(idle)
                self._selector.register(idle.output, selectors.EVENT_READ, idle)
            idle.take(waiting.pop(), self._clock.monotonic() + self._timeout)

    def _collect(self) -> Iterator[Finished]:
        busy = [worker for worker in self._workers if worker.cell is not None]
        left = min((worker.deadline for worker in busy), default=0.0) - self._clock.monotonic()
        for found, _ in self._selector.select(max(0.0, left)):
            worker: _Worker = found.data
            cell = worker.cell
            line = worker.read()
            if line is None:
                continue
            if line:
                worker.cell = None
                if cell is not None:
                    yield Finished(cell, msgspec.json.decode(line, type=Answer))
                continue
            said = self._dismissed(worker)
            if cell is not None:
                yield Finished(cell, Answer(error=_death(worker.process.returncode), traceback=said))
        now = self._clock.monotonic()
        for worker in [one for one in self._workers if one.cell is not None and one.deadline <= now]:
            cell = worker.cell
            said = self._dismissed(worker)
            if cell is not None:
                error = f"it had not ended after {self._timeout:g} s and was ended; --timeout allows more"
                yield Finished(cell, Answer(error=error, traceback=said))

    def _dismissed(self, worker: _Worker) -> str:
        """Ends a worker; what it said last."""
        self._workers.remove(worker)
        return self._end(worker)

    def _end(self, worker: _Worker) -> str:
        self._selector.unregister(worker.output)
        return worker.end()


class _Worker:
    """A process, the cell that it has, and the moment at which that counts as hung."""

    def __init__(self, command: Sequence[str]) -> None:
        self.cell: Cell | None = None
        self.deadline = 0.0
        self._buffer = b""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        path = os.pathsep.join(one or os.getcwd() for one in sys.path)  # noqa: PTH109 - as sys.path has it
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **SINGLE_THREAD, "PYTHONPATH": path},
            # Ctrl-C is for the campaign, which ends its workers itself.
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.output: Any = self.process.stdout

    def take(self, cell: Cell, deadline: float) -> None:
        self.cell, self.deadline = cell, deadline
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead; its output says so by ending
            self.process.stdin.write(msgspec.json.encode(cell) + b"\n")
            self.process.stdin.flush()

    def read(self) -> bytes | None:
        """A line; None as long as it is not whole; empty at the end of the process."""
        piece = os.read(self.output.fileno(), 1 << 16)
        if not piece:
            return b""
        self._buffer += piece
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = rest
        return line

    def end(self) -> str:
        """Ends the process and whatever it started; its last words."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        with self._errors as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
            return file.read().decode(errors="replace")


def _death(status: int) -> str:
    if status < 0:
        try:
            return f"its process was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"its process was ended by signal {-status}"
    return f"its process ended with status {status}"
