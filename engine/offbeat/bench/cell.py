"""One run of one scheduler on one benchmark with one seed, through the engine as it is, and what is kept of it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite, nan
from typing import Any, Final, NamedTuple

import msgspec

from offbeat import events as ev
from offbeat.bench.benchmark import Benchmark
from offbeat.bench.contestant import Contestant, scheduler
from offbeat.bench.problem import Problem
from offbeat.clock import process_cpu
from offbeat.home import ExperimentFolder
from offbeat.journal import decision_digest, read_journal
from offbeat.registry import load
from offbeat.results import COUNTED
from offbeat.stopping import StoppingCriterion
from offbeat.tuner import Tuner


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run.

    Attributes:
        key: hash over everything that determines the result; see `offbeat.bench.plan`.
        benchmark: complete.
    """

    key: str
    contestant: Contestant
    benchmark: Benchmark
    seed: int


class Step(NamedTuple):
    """The incumbent has changed: a result was the best observed so far.

    Attributes:
        at: simulated seconds; observed: its error as reported.
        true: its error at that level as the benchmark judges it; trial, level: which result it is.
    """

    at: float
    observed: float
    true: float
    trial: int
    level: int


class CellResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a cell.

    Attributes:
        steps: the incumbents, oldest first.
        trials, results, failed: how many were started, reported and failed.
        ended: simulated seconds at its end; reason: why it ended.
        cpu: CPU seconds of the run without the blackbox's; blackbox_cpu: of the blackbox.
        digest: decision digest of the journal: equal for equal runs.
    """

    key: str
    label: str
    benchmark: str
    seed: int
    steps: list[Step]
    trials: int
    results: int
    failed: int
    ended: float
    reason: str
    cpu: float
    blackbox_cpu: float
    digest: str


def run(cell: Cell, problem: Problem) -> CellResult:
    """Runs the cell in this process. Raises what the scheduler's constructor and the run raise."""
    with tempfile.TemporaryDirectory(prefix="offbeat-bench-") as home, _no_word_of_resuming():
        looked_up, began = problem.blackbox.spent, process_cpu()
        backend = load("offbeat.backends", "simulated")(
            problem.blackbox,
            elapsed_time_attr=cell.benchmark.elapsed_attr,
            max_resource_attr=problem.max_resource_attr,
            falling_time="running-max",
        )
        tuner = Tuner(
            backend,
            scheduler(cell.contestant, problem, cell.seed),
            StoppingCriterion(max_wallclock_time=cell.benchmark.budget),
            n_workers=cell.benchmark.n_workers,
            name="cell",
            observers=[],
            home=home,
            durability="end",
        )
        outcome = tuner.run()
        blackbox_cpu = problem.blackbox.spent - looked_up
        cpu = process_cpu() - began - blackbox_cpu
        events = [recorded.event for recorded in read_journal(ExperimentFolder(outcome.folder))]
    found = _Incumbents(cell.benchmark, problem)
    for event in events:
        found.see(event)
    return CellResult(
        key=cell.key,
        label=cell.contestant.label,
        benchmark=cell.benchmark.name,
        seed=cell.seed,
        steps=found.steps,
        trials=len(found.configs),
        results=found.results,
        failed=found.failed,
        ended=events[-1].at,
        reason=outcome.reason,
        cpu=cpu,
        blackbox_cpu=blackbox_cpu,
        digest=decision_digest(events, simulated=True),
    )


class _Incumbents:
    """The steps of a journal."""

    def __init__(self, benchmark: Benchmark, problem: Problem) -> None:
        self.steps: list[Step] = []
        self.configs: dict[int, Mapping[str, Any]] = {}
        self.results = self.failed = 0
        self._benchmark, self._problem = benchmark, problem
        self._metric = str(benchmark.metric)
        self._best = float("inf")

    def see(self, event: ev.Event) -> None:
        if type(event) is ev.TrialResult:
            if event.verdict not in COUNTED:
                return
            self.results += 1
            observed = self._benchmark.error(float(event.metrics[self._metric]))
            if observed < self._best and event.at <= self._budget:
                self._best = observed
                # The scheduler may count no resource; the report has the blackbox's in any case.
                level = int(event.metrics[self._problem.blackbox.resource_attr])
                true = observed
                if self._benchmark.judged == "mean" and self._problem.blackbox.seeds > 1:
                    true = mean_error(self._problem, self.configs[event.trial], level)
                self.steps.append(Step(event.at, observed, true, event.trial, level))
        elif type(event) is ev.Suggested:
            if event.config is not None and event.trial not in self.configs:
                self.configs[event.trial] = event.config
        elif type(event) is ev.TrialFailed:
            self.failed += 1

    @property
    def _budget(self) -> float:
        return self._benchmark.budget or 0.0


def mean_error(problem: Problem, config: Mapping[str, Any], level: int) -> float:
    """Error of a configuration at a level, mean over the replicates that have it; NaN if none has."""
    view, benchmark = problem.blackbox, problem.benchmark
    place = list(view.levels).index(level)
    found = [float(view.curve(config, seed)[str(benchmark.metric)][place]) for seed in range(view.seeds)]
    there = [value for value in found if isfinite(value)]
    return benchmark.error(sum(there) / len(there)) if there else nan


_EXPECTED: Final = "the journal cannot describe a component"


@contextmanager
def _no_word_of_resuming() -> Iterator[None]:
    """A cell's journal is thrown away: that it could not be resumed by itself is no news."""
    logger = logging.getLogger("offbeat")

    def other(record: logging.LogRecord) -> bool:
        return _EXPECTED not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
