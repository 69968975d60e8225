"""AutomaticTerminationCriterion: when a search ends by itself, and what is said of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.backend import CoroutineBackend, SimulatedBackend
from offbeat.blackbox import FunctionBlackbox
from offbeat.config_space import choice, uniform
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.optimizer.baselines import (
    ASHA,
    AutomaticTerminationCriterion,
    BayesianOptimization,
    ConstrainedBayesianOptimization,
    RandomSearch,
)
from offbeat.replay import verify
from offbeat_plugins.searchers import gp

SPACE: dict[str, Any] = {"x": uniform(0, 1), "y": uniform(0, 1)}
OPTIONS = {"backend": "numpy"}


def bowl(config: Any) -> float:
    """Smallest, 0, at (0.3, 0.7)."""
    return float((config["x"] - 0.3) ** 2 + 0.5 * (config["y"] - 0.7) ** 2)


def ending(threshold: float | None = 0.003, **options: Any) -> AutomaticTerminationCriterion:
    given: dict[str, Any] = {"warm_up": 8, "random_seed": 1, "scheduler_options": OPTIONS, **options}
    return AutomaticTerminationCriterion(SPACE, threshold, "loss", **given)


@pytest.mark.parametrize("seed", range(3))
def test_the_search_ends_once_its_regret_is_small_and_not_before(game: Any, seed: int) -> None:
    played = game(ending(random_seed=seed), bowl).play(60)
    assert played.ended is not None, "it did not end within 60 trials"
    tags = played.ended.tags["regret"]
    assert tags["over"]
    assert tags["bound"] <= 0.003
    # The minimum is 0: the best value is the regret, which the bound promised.
    assert min(map(bowl, played.configs)) <= tags["bound"]
    assert tags["trials"] == len(played.configs) >= 8
    said = [event.tags["regret"]["bound"] for event in played.story if isinstance(event, ev.Suggested) and event.tags]
    assert len(said) == len(played.configs) - 8
    assert all(bound > 0.003 for bound in said)
    assert played.ended.why == (
        f"regret of loss is at most {tags['bound']:g} after {tags['trials']} trials, not above the threshold 0.003"
    )


@pytest.mark.parametrize("warm_up", [5, 12])
def test_few_points_never_end_a_search_whatever_the_threshold(game: Any, warm_up: int) -> None:
    played = game(ending(1e9, warm_up=warm_up), bowl).play(40)
    assert len(played.configs) == warm_up
    running = game(ending(1e9, warm_up=warm_up), bowl, late=3).play(40)
    # Trials that run have no value yet: they do not count.
    assert len(running.configs) == warm_up + 3


def test_what_is_over_stays_over(game: Any) -> None:
    played = game(ending(1e9), bowl, late=3).play(40)
    why = played.ended.why
    played.tell(ev.Suggested(0.0, played.number, "nothing", why=why, tags=played.ended.tags))
    played.value = lambda config: -1e6 * config["x"]  # which no model of before would have expected
    while played.running:
        played.end()
    played.play(3)
    assert played.ended.why == why


def test_a_bound_is_computed_once_for_each_new_result(game: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = ending(1e-9)
    asked = []
    original = scheduler._model.regret
    monkeypatch.setattr(scheduler._model, "regret", lambda *given, **more: asked.append(1) or original(*given, **more))
    played = game(scheduler, bowl).play(12)
    assert len(asked) == 4
    played.start({"x": 0.1, "y": 0.1})
    played.ask()
    assert len(asked) == 5  # for the result of the trial before
    played.start({"x": 0.2, "y": 0.1}, regret={"trials": 12})
    played.ask()
    assert len(asked) == 5


def test_the_other_scheduler_is_shown_its_own_tags_and_proposes_what_it_does_alone(game: Any) -> None:
    played = game(ending(1e-9), bowl).play(14)
    alone = game(BayesianOptimization(SPACE, "loss", random_seed=1, backend="numpy"), bowl).play(14)
    assert played.configs == alone.configs
    assert [why.partition(";")[0] for why in played.whys] == alone.whys
    assert "regret at most" in played.whys[-1]


def test_equal_values_end_nothing(game: Any) -> None:
    played = game(ending(1e9), lambda _: 1.0).play(15)
    assert played.ended is None
    assert played.whys[-1].endswith("regret is not bounded: all values that count are equal")


def test_a_bound_that_fails_is_said_and_ends_nothing(game: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gp, "REGRET", "offbeat_plugins.searchers.gp_model:nowhere")
    played = game(ending(1e9), bowl).play(12)
    assert played.ended is None
    assert "regret is not bounded" in played.whys[-1]
    assert "nowhere" in played.whys[-1]


def test_the_threshold_may_be_the_error_of_the_best_trials_cross_validation(game: Any) -> None:
    def folds(std: float) -> Any:
        return lambda config: {"loss": bowl(config), "fold_std": std}

    options: dict[str, Any] = {"threshold": None, "std_attr": "fold_std", "num_folds": 5}
    loose = game(ending(**options), folds(0.1)).play(30)
    assert loose.ended is not None
    # sqrt((1/5 + 1/4) 0.1^2)
    assert loose.ended.tags["regret"]["threshold"] == pytest.approx(0.45**0.5 * 0.1, rel=1e-5)
    assert game(ending(**options), folds(1e-9)).play(20).ended is None
    silent = game(ending(**options), bowl).play(12)
    assert silent.ended is None
    assert silent.whys[-1].endswith("the best trial did not report 'fold_std'")


def test_with_levels_only_the_highest_that_enough_trials_reached_counts(tmp_path: Path) -> None:
    def curve(config: Any, level: Any, seed: int) -> Any:
        # What low levels show would make any regret small.
        return {"loss": (level >= 9) * 100.0 * bowl(config) + 1.0 / level, "elapsed": level * 1.0}

    box = FunctionBlackbox(curve, SPACE, levels=range(1, 10), resource_attr="epoch", objectives={"loss": "min"})
    inner = ASHA(SPACE, "loss", resource_attr="epoch", max_t=9, random_seed=1, reduction_factor=2)
    scheduler = AutomaticTerminationCriterion(scheduler=inner, threshold=1e-9, warm_up=5)
    tuner = Tuner(
        SimulatedBackend(box), scheduler, StoppingCriterion(max_num_trials_started=40), n_workers=4, home=tmp_path,
        name="levels", observers=[],
    )  # fmt: skip
    tuner.run()
    told = [
        event.tags["regret"]
        for event in recorded(tmp_path, "levels")
        if isinstance(event, ev.Suggested) and "regret" in event.tags
    ]
    assert told
    assert all(one["trials"] >= 5 for one in told)


def recorded(home: Path, name: str) -> list[ev.Event]:
    return [one.event for one in read_journal(ExperimentFolder(home / name))]


def test_the_journal_says_why_the_run_ended_and_a_resume_ends_at_once(tmp_path: Path) -> None:
    """With real trials: the bound is computed in a process of its own."""

    async def objective(trial: Any) -> None:
        await asyncio.sleep(0)
        await trial.report(loss=bowl(trial.config))

    tuner = Tuner(
        CoroutineBackend(objective), ending(0.003), StoppingCriterion(max_num_trials_started=80), n_workers=2,
        home=tmp_path, name="run", observers=[],
    )  # fmt: skip
    outcome = tuner.run()
    events = recorded(tmp_path, "run")
    closed = [event for event in events if isinstance(event, ev.ExperimentClosed)]
    assert closed[0].outcome == "done"
    assert closed[0].reason.startswith("regret of loss is at most 0.00")
    assert outcome.reason == closed[0].reason
    started = sum(isinstance(event, ev.TrialStarted) for event in events)
    assert 8 <= started < 80
    assert started == sum(isinstance(event, ev.TrialFinished) for event in events)
    report = verify("run", tmp_path, tolerance=1e-3)
    assert report.verified, report.sentence()

    again = Tuner.resume("run", home=tmp_path, trial_backend=CoroutineBackend(objective), observers=[]).run()
    assert again.reason == closed[0].reason
    assert sum(isinstance(event, ev.TrialStarted) for event in recorded(tmp_path, "run")) == started


def test_it_is_rebuilt_from_its_description() -> None:
    scheduler = ending(0.01, topq=0.25, beta=2.0)
    again = build(describe(scheduler, "offbeat.schedulers"))
    assert isinstance(again, AutomaticTerminationCriterion)
    assert again.seed == scheduler.seed
    assert again._threshold == 0.01
    assert (again._topq, again._beta, again._warm_up) == (0.25, 2.0, 8)
    around = AutomaticTerminationCriterion(scheduler=RandomSearch(SPACE, "loss"), threshold=1.0)
    assert isinstance(build(describe(around, "offbeat.schedulers")).scheduler, RandomSearch)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"threshold": None}, "needs threshold="),
        ({"threshold": 0.1, "std_attr": "std", "num_folds": 5}, "one of the two"),
        ({"threshold": 0}, "threshold=0: give a finite number above 0"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"threshold": None, "std_attr": "std"}, "belong together"),
        ({"threshold": None, "std_attr": "std", "num_folds": 1}, "num_folds=1: give a whole number from 2 up"),
        ({"warm_up": 1}, "warm_up=1"),
        ({"topq": 2}, "topq=2: give a share"),
        ({"beta": -1}, "beta=-1"),
        ({"scheduler": RandomSearch}, "is a class"),
        ({"config_space": RandomSearch(SPACE, "loss")}, "Pass the scheduler as an argument of that name"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        AutomaticTerminationCriterion(**{"config_space": SPACE, "threshold": 0.1, "metric": "loss", **arguments})


def test_several_metrics_are_refused_and_a_criterion_is_no_stop_criterion() -> None:
    constrained = ConstrainedBayesianOptimization(SPACE, "loss", constraints={"size": "<= 1"}, backend="numpy")
    with pytest.raises(InvalidArgument, match="the regret of one metric"):
        AutomaticTerminationCriterion(scheduler=constrained, threshold=0.1)
    with pytest.raises(InvalidArgument, match=r"is a scheduler: pass it as scheduler="):
        Tuner(SimulatedBackend("digits"), RandomSearch(SPACE, "loss"), ending(0.1))  # type: ignore[arg-type]


def test_conditions_and_choices_have_a_bound_too(game: Any) -> None:
    space = {"kind": choice(["a", "b", "c"]), **SPACE}
    scheduler = AutomaticTerminationCriterion(space, 0.01, "loss", warm_up=8, random_seed=1, scheduler_options=OPTIONS)
    played = game(scheduler, lambda c: bowl(c) + (c["kind"] != "b") * 0.2).play(60)
    assert played.ended is not None
    assert min(bowl(c) + (c["kind"] != "b") * 0.2 for c in played.configs) <= 0.01
