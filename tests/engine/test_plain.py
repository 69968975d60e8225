"""The straight road and the general one lead to the same place: same events, commands, records, counts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offbeat import Continue, Pause, Resume, Start, Stop, StoppingCriterion
from offbeat import events as ev
from offbeat.filling import Filling
from offbeat.plain import TAKEN, Plain
from offbeat.signals import Ended, Reported
from offbeat.trial import Status, TrialId

KINDS = (None, Continue, Stop, Pause)


def toy(lab: Any, answers: list[int], fails_at: int, observes: Any, due: Any = None) -> Any:
    count = 0

    def observe(event: Any, ledger: Any) -> Any:
        nonlocal count
        count += 1
        if count == fails_at:
            raise ValueError("planned")
        if not isinstance(event, ev.TrialResult):
            return ()
        event.metrics["loss"] = "spoilt"  # its own copy
        kind = KINDS[answers[count % len(answers)] % 4]
        if kind is None:
            return ()
        own = kind(event.trial, f"answer {count}" if count % 5 else "naïve")
        if count % 7 == 0 and len(ledger) > 1:
            return [own, Stop(TrialId((event.trial + 1) % len(ledger)), "another")]
        return (own,) if count % 3 else [own]

    def propose(request: Any, ledger: Any) -> Any:
        paused = ledger.having(Status.PAUSED)
        if paused and request.number % 2:
            return Resume(trial=paused[0].id, until=9)
        if not request.may_start:
            return None
        rate = 0.5 if request.number % 11 != 10 else 99.0
        tags = ({}, {"bracket": 1}, {"x": 1.5})[request.number % 3]
        return Start(
            config={"rate": rate},
            until=(None, 3)[request.number % 2],
            tags=tags,
            why=("", "é")[request.number % 5 == 4],
        )

    scheduler = lab.Toy(observe, propose, metric="loss")
    if observes is not None:
        scheduler.observes = observes
    scheduler.due = due or {}
    return scheduler


def straight(game: Any, signal: Any, taken: list[Any]) -> None:
    """The game's turn with a signal, as simulated time has it."""
    conductor, source = game.conductor, iter((signal,))

    def submit(command: Any) -> bool:
        game.commands.append(command)
        return True

    def fill() -> bool:
        game.fill()
        for command in conductor.commands:
            submit(command)
        conductor.commands.clear()
        return conductor.closing is None

    left = conductor.plain.take(lambda _until, _passing: next(source, None), submit, fill)
    if left is signal:
        conductor.signal(signal, game.now)
    else:
        assert left is TAKEN or left is None
        taken.append(signal)
    game.turn()


def play(
    lab: Any, scheduler: Any, steps: list[tuple[int, int]], limits: dict[str, Any], stop: dict[str, Any],
    taken: list[Any] | None = None,
) -> Any:  # fmt: skip
    """Plays a game; with `taken` on the straight road, which puts there what it took in."""
    game = lab.Game(scheduler, StoppingCriterion(**stop), **limits).begin()

    def turn(signal: Any) -> None:
        game.now += 1
        if taken is None:
            game.conductor.signal(signal, game.now)
            game.turn()
        else:
            straight(game, msgspec.structs.replace(signal, at=game.now), taken)

    for what, which in steps:
        alive = [game.ledger[trial] for trial in game.ledger.slots.values()]
        if game.conductor.closed or not alive:
            break
        record = alive[which % len(alive)]
        if what < 6:
            metrics: dict[str, Any] = {"epoch": record.resource + 1, "loss": float(what)}
            if what == 5:
                metrics["st_worker_cost"] = 1.5
            # Both a straggler and a repetition now and then.
            seq = record.next_seq + (which % 9 == 8) - (which % 13 == 12)
            if seq >= 0:
                turn(Reported(record.id, record.attempt, seq, metrics, None, True))
        else:
            how = ("finished", "ended", "failed", "lost")[what - 6]
            if how != "ended" or record.status is not Status.RUNNING:
                turn(Ended(record.id, record.attempt, how))  # type: ignore[arg-type]
    state = game.conductor.state
    usage = {name: getattr(state.usage, name) for name in ("elapsed", "started", "completed", "stopped", "failed", "finished",
                                                           "results", "cost")}  # fmt: skip
    records = {record.id: msgspec.structs.asdict(record) for record in game.ledger}
    fold = (state.count, state.waiting, state.filling, state.next_number, list(state.queue), sorted(state.failing))
    # The way to an error is told in its traceback, and nowhere else.
    events = [
        msgspec.structs.replace(event, traceback="") if isinstance(event, ev.PluginFailed) else event
        for event in game.events
    ]
    return events, game.commands, records, usage, fold, dict(game.ledger.slots), sorted(game.ledger.paused)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=5, max_size=80),
    answers=st.lists(st.integers(0, 7), min_size=1, max_size=6),
    fails_at=st.sampled_from([0, 0, 0, 7, 15]),
    observes=st.sampled_from([None, {ev.Suggested}, {ev.Suggested, ev.TrialResult, ev.TrialStopped}]),
    due=st.sampled_from([{}, {TrialId(0): 3, TrialId(2): 2}]),
    workers=st.integers(1, 4),
    together=st.booleans(),
    stop=st.sampled_from([
        {"max_num_evaluations": 30}, {"max_num_trials_started": 6}, {"max_num_trials_finished": 5},
        {"max_wallclock_time": 25.0, "max_num_evaluations": 40}, {"max_cost": 4.0}, {"min_metric_value": {"loss": -1.0}},
    ]),
)  # fmt: skip
def test_both_roads_are_one(
    lab: Any, steps: Any, answers: list[int], fails_at: int, observes: Any, due: Any, workers: int, together: bool,
    stop: Any,
) -> None:  # fmt: skip
    limits = {"n_workers": workers, "asynchronous": not together}
    straight = play(lab, toy(lab, answers, fails_at, observes, due), steps, limits, stop, [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plain, "fill", lambda *_: None)
        general = play(lab, toy(lab, answers, fails_at, observes, due), steps, limits, stop)
    for one, other in zip(straight, general, strict=True):
        assert repr(one) == repr(other)


def test_the_straight_road_is_taken(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    others: list[int] = []
    proposed = Filling.proposed

    def noted(self: Any, request: Any, answer: Any, at: float) -> None:
        others.append(request.number)
        proposed(self, request, answer, at)

    monkeypatch.setattr(Filling, "proposed", noted)
    steps = [(0, 0), (1, 1), (6, 0), (2, 0), (3, 1), (6, 0)]
    events, *_ = play(lab, toy(lab, [0], 0, {ev.Suggested}), steps, {"n_workers": 2}, {"max_num_evaluations": 9},
                      taken)  # fmt: skip
    assert [type(signal) for signal in taken] == [Reported, Reported, Ended, Reported, Reported, Ended]
    assert sum(isinstance(event, ev.TrialStarted) for event in events) == 4
    assert others == [2], "its tags hold a float"
