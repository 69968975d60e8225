"""Runs of other tools, read from JSON lines, to stand beside ours.

One object a line: `library`, `method`, `task` (the name of a benchmark), `seed`, and `obs` and `true`, lists of 100
errors: the incumbent's at 1 %, 2 % ... 100 % of the budget as observed and as its benchmark judges it, null before the
first result. Also read: `reached` (share of the budget), `n_trials`, `n_reports`, `tuner_cpu` (seconds). The protocol has
to be the benchmark's: same budget, same number of workers, less is better.
"""

from __future__ import annotations

from collections.abc import Collection
from math import nan
from pathlib import Path
from typing import Any

import msgspec

from offbeat.bench.runs import POINTS, Run
from offbeat.errors import InvalidArgument


class _Line(msgspec.Struct):
    library: str
    method: str
    task: str
    seed: int
    obs: list[float | None]
    true: list[float | None]
    reached: float = 1.0
    n_trials: int = 0
    n_reports: int = 0
    tuner_cpu: float | None = None


def recorded_runs(path: Path, benchmarks: Collection[str]) -> list[Run]:
    """The runs on these benchmarks, methods as `library:method`; of equal ones the first.

    Raises InvalidArgument that names file and line: no such file, a line that is none of these, no run on any of the
    benchmarks.
    """
    if not path.is_file():
        raise InvalidArgument(f"There is no file {str(path)!r} of recorded runs.")
    found: dict[tuple[str, str, int], Run] = {}
    others: set[str] = set()
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            line = _line(text, f"{path}, line {number}")
            if line.task not in benchmarks:
                others.add(line.task)
                continue
            run = Run(
                method=f"{line.library}:{line.method}", benchmark=line.task, seed=line.seed, observed=_numbers(line.obs),
                true=_numbers(line.true), reached=line.reached, trials=line.n_trials, results=line.n_reports,
                cpu=nan if line.tuner_cpu is None else line.tuner_cpu, recorded=True,
            )  # fmt: skip
            found.setdefault((run.method, run.benchmark, run.seed), run)
    if not found:
        raise InvalidArgument(
            f"{path} has no run on {', '.join(sorted(benchmarks))}; it has: {', '.join(sorted(others)) or 'nothing'}."
        )
    return list(found.values())


def _line(text: bytes, where: str) -> _Line:
    try:
        line = msgspec.json.decode(text, type=_Line)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"{where}: no recorded run: {error}") from None
    if len(line.obs) != POINTS or len(line.true) != POINTS:
        raise InvalidArgument(f"{where}: obs and true have {len(line.obs)} and {len(line.true)} values, not {POINTS}.")
    return line


def _numbers(values: list[Any]) -> list[float]:
    return [nan if value is None else float(value) for value in values]
