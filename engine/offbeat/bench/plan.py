"""Which cells a comparison consists of, and the key of each: a hash over everything that determines its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec

from offbeat.bench.cell import Cell
from offbeat.bench.contestant import Contestant, scheduler
from offbeat.bench.problem import Problem
from offbeat.bench.references import completed
from offbeat.errors import InvalidArgument, OffbeatError
from offbeat.protocols import OUTWARD
from offbeat.registry import available, load

FORMAT: Final = 1
"""Counts up when what is kept of a cell changes."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All cells of a comparison.

    Attributes:
        cells: seeds outermost, so that a campaign that was cut short has whole seeds.
        problems: by the name of the benchmark.
        contestants, seeds: as given.
        unsuitable: (label, benchmark) -> why the scheduler cannot work there, as it says itself.
    """

    cells: list[Cell]
    problems: dict[str, Any]
    contestants: list[Contestant]
    seeds: list[int]
    unsuitable: dict[tuple[str, str], str]


def plan(
    contestants: Sequence[Contestant], problems: Sequence[Problem], seeds: Sequence[int], references: Path | None = None
) -> Plan:
    """The plan; measures what the benchmarks leave open.

    Args:
        contestants: who is compared.
        problems: on what.
        seeds: of the runs.
        references: folder in which measured references are kept.

    Raises InvalidArgument: no seed, or a scheduler that can work on none of the benchmarks; with its own sentence.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise InvalidArgument(f"seeds={list(seeds)!r}: give at least one, each once.")
    whole = {problem.benchmark.name: completed(problem, references) for problem in problems}
    unsuitable: dict[tuple[str, str], str] = {}
    for contestant in contestants:
        errors: list[OffbeatError] = []
        for name, problem in whole.items():
            try:
                scheduler(contestant, problem, seeds[0])
            except InvalidArgument as error:
                errors.append(error)
                unsuitable[contestant.label, name] = str(error)
        if len(errors) == len(whole):
            raise InvalidArgument(f"Scheduler {contestant.label!r}: {errors[0]}") from errors[0]
    cells = [
        Cell(key=key(contestant, problem, seed), contestant=contestant, benchmark=problem.benchmark, seed=seed)
        for seed in seeds
        for problem in whole.values()
        for contestant in contestants
        if (contestant.label, problem.benchmark.name) not in unsuitable
    ]
    return Plan(
        cells=cells, problems=dict(whole), contestants=list(contestants), seeds=list(seeds), unsuitable=unsuitable
    )


def key(contestant: Contestant, problem: Problem, seed: int) -> str:
    """32 hexadecimal digits over all that decides what a run gives; the label is not in it.

    The scheduler (plugin, options, code of its package), the code of the engine and the simulation, the benchmark's
    fingerprint, its budget and workers, and the seed.
    """
    benchmark = problem.benchmark
    plugin = load("offbeat.schedulers", contestant.plugin)
    packages = {one.__module__.partition(".")[0] for one in (plugin, load("offbeat.backends", "simulated"))}
    whole = {
        "format": FORMAT,
        "plugin": f"{plugin.__module__}:{plugin.__qualname__}",
        "options": contestant.options,
        "code": [code(package) for package in sorted({"offbeat", *packages})],
        "benchmark": problem.fingerprint,
        "budget": benchmark.budget,
        "n_workers": benchmark.n_workers,
        "seed": seed,
    }
    return blake2b(msgspec.json.encode(whole, order="deterministic"), digest_size=16).hexdigest()


@cache
def code(package: str) -> str:
    """A hash over the Python files of an imported package or module, by name; without those that decide nothing."""
    import sys

    module = sys.modules[package]
    roots = [Path(one) for one in getattr(module, "__path__", ())]
    digest = blake2b(digest_size=16)
    for name, path in sorted(_sources(roots, Path(str(module.__file__))).items()):
        if not any(f"{package}/{name}".startswith(f"{folder}/") for folder in _undeciding()):
            digest.update(name.encode() + b"\0" + blake2b(path.read_bytes()).digest())
    return digest.hexdigest()


def _sources(roots: Sequence[Path], file: Path) -> Mapping[str, Path]:
    if not roots:
        return {file.name: file}
    return {path.relative_to(root).as_posix(): path for root in roots for path in root.rglob("*.py")}


def _undeciding() -> set[str]:
    """Folders of packages that no decision depends on: this one's, the command line's, and those of plots and the like."""
    found = {"offbeat/bench", "offbeat/cli"}
    for group in ("offbeat.exporters", "offbeat.plots", *OUTWARD):
        for info in available(group):
            folder = info.target.partition(":")[0].replace(".", "/").rpartition("/")[0]
            if "/" in folder:
                found.add(folder)
    return found
