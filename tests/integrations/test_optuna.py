"""Optuna with an offbeat scheduler inside: the same decisions as by asking and telling by hand, and clear refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offbeat import list_experiments
from offbeat.asktell import AskTell
from offbeat.config_space import choice, loguniform, randint
from offbeat.errors import InvalidArgument
from offbeat.optimizer.baselines import ASHA, RandomSearch

optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'offbeat[spaces]'")

from offbeat.integrations import OffbeatPruner, OffbeatSampler  # noqa: E402 - they need Optuna

pytestmark = pytest.mark.filterwarnings("default")

SPACE = {"lr": loguniform(1e-3, 1.0), "n": randint(1, 5), "act": choice(["relu", "tanh"]), "fixed": 7}
STEPS = 9


@pytest.fixture(autouse=True)
def quiet() -> Any:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    yield
    optuna.logging.set_verbosity(before)


def loss(config: dict[str, Any], level: int) -> float:
    return (config["lr"] - 0.1) ** 2 + config["n"] / 10 + (config["act"] == "tanh") + 1 / level


def suggested(trial: Any) -> dict[str, Any]:
    return {
        "lr": trial.suggest_float("lr", 1e-3, 1.0, log=True),
        "n": trial.suggest_int("n", 1, 5),
        "act": trial.suggest_categorical("act", ["relu", "tanh"]),
    }


def objective(trial: Any) -> float:
    config = suggested(trial)
    for step in range(STEPS):
        trial.report(loss(config, step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss(config, STEPS)


def last(trial: Any) -> float:
    return loss(suggested(trial), STEPS)


def asha(kind: str = "stopping", **options: Any) -> Any:
    return ASHA(SPACE, metric="loss", resource_attr="step", max_t=STEPS, random_seed=3, type=kind, **options)


def random_search(**options: Any) -> Any:
    return RandomSearch(SPACE, metric="loss", random_seed=3, **options)


def study_of(scheduler: Any, *, prunes: bool = False, **options: Any) -> tuple[Any, Any]:
    sampler = OffbeatSampler(scheduler, **options)
    return optuna.create_study(sampler=sampler, pruner=OffbeatPruner(sampler) if prunes else None), sampler


def ledger(search: AskTell) -> list[tuple[Any, ...]]:
    return [(t.id, t.config, t.status.value, t.attempt, t.resource, t.reason, t.best) for t in search.ledger]


def by_hand(scheduler: Any, trials: int) -> list[tuple[Any, ...]]:
    """The same search without Optuna: whatever is handed out begins at level 1, as an objective of Optuna's does."""
    search = AskTell(scheduler)
    for _ in range(trials):
        asked = search.ask()
        assert asked is not None
        for level in range(1, STEPS + 1):
            if search.tell(asked, step=level, loss=loss(asked.config, level)) != "continue":
                break
        else:
            search.complete(asked)
    return ledger(search)


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_the_scheduler_decides_as_if_it_were_asked_by_hand(kind: str) -> None:
    study, sampler = study_of(asha(kind), prunes=True)
    study.optimize(objective, n_trials=40)
    assert ledger(sampler.search) == by_hand(asha(kind), 40)
    assert sampler.search.out == []
    for trial in study.trials:
        number, attempt = trial.system_attrs["offbeat:trial"]
        record = sampler.search.ledger[number]
        assert trial.params == {name: value for name, value in record.config.items() if name != "fixed"}
        reached = max(trial.intermediate_values) + 1
        assert (trial.state.name == "COMPLETE") == (reached == STEPS)
        if attempt == record.attempt:
            assert reached == record.resource
    assert len({trial.system_attrs["offbeat:trial"][0] for trial in study.trials}) == len(sampler.search.ledger)
    resumed = [trial for trial in study.trials if trial.system_attrs["offbeat:trial"][1] > 0]
    assert bool(resumed) == (kind == "promotion")
    best = sampler.search.best()
    assert (study.best_value, study.best_params["lr"]) == (best.value, best.config["lr"])


