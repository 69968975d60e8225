"""What is said of a method beside another tool's: the verdict follows from the runs, and losses are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat.bench import Comparison, Contestant

TASKS = ("lcbench-1", "lcbench-2")
ASHA, PEER = "asha", "syne-tune-0.13:ASHA-stop"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, made: Any) -> Any:
    """Verdicts at the end of the budget by kind, for errors (task, seed) of ours and of the peer; regret is the error."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from same_method import markdown, verdicts

    def say(ours: Any, theirs: Any) -> tuple[dict[str, Any], str]:
        runs = [
            made.run(method, task, seed, float(error), recorded=method == PEER)
            for method, errors in ((ASHA, ours), (PEER, theirs))
            for task, row in zip(TASKS, errors, strict=True)
            for seed, error in enumerate(row)
        ]
        benchmarks = [made.benchmark(name=task) for task in TASKS]
        found = list(verdicts(Comparison(runs, benchmarks), [Contestant(label=ASHA, plugin=ASHA)]))
        assert {(one.method, one.peer) for one in found} == {(ASHA, PEER)}
        last = {one.how: one for one in found if one.checkpoint == 1.0}
        return last, markdown(found)

    return say


def errors(seeds: int, mean: float, spread: float, stream: int) -> Any:
    return mean + spread * np.random.default_rng(stream).standard_normal((2, seeds))


def test_as_good_is_non_inferior(said: Any) -> None:
    found, page = said(errors(30, 0.5, 0.01, 1), errors(10, 0.5, 0.01, 2))
    assert {how: one.answer for how, one in found.items()} == {"paired": "non-inferior", "all": "non-inferior"}
    assert (found["all"].seeds, found["all"].theirs, found["paired"].found.seeds) == (30, 10, 10)
    assert "| asha (30) against syne-tune-0.13:ASHA-stop (10) | **" in page


def test_what_is_worse_is_called_so_with_its_tasks(said: Any) -> None:
    ours = errors(30, 0.5, 0.01, 1)
    ours[1] += 0.2
    found, page = said(ours, errors(10, 0.5, 0.01, 2))
    for one in found.values():
        assert one.answer == "worse"
        assert one.losses[TASKS[1]] == pytest.approx(0.2, abs=0.02)
    assert " !" in page


def test_noise_shows_nothing(said: Any) -> None:
    found, _page = said(errors(30, 0.5, 0.2, 1), errors(6, 0.5, 0.2, 2))
    assert {one.answer for one in found.values()} == {"not shown"}


def test_with_few_seeds_nothing_is_said(said: Any) -> None:
    found, _page = said(errors(30, 0.1, 0.01, 1), errors(3, 0.9, 0.01, 2))
    assert {one.answer for one in found.values()} == {"too few seeds"}
