"""F9: clocks jump by days; no limit, no deadline and no decision notices. A table's own times may stand still or fall."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import numpy as np
import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.clock import ManualClock
from offbeat.driver import Driver
from offbeat.journal import decision_digest
from offbeat.testing.scripted import ScriptedBackend, ScriptedSession

DAY = 86_400.0


class Jumping(ManualClock):
    """Each look at the wall clock finds it up to a day off, to either side."""

    def __init__(self, seed: int) -> None:
        super().__init__(start=random.Random(seed).random() * 1e6, wall=1.7e9)
        self._dice = random.Random(seed)

    def wall(self) -> float:
        self.wall_time += self._dice.uniform(-DAY, DAY)
        return self.wall_time


def campaign(lab: Any, seeds: range) -> None:
    stop = {"stop_criterion": StoppingCriterion(max_wallclock_time=25.0, max_num_trials_started=12)}
    for kind in ("stopping", "promotion"):
        lab.run(lab.tuner(lab.home / kind, lab.asha(kind), **stop))
        expected = lab.digest(lab.home / kind)
        for seed in seeds:
            home = lab.home / f"{kind}-{seed}"
            lab.run(lab.tuner(home, lab.asha(kind), clock=Jumping(seed), **stop))
            assert lab.digest(home) == expected
            assert sorted(e.at for e in lab.events(home)) == [e.at for e in lab.events(home)]


def test_a_hundred_runs_under_a_jumping_wall_clock(lab: Any) -> None:
    campaign(lab, range(50))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_thousand_runs_under_a_jumping_wall_clock(lab: Any) -> None:
    campaign(lab, range(50, 550))


def test_real_time_is_measured_on_the_clock_that_does_not_jump(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test holds the monotonic clock: the limit falls when that clock says so, however often the loop's timer fires."""
    clock = Jumping(1)
    fired = 0
    original = Driver._time_is_up

    def time_is_up(self: Driver) -> None:
        nonlocal fired
        fired += 1
        if fired == 5:
            clock.advance(0.02)
        assert not self.conductor.closed
        original(self)

    monkeypatch.setattr(Driver, "_time_is_up", time_is_up)

    async def for_ever(self: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(ScriptedSession, "receive", for_ever)
    monkeypatch.setattr(ScriptedSession, "submit", lambda self, command: None)
    backend = type("Real", (ScriptedBackend,), {"time": "real"})(lambda s: iter(()))
    stop = StoppingCriterion(max_wallclock_time=0.01)
    settings = {"stop_criterion": stop, "clock": clock, "wait_trial_completion_when_stopping": False}

    async def main() -> None:
        async with lab.tuner(lab.home, lab.Toy(), backend=backend, **settings).session() as session:
            async for recorded in session.events(start=0):
                assert recorded.event.at in (0.0, 0.02)
                if type(recorded.event).__name__ == "TrialStarted" and recorded.event.trial == 3:
                    break
            while fired < 5:
                await asyncio.sleep(0)
            assert session._driver.conductor.closing[0] == "done"
            session._driver.conductor.abandon(session.elapsed, "the test's backend ends nothing")
            session._driver._after_turn()

    asyncio.run(main())
    lab.check_closed(lab.home)


def test_experiment_time_goes_on_over_sessions_whatever_the_wall_clock_says(lab: Any) -> None:
    from offbeat.errors import BackendFailed
    from offbeat.testing.scripted import Hang, Report

    def stuck(start: Any) -> Any:
        return [Report({"epoch": 1, "loss": 1.0}, 5.0), Hang()]

    with pytest.raises(BackendFailed):
        lab.run(lab.tuner(lab.home, lab.Toy(limit=1), stuck, clock=Jumping(1)))
    late = ManualClock(start=0.0, wall=0.0)
    resumed = Tuner.resume(
        "run", home=lab.home, scheduler=lab.Toy(limit=1), observers=[], clock=late,
        trial_backend=ScriptedBackend(lambda s: [Report({"epoch": 2, "loss": 1.0}, 1.0)], adopts=False),
    )  # fmt: skip
    lab.run(resumed)
    ats = [e.at for e in lab.events(lab.home)]
    assert ats == sorted(ats)
    assert ats[-1] == 6.0


# --- simulated time has nothing to do with the machine's


class Wild(Jumping):
    """The clock to measure with is no better than the other: it jumps, to either side."""

    def monotonic(self) -> float:
        self.now += self._dice.uniform(-DAY, DAY)
        return self.now


def wild_simulations(lab: Any, simulation: Any, seeds: range) -> None:
    """Whole runs, and runs that went on after a crash at some event."""
    stop = StoppingCriterion(max_wallclock_time=20.5)
    for kind in ("stopping", "promotion"):

        def backend() -> Any:
            return simulation.backend("tied", faults=simulation.SPOT, dollars_per_hour=1.0)

        home = simulation.fresh()
        lab.run(lab.tuner(home, simulation.scheduler(kind), backend=backend(), stop_criterion=stop))
        clean, expected = lab.events(home), lab.digest(home)
        assert clean[-1].at == 20.5
        for seed in seeds:
            home, clock = simulation.fresh(), Wild(seed)
            if seed % 2:
                lab.run(
                    lab.tuner(home, simulation.scheduler(kind), backend=backend(), stop_criterion=stop, clock=clock)
                )
            else:
                cut = random.Random(seed).randrange(1, len(clean))
                simulation.resumed(lab, home, clean[:cut], trial_backend=backend(), clock=clock)
            assert lab.digest(home) == expected, seed


def test_some_simulations_under_wild_clocks(lab: Any, simulation: Any) -> None:
    wild_simulations(lab, simulation, range(40))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_thousand_simulations_under_wild_clocks(lab: Any, simulation: Any) -> None:
    wild_simulations(lab, simulation, range(40, 540))


def falling_times(lab: Any, simulation: Any, seeds: range) -> None:
    """Times that fall, taken at their running maximum, are those of a table that was repaired before."""
    for seed in seeds:
        steps = np.random.default_rng(seed).choice([-2.0, -0.5, 0.0, 0.0, 1.0, 2.0], (4, simulation.LEVELS))

        def falling(config: Any, levels: Any, steps: Any = steps) -> Any:
            return np.maximum(0.0, np.cumsum(steps[int(config["rate"] * 4)]))

        def repaired(config: Any, levels: Any, falling: Any = falling) -> Any:
            return np.maximum.accumulate(falling(config, levels))

        found = []
        for times, policy in ((falling, "running-max"), (repaired, "error")):
            home = simulation.fresh()
            backend = simulation.backend(times, falling_time=policy)
            lab.run(lab.tuner(home, simulation.scheduler(simulation.KINDS[seed % 3], seed), backend=backend))
            found.append(lab.events(home)[1:])
            ats = [event.at for event in found[-1]]
            assert ats == sorted(ats)
        assert decision_digest(found[0], simulated=True) == decision_digest(found[1], simulated=True), seed


def test_times_that_fall_or_stand_still(lab: Any, simulation: Any) -> None:
    falling_times(lab, simulation, range(20))


@pytest.mark.faults
def test_many_times_that_fall_or_stand_still(lab: Any, simulation: Any) -> None:
    falling_times(lab, simulation, range(20, 320))
