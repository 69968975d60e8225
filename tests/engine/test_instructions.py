"""What a running session is told from outside: journaled, durable, folded again on resume; refusals change nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.backend import CoroutineBackend
from offbeat.errors import InvalidArgument, InvalidConfig
from offbeat.instructions import approve, change, enqueue, stop_trial
from offbeat.optimizer.baselines import ASHA
from offbeat.signals import StartTrial, StopTrial
from offbeat.state import State
from offbeat.trial import Status, TrialId


def refolded(lab: Any, game: Any) -> State:
    """The events so far, read again by another scheduler."""
    state = State(game.conductor.state.spec, lab.random_search(), None)
    for event in game.events:
        state.fold(event)
    return state


def check_fold(lab: Any, game: Any) -> None:
    state, again = game.conductor.state, refolded(lab, game)
    assert {r.id: msgspec.structs.asdict(r) for r in again.ledger} == {
        r.id: msgspec.structs.asdict(r) for r in game.ledger
    }
    assert (again.points, list(again.held), list(again.queue)) == (state.points, list(state.held), list(state.queue))
    assert again.limits == state.limits


def test_a_trial_is_stopped_whatever_it_is_doing(lab: Any) -> None:
    game = lab.Game(lab.asha(type="promotion"), n_workers=2).begin()
    game.report(0, 1)  # pauses at the first rung
    stop_trial(game.conductor, game.now, trial=0, why="pausing")
    game.take()
    assert game.ledger[TrialId(0)].status is Status.STOPPING
    game.end(0, "ended")
    stop_trial(game.conductor, game.now, trial=1, why="running")
    game.take()
    assert game.commands[-1] == StopTrial(TrialId(1), 0)
    game.end(1, "ended")
    stops = [event for event in game.events if isinstance(event, ev.TrialStopped)]
    assert [(event.trial, event.by, event.why) for event in stops] == [(0, "user", "pausing"), (1, "user", "running")]
    assert game.conductor.state.usage.stopped == 2
    game.report(2, 1, loss=9.0)
    game.end(2, "ended")
    assert game.ledger[TrialId(2)].status is Status.PAUSED
    stop_trial(game.conductor, game.now, trial=2, why="paused")
    game.take()
    assert game.ledger[TrialId(2)].status is Status.STOPPED
    for trial, words in ((0, "has ended already"), (99, "no trial 99; there are 0 to")):
        before = game.conductor.state.count
        with pytest.raises(InvalidArgument, match=words):
            stop_trial(game.conductor, game.now, trial=trial, why="")
        assert game.conductor.state.count == before


def test_enqueued_configurations_come_before_the_scheduler_s(lab: Any) -> None:
    plain = lab.Game(lab.random_search(), n_workers=3).begin()
    game = lab.Game(lab.random_search(), n_workers=3)
    enqueue(game.conductor, 0.0, config={"rate": 0.25}, why="a hunch")
    enqueue(game.conductor, 0.0, config={"rate": 0.5, "layers": 7}, why="")
    with pytest.raises(InvalidConfig, match="layer"):
        enqueue(game.conductor, 0.0, config={"layer": 7}, why="")
    game.begin()
    configs = [record.config for record in game.ledger]
    default = game.conductor.scheduler.space.default()
    assert configs[:2] == [{**default, "rate": 0.25}, {**default, "rate": 0.5, "layers": 7}]
    assert configs[2] == plain.ledger[TrialId(0)].config, "the scheduler's first point is not used up"
    assert [start.trial for start in game.commands if isinstance(start, StartTrial)] == [0, 1, 2]
    check_fold(lab, game)


def test_new_trials_wait_for_approval(lab: Any) -> None:
    game = lab.Game(lab.random_search(), n_workers=2, approval=True).begin()
    assert list(game.conductor.state.held) == [0, 1], "as many as there are workers, and no more"
    assert not game.commands
    check_fold(lab, game)
    approve(game.conductor, game.now, trial=1, why="fine")
    game.turn()
    assert [command.trial for command in game.commands] == [1]
    stop_trial(game.conductor, game.now, trial=0, why="no")
    game.turn()
    assert game.ledger[TrialId(0)].status is Status.STOPPED
    assert list(game.conductor.state.held) == [2]
    with pytest.raises(InvalidArgument, match=r"does not wait for approval \(waiting: 2\)"):
        approve(game.conductor, game.now, trial=1, why="")
    change(game.conductor, game.now, changes={"approval": False})
    game.turn()
    assert game.ledger[TrialId(2)].status is Status.RUNNING
    check_fold(lab, game)


def test_limits_change_in_mid_run(lab: Any) -> None:
    stop = StoppingCriterion(max_num_evaluations=2)
    game = lab.Game(lab.random_search(), stop, n_workers=1).begin()
    game.report(0, 1)
    change(
        game.conductor, game.now, changes={"n_workers": 3, "stop_criterion": StoppingCriterion(max_num_evaluations=4)}
    )
    game.turn()
    assert len(game.ledger.slots) == 3
    for epoch in (2, 3):
        game.report(0, epoch)
    assert game.conductor.closing is None
    game.report(1, 1)
    assert game.conductor.closing == ("done", "max_num_evaluations=4 reached: 4 results")
    for changes, words in (
        ({"n_workers": 0}, "n_workers=0"),
        ({"stop_criterion": StoppingCriterion(min_metric_value={"loss": 0.1})}, "kept no record"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            change(game.conductor, game.now, changes=changes)


async def forever(trial: Any) -> None:
    epoch = 0
    while True:
        epoch += 1
        await trial.report(epoch=epoch, loss=trial.config["rate"])
        await asyncio.sleep(0.002)  # a pace that a reader keeps up with


def search(lab: Any) -> ASHA:
    return lab.asha(max_t=100_000, grace_period=50_000, random_seed=3)  # type: ignore[no-any-return]


@pytest.mark.asyncio
async def test_a_session_is_told_and_the_journal_knows(lab: Any) -> None:
    options: dict[str, Any] = {"n_workers": 2, "name": "told", "home": lab.home, "observers": []}
    tuner = Tuner(CoroutineBackend(forever), search(lab), **options)
    async with tuner.session() as session:
        await session.enqueue({"rate": 0.125}, why="a hunch")
        await session.change(n_workers=3)
        async for recorded in session.events(0):
            if isinstance(recorded.event, ev.Suggested) and "enqueued" in recorded.event.tags:
                break
        await session.stop_trial(0, "too slow")
        async for recorded in session.events(0):
            if isinstance(recorded.event, ev.TrialStopped) and recorded.event.trial == 0:
                assert recorded.event.by == "user"
                break
        with pytest.raises(InvalidArgument, match=r"no limit 'workers'. Did you mean 'n_workers'"):
            await session.change(workers=3)
        found = [event for event in lab.events(lab.home, "told") if isinstance(event, ev.Instructed | ev.LimitsChanged)]
        assert [getattr(event, "what", "limits") for event in found] == ["enqueue", "limits", "stop"]
    with pytest.raises(InvalidArgument, match="does not run"):
        await session.stop_trial(1)
    again = Tuner.resume("told", home=lab.home, observers=[], trial_backend=CoroutineBackend(forever))
    async with again.session() as session:
        async for recorded in session.events():
            if isinstance(recorded.event, ev.TrialResult):
                break
        assert again.limits.n_workers == 3
        assert session.ledger[TrialId(0)].status is Status.STOPPED


@pytest.mark.asyncio
async def test_a_gate(lab: Any) -> None:
    tuner = Tuner(
        CoroutineBackend(forever), search(lab), n_workers=2, approval=True, name="gate", home=lab.home, observers=[]
    )
    async with tuner.session() as session:
        async for recorded in session.events(0):
            if isinstance(recorded.event, ev.Suggested) and recorded.event.trial == 1:
                break
        assert session.waiting == [0, 1]
        await session.approve(1)
        async for recorded in session.events(0):
            if isinstance(recorded.event, ev.TrialResult):
                assert recorded.event.trial == 1
                break
        assert session.waiting == [0]


def test_simulated_time_does_not_wait_for_people(lab: Any) -> None:
    with pytest.raises(InvalidArgument, match="approval=True needs a backend in real time"):
        lab.tuner(lab.home, lab.random_search(), approval=True)
