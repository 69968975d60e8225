"""Runs of other tools beside ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from offbeat.bench import compare
from offbeat.bench.comparison import Comparison
from offbeat.bench.recorded import recorded_runs
from offbeat.bench.suite import benchmark, benchmarks
from offbeat.errors import InvalidArgument

RECORDED = Path(__file__).parents[3] / "shared" / "peers" / "quality" / "results" / "runs_peers.jsonl"


def line(method: str, seed: int, error: float | None, **fields: Any) -> str:
    known = {
        "library": "other",
        "method": method,
        "task": "digits",
        "seed": seed,
        "obs": [error] * 100,
        "true": [error] * 100,
    }
    return json.dumps({**known, **fields})


def test_recorded_runs_are_compared_with_ours(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    lines = [line("Perfect", seed, 0.0, n_trials=7, tuner_cpu=2.5) for seed in range(6)]
    lines += [line("Perfect", 0, 1.0), line("Perfect", 0, 0.5, task="elsewhere"), ""]
    path.write_text("\n".join(lines))
    found = compare("random", "digits", 6, folder=tmp_path, recorded=[path])
    (group,) = found.groups
    assert group.values.methods == ["random", "other:Perfect"]
    assert group.own == ["random"]
    score = group.score("other:Perfect", 1.0)
    # Its runs found 0, which is less than the table's best mean: 0 is where regret begins for all now.
    assert (score.mean, score.seeds, score.cpu, score.recorded, score.leads) == (0.0, 6, 2.5, True, None)
    assert group.values.best["digits"] == 0.0
    assert group.score("random", 1.0).mean > 0.01
    pair = group.pair("random", "other:Perfect", 1.0)
    assert pair.seeds == 6
    assert pair.difference > 0
    assert pair.losses == ["digits"]
    assert not pair.non_inferior


def test_a_run_that_did_not_get_there_is_not_judged_there(made: Any) -> None:
    runs = [made.run("a", "task", seed, 0.5) for seed in range(5)]
    runs += [made.run("b", "task", seed, 0.1, reached=0.4999, recorded=True) for seed in range(5)]
    (group,) = Comparison(runs, [made.benchmark()]).groups
    assert group.score("b", 0.2).mean == pytest.approx(0.1)
    assert group.score("b", 0.5).mean == pytest.approx(0.1)
    assert group.score("b", 1.0).seeds == 0
    assert group.score("b", 1.0).mean != group.score("b", 1.0).mean
    assert group.score("a", 1.0).rank == 1.0
    assert group.pair("a", "b", 1.0).p is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1: no recorded run"),
        ('{"library": "x"}', "line 1: no recorded run"),
        (line("M", 0, 1.0, obs=[1.0]), "1 and 100 values, not 100"),
        (line("M", 0, 1.0, task="other"), "no run on digits; it has: other"),
        ("", "it has: nothing"),
    ],
)
def test_mistakes_are_named_with_their_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=words) as error:
        recorded_runs(path, {"digits"})
    assert "runs.jsonl" in str(error.value)
    with pytest.raises(InvalidArgument, match="There is no file"):
        recorded_runs(tmp_path / "nothing", {"digits"})


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recorded runs are not beside the checkout")
def test_the_peers_runs_are_read() -> None:
    tasks = {"lcbench-7593", "lcbench-168908", "lcbench-189906"}
    runs = recorded_runs(RECORDED, tasks)
    found = {(run.method, run.benchmark): 0 for run in runs}
    for run in runs:
        found[run.method, run.benchmark] += 1
    assert found["optuna-5.0:TPE", "lcbench-7593"] == 10
    assert found["syne-tune-0.13:RandomSearch", "lcbench-189906"] == 15
    (group,) = Comparison(runs, benchmarks(sorted(tasks))).groups
    lines = [json.loads(text) for text in RECORDED.read_text().splitlines()]
    for library, method in (("optuna-5.0", "GP"), ("optuna-5.0", "TPE"), ("syne-tune-0.13", "RandomSearch")):
        for task in tasks:
            ends = [
                one["true"][-1]
                for one in lines
                if (one["library"], one["method"], one["task"]) == (library, method, task)
            ]
            known = benchmark(task)
            assert known.best is not None
            assert known.median is not None
            best = min(known.best, *(one["true"][-1] for one in lines if one["task"] == task))
            expected = sum(min(1, (end - best) / (known.median - best)) for end in ends) / len(ends)
            assert group.score(f"{library}:{method}", 1.0).tasks[task] == pytest.approx(expected, abs=1e-9)
