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
