"""`Tuner.run`: from the main thread, another thread, a running loop; signals in a process of its own."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import Any

import pytest

from offbeat.errors import EngineBlocked, MetricMismatch
from offbeat.foreground import _Foreground
from offbeat.testing.scripted import Hang, Report


def short(start: Any) -> Any:
    return [Report({"epoch": 1, "loss": 1.0})]


def test_run_leaves_signal_handlers_and_threads_as_they_were(lab: Any) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    threads = set(threading.enumerate())
    assert lab.tuner(lab.home, lab.asha()).run().outcome == "done"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert {thread for thread in threading.enumerate() if thread.name == "offbeat"} <= threads


def test_run_from_another_thread(lab: Any) -> None:
    outcomes: list[Any] = []
    thread = threading.Thread(target=lambda: outcomes.append(lab.tuner(lab.home, lab.asha()).run()))
    thread.start()
    thread.join()
    assert outcomes[0].outcome == "done"


def test_run_inside_a_running_loop_as_in_a_notebook(lab: Any) -> None:
    async def cell() -> Any:
        before = signal.getsignal(signal.SIGINT)
        outcome = lab.tuner(lab.home, lab.asha()).run()
        assert signal.getsignal(signal.SIGINT) == before
        return outcome

    assert asyncio.run(cell()).outcome == "done"


def test_what_the_session_fails_with_is_raised_in_the_caller(lab: Any) -> None:
    tuner = lab.tuner(lab.home, lab.Toy(), lambda s: [Report({"epoch": 1, "los": 1.0})])
    with pytest.raises(MetricMismatch, match="'los'"):
        tuner.run()


def test_a_signal_before_the_loop_runs_is_not_lost(lab: Any) -> None:
    foreground = _Foreground(lab.tuner(lab.home, lab.Toy(), stop_criterion=None))
    foreground._signalled(signal.SIGTERM, None)
    with pytest.raises(SystemExit) as caught:
        foreground.run()
    assert caught.value.code == 143
    lab.check_closed(lab.home)
    assert [type(e).__name__ for e in lab.events(lab.home)] == ["ExperimentOpened", "ExperimentClosed"]


def test_a_keyboard_interrupt_of_the_host_s_is_the_first_signal(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    original = _Foreground._wait

    def wait(self: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(_Foreground, "_wait", wait)
    with pytest.raises(KeyboardInterrupt):
        lab.tuner(lab.home, lab.Toy(), short, stop_criterion=None).run()
    lab.check_closed(lab.home)
    assert lab.events(lab.home)[-1].reason == "SIGINT"


def test_a_plugin_that_never_gives_the_loop_back_does_not_hold_the_caller(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import offbeat.foreground as foreground

    monkeypatch.setattr(foreground, "ABANDON_AFTER", 0.05)
    release = threading.Event()

    def stuck(event: Any, ledger: Any) -> Any:
        if type(event).__name__ == "TrialStarted":
            release.wait()
        return ()

    class Real(type(lab.tuner(lab.home, lab.Toy()).trial_backend)):  # type: ignore[misc]
        time = "real"

    backend = Real(lambda s: [Hang()])
    tuner = lab.tuner(lab.home, lab.Toy(stuck), backend=backend, blocked_after=0.1, grace=0.0)
    try:
        with pytest.raises(EngineBlocked, match=r"release.wait"):
            tuner.run()
        assert "test_foreground.py" in (lab.home / "run" / "blocked.txt").read_text()
    finally:
        release.set()
    for thread in threading.enumerate():
        if thread.name == "offbeat":
            thread.join(10)


def test_a_second_signal_frees_the_caller_from_a_loop_that_is_stuck(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import offbeat.foreground as foreground

    monkeypatch.setattr(foreground, "ABANDON_AFTER", 0.05)
    release, stuck = threading.Event(), threading.Event()
    running = _Foreground(lab.tuner(lab.home, lab.Toy(lambda event, ledger: wait(event)), stop_criterion=None))

    def wait(event: Any) -> Any:
        if type(event).__name__ == "TrialStarted":
            running._signalled(signal.SIGTERM, None)
            running._signalled(signal.SIGTERM, None)
            stuck.set()
            release.wait()
        return ()

    try:
        with pytest.raises(SystemExit) as caught:
            running.run()
        assert caught.value.code == 143
        assert stuck.is_set()
    finally:
        release.set()
    for thread in threading.enumerate():
        if thread.name == "offbeat":
            thread.join(10)


def test_a_task_that_cannot_be_cancelled_does_not_hold_the_caller(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import offbeat.driver as driver
    import offbeat.foreground as foreground

    monkeypatch.setattr(foreground, "ABANDON_AFTER", 0.05)
    monkeypatch.setattr(driver, "FAREWELL", 0.05)
    over = threading.Event()

    class Stubborn:
        async def handle(self, events: Any) -> None:
            while not over.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    continue

    try:
        assert lab.tuner(lab.home, lab.asha(), observers=[Stubborn()]).run().outcome == "done"
    finally:
        over.set()
    for thread in threading.enumerate():
        if thread.name == "offbeat":
            thread.join(10)
    lab.check_closed(lab.home)
