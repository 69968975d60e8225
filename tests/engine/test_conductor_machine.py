"""Any legal order of signals, crashes included: the ledger stays legal, the fold is the state, something always goes on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from offbeat import Pause, Resume, Start, Stop, StoppingCriterion
from offbeat import events as ev
from offbeat.signals import BackendBroken, Garbled, Reported
from offbeat.trial import Status, TrialId

ENDS = ("finished", "failed", "ended", "lost")
VALUES = (1.0, 0.5, 3, float("nan"), float("inf"), "nan", "text", True, None, 10**400)


def observe(event: Any, ledger: Any) -> Any:
    """Decisions as a function of the event alone: stops, pauses, and now and then both on others."""
    if not isinstance(event, ev.TrialResult):
        return ()
    number = event.trial * 7 + event.resource * 3
    answers: list[Any] = []
    if number % 5 == 0:
        answers.append(Stop(event.trial, "own"))
    elif number % 3 == 0:
        answers.append(Pause(event.trial, "own"))
    if number % 4 == 0 and len(ledger) > 1:
        other = TrialId((event.trial + 1) % len(ledger))
        answers.append((Stop if number % 8 else Pause)(other, "other"))
    return answers


def propose(request: Any, ledger: Any) -> Any:
    paused = ledger.having(Status.PAUSED)
    if paused and (request.number % 2 or not request.may_start):
        return Resume(trial=paused[-1].id, until=request.number + 1)
    if request.number % 7 == 6 and ledger.having(Status.RUNNING):
        return None
    return Start(config={"rate": 0.5}) if request.may_start else None


def machine(lab: Any) -> type[RuleBasedStateMachine]:
    class Sessions(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.game: Any = None

        def begin(self, past: list[Any], adopt: int) -> None:
            game = self.game = lab.Game(
                lab.Toy(observe, propose, metric="loss", nonfinite=self.policy), self.stop, past=past, **self.limits
            )
            self.past = past
            alive = game.conductor.alive()
            game.conductor.adopted(game.now, [attempt.start.trial for i, attempt in enumerate(alive) if adopt >> i & 1])
            game.begin()

        @initialize(
            workers=st.integers(1, 4), together=st.booleans(), retries=st.integers(0, 1), wait=st.booleans(),
            trials=st.integers(1, 12), policy=st.sampled_from(["fail", "worst", "ignore"]),
        )  # fmt: skip
        def first(self, workers: int, together: bool, retries: int, wait: bool, trials: int, policy: str) -> None:
            self.limits = {
                "n_workers": workers, "asynchronous": not together, "max_retries": retries, "wait_for_trials": wait,
            }  # fmt: skip
            self.policy, self.trials = policy, trials
            self.stop = StoppingCriterion(max_num_trials_started=trials, max_num_evaluations=60)
            self.begin([], 0)

        def alive(self) -> list[Any]:
            return self.game.ledger.having(Status.RUNNING, Status.STOPPING, Status.PAUSING)

        @precondition(lambda self: self.game and self.alive())
        @rule(which=st.integers(0, 3), step=st.integers(0, 3), value=st.sampled_from(VALUES), seq=st.integers(-2, 2))
        def report(self, which: int, step: int, value: Any, seq: int) -> None:
            alive = self.alive()
            record = alive[which % len(alive)]
            # The first usable report decides whether the script fits at all; that is another test's matter.
            usable = self.game.conductor.state.usage.results > 0
            metrics = {"epoch": record.resource + step if usable else 1, "loss": value if usable else 1.0}
            number = max(0, record.next_seq + (seq if usable else 0))
            self.game.signal(Reported(record.id, record.attempt, number, metrics))

        @precondition(lambda self: self.game and len(self.game.ledger))
        @rule(which=st.integers(0, 11), behind=st.integers(1, 2), seq=st.integers(0, 3))
        def straggler(self, which: int, behind: int, seq: int) -> None:
            record = self.game.ledger[TrialId(which % len(self.game.ledger))]
            self.game.signal(Reported(record.id, record.attempt - behind, seq, {"epoch": 1, "loss": 0.0}))

        @precondition(lambda self: self.game and self.alive())
        @rule(which=st.integers(0, 3), how=st.sampled_from(ENDS))
        def end(self, which: int, how: str) -> None:
            alive = self.alive()
            self.game.end(alive[which % len(alive)].id, how, "reason")

        @precondition(lambda self: self.game and len(self.game.ledger))
        @rule(which=st.integers(0, 11))
        def garbage(self, which: int) -> None:
            record = self.game.ledger[TrialId(which % len(self.game.ledger))]
            self.game.signal(Garbled(record.id, max(0, record.attempt), "not JSON"))

        @precondition(lambda self: self.game is not None)
        @rule()
        def interrupt(self) -> None:
            self.game.conductor.close(self.game.now, "interrupted", "SIGINT")
            self.game.turn()

        @precondition(lambda self: self.game is not None)
        @rule()
        def break_down(self) -> None:
            self.game.signal(BackendBroken("supervisor died"))

        @precondition(lambda self: self.game is not None)
        @rule(cut=st.integers(0, 12), adopt=st.integers(0, 15))
        def crash(self, cut: int, adopt: int) -> None:
            """The last events did not reach the disk, wherever in a turn; the backend kept some attempts alive."""
            events = self.past + self.game.events
            # The first event is the experiment itself.
            self.begin(events[: max(1, len(events) - cut)], adopt)

        @invariant()
        def one_place_each(self) -> None:
            if self.game is None:
                return
            ledger = self.game.ledger
            assert len(ledger.slots) <= self.limits["n_workers"]
            assert sorted(ledger.slots.values()) == [record.id for record in self.alive()]
            assert {record.slot for record in self.alive()} == set(ledger.slots)

        @invariant()
        def something_goes_on(self) -> None:
            """F26: an attempt is alive, or the session is closed."""
            if self.game is not None:
                assert self.game.ledger.slots or self.game.conductor.closed
                assert not self.game.conductor.closed or not self.game.ledger.slots

        @invariant()
        def limits_hold(self) -> None:
            """F24: across crashes too."""
            if self.game is not None:
                usage = self.game.conductor.state.usage
                assert usage.started <= self.trials
                assert usage.results <= 60 or self.limits["wait_for_trials"]

        @invariant()
        def the_fold_is_the_state(self) -> None:
            if self.game is None:
                return
            game, events = self.game, self.past + self.game.events
            again = lab.Game(
                lab.Toy(observe, propose, nonfinite=self.policy), self.stop, past=events, **self.limits
            ).conductor.state
            state = game.conductor.state
            for record, twin in zip(state.ledger, again.ledger, strict=True):
                for slot in record.__slots__:
                    assert getattr(record, slot) == getattr(twin, slot), slot
            assert (list(state.queue), state.request, state.next_number, state.waiting) == (
                list(again.queue), again.request, again.next_number, again.waiting,
            )  # fmt: skip
            assert (state.filling, state.count, state.failing) == (again.filling, again.count - 1, again.failing)
            assert state.scheduler.seen == again.scheduler.seen
            assert {name: getattr(state.usage, name) for name in ("started", "results", "finished", "cost")} == {
                name: getattr(again.usage, name) for name in ("started", "results", "finished", "cost")
            }

    return Sessions


def test_any_order_of_signals_keeps_everything_legal(lab: Any) -> None:
    run_state_machine_as_test(
        machine(lab),
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )  # fmt: skip


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_very_many_orders_of_signals_keep_everything_legal(lab: Any) -> None:
    run_state_machine_as_test(
        machine(lab),
        settings=settings(
            max_examples=1500, stateful_step_count=50, deadline=None, database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )  # fmt: skip
