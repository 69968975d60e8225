"""All cells of a plan, each computed once: what lies in the folder is read, the rest is run, finished ones stay."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from offbeat.bench.cell import Cell, CellResult, run
from offbeat.bench.crew import Crew, Finished
from offbeat.bench.files import FileDamaged, read_sealed, write_sealed
from offbeat.bench.plan import Plan
from offbeat.bench.worker import Answer
from offbeat.log import get_logger

Progress = Callable[[int, int, int], None]
"""Told after each cell: done, all, failed."""


class Failure(NamedTuple):
    """A cell that came to nothing; it is tried again the next time."""

    cell: Cell
    error: str
    traceback: str


class Campaign(NamedTuple):
    """What there is of a plan.

    Attributes:
        results: by key; failures: of this time; reused: how many results were there before.
    """

    results: dict[str, CellResult]
    failures: list[Failure]
    reused: int


def carry_out(
    plan: Plan, folder: Path, *, jobs: int = 1, timeout: float = 600.0, progress: Progress | None = None
) -> Campaign:
    """Runs what is missing. An interruption (KeyboardInterrupt) leaves what is finished in the folder.

    Args:
        plan: the cells.
        folder: a file for each cell, named by its key.
        jobs: processes; benchmarks whose blackbox is an object are run in this one.
        timeout: seconds for one cell.
        progress: is told after each one that was run.
    """
    results: dict[str, CellResult] = {}
    missing: dict[str, Cell] = {}
    for cell in plan.cells:
        if cell.key in results or cell.key in missing:
            continue
        found = stored(folder, cell.key)
        if found is None:
            missing[cell.key] = cell
        else:
            results[cell.key] = found
    reused, failures = len(results), list[Failure]()
    total = reused + len(missing)
    for cell, answer in _answers(list(missing.values()), plan.problems, jobs, timeout):
        if answer.result is not None:
            write_sealed(path_of(folder, cell.key), answer.result)
            results[cell.key] = answer.result
        else:
            failures.append(Failure(cell, answer.error, answer.traceback))
        if progress is not None:
            progress(len(results) + len(failures), total, len(failures))
    return Campaign(results, failures, reused)


def stored(folder: Path, key: str) -> CellResult | None:
    """The result of a cell from an earlier time; a damaged file is named, set aside and counts as none."""
    path = path_of(folder, key)
    if not path.is_file():
        return None
    try:
        return read_sealed(path, CellResult)
    except FileDamaged as error:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        get_logger().warning("a finished cell was damaged and is run again", path=str(aside), reason=error.reason)
        return None


def path_of(folder: Path, key: str) -> Path:
    """Where a cell's result lies."""
    return folder / f"{key}.json"


def _answers(cells: Sequence[Cell], problems: dict[str, Any], jobs: int, timeout: float) -> Iterator[Finished]:
    near = [cell for cell in cells if not isinstance(cell.benchmark.blackbox, str)]
    far = [cell for cell in cells if isinstance(cell.benchmark.blackbox, str)]
    for cell in near:
        try:
            yield Finished(cell, Answer(result=run(cell, problems[cell.benchmark.name])))
        except Exception as error:
            yield Finished(cell, Answer(error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc()))
    if far:
        yield from Crew(min(jobs, len(far)), timeout).run(far)
