"""Proposals that are asked for before a worker is free, what their models learned, and a scheduler's own context."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from offbeat import Start, Stop, Tuner
from offbeat import events as ev
from offbeat.decisions import Fitted
from offbeat.errors import InvalidArgument, PluginFailed
from offbeat.parts import checked_limits
from offbeat.stopping import StoppingCriterion
from offbeat.trial import Status, TrialId


def test_a_proposal_waits_for_the_next_free_worker(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=4), n_workers=2, prefetch=1).begin()
    requests = [event.slot for event in game.of(ev.ProposalRequested)]
    assert requests == [0, 1, ev.AHEAD]
    assert [game.ledger[TrialId(n)].status for n in range(3)] == [Status.RUNNING, Status.RUNNING, Status.QUEUED]
    asked = len(game.of(ev.ProposalRequested))
    game.report(0, 1)
    game.end(0)
    started = game.of(ev.TrialStarted)[-1]
    assert (started.trial, started.slot) == (2, 0)
    suggested = next(event for event in game.of(ev.Suggested) if event.trial == 2)
    assert game.events.index(suggested) < game.events.index(started) - 1
    assert game.of(ev.ProposalRequested)[asked].slot == ev.AHEAD


def test_without_prefetch_nothing_is_asked_ahead(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=4), n_workers=2).begin()
    assert [event.slot for event in game.of(ev.ProposalRequested)] == [0, 1]
    assert len(game.ledger) == 2


def test_exactly_as_many_trials_start_as_the_limit_says(lab: Any) -> None:
    stop = StoppingCriterion(max_num_trials_started=3)
    game = lab.Game(lab.Toy(), stop, n_workers=2, prefetch=2).begin()
    for trial in range(3):
        game.report(trial, 1)
        game.end(trial)
    assert len(game.of(ev.TrialStarted)) == 3
    assert game.names()[-1] == "experiment-closed"


def test_a_space_that_is_exhausted_ahead_ends_in_good_order(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=2), n_workers=1, prefetch=3).begin()
    for trial in range(2):
        game.report(trial, 1)
        game.end(trial)
    assert game.names()[-1] == "experiment-closed"
    assert len(game.of(ev.TrialFinished)) == 2


def test_what_waits_is_started_first_after_a_crash(lab: Any) -> None:
    game = lab.Game(lab.Toy(limit=5), n_workers=1, prefetch=1).begin()
    again = lab.Game(lab.Toy(limit=5), past=game.events, n_workers=1, prefetch=1).begin()
    again.conductor.adopted(again.now, [])
    again.turn()
    again.report(0, 1)
    again.end(0)
    assert again.of(ev.TrialStarted)[-1].trial == 1


@pytest.mark.parametrize("prefetch", [-1, 1.5, True, "2"])
def test_a_wrong_prefetch_is_named(prefetch: Any) -> None:
    with pytest.raises(InvalidArgument, match="prefetch="):
        checked_limits(ev.Limits(n_workers=1, prefetch=prefetch))


def test_what_a_model_learned_stands_right_before_its_proposal(lab: Any) -> None:
    def propose(request: Any, ledger: Any) -> Any:
        return Start(config={"rate": 0.5}, fitted=Fitted("toy", {"n": request.number, "weights": (0.25, 1.0)}))

    scheduler = lab.Toy(propose=propose)
    game = lab.Game(scheduler, n_workers=1).begin()
    at = next(i for i, event in enumerate(game.events) if isinstance(event, ev.ModelFitted))
    fitted, suggested = game.events[at], game.events[at + 1]
    assert fitted == ev.ModelFitted(game.now, 0, "toy", {"n": 0, "weights": [0.25, 1.0]})
    assert isinstance(suggested, ev.Suggested)
    assert [event for event in scheduler.seen if isinstance(event, ev.ModelFitted)] == [fitted]


@pytest.mark.parametrize("fitted", ["text", Fitted("toy", {"a": object()}), Fitted(3, {})])  # type: ignore[arg-type]
def test_what_cannot_be_kept_fails_the_proposal(lab: Any, fitted: Any) -> None:
    scheduler = lab.Toy(propose=lambda request, ledger: Start(config={"rate": 0.5}, fitted=fitted))
    game = lab.Game(scheduler, n_workers=1).begin()
    assert not game.of(ev.Suggested)
    assert "propose" in game.of(ev.PluginFailed)[0].where


class Hosted:
    """A toy with a context of its own."""

    def __init__(self, toy: Any, fails: str = "") -> None:
        self._toy, self._fails = toy, fails
        self.log: list[str] = []
        self.objective, self.space, self.seed = toy.objective, toy.space, toy.seed
        self.prefetch = 1

    def observe(self, event: Any, ledger: Any) -> Any:
        if type(event).__name__.startswith("Trial"):
            self.log.append("trial")
        return self._toy.observe(event, ledger)

    def propose(self, request: Any, ledger: Any) -> Any:
        return self._toy.propose(request, ledger)

    @asynccontextmanager
    async def running(self, context: Any) -> AsyncIterator[None]:
        if self._fails == "entering":
            raise OSError("no process to be had")
        self.log.append(f"entered {context.time} {context.n_workers}")
        async with anyio.create_task_group():
            yield
        self.log.append("left")
        if self._fails == "leaving":
            raise OSError("it would not go")


def simulated(lab: Any) -> Any:
    from offbeat.blackbox import load_blackbox
    from offbeat_plugins.backends.simulated import SimulatedBackend

    del lab
    return SimulatedBackend(load_blackbox("digits"))


def stopping_toy(lab: Any) -> Any:
    def observe(event: Any, ledger: Any) -> Any:
        return [Stop(event.trial)] if isinstance(event, ev.TrialResult) else ()

    toy = lab.Toy(observe, metric="val_error", limit=3)
    space = simulated(lab).blackbox.space
    toy.space = space
    configs = list(space.grid())
    toy._propose = lambda request, ledger: Start(config=configs[len(ledger)]) if len(ledger) < 3 else None
    return toy


@pytest.mark.parametrize("fails", ["", "leaving"])
def test_a_schedulers_context_is_around_all_trials(lab: Any, tmp_path: Any, fails: str) -> None:
    scheduler = Hosted(stopping_toy(lab), fails)
    outcome = Tuner(simulated(lab), scheduler, n_workers=2, home=tmp_path, name="hosted", observers=[]).run()
    assert outcome.outcome == "done"
    assert scheduler.log[0] == "entered simulated 2"
    assert scheduler.log[-1] == "left"
    assert scheduler.log.count("trial") > 3


def test_a_context_that_cannot_be_entered_is_named(lab: Any, tmp_path: Any) -> None:
    scheduler = Hosted(stopping_toy(lab), "entering")
    with pytest.raises(PluginFailed, match="no process to be had"):
        Tuner(simulated(lab), scheduler, home=tmp_path, name="hosted", observers=[]).run()


def test_the_schedulers_wish_counts_in_real_time_only(lab: Any, tmp_path: Any) -> None:
    scheduler = Hosted(stopping_toy(lab))
    tuner = Tuner(simulated(lab), scheduler, home=tmp_path, name="a")
    assert tuner.limits.prefetch == 0
    assert Tuner(simulated(lab), scheduler, home=tmp_path, name="b", prefetch=2).limits.prefetch == 2
    from offbeat.testing.scripted import ScriptedBackend

    real = ScriptedBackend(lambda start: iter(()))
    real.time = "real"
    assert Tuner(real, scheduler, home=tmp_path, name="c").limits.prefetch == 1
