"""F23: checkpoints are deleted in time, never while somebody needs them, by every multi-fidelity and population method."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

from offbeat import StoppingCriterion
from offbeat import events as ev
from offbeat.errors import TooManyFailures


def check(events: list[ev.Event], budget: int, *, unneeded: bool) -> int:
    """Reads a journal and keeps count of what lies on the disk; how many checkpoints were deleted."""
    sizes: dict[int, int] = {}
    alive: set[int] = set()
    needless: set[int] = set()
    donors: dict[int, int] = {}
    largest = deleted = 0
    for event in events:
        if isinstance(event, ev.Suggested) and event.donor is not None:
            donors[event.trial] = event.donor
            assert event.donor not in needless, "a copy of what nobody was to need any more"
        elif isinstance(event, ev.TrialStarted | ev.TrialResumed):
            alive.add(event.trial)
            assert event.attempt == 0 or event.trial not in needless or not unneeded, (
                f"trial {event.trial} goes on, and its checkpoint was deleted as one that nobody needs"
            )
        elif isinstance(event, ev.TrialPaused | ev.TrialStopped | ev.TrialFinished | ev.TrialFailed | ev.TrialLost):
            alive.discard(event.trial)
            if not isinstance(event, ev.TrialLost) and not getattr(event, "retry", False):
                donors.pop(event.trial, None)
        elif isinstance(event, ev.TrialResult):
            donors.pop(event.trial, None)
        elif isinstance(event, ev.CheckpointSaved):
            sizes[event.trial] = event.size
            largest = max(largest, event.size)
        elif isinstance(event, ev.CheckpointDeleted):
            assert event.trial not in alive
            assert event.trial not in donors.values(), "its copy has not shown yet that it is there"
            sizes.pop(event.trial, None)
            deleted += 1
            if event.why.startswith("nothing will go on"):
                needless.add(event.trial)
        # One may have been written before there was room for it.
        assert sum(sizes.values()) <= budget + largest
    return deleted


def campaign(lab: Any, simulation: Any, method: Any, seeds: range) -> None:
    deleted = 0
    for seed in seeds:
        dice = random.Random(seed)
        workers, size, unneeded = dice.randrange(1, 5), dice.randrange(1, 10**9), dice.random() < 0.5
        budget = (workers + 1 + dice.randrange(5)) * size
        home = simulation.fresh()
        faults = {**simulation.SPOT, "seed": seed} if dice.random() < 0.5 else None
        space = {**simulation.SPACE, "epochs": simulation.LEVELS}
        backend = simulation.backend(dice.choice([*simulation.TIMES]), checkpoint_size=size, faults=faults)
        backend.delete_checkpoints = unneeded
        with suppress(TooManyFailures):
            lab.run(
                lab.tuner(
                    home,
                    method.make(space, random_seed=seed),
                    backend=backend,
                    stop_criterion=StoppingCriterion(max_num_trials_started=8 if method.model else 20),
                    n_workers=workers,
                    checkpoint_budget=budget,
                    max_retries=dice.randrange(3),
                )
            )
        lab.check_closed(home)
        deleted += check(lab.events(home), budget, unneeded=unneeded)
    assert deleted > len(seeds)


def test_budgets_and_needs_of_every_method(lab: Any, simulation: Any, method: Any) -> None:
    campaign(lab, simulation, method, range(3 if method.model else 10))


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_budgets_and_needs_of_every_method_in_many_runs(lab: Any, simulation: Any, method: Any, many: Any) -> None:
    campaign(lab, simulation, method, many(100, 50 if method.model else 500))
