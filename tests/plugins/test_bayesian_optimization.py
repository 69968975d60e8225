"""BayesianOptimization: what it finds, what it journals, and how it goes on when its model does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.backend import CoroutineBackend, SimulatedBackend
from offbeat.blackbox import load_blackbox
from offbeat.config_space import choice, loguniform, optional, randint, require, uniform, when
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.optimizer.baselines import BayesianOptimization, RandomSearch
from offbeat.replay import verify

MIXED: dict[str, Any] = {
    "lr": loguniform(1e-5, 1e-1),
    "units": randint(4, 512),
    "kind": choice(["a", "b", "c"]),
}


def distance(config: Any) -> float:
    """Best at lr 1e-3, 200 units, kind b."""
    away = (abs(np.log10(config["lr"]) + 3) / 4) ** 2 + (abs(config["units"] - 200) / 500) ** 2
    return float(away + (config["kind"] != "b") * 0.2)


def origins(whys: Any) -> list[str]:
    """Who made each proposal: the first word of its reason."""
    return [why.replace(":", " ").split()[0] for why in whys]


def bo(space: Any = None, **options: Any) -> Any:
    return BayesianOptimization(space or MIXED, "loss", **{"random_seed": 1, "backend": "numpy", **options})


def test_it_finds_what_random_search_does_not(game: Any) -> None:
    def best(make: Any, seed: int, **options: Any) -> float:
        scheduler = make(MIXED, "loss", random_seed=seed, points_to_evaluate=[], **options)
        return min(map(distance, game(scheduler, distance, late=3).play(30).configs))

    ours = [best(BayesianOptimization, seed, backend="numpy") for seed in range(3)]
    theirs = [best(RandomSearch, seed) for seed in range(3)]
    assert np.mean(ours) < 0.2 * np.mean(theirs)


def test_the_order_of_proposals_and_their_reasons(game: Any) -> None:
    played = game(bo(num_init_random=3), distance, late=1).play(8)
    assert origins(played.whys) == ["initial", *["random"] * 3, *["model"] * 4]
    assert played.whys[4] == "model: expected improvement, 3 trials and 1 running"


def test_a_model_begins_from_the_one_before_also_after_the_journal_is_read_again(game: Any) -> None:
    one = game(bo(), distance).play(14)
    models = [event for event in one.story if isinstance(event, ev.ModelFitted)]
    assert [event.number for event in models] == list(range(5, 14))
    for cut in (8, 11):
        again = game(bo(), distance)
        for event in one.story:
            if isinstance(event, ev.Suggested) and event.number == cut:
                break
            again.tell(event)
            if isinstance(event, ev.Suggested):
                again.configs.append(event.config)
                again.number = event.number + 1
        # The crash came between a model and its proposal: the request is made again, with the model from before it.
        assert again.number == cut
        again.play(1)
        assert again.configs[cut] == one.configs[cut]


@pytest.mark.parametrize("value", [lambda c: 1.0, lambda c: 1e300 * distance(c), lambda c: 1e-300 * distance(c)])
def test_flat_and_extreme_values_have_a_defined_answer(game: Any, value: Any) -> None:
    played = game(bo(), value).play(10)
    assert len(played.configs) == 10


def test_failed_trials_do_not_come_back(game: Any) -> None:
    played = game(bo(), lambda c: None if c["kind"] == "b" else distance(c)).play(25)
    keys = [played.scheduler.space.key(config) for config in played.configs]
    assert len(set(keys)) == 25


def test_a_small_space_is_exhausted_and_then_there_is_nothing(game: Any) -> None:
    played = game(bo({"a": randint(1, 3), "b": choice(["x", "y", "z"])}), lambda c: c["a"]).play(20)
    assert len(played.configs) == 9


def test_conditions_constraints_and_optional_values(game: Any) -> None:
    space = {
        "kind": choice(["a", "b", "c"]),
        "width": when(randint(1, 9), "kind == 'b'"),
        "clip": optional(loguniform(0.1, 10)),
        "rate": uniform(0, 1),
        "rule": require("width * rate < 5"),
    }
    played = game(bo(space), lambda c: abs(c["rate"] - 0.3) + (c["clip"] is not None) + c.get("width", 9) / 9, late=2)
    played.play(20)  # each is checked against the space
    last = played.configs[-6:]
    assert sum(config["clip"] is None for config in last) >= 4


def test_it_is_described_and_built_again() -> None:
    scheduler = bo(acquisition="ucb")
    again = build(describe(scheduler, "offbeat.schedulers"))
    assert type(again) is BayesianOptimization
    assert again.seed == scheduler.seed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"acquisition": "ei"}, "log-ei"),
        ({"transform": "log"}, "transform='log'"),
        ({"num_init_random": 1}, "num_init_random=1"),
        ({"max_size_data": 3}, "max_size_data=3"),
        ({"backend": "torch"}, "backend='torch'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        bo(**arguments)


def test_several_metrics_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="one metric"):
        BayesianOptimization(MIXED, ["loss", "cost"])


# --- with an engine around it


def recorded(home: Any, name: str = "bo") -> list[ev.Event]:
    return [one.event for one in read_journal(ExperimentFolder(home / name))]


def suggestions(home: Any, name: str = "bo") -> list[ev.Suggested]:
    return [event for event in recorded(home, name) if isinstance(event, ev.Suggested) and event.kind == "start"]


async def objective(trial: Any) -> None:
    await trial.report(epoch=1, loss=distance(trial.config))


def real(home: Any, scheduler: Any, trials: int = 14, **options: Any) -> Tuner:
    stop = StoppingCriterion(max_num_trials_finished=trials)
    return Tuner(
        CoroutineBackend(objective), scheduler, stop, home=home, name="bo", observers=[], **{"n_workers": 2, **options}
    )


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


@pytest.mark.asyncio
async def test_in_real_time_the_model_has_a_process_of_its_own_and_it_goes_with_the_session(tmp_path: Any) -> None:
    before = children()
    scheduler = bo()
    await real(tmp_path, scheduler).arun()
    assert scheduler._searcher._thinking._worker is None
    assert children() <= before
    found = origins(event.why for event in suggestions(tmp_path))
    assert found.count("model") >= 5
    assert "fallback" not in found
    requests = [e for e in recorded(tmp_path) if isinstance(e, ev.ProposalRequested)]
    assert any(event.slot == ev.AHEAD for event in requests)
    # What was asked ahead of a free worker, and answered while others reported, follows from the journal all the same.
    report = verify("bo", tmp_path, tolerance=1e-3)
    assert report.verified, report.sentence()
    assert report.taken == 0


@pytest.mark.asyncio
async def test_a_model_that_is_too_late_is_replaced_by_a_random_draw_and_the_journal_says_so(tmp_path: Any) -> None:
    await real(tmp_path, bo(deadline=1e-6), trials=9).arun()
    told = [event for event in suggestions(tmp_path) if event.why.startswith("fallback")]
    assert told
    assert "had no answer within 1e-06 s and was killed" in told[0].why
    assert not any(event.why.startswith("model") for event in suggestions(tmp_path))


@pytest.mark.asyncio
async def test_a_model_whose_process_is_killed_again_and_again_is_started_again(tmp_path: Any) -> None:
    scheduler = bo()
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
        name="bo", observers=[],
    )  # fmt: skip
    await asyncio.wait_for(tuner.arun(), 50)
    assert killed == 3
    assert not any(isinstance(event, ev.TrialFailed) for event in recorded(tmp_path))
    assert suggestions(tmp_path)[-1].why.startswith("model")


def test_simulated_runs_repeat_bit_by_bit_and_cost_no_process(tmp_path: Any) -> None:
    digests = []
    for name in ("one", "two"):
        blackbox = load_blackbox("digits")
        scheduler = BayesianOptimization(
            blackbox.space, "val_error", resource_attr="epoch", random_seed=4, backend="numpy"
        )
        stop = StoppingCriterion(max_num_trials_started=14)
        Tuner(SimulatedBackend(blackbox), scheduler, stop, home=tmp_path, name=name, observers=[]).run()
        digests.append([(event.config, event.why) for event in suggestions(tmp_path, name)])
    assert digests[0] == digests[1]
    assert any(why.startswith("model") for _, why in digests[0])
