"""Campaigns keep what is finished, whatever happens to them, and survive cells that do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from offbeat.bench import Benchmark, compare
from offbeat.bench.campaign import carry_out, path_of
from offbeat.bench.contestant import contestants
from offbeat.bench.crew import Crew
from offbeat.bench.plan import Plan, plan
from offbeat.bench.problem import Problem
from offbeat.bench.suite import benchmark
from offbeat.blackbox import load_blackbox
from offbeat.errors import InvalidArgument

QUICK = Benchmark(name="quick", blackbox="digits", budget=0.5, best=0.01, median=0.1)


def quick(seeds: int = 3, schedulers: str = "random,asha", *, near: bool = False) -> Plan:
    """Runs of some milliseconds; `near`: in this process, which keeps a blackbox given as an object."""
    benchmark = msgspec.structs.replace(QUICK, blackbox=load_blackbox("digits")) if near else QUICK
    return plan(contestants(schedulers), [Problem(benchmark)], list(range(seeds)))


def outcome(campaign: Any) -> Any:
    return {key: (one.steps, one.digest) for key, one in campaign.results.items()}


def test_processes_find_what_one_process_finds(tmp_path: Path) -> None:
    made = quick()
    two = carry_out(made, tmp_path / "two", jobs=2)
    assert outcome(carry_out(quick(near=True), tmp_path / "here")) == outcome(two)
    assert len(two.results) == 6
    assert not two.failures


def test_an_interrupted_campaign_goes_on(tmp_path: Path) -> None:
    made = quick()
    told: list[tuple[int, int, int]] = []

    def interrupt(*counts: int) -> None:
        told.append(counts)  # type: ignore[arg-type]
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(made, tmp_path, jobs=2, progress=interrupt)
    assert len(list(tmp_path.iterdir())) == 2
    told.clear()
    whole = carry_out(made, tmp_path, jobs=2, progress=lambda *counts: told.append(counts))
    assert whole.reused == 2
    assert told == [(3, 6, 0), (4, 6, 0), (5, 6, 0), (6, 6, 0)]
    again = carry_out(made, tmp_path, jobs=2)
    assert again.reused == 6
    assert outcome(again) == outcome(whole)


def test_a_killed_campaign_goes_on(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from offbeat.bench import Benchmark, compare\n"
        "def kill(done, total, failed):\n"
        "    if done == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"b = Benchmark(name='quick', blackbox='digits', budget=0.5, best=0.01, median=0.1)\n"
        f"compare('random,asha', b, 3, folder={str(tmp_path)!r}, jobs=2, progress=kill)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=50, check=False)
    assert done.returncode == -9
    told: list[tuple[int, int, int]] = []
    found = compare("random,asha", QUICK, 3, folder=tmp_path, progress=lambda *counts: told.append(counts))
    assert told[0] == (4, 6, 0)
    assert len(found.runs) == 6


def test_a_changed_option_is_run_and_the_rest_is_not(tmp_path: Path) -> None:
    carry_out(quick(near=True), tmp_path)
    changed = carry_out(quick(schedulers="random,asha:brackets=2", near=True), tmp_path)
    assert changed.reused == 3
    assert len(list(tmp_path.iterdir())) == 9
    assert carry_out(quick(near=True), tmp_path).reused == 6


def test_equal_cells_under_two_labels_are_run_once(tmp_path: Path) -> None:
    found = compare("asha,mine=asha", QUICK, 2, folder=tmp_path)
    assert len(list((tmp_path / "cells").iterdir())) == 2
    assert found.methods == ["asha", "mine"]
    assert len(found.runs) == 4


def test_a_damaged_cell_is_named_set_aside_and_run_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = quick(1, near=True)
    first = carry_out(made, tmp_path)
    path = path_of(tmp_path, made.cells[0].key)
    whole = path.read_bytes()
    for broken in (whole[:100], whole.replace(b'"trials":', b'"trials": '), b""):
        path.write_bytes(broken)
        caplog.clear()
        again = carry_out(made, tmp_path)
        assert path.stem in caplog.text
        assert again.reused == 1
        assert outcome(again) == outcome(first)
        assert path.with_suffix(".damaged").read_bytes() == broken


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("crashing", "ended with status 3"),
        ("raising", "no such training"),
    ],
)
def test_a_cell_that_fails_is_reported_and_ends_nothing(kind: str, words: str, trouble: Any, tmp_path: Path) -> None:
    made = plan(contestants("random"), [Problem(trouble(kind)), Problem(trouble("fine"))], [0, 1])
    campaign = carry_out(made, tmp_path, jobs=2)
    assert {one.cell.benchmark.name for one in campaign.failures} == {kind}
    assert len(campaign.failures) == 2
    assert all(words in one.error for one in campaign.failures)
    if kind == "crashing":
        assert all("last words" in one.traceback for one in campaign.failures)
    assert len(campaign.results) == 2
    # Only failures are tried again.
    told: list[Any] = []
    carry_out(made, tmp_path, progress=lambda *counts: told.append(counts))
    assert told[-1] == (4, 4, 2)


def test_a_cell_that_hangs_is_ended(trouble: Any, tmp_path: Path) -> None:
    campaign = carry_out(plan(contestants("random"), [Problem(trouble("hanging"))], [0]), tmp_path, timeout=1.0)
    (failure,) = campaign.failures
    assert "had not ended after 1 s" in failure.error


def test_what_is_printed_does_not_get_between_the_answers(trouble: Any, tmp_path: Path) -> None:
    campaign = carry_out(plan(contestants("random"), [Problem(trouble("talking"))], [0, 1]), tmp_path)
    assert len(campaign.results) == 2


def test_failures_are_in_the_comparison(trouble: Any, tmp_path: Path) -> None:
    found = compare("random,asha", [trouble("raising"), trouble("fine")], 2, folder=tmp_path, jobs=2)
    assert {(method, name, seed) for method, name, seed, _ in found.failures} == {
        (method, "raising", seed) for method in ("random", "asha") for seed in (0, 1)
    }
    assert len(found.runs) == 4


def test_leaving_early_ends_the_workers() -> None:
    made = quick()
    crew = Crew(2, 60.0)
    running = crew.run(made.cells)
    next(running)
    processes = [worker.process for worker in crew._workers]
    running.close()
    assert [process.returncode for process in processes] == [-9, -9]


def test_a_worker_goes_with_its_parent_even_from_within_a_cell(trouble: Any) -> None:
    made = plan(contestants("random"), [Problem(trouble("hanging"))], [0])
    crew = Crew(1, 60.0)
    crew._hand_out(list(made.cells))
    process = crew._workers[0].process
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 0
    crew.close()


def test_one_thread_for_blas(tmp_path: Path) -> None:
    from offbeat.bench.crew import SINGLE_THREAD

    assert SINGLE_THREAD["OPENBLAS_NUM_THREADS"] == SINGLE_THREAD["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"jobs": 0}, "jobs=0"),
        ({"timeout": 0}, "timeout=0"),
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": [1, 1]}, "each once"),
    ],
)
def test_mistakes(arguments: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=words):
        compare("random", "digits", **{"seeds": 1, "folder": tmp_path, **arguments})


def test_digits_has_everything_it_needs() -> None:
    known = benchmark("digits")
    assert None not in (known.best, known.median, known.budget)
