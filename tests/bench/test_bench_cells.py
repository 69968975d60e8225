"""One run: its incumbents, what it costs nobody, and the key under which it is kept."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SimulatedBackend
from offbeat.bench.benchmark import Benchmark
from offbeat.bench.campaign import carry_out
from offbeat.bench.cell import Cell, run
from offbeat.bench.contestant import contestants
from offbeat.bench.plan import key, plan
from offbeat.bench.problem import Problem
from offbeat.bench.references import completed
from offbeat.bench.runs import own_runs
from offbeat.bench.suite import benchmark
from offbeat.blackbox import load_blackbox
from offbeat.errors import InvalidArgument
from offbeat.optimizer.baselines import ASHA
from offbeat.results import load


def cell(text: str, problem: Problem, seed: int = 4) -> Cell:
    (contestant,) = contestants(text)
    return Cell(key=key(contestant, problem, seed), contestant=contestant, benchmark=problem.benchmark, seed=seed)


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_incumbents_are_those_of_the_same_run_by_hand(kind: Any, tmp_path: Path) -> None:
    problem = Problem(benchmark("digits"))
    found = run(cell(f"asha:type={kind}", problem), problem)

    box = load_blackbox("digits")
    scheduler = ASHA(
        box.space, "val_error", resource_attr="epoch", max_resource_attr="epochs", type=kind, points_to_evaluate=[],
        random_seed=4,
    )  # fmt: skip
    budget = problem.benchmark.budget
    assert budget is not None
    backend = SimulatedBackend("digits", max_resource_attr="epochs")
    tuner = Tuner(backend, scheduler, StoppingCriterion(max_wallclock_time=budget), observers=[], home=tmp_path)
    experiment = load(asyncio.run(tuner.arun()).folder)

    configs = {record.id: record.config for record in experiment.ledger}
    best, steps = np.inf, []
    for row in experiment.results():
        if row["val_error"] < best:
            best = row["val_error"]
            level = row["resource"]
            curves = [box.curve(configs[row["trial"]], seed)["val_error"][level - 1] for seed in range(3)]
            steps.append((row["at"], best, np.mean(curves), row["trial"], level))
    assert len(found.steps) == len(steps) > 2
    assert np.allclose(np.array(found.steps), np.array(steps))
    assert (found.trials, found.results) == (len(configs), experiment.n_results)
    assert found.ended <= budget


def test_a_cell_repeats() -> None:
    problem = Problem(benchmark("digits"))
    first, again = (run(cell("asha", problem), problem) for _ in range(2))
    assert first.digest == again.digest
    assert first.steps == again.steps
    assert run(cell("asha", problem, seed=5), problem).digest != first.digest


def test_inside_of_a_running_loop_as_in_a_notebook() -> None:
    problem = Problem(benchmark("digits"))

    async def within() -> str:
        return run(cell("asha", problem), problem).digest

    assert asyncio.run(within()) == run(cell("asha", problem), problem).digest


def test_more_is_better_and_errors_are_less(tmp_path: Path) -> None:
    from offbeat.blackbox import FunctionBlackbox
    from offbeat.config_space import uniform

    def curve(config: Any, levels: Any, seed: int) -> Any:
        return {"score": 100 * config["x"] * (levels / 3), "elapsed": 1.0 * levels}

    box = FunctionBlackbox(curve, {"x": uniform(0, 1)}, levels=3, objectives={"score": "max"}, whole_curve=True)
    problem = completed(Problem(Benchmark(name="t", blackbox=box, perfect=100.0, budget=20.0)))
    found = run(cell("random", problem), problem)
    errors = [step.observed for step in found.steps]
    assert errors == sorted(errors, reverse=True)
    assert min(errors) >= 0
    assert found.steps[-1].level == 3


def test_only_ends_are_reported_where_levels_are_last() -> None:
    problem = Problem(Benchmark(name="t", blackbox="digits", levels="last", budget=5.0, best=0.0, median=1.0))
    found = run(cell("random", problem), problem)
    assert {step.level for step in found.steps} == {27}
    assert found.results <= found.trials


def test_nothing_is_said_of_resuming(caplog: pytest.LogCaptureFixture) -> None:
    problem = Problem(benchmark("digits"))
    with caplog.at_level(logging.WARNING):
        run(cell("random", problem), problem)
    assert not caplog.records
    assert not logging.getLogger("offbeat").filters


def test_the_key_holds_what_determines_the_result_and_nothing_else() -> None:
    problem = Problem(benchmark("digits"))
    (plain,) = contestants("asha")
    base = key(plain, problem, 0)
    assert base == key(contestants("mine=asha")[0], problem, 0)
    assert base == key(plain, Problem(msgspec.structs.replace(benchmark("digits"), name="d", source="")), 0)
    others = {
        key(plain, problem, 1),
        key(contestants("asha:brackets=2")[0], problem, 0),
        key(contestants("random")[0], problem, 0),
        *(
            key(plain, Problem(msgspec.structs.replace(benchmark("digits"), **change)), 0)
            for change in ({"budget": 6.0}, {"n_workers": 8}, {"metric": "val_loss"}, {"max_t": 9}, {"judged": "observed"})
        ),
    }  # fmt: skip
    assert len(others) == 8
    assert base not in others


def test_other_code_is_another_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    from offbeat.bench import plan as planning

    problem = Problem(benchmark("digits"))
    (plain,) = contestants("asha")
    base = key(plain, problem, 0)
    monkeypatch.setattr(planning, "code", lambda package: "changed" if package == "offbeat_plugins" else "same")
    assert key(plain, problem, 0) != base


def test_code_is_that_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from offbeat.bench.plan import code

    package = tmp_path / "bench_someone"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "method.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("bench_someone")
    first = code.__wrapped__("bench_someone")
    assert code.__wrapped__("bench_someone") == first
    (package / "method.py").write_text("A = 2\n")
    assert code.__wrapped__("bench_someone") != first


def test_drawing_and_exporting_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from offbeat.bench.plan import _undeciding

    assert {"offbeat/bench", "offbeat/cli", "offbeat_plugins/plots", "offbeat_plugins/exporters"} <= _undeciding()
    assert not {"offbeat_plugins/schedulers", "offbeat_plugins/searchers", "offbeat_plugins"} & _undeciding()


def test_a_scheduler_that_cannot_work_somewhere_says_why_and_is_left_out_there() -> None:
    ends = Problem(Benchmark(name="ends", blackbox="digits", levels="last", budget=5.0, best=0.0, median=1.0, max_t=27))
    # ASHA with all its rungs at one level has nothing to compare.
    curves = Problem(benchmark("digits"))
    made = plan(contestants("asha:grace_period=20,random"), [curves, ends], [0, 1])
    assert all(one.contestant.plugin != "never" for one in made.cells)
    one_level = Problem(Benchmark(name="short", blackbox="digits", max_t=1, budget=1.0, best=0.0, median=1.0))
    made = plan(contestants("asha,random"), [curves, one_level], [0])
    assert list(made.unsuitable) == [("asha", "short")]
    assert "grace_period" in made.unsuitable["asha", "short"]
    assert [(one.contestant.label, one.benchmark.name) for one in made.cells] == [
        ("asha", "digits"), ("random", "digits"), ("random", "short"),
    ]  # fmt: skip
    with pytest.raises(InvalidArgument, match="Scheduler 'mine': grace_period"):
        plan(contestants("mine=asha"), [one_level], [0])


def test_runs_are_the_steps_at_each_percent(tmp_path: Path) -> None:
    made = plan(contestants("random"), [Problem(benchmark("digits"))], [0])
    campaign = carry_out(made, tmp_path)
    (found,) = own_runs(made, campaign)
    (result,) = campaign.results.values()
    budget = made.cells[0].benchmark.budget
    assert budget is not None
    for percent in (1, 10, 37, 100):
        before = [step for step in result.steps if step.at <= budget * percent / 100]
        expected = before[-1].true if before else float("nan")
        assert found.true[percent - 1] == pytest.approx(expected, nan_ok=True)
