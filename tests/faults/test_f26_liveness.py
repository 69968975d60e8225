"""F26: at every turn of every run something is alive, an answer is awaited, or the session is closed."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

from offbeat import Start, StoppingCriterion, plain, simulating
from offbeat.backend import SimulatedBackend
from offbeat.blackbox import FunctionBlackbox
from offbeat.config_space import uniform
from offbeat.driver import Driver
from offbeat.errors import BackendFailed, TooManyFailures
from offbeat.events import TrialResult, TrialStarted
from offbeat.testing.scripted import End, Report


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Checks the invariant after each turn; counts the turns."""
    original = Driver._flush
    turns = {"count": 0}

    def after(self: Driver) -> None:
        original(self)
        if self._session is None:
            return  # what is left is written down
        turns["count"] += 1
        conductor = self.conductor
        alive = conductor.ledger.slots
        assert alive or self._asking.open or conductor.closed, "nothing will ever happen again"
        free = conductor.state.limits.n_workers - len(alive)
        runnable = conductor.closing is None and conductor.state.limits.asynchronous and not self._asking.open
        if runnable and free > 0 and conductor.state.queue and not conductor.draining:
            raise AssertionError("a trial waits beside a free worker")

    monkeypatch.setattr(Driver, "_flush", after)
    # In simulated time many signals make one turn otherwise.
    monkeypatch.setattr(simulating, "EVENTS", 1)
    monkeypatch.setattr(plain, "_MANY", range(1))
    return turns


def flaky(seed: int) -> Any:
    """Trials that fail, are lost, or end early, at random but the same in each run."""

    def script(start: Any) -> Any:
        dice = random.Random(f"{seed}/{start.trial}/{start.attempt}")
        for epoch in range(1, start.config.get("epochs", 9) + 1):
            if dice.random() < 0.08:
                yield End(dice.choice(["failed", "lost", "finished"]), "by chance", seconds=dice.random())
                return
            loss = float("nan") if dice.random() < 0.03 else dice.random()
            yield Report({"loss": loss, "epoch": epoch}, dice.choice([0.0, 0.5, 1.0, 1.0]))

    return script


def some_scheduler(lab: Any, dice: random.Random, seed: int) -> Any:
    kind = dice.choice(["random", "stopping", "promotion"])
    options: dict[str, Any] = {"random_seed": seed}
    if kind != "random":
        options |= {"brackets": dice.randrange(1, 3), "rule": dice.choice(["paper", "quantile"])}
    return lab.random_search(**options) if kind == "random" else lab.asha(kind, **options)


def some_tuner(lab: Any, home: Any, seed: int, method: Any = None) -> Any:
    dice = random.Random(seed)
    return lab.tuner(
        home,
        some_scheduler(lab, dice, seed) if method is None else method.make(lab.space, random_seed=seed),
        flaky(seed),
        stop_criterion=StoppingCriterion(
            **dice.choice([{"max_num_trials_started": 15}, {"max_num_evaluations": 60}, {"max_wallclock_time": 30.0}])
        ),
        n_workers=dice.randrange(1, 6),
        max_retries=dice.randrange(3),
        asynchronous_scheduling=dice.random() < 0.7,
        wait_trial_completion_when_stopping=dice.random() < 0.3,
    )


def campaign(lab: Any, watched: dict[str, int], seeds: range, method: Any = None) -> None:
    for seed in seeds:
        home = lab.home / str(seed)
        assert lab.run(some_tuner(lab, home, seed, method)).outcome == "done"
        lab.check_closed(home)
    assert watched["count"] > 10 * len(seeds)


def test_something_always_goes_on(lab: Any, watched: dict[str, int]) -> None:
    campaign(lab, watched, range(40))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_something_always_goes_on_in_many_runs(lab: Any, watched: dict[str, int]) -> None:
    campaign(lab, watched, range(40, 1000))


