"""F13: SIGINT, SIGTERM, SIGHUP at any time: a graceful end with the right status, resumable; a second one ends at once."""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import pytest

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def one_signal(lab: Any, engine: Any, number: signal.Signals, point: int) -> None:
    one = engine(fresh=True, trials=8)
    if not one.until(point):
        assert one.end() == 0
        return
    one.process.send_signal(number)
    status = one.end()
    events = lab.events(one.home)
    lab.check_closed(one.home)
    one.nobody_left(2.0)
    closed = events[-1]
    if status == 0:  # the signal came when all was done and the handlers were gone
        assert closed.outcome == "done"
        return
    assert status == STATUS[number], one.error()
    assert closed.outcome == "done" or (closed.outcome, closed.reason) == ("interrupted", number.name)
    again = engine(resume=True)
    assert again.end() == 0, again.error()
    lab.check_closed(one.home)
    found = lab.events(one.home)
    assert found[: len(events)] == events
    assert sum(type(e).__name__ == "TrialStarted" and e.attempt == 0 for e in found) == 8
    again.nobody_left(2.0)


def test_signals_at_some_points(lab: Any, engine: Any) -> None:
    dice = random.Random(2)
    for i in range(9):
        one_signal(lab, engine, list(STATUS)[i % 3], dice.randrange(1, 110))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_signals_at_many_points(lab: Any, engine: Any) -> None:
    dice = random.Random(3)
    for i in range(90):
        one_signal(lab, engine, list(STATUS)[i % 3], dice.randrange(1, 110))


@pytest.mark.parametrize("number", STATUS)
def test_a_second_signal_does_not_wait_for_trials_that_ignore_the_first(lab: Any, engine: Any, number: Any) -> None:
    one = engine(fresh=True, trials=8, grace=300.0, STUBBORN="1")
    assert one.until(12)
    one.process.send_signal(number)
    one.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert one.end() == STATUS[number] or number is not signal.SIGINT, one.error()
    assert time.monotonic() - began < 5.0
    lab.check_closed(one.home)
    one.nobody_left(2.0)


def test_grace_is_kept_for_trials_that_ignore_the_signal(lab: Any, engine: Any) -> None:
    one = engine(fresh=True, trials=8, grace=0.3, STUBBORN="1")
    assert one.until(12)
    one.process.send_signal(signal.SIGTERM)
    assert one.end() == 143, one.error()
    lab.check_closed(one.home)
    one.nobody_left(2.0)
