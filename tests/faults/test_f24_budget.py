"""F24: limits are exact, and crashes do not move them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.testing.scripted import Report, ScriptedBackend

WORKERS = 4
LIMITS: tuple[dict[str, Any], ...] = (
    {"max_num_trials_started": 7},
    {"max_num_evaluations": 33},
    {"max_num_trials_finished": 5},
    {"max_num_trials_completed": 4},
    {"max_cost": 50.0},
    {"max_wallclock_time": 17.25},
)


def costly(start: Any) -> Any:
    return [
        Report({"epoch": e, "loss": 1.0 / e, "st_worker_cost": 1.5 * e}, 1 + start.trial % 3 / 4) for e in range(1, 10)
    ]


def check(events: list[Any], limit: dict[str, Any]) -> None:
    ((name, value),) = limit.items()
    counted = [e for e in events if isinstance(e, ev.TrialResult) and e.verdict not in ("late", "repeat")]
    started = {e.trial for e in events if isinstance(e, ev.TrialStarted)}
    if name == "max_num_trials_started":
        assert len(started) == value
    elif name == "max_num_evaluations":
        assert len(counted) == value
    elif name == "max_num_trials_finished":
        ended = [e for e in events if isinstance(e, ev.TrialFinished | ev.TrialFailed)]
        ended += [e for e in events if isinstance(e, ev.TrialStopped) and e.by == "scheduler"]
        assert len(ended) == value
    elif name == "max_num_trials_completed":
        assert sum(isinstance(e, ev.TrialFinished) for e in events) == value
    elif name == "max_cost":
        spent: dict[tuple[int, int], float] = {}
        for event in counted:
            spent[event.trial, event.attempt] = event.metrics["st_worker_cost"]
        assert value <= sum(spent.values()) < value + 1.5 * WORKERS
    else:
        assert max(e.at for e in counted) <= value


def campaign(lab: Any, every: int) -> None:
    for limit in LIMITS:
        home: Path = lab.home / next(iter(limit))

        def scheduler() -> Any:
            return lab.random_search()

        lab.run(lab.tuner(home, scheduler(), costly, stop_criterion=StoppingCriterion(**limit)))
        clean = lab.events(home)
        check(clean, limit)
        expected = lab.digest(home)
        for k in range(1, len(clean), every):
            again = lab.home / f"{next(iter(limit))}-{k}"
            with Journal.create(ExperimentFolder(again / "run")) as journal:
                journal.commit(clean[:k], sync=False)
            lab.run(Tuner.resume("run", home=again, trial_backend=ScriptedBackend(costly), observers=[]))
            check(lab.events(again), limit)
            assert lab.digest(again) == expected, (limit, k, clean[k - 1])


def test_limits_are_exact_over_some_crashes(lab: Any) -> None:
    campaign(lab, 10)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_limits_are_exact_over_any_crash(lab: Any) -> None:
    campaign(lab, 1)


@pytest.mark.parametrize("seed", range(20))
def test_attempts_that_are_lost_again_and_again_do_not_start_more_trials(lab: Any, seed: int) -> None:
    """Several crashes of one run, each of which loses some attempts: the number of trials started is exact."""
    dice = random.Random(seed)
    limit = {"max_num_trials_started": 7}
    lab.run(lab.tuner(lab.home, lab.random_search(), costly, stop_criterion=StoppingCriterion(**limit)))
    events = lab.events(lab.home)
    for round_ in range(4):
        home = lab.home / str(round_)
        with Journal.create(ExperimentFolder(home / "run")) as journal:
            journal.commit(events[: dice.randrange(1, len(events))], sync=False)
        backend = ScriptedBackend(costly, adopts=dice.random() < 0.5)
        lab.run(Tuner.resume("run", home=home, trial_backend=backend, observers=[]))
        events = lab.events(home)
        check(events, limit)
        lab.check_closed(home)


# --- over the simulated backend, with faults


ENDING: tuple[dict[str, Any], ...] = (
    {"max_num_evaluations": 33},
    {"max_num_trials_finished": 6},
    {"max_num_trials_completed": 3},
    {"max_cost": 41.3},
    {"max_wallclock_time": 13.0},
    {"max_wallclock_time": 13.7},
)


def simulated(
    lab: Any, simulation: Any, home: Path, kind: str, limit: dict[str, Any], seed: int, **options: Any
) -> list[Any]:
    """A dollar a second; preemptions, crashes that are retried once, hangs."""
    settings = {"n_workers": WORKERS, **options}
    lab.run(
        lab.tuner(
            home,
            simulation.scheduler(kind, seed),
            backend=spot(simulation, seed),
            stop_criterion=StoppingCriterion(**limit),
            max_retries=1,
            **settings,
        )
    )
    found: list[Any] = lab.events(home)
    return found


def spot(simulation: Any, seed: int) -> Any:
    faults = simulation.SPOT if seed % 2 else None
    return simulation.backend(
        "tied", faults=faults, fault_seed=None if faults is None else seed, dollars_per_hour=3600.0
    )


def used(events: list[Any], name: str) -> list[float]:
    """How much of a limit is used up behind each event, counted by hand."""
    total, costs, amounts = 0.0, dict[tuple[int, int], float](), list[float]()
    for event in events:
        result = isinstance(event, ev.TrialResult) and event.verdict != "late"
        if name == "max_wallclock_time":
            total = event.at
        elif name == "max_num_evaluations":
            total += result
        elif name == "max_num_trials_completed":
            total += isinstance(event, ev.TrialFinished)
        elif name == "max_num_trials_finished":
            total += isinstance(event, ev.TrialFinished) or (isinstance(event, ev.TrialFailed) and not event.retry)
            total += isinstance(event, ev.TrialStopped) and event.by == "scheduler"
        elif result:
            costs[event.trial, event.attempt] = event.metrics["st_worker_cost"]
            total = sum(costs.values())
        amounts.append(total)
    return amounts


def check_beginning(events: list[Any], longer: list[Any], limit: dict[str, Any]) -> None:
    """A run with a limit is the beginning of one without, up to the event that reached it."""
    ((name, value),) = limit.items()
    results = [(e.at, e.trial, e.attempt, e.seq, e.metrics, e.verdict) for e in events if isinstance(e, ev.TrialResult)]
    counted = [one for one in results if one[-1] != "late"]
    expected = [
        (e.at, e.trial, e.attempt, e.seq, e.metrics, e.verdict)
        for e in longer
        if isinstance(e, ev.TrialResult) and e.verdict != "late"
    ]
    assert counted == expected[: len(counted)]
    amounts = used(events, name)
    reached = next(i for i, amount in enumerate(amounts) if amount >= value)
    behind = events[reached + 1 :]
    assert {e.verdict for e in behind if isinstance(e, ev.TrialResult)} <= {"late"}
    assert not any(isinstance(e, ev.TrialStarted | ev.TrialResumed) for e in behind)
    if name == "max_wallclock_time":
        assert events[-1].at == value
        assert not [one for one in expected[len(counted) :] if one[0] < value]
        # The limit is reached by the first event at its moment, which is taken in.
        first = next((e for e in longer if e.at == value), None)
        assert not isinstance(first, ev.TrialResult) or counted[-1][0] == value
    elif name != "max_cost":
        # Those that had been told to stop before it was reached, and had not ended yet, end by the scheduler's will.
        told = {e.trial for e in events[:reached] if isinstance(e, ev.TrialResult) and e.verdict == "stop"}
        told -= {e.trial for e in events[: reached + 1] if isinstance(e, ev.TrialStopped)}
        assert amounts[-1] == value + (len(told) if name == "max_num_trials_finished" else 0)


def simulated_campaign(lab: Any, simulation: Any, every: int) -> None:
    for number, limit in enumerate(ENDING):
        for kind in ("stopping", "promotion"):
            seed = number + len(kind)
            longer = simulated(lab, simulation, simulation.fresh(), kind, {"max_wallclock_time": 200.0}, seed)
            home = simulation.fresh()
            clean = simulated(lab, simulation, home, kind, limit, seed)
            check_beginning(clean, longer, limit)
            expected = lab.digest(home)
            for k in range(1, len(clean), every):
                home = simulation.fresh()
                simulation.resumed(lab, home, clean[:k], trial_backend=spot(simulation, seed))
                assert lab.digest(home) == expected, (limit, kind, k, clean[k - 1])


def test_simulated_limits_are_exact_over_some_crashes(lab: Any, simulation: Any) -> None:
    simulated_campaign(lab, simulation, 25)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_simulated_limits_are_exact_over_any_crash(lab: Any, simulation: Any) -> None:
    simulated_campaign(lab, simulation, 1)


def any_limit(lab: Any, simulation: Any, seeds: range) -> None:
    """Limits at the very moment of some event, or between two, for any number of workers."""
    for seed in seeds:
        dice = random.Random(seed)
        kind, workers = dice.choice(simulation.KINDS), dice.randrange(1, 9)
        options = {"n_workers": workers}
        longer = simulated(lab, simulation, simulation.fresh(), kind, {"max_wallclock_time": 40.0}, seed, **options)
        amounts = {name: used(longer, name) for one in ENDING for name in one}
        for name, known in amounts.items():
            value = dice.choice([amount for amount in known if amount > 0] or [1.0])
            if name in ("max_wallclock_time", "max_cost"):
                value += dice.choice([0.0, 0.0, 0.25])
            limit = {name: value if name in ("max_wallclock_time", "max_cost") else int(value)}
            if value <= known[-1]:
                found = simulated(lab, simulation, simulation.fresh(), kind, limit, seed, **options)
                check_beginning(found, longer, limit)


def test_limits_at_any_moment(lab: Any, simulation: Any) -> None:
    any_limit(lab, simulation, range(12))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_limits_at_any_moment_of_many_simulations(lab: Any, simulation: Any) -> None:
    any_limit(lab, simulation, range(12, 162))


@pytest.mark.parametrize("seed", range(10))
def test_no_more_simulated_trials_are_started_than_allowed(lab: Any, simulation: Any, seed: int) -> None:
    """Crash after crash, preemptions and retries in between."""
    dice, limit = random.Random(seed), {"max_num_trials_started": 7}
    kind = simulation.KINDS[seed % 3]
    events = simulated(lab, simulation, simulation.fresh(), kind, limit, 2 * seed + 1)
    for _ in range(4):
        check(events, limit)
        home = simulation.fresh()
        cut = events[: dice.randrange(1, len(events))]
        simulation.resumed(lab, home, cut, trial_backend=spot(simulation, 2 * seed + 1))
        events = lab.events(home)
        lab.check_closed(home)