def test_without_a_resource_the_last_value_of_a_trial_counts() -> None:
    study, sampler = study_of(random_search())  # Optuna's own median rule prunes here
    study.optimize(objective, n_trials=16)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}
    search = AskTell(random_search())
    for trial, record in zip(study.trials, sampler.search.ledger, strict=True):
        asked = search.ask()
        assert asked is not None
        assert asked.config == {**record.config, "fixed": 7} == {**trial.params, "fixed": 7}
        assert record.last == {"loss": trial.intermediate_values[max(trial.intermediate_values)]}
        assert record.status.value == "finished"


def test_an_objective_that_reports_nothing_has_run_to_its_end() -> None:
    study, sampler = study_of(asha())
    study.optimize(last, n_trials=5)
    assert [(r.resource, r.best["loss"]) for r in sampler.search.ledger] == [(STEPS, t.value) for t in study.trials]


def test_steps_may_be_counted_from_one() -> None:
    def from_one(trial: Any) -> float:
        config = suggested(trial)
        for step in range(1, STEPS + 1):
            trial.report(loss(config, step), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss(config, STEPS)

    study, sampler = study_of(asha(), prunes=True, first_step=1)
    study.optimize(from_one, n_trials=12)
    assert ledger(sampler.search) == by_hand(asha(), 12)
    study, _ = study_of(asha(), prunes=True, first_step=1)
    with pytest.raises(InvalidArgument, match="Step 0 was reported, but first_step=1"):
        study.optimize(objective, n_trials=1)
    with pytest.raises(InvalidArgument, match="first_step='one'"):
        OffbeatSampler(asha(), first_step="one")  # type: ignore[arg-type]


def test_steps_that_were_never_asked_about_are_told_in_the_end() -> None:
    """An objective that reports and does not ask `should_prune`."""

    def silent(trial: Any) -> float:
        config = suggested(trial)
        for step in range(STEPS):
            trial.report(loss(config, step + 1), step)
        return loss(config, STEPS)

    study, sampler = study_of(asha(), prunes=True)
    study.optimize(silent, n_trials=12)
    assert ledger(sampler.search) == by_hand(asha(), 12)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}


def test_what_the_space_does_not_have_is_drawn_at_random_by_the_seed() -> None:
    def more(trial: Any) -> float:
        return last(trial) + trial.suggest_float("other", 0, 1)

    def draws(seed: int) -> list[float]:
        study, _ = study_of(random_search(), seed=seed)
        study.optimize(more, n_trials=4)
        return [trial.params["other"] for trial in study.trials]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)
    assert len(set(draws(1))) == 4


def test_trials_that_fail_or_are_given_up() -> None:
    def rough(trial: Any) -> float:
        if trial.number == 0:
            raise ValueError("broken")
        if trial.number == 1:
            raise optuna.TrialPruned  # before anything was reported
        config = suggested(trial)
        trial.report(loss(config, 1), 0)
        if trial.number == 2:
            raise optuna.TrialPruned  # of its own accord
        if trial.number == 3:
            return float("nan")
        return 1.0

    study, sampler = study_of(asha(grace_period=3), prunes=True)
    study.optimize(rough, n_trials=5, catch=ValueError)
    found = [(record.status.value, record.reason) for record in sampler.search.ledger]
    assert found == [
        ("failed", "the trial ended as FAIL"),
        ("failed", "the trial ended as PRUNED"),
        ("finished", "ran to its end"),
        ("failed", "the trial ended as FAIL"),
        ("finished", "ran to its end"),
    ]
    assert sampler.search.out == []