def test_something_always_goes_on_with_every_method(lab: Any, watched: dict[str, int], method: Any) -> None:
    campaign(lab, watched, range(1 if method.model else 6), method)


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_something_always_goes_on_in_many_runs_with_every_method(
    lab: Any, watched: dict[str, int], method: Any, many: Any
) -> None:
    campaign(lab, watched, many(40, 30 if method.model else 260), method)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_an_exhausted_space_ends_the_run(lab: Any, watched: dict[str, int], workers: int, together: bool) -> None:
    """Five configurations, whatever the number of workers, also in batches that do not divide them."""
    from offbeat.config_space import choice
    from offbeat_plugins.schedulers.asha import ASHA
    from offbeat_plugins.schedulers.random_search import RandomSearch

    space = {"rate": choice([1, 2, 3, 4, 5]), "epochs": 9}
    for i, scheduler in enumerate(
        (
            RandomSearch(space, "loss", random_seed=1),
            ASHA(space, "loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=1),
            ASHA(space, "loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=1, type="promotion"),
        )
    ):
        script = lab.script(function=lambda c, e: {"loss": c["rate"] / e})
        outcome = lab.run(
            lab.tuner(
                lab.home / str(i),
                scheduler,
                script,
                stop_criterion=None,
                n_workers=workers,
                asynchronous_scheduling=not together,
            )
        )
        assert "space exhausted" in outcome.reason
        events = lab.events(lab.home / str(i))
        assert sum(type(e).__name__ == "TrialStarted" and e.attempt == 0 for e in events) == 5


@pytest.mark.parametrize("watching", [False, True])
def test_a_scheduler_that_has_nothing_to_propose_is_asked_again_after_each_result(
    lab: Any, simulation: Any, watched: dict[str, int], watching: bool
) -> None:
    """Also where a crash came between; and with a watched metric, where results go their general way."""

    def propose(request: Any, ledger: Any) -> Any:
        # The second trial waits for the third result of the first one, and for nothing else.
        wanted = len(ledger) == 0 or (len(ledger) == 1 and ledger[0].reports == 3)
        return Start(config={"rate": 0.5}) if wanted else None

    def function(config: Any, level: int, seed: int) -> dict[str, Any]:
        return {"loss": config["rate"] / level, "elapsed": level}

    backend = SimulatedBackend(FunctionBlackbox(function, {"rate": uniform(0, 1)}, levels=9, objectives=["loss"]))
    stop = StoppingCriterion(min_metric_value={"loss": -1.0}) if watching else None
    options = {"backend": backend, "stop_criterion": stop, "n_workers": 2}
    lab.run(lab.tuner(lab.home, lab.Toy(propose=propose), **options))
    found, expected = lab.events(lab.home), lab.digest(lab.home)
    results = [i for i, event in enumerate(found) if isinstance(event, TrialResult)]
    third = results[2]
    assert [found[i].trial for i in results[:3]] == [0, 0, 0]
    (begun,) = [i for i, event in enumerate(found) if isinstance(event, TrialStarted) and event.trial == 1]
    assert found[begun].at == found[third].at
    for kept in range(results[0], begun + 1):
        home = simulation.fresh()
        simulation.resumed(lab, home, found[:kept], scheduler=lab.Toy(propose=propose), trial_backend=backend)
        assert lab.digest(home) == expected, kept


# --- over the simulated backend


def fault_profile(dice: random.Random) -> dict[str, Any] | None:
    """Anything from nothing to a cluster on which hardly an attempt of ten seconds comes to its end."""
    if dice.random() < 0.2:
        return None
    rates = ("crashes_per_hour", "hangs_per_hour", "preemptions_per_hour")
    return {
        **{name: dice.choice([0.0, 60.0, 600.0]) for name in rates},
        "slow_workers": dice.choice([0.0, 0.5, 1.0]),
        "max_silence": dice.choice([0.0, 3.0, 30.0]),
        "seed": dice.randrange(1000),
    }


LIMITS = ({"max_num_trials_started": 15}, {"max_num_evaluations": 60}, {"max_wallclock_time": 30.0})


def some_backend(simulation: Any, dice: random.Random) -> Any:
    delays = {
        name: dice.choice([0.0, 0.0, 0.7, 3.0])
        for name in ("delay_start", "delay_stop", "delay_complete_after_stop", "delay_complete_after_final_report")
    }
    return simulation.backend(
        dice.choice([*simulation.TIMES]),
        nan=True,
        faults=fault_profile(dice),
        support_checkpointing=dice.random() < 0.7,
        thinking_time=dice.choice(["free", 0.3]),
        max_resource_attr=dice.choice([None, "epochs"]),
        **delays,
    )


def some_simulation(lab: Any, simulation: Any, home: Any, seed: int, method: Any = None) -> Any:
    dice = random.Random(seed)
    kind = dice.choice(simulation.KINDS)
    options: dict[str, Any] = {"nonfinite": dice.choice(["fail", "ignore"])}
    if kind != "random" and method is None:
        options |= {"brackets": dice.randrange(1, 3), "rule": dice.choice(["paper", "quantile"])}
    return lab.tuner(
        home,
        simulation.scheduler(kind, seed, **options)
        if method is None
        else method.make({**simulation.SPACE, "epochs": simulation.LEVELS}, random_seed=seed, **options),
        backend=some_backend(simulation, dice),
        stop_criterion=StoppingCriterion(**dice.choice(LIMITS)),
        n_workers=dice.randrange(1, 9),
        max_retries=dice.randrange(3),
        max_failures=dice.choice([None, None, 5]),
        asynchronous_scheduling=dice.random() < 0.7,
        wait_trial_completion_when_stopping=dice.random() < 0.3,
        durability=dice.choice(["commit", "batch", "end"]),
    )


def simulated_campaign(lab: Any, simulation: Any, watched: dict[str, int], seeds: range, method: Any = None) -> None:
    done = 0
    for seed in seeds:
        home = simulation.fresh()
        with suppress(TooManyFailures):
            assert lab.run(some_simulation(lab, simulation, home, seed, method)).outcome == "done"
            done += 1
        lab.check_closed(home)
    assert done > 0.8 * len(seeds) - 3  # some are meant to end by too many failures
    assert watched["count"] > 10 * len(seeds)


def test_something_always_goes_on_in_simulated_time(lab: Any, simulation: Any, watched: dict[str, int]) -> None:
    simulated_campaign(lab, simulation, watched, range(60))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_something_always_goes_on_in_many_simulations(lab: Any, simulation: Any, watched: dict[str, int]) -> None:
    simulated_campaign(lab, simulation, watched, range(60, 1060))


def test_something_always_goes_on_in_simulated_time_with_every_method(
    lab: Any, simulation: Any, watched: dict[str, int], method: Any
) -> None:
    simulated_campaign(lab, simulation, watched, range(3 if method.model else 10), method)


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_something_always_goes_on_in_many_simulations_with_every_method(
    lab: Any, simulation: Any, watched: dict[str, int], method: Any, many: Any
) -> None:
    simulated_campaign(lab, simulation, watched, many(60, 60 if method.model else 1000), method)


def changed_campaign(lab: Any, simulation: Any, watched: dict[str, int], seeds: range) -> None:
    """Crash after crash, and each session has other limits, another number of workers and other faults."""
    for seed in seeds:
        dice = random.Random(-seed)
        home = simulation.fresh()
        with suppress(TooManyFailures):
            lab.run(some_simulation(lab, simulation, home, seed))
        events = lab.events(home)
        for session in range(1, 4):
            home = simulation.fresh()
            limits = {name: value * (session + 1) for name, value in dice.choice(LIMITS).items()}
            with suppress(TooManyFailures):
                simulation.resumed(
                    lab,
                    home,
                    events[: dice.randrange(1, len(events) + 1)],
                    trial_backend=some_backend(simulation, dice),
                    stop_criterion=StoppingCriterion(**limits),
                    n_workers=dice.randrange(1, 9),
                )
            lab.check_closed(home)
            events = lab.events(home)
            assert [e.at for e in events] == sorted(e.at for e in events)


def test_sessions_with_other_limits_and_workers(lab: Any, simulation: Any, watched: dict[str, int]) -> None:
    changed_campaign(lab, simulation, watched, range(15))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_many_sessions_with_other_limits_and_workers(lab: Any, simulation: Any, watched: dict[str, int]) -> None:
    changed_campaign(lab, simulation, watched, range(15, 165))


@pytest.mark.parametrize("kind", ["random", "stopping", "promotion"])
def test_workers_that_hang_for_ever_are_waited_for_until_the_limit_or_named(
    lab: Any, simulation: Any, watched: dict[str, int], kind: str
) -> None:
    faults = {"hangs_per_hour": 1800.0, "max_silence": None}

    def run(stop: StoppingCriterion) -> Any:
        home = simulation.fresh()
        lab.run(
            lab.tuner(home, simulation.scheduler(kind), backend=simulation.backend(faults=faults), stop_criterion=stop)
        )
        return home

    found = lab.events(run(StoppingCriterion(max_wallclock_time=500.0)))
    assert found[-1].at == 500.0
    assert found[-1].outcome == "done"
    with pytest.raises(BackendFailed, match="simulated time has come to its end while trials were still running"):
        run(StoppingCriterion(max_num_trials_started=200))
