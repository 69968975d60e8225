"""Searchers whose model has a process of its own while real trials run: it may be late or die, and the run goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.backend import CoroutineBackend, SimulatedBackend
from offbeat.blackbox import load_blackbox
from offbeat.config_space import choice, loguniform, randint
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.optimizer.baselines import ASHA, BORE, CQR, BayesianOptimization
from offbeat.protocols import Objective, SchedulerContext
from offbeat.replay import verify
from offbeat.space import Space
from offbeat_plugins.searchers.gp import GaussianProcessSearcher

SPACE: dict[str, Any] = {
    "lr": loguniform(1e-5, 1e-1),
    "units": randint(4, 512),
    "kind": choice(["a", "b", "c"]),
}
REAL = SchedulerContext(time="real", n_workers=2)


def bayesian_optimization(space: Any = SPACE, metric: str = "loss", **options: Any) -> Any:
    return BayesianOptimization(space, metric, **{"random_seed": 1, "backend": "numpy", **options})


def bore(space: Any = SPACE, metric: str = "loss", **options: Any) -> Any:
    return BORE(space, metric, **{"random_seed": 1, "num_init_random": 5, "num_candidates": 60, **options})


def cqr(space: Any = SPACE, metric: str = "loss", **options: Any) -> Any:
    return CQR(space, metric, **{"random_seed": 1, "num_candidates": 60, **options})


def asha(space: Any = SPACE, metric: str = "loss", **options: Any) -> Any:
    """Promotions between the proposals of a model."""
    own = {name: options.pop(name) for name in ("deadline",) if name in options}
    given = Space.of(space)
    searcher = GaussianProcessSearcher(given, Objective.of(metric), backend="numpy", **own)
    return ASHA(
        given, metric, **{"random_seed": 1, "resource_attr": "epoch", "max_t": 3, "searcher": searcher, **options}
    )


needs_trees = pytest.mark.skipif(
    find_spec("sklearn") is None, reason="needs scikit-learn: pip install 'offbeat[trees]'"
)
EACH = pytest.mark.parametrize(
    "make", [bayesian_optimization, pytest.param(bore, marks=needs_trees), pytest.param(cqr, marks=needs_trees)]
)
WITH_ASHA = pytest.mark.parametrize(
    "make", [*EACH.args[1], asha, pytest.param(partial(asha, type="promotion"), id="asha-promotion")]
)
Make = Callable[..., Any]


def distance(config: Any) -> float:
    """Best at lr 1e-3, 200 units, kind b."""
    away = (abs(np.log10(config["lr"]) + 3) / 4) ** 2 + (abs(config["units"] - 200) / 500) ** 2
    return float(away + (config["kind"] != "b") * 0.2)


def recorded(home: Any, name: str = "run") -> list[ev.Event]:
    return [one.event for one in read_journal(ExperimentFolder(home / name))]


def suggestions(home: Any, name: str = "run") -> list[ev.Suggested]:
    return [event for event in recorded(home, name) if isinstance(event, ev.Suggested) and event.kind == "start"]


def origins(home: Any) -> list[str]:
    """Who made each proposal: the first word of its reason."""
    return [event.why.replace(":", " ").split()[0] for event in suggestions(home)]


async def objective(trial: Any) -> None:
    await trial.report(epoch=1, loss=distance(trial.config))


def real(home: Any, scheduler: Any, trials: int) -> Tuner:
    stop = StoppingCriterion(max_num_trials_finished=trials)
    return Tuner(CoroutineBackend(objective), scheduler, stop, 2, home=home, name="run", observers=[])


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


@WITH_ASHA
@pytest.mark.asyncio
async def test_the_process_comes_and_goes_with_the_session(tmp_path: Any, make: Make) -> None:
    before = children()
    scheduler = make()
    await real(tmp_path, scheduler, 14).arun()
    assert scheduler._searcher._thinking._worker is None
    assert children() <= before
    found = origins(tmp_path)
    assert found.count("model") >= 5
    assert "fallback" not in found
    requests = [event for event in recorded(tmp_path) if isinstance(event, ev.ProposalRequested)]
    assert any(event.slot == ev.AHEAD for event in requests)
    # What was asked ahead of a free worker, and answered while others reported, follows from the journal all the same.
    report = verify("run", tmp_path, scheduler=make(), tolerance=1e-3)
    assert report.verified, report.sentence()
    assert report.taken == 0


@EACH
@pytest.mark.asyncio
async def test_its_answer_is_the_one_made_at_once_whatever_happens_meanwhile(game: Any, make: Make) -> None:
    played = game(make(), distance, late=2).play(9)
    expected = played.ask()
    assert expected.why.startswith("model")
    async with played.scheduler.running(REAL):
        answer = played.ask()
        # What comes behind the request must not get into its answer.
        for config in ({"lr": 1e-4, "units": 7, "kind": "a"}, {"lr": 1e-2, "units": 70, "kind": "c"}):
            played.start(config)
        for _ in range(4):
            played.end()
        assert await answer == expected
        assert played.scheduler._searcher._thinking._worker.starts == 1
    assert played.ask() != expected


@WITH_ASHA
@pytest.mark.asyncio
async def test_a_model_that_is_too_late_is_replaced_by_a_random_draw_and_the_journal_says_so(
    tmp_path: Any, make: Make
) -> None:
    await real(tmp_path, make(deadline=1e-6), 9).arun()
    told = [event for event in suggestions(tmp_path) if event.why.startswith("fallback")]
    assert told
    assert "had no answer within 1e-06 s and was killed" in told[0].why
    assert "model" not in origins(tmp_path)


@WITH_ASHA
@pytest.mark.asyncio
async def test_a_model_whose_process_is_killed_again_and_again_is_started_again(tmp_path: Any, make: Make) -> None:
    scheduler = make()
    killed = ended = last = 0

    async def deadly(trial: Any) -> None:
        nonlocal killed, ended, last
        worker = scheduler._searcher._thinking._worker
        if worker is not None and worker.pid is not None and len(scheduler._searcher._trials) > 5 and killed < 3:
            with suppress(ProcessLookupError):  # the one before may not have been missed yet
                os.kill(worker.pid, signal.SIGKILL)
                killed, last = killed + 1, ended
        await trial.report(epoch=1, loss=distance(trial.config))
        ended += 1

    tuner = Tuner(
        CoroutineBackend(deadly), scheduler, lambda usage: killed == 3 and ended >= last + 8, n_workers=2, home=tmp_path,
        name="run", observers=[],
    )  # fmt: skip
    await asyncio.wait_for(tuner.arun(), 50)
    assert killed == 3
    assert not any(isinstance(event, ev.TrialFailed) for event in recorded(tmp_path))
    assert origins(tmp_path)[-1] == "model"


@WITH_ASHA
def test_simulated_runs_repeat_bit_by_bit_and_cost_no_process(tmp_path: Any, make: Make) -> None:
    proposals = []
    for name in ("one", "two"):
        blackbox = load_blackbox("digits")
        scheduler = make(blackbox.space, "val_error", resource_attr="epoch", random_seed=4)
        stop = StoppingCriterion(max_num_trials_started=14)
        before = children()
        Tuner(SimulatedBackend(blackbox), scheduler, stop, home=tmp_path, name=name, observers=[]).run()
        assert children() <= before
        proposals.append([(event.config, event.why) for event in suggestions(tmp_path, name)])
    assert proposals[0] == proposals[1]
    assert any(why.startswith("model") for _, why in proposals[0])