def test_trials_with_parameters_of_somebody_elses_do_not_count() -> None:
    study, sampler = study_of(asha(), prunes=True)
    study.enqueue_trial({"lr": 0.5, "n": 1, "act": "relu"})
    study.optimize(objective, n_trials=3)
    first = sampler.search.ledger[0]
    assert (first.status.value, first.reports) == ("failed", 0)
    assert "somebody else" in first.reason
    assert study.trials[0].params["lr"] == 0.5
    assert study.trials[0].state.name == "COMPLETE"
    assert sampler.search.ledger[1].reports > 0


def test_two_objectives() -> None:
    sampler = OffbeatSampler(RandomSearch(SPACE, metric=["loss", "size"], mode=["min", "max"], random_seed=3))
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    study.optimize(lambda trial: (last(trial), trial.params["n"]), n_trials=4)
    assert [[r.last["loss"], r.last["size"]] for r in sampler.search.ledger] == [t.values for t in study.trials]
    wrong = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    with pytest.raises(InvalidArgument, match=r"loss \(min\), size \(max\).*directions=\['minimize', 'maximize'\]"):
        wrong.optimize(last, n_trials=1)


@pytest.mark.parametrize(
    "suggest",
    [
        lambda trial: trial.suggest_float("lr", 1e-3, 1e-2, log=True),
        lambda trial: trial.suggest_categorical("act", ["gelu", "elu"]),
        lambda trial: trial.suggest_int("lr", 0, 1),
    ],
    ids=["range", "choices", "kind"],
)
def test_an_objective_that_suggests_another_range_is_refused(suggest: Callable[[Any], Any]) -> None:
    study, sampler = study_of(random_search(points_to_evaluate=[{"lr": 0.123456}]))
    with pytest.raises(InvalidArgument, match=r"The scheduler has drawn (lr|act)="):
        study.optimize(suggest, n_trials=1)
    assert (sampler.search.ledger[0].status.value, sampler.search.out) == ("failed", [])


def test_a_search_without_anything_left_says_so() -> None:
    from offbeat_plugins.integrations.optuna import NothingToTry

    study, _ = study_of(RandomSearch({"n": randint(1, 2)}, metric="loss", random_seed=0))
    with pytest.raises(NothingToTry, match="nothing to try"):
        study.optimize(lambda trial: trial.suggest_int("n", 1, 2), n_trials=5)
    assert len(study.trials) >= 2


def test_threads() -> None:
    study, sampler = study_of(asha(), prunes=True)
    gate = threading.Barrier(4, timeout=30)

    def together(trial: Any) -> float:
        if trial.number < 4:
            gate.wait()  # four trials are out at once
        return objective(trial)

    study.optimize(together, n_trials=24, n_jobs=4)
    records = list(sampler.search.ledger)
    assert (len(records), sampler.search.out) == (24, [])
    assert sorted(trial.system_attrs["offbeat:trial"][0] for trial in study.trials) == list(range(24))
    for trial in study.trials:
        record = records[trial.system_attrs["offbeat:trial"][0]]
        assert record.config["lr"] == trial.params["lr"]
        assert record.resource == max(trial.intermediate_values) + 1


def test_an_experiment_on_the_disk_goes_on(tmp_path: Path) -> None:
    options = {"home": tmp_path}
    study, sampler = study_of(asha(), prunes=True, experiment="kept", options=options)
    study.optimize(objective, n_trials=6)
    sampler.search.close()
    study, sampler = study_of(asha(), prunes=True, experiment="kept", options=options)
    study.optimize(objective, n_trials=6)
    assert ledger(sampler.search) == by_hand(asha(), 12)
    sampler.search.close()
    (one,) = list_experiments(home=tmp_path)
    assert (one.name, one.trials, one.scheduler) == ("kept", 12, "asha")


def test_a_pruner_needs_a_sampler_with_a_resource() -> None:
    with pytest.raises(InvalidArgument, match="give it a resource_attr"):
        OffbeatPruner(OffbeatSampler(random_search()))
    with pytest.raises(InvalidArgument, match="OffbeatSampler"):
        OffbeatPruner(optuna.samplers.RandomSampler())
