"""A process that runs cells: one JSON line in, one JSON line out, until its input ends.

Started as `python -m offbeat.bench.worker` with one thread for BLAS. A thread of its own waits for the input's end, so
that the process goes with its parent, whatever a scheduler is doing.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import BinaryIO

import msgspec

from offbeat.bench.benchmark import Benchmark
from offbeat.bench.cell import Cell, CellResult, run
from offbeat.bench.problem import Problem


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of a cell: its result, or the error that it ended with and where that came from."""

    result: CellResult | None = None
    error: str = ""
    traceback: str = ""


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers the cells that come in, one after the other; never returns, the process ends with its input."""
    lines: SimpleQueue[bytes] = SimpleQueue()

    def read() -> None:
        for line in source:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    problems: dict[bytes, Problem] = {}
    while True:
        cell = msgspec.json.decode(lines.get(), type=Cell)
        sink.write(msgspec.json.encode(_answer(cell, problems)) + b"\n")
        sink.flush()


def _answer(cell: Cell, problems: dict[bytes, Problem]) -> Answer:
    try:
        return Answer(result=run(cell, _problem(cell.benchmark, problems)))
    except Exception as error:
        return Answer(error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())


def _problem(benchmark: Benchmark, problems: dict[bytes, Problem]) -> Problem:
    """Blackboxes are loaded once in a worker."""
    name = msgspec.json.encode(benchmark)
    if name not in problems:
        problems[name] = Problem(benchmark)
    return problems[name]


if __name__ == "__main__":
    # What plugins print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
