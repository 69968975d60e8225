"""The backend and observer suites against plugins that are wrong on purpose, and what importing them costs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given

from offbeat.events import EVENT_TYPES, Event, ExperimentClosed, TrialResult, wire_name
from offbeat.signals import Ended, PauseTrial, Reported, StartTrial, StopTrial
from offbeat.testing import backend_checks, observer_checks
from offbeat.testing.histories import event_history, histories
from offbeat.testing.scripted import End, Garbage, Hang, Report, ScriptedBackend, ScriptedSession, Step
from offbeat.trial import Ledger

# --- backends


def behaving(behaviour: str, start: StartTrial) -> Iterator[Step]:
    if behaviour == "missing":
        raise FileNotFoundError("no such script")
    ends = {"crashes": End("failed", "exit status 1"), "hangs": Hang(), "garbage": Garbage()}
    for epoch in itertools.count(1):
        yield Report({"epoch": epoch, "loss": 1 / epoch})
        if (behaviour == "counts" and epoch == start.config["epochs"]) or (behaviour == "garbage" and epoch == 2):
            return
        if behaviour in ends:
            yield ends[behaviour]


class Altered:
    """A scripted session seen through something that spoils it."""

    def __init__(self, inner: ScriptedSession) -> None:
        self.inner = inner
        self.later: list[Any] = []

    def adopt(self, attempts: Any) -> Any:
        return self.inner.adopt(attempts)

    def submit(self, command: Any) -> None:
        self.inner.submit(command)

    def receive_nowait(self) -> Sequence[Any]:
        if self.later:
            signals, self.later = self.later, []
            return signals
        return self.altered(list(self.inner.receive_nowait()))

    def altered(self, signals: list[Any]) -> list[Any]:
        return signals

    async def receive(self) -> Sequence[Any]:
        raise RuntimeError

    def interrupt(self) -> None:
        self.inner.interrupt()


def swallow(signals: list[Any], unwanted: Callable[[Any], bool], session: Altered) -> list[Any]:
    while signals and unwanted(signals[0]):
        signals = list(session.inner.receive_nowait())
    return signals


class LosesReports(Altered):
    def altered(self, signals: list[Any]) -> list[Any]:
        return swallow(signals, lambda one: isinstance(one, Reported) and one.seq == 1, self)


class RepeatsReports(Altered):
    def altered(self, signals: list[Any]) -> list[Any]:
        return [one for one in signals for _ in range(2 if isinstance(one, Reported) else 1)]


class ReportsAfterTheEnd(Altered):
    last: Any = None

    def altered(self, signals: list[Any]) -> list[Any]:
        for one in signals:
            if isinstance(one, Reported):
                self.last = one
            elif isinstance(one, Ended):
                return [one, self.last]
        return signals


class EndsTwice(Altered):
    def altered(self, signals: list[Any]) -> list[Any]:
        return [one for one in signals for _ in range(2 if isinstance(one, Ended) else 1)]


class NumbersFromOne(Altered):
    def altered(self, signals: list[Any]) -> list[Any]:
        return [msgspec.structs.replace(one, seq=one.seq + 1) if isinstance(one, Reported) else one for one in signals]


class CallsEverythingFinished(Altered):
    def altered(self, signals: list[Any]) -> list[Any]:
        return [Ended(one.trial, one.attempt, "finished") if isinstance(one, Ended) else one for one in signals]


class GivesNoReason(Altered):
    def altered(self, signals: list[Any]) -> list[Any]:
        return [Ended(one.trial, one.attempt, one.how) if isinstance(one, Ended) else one for one in signals]


class RaisesFromSubmit(Altered):
    def submit(self, command: Any) -> None:
        if isinstance(command, StopTrial | PauseTrial):
            running = self.inner.alive[command.trial]
            assert running.attempt == command.attempt
        self.inner.submit(command)


class AnswersStrangers(Altered):
    def submit(self, command: Any) -> None:
        if isinstance(command, StopTrial) and command.trial not in self.inner.alive:
            self.later.append(Ended(command.trial, command.attempt, "ended"))
        self.inner.submit(command)


class ForgetsCheckpoints(Altered):
    def submit(self, command: Any) -> None:
        if isinstance(command, StartTrial):
            command = msgspec.structs.replace(command, resume=False)
        self.inner.submit(command)


class IgnoresInterrupt(Altered):
    def interrupt(self) -> None:
        return

    def altered(self, signals: list[Any]) -> list[Any]:
        return [] if signals and isinstance(signals[0], Reported) and signals[0].seq > 20 else signals


BACKENDS: list[tuple[type[Altered], Any]] = [
    (LosesReports, backend_checks.check_reports_in_order_then_ends),
    (RepeatsReports, backend_checks.check_reports_in_order_then_ends),
    (ReportsAfterTheEnd, backend_checks.check_many_trials_at_once),
    (EndsTwice, backend_checks.check_stop),
    (NumbersFromOne, backend_checks.check_reports_in_order_then_ends),
    (CallsEverythingFinished, backend_checks.check_crash),
    (CallsEverythingFinished, backend_checks.check_missing),
    (CallsEverythingFinished, backend_checks.check_stop),
    (GivesNoReason, backend_checks.check_crash),
    (RaisesFromSubmit, backend_checks.check_stop),
    (AnswersStrangers, backend_checks.check_stop),
    (ForgetsCheckpoints, backend_checks.check_pause_and_resume),
    (IgnoresInterrupt, backend_checks.check_interrupt),
]


def maker(altered: type[Altered]) -> Any:
    class Backend(ScriptedBackend):
        @asynccontextmanager
        async def open(self, context: Any) -> AsyncIterator[Any]:
            async with super().open(context) as session:
                yield altered(session)  # type: ignore[arg-type]

    return lambda behaviour, folder: Backend(lambda start: behaving(behaviour, start), checkpoints=True)


@pytest.mark.parametrize("check", backend_checks.CHECKS, ids=lambda check: check.__name__)
def test_an_unaltered_backend_passes(check: Any, tmp_path: Path) -> None:
    with contextlib.suppress(backend_checks.NotApplicable):
        asyncio.run(check(maker(Altered), tmp_path))


@pytest.mark.parametrize(("altered", "check"), BACKENDS, ids=lambda value: value.__name__)
def test_bad_backends_are_caught(altered: type[Altered], check: Any, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, KeyError)):
        asyncio.run(check(maker(altered), tmp_path))


def test_a_backend_that_leaves_threads_and_files_is_caught(tmp_path: Path) -> None:
    over, files = threading.Event(), []

    class Leaves(ScriptedBackend):
        @asynccontextmanager
        async def open(self, context: Any) -> AsyncIterator[Any]:
            threading.Thread(target=over.wait, daemon=True).start()
            files.append((tmp_path / "kept").open("w"))
            async with super().open(context) as session:
                yield session

    with pytest.raises(AssertionError, match="left behind"):
        backend_checks.check_leaves_nothing_behind(
            lambda behaviour, folder: Leaves(lambda start: behaving(behaviour, start)), tmp_path
        )
    over.set()
    for file in files:
        file.close()


# --- observers


class Writes:
    """An honest recorder: one line a result, nothing twice."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "seen"

    def start(self, experiment: Any) -> int:
        lines = self.path.read_text().split() if self.path.exists() else []
        self.next = int(lines[-1]) + 1 if lines else 0
        return self.next

    def handle(self, events: Sequence[Any]) -> None:
        with self.path.open("a") as file:
            for one in events:
                if isinstance(one.event, TrialResult):
                    file.write(f"{one.seq}\n")

    @staticmethod
    def recorded(folder: Path) -> list[int]:
        path = folder / "seen"
        return [int(line) for line in path.read_text().split()] if path.exists() else []


class Talks(Writes):
    def handle(self, events: Sequence[Any]) -> None:
        super().handle(events)
        print("so many events:", len(events))


class Raises(Writes):
    def handle(self, events: Sequence[Any]) -> None:
        for one in events:
            EVENT_TYPES[wire_name(one.event)]


class Computes(Writes):
    def handle(self, events: Sequence[Any]) -> None:
        super().handle(events)
        for one in events:
            if isinstance(one.event, TrialResult):
                one.event.metrics["loss"] * 2.0


class Changes(Writes):
    def handle(self, events: Sequence[Any]) -> None:
        super().handle(events)
        for one in events:
            if isinstance(one.event, TrialResult):
                one.event.metrics.clear()


class LosesTheRest(Writes):
    def handle(self, events: Sequence[Any]) -> None:
        super().handle(events[:3])


class BeginsAgain(Writes):
    def start(self, experiment: Any) -> int:
        return 0


class SeesItsSessionOnly(Writes):
    def start(self, experiment: Any) -> None:  # type: ignore[override]
        return None


class Misspells(Writes):
    def finnish(self) -> None: ...

    handle = None  # type: ignore[assignment]


OBSERVERS: list[tuple[Any, Any]] = [
    (Talks, observer_checks.check_sees_everything),
    (Raises, observer_checks.check_survives_odd_events),
    (Computes, observer_checks.check_survives_odd_events),
    (Changes, observer_checks.check_sees_everything),
    (LosesTheRest, observer_checks.check_sees_everything),
    (LosesTheRest, observer_checks.check_survives_a_huge_batch),
    (BeginsAgain, observer_checks.check_goes_on_after_a_crash),
    (SeesItsSessionOnly, observer_checks.check_goes_on_after_a_crash),
    (Misspells, observer_checks.check_is_an_observer),
]


@pytest.mark.parametrize("check", observer_checks.CHECKS, ids=lambda check: check.__name__)
def test_an_honest_recorder_passes(check: Any, tmp_path: Path) -> None:
    check(observer_checks.Case(make=Writes, recorded=Writes.recorded), tmp_path)


@pytest.mark.parametrize(("observer", "check"), OBSERVERS, ids=lambda value: value.__name__)
def test_bad_observers_are_caught(observer: Any, check: Any, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check(observer_checks.Case(make=observer, recorded=Writes.recorded), tmp_path)


def test_observers_that_hang_or_block_are_caught(tmp_path: Path) -> None:
    over = threading.Event()

    class Hangs:
        def handle(self, events: Sequence[Any]) -> None:
            over.wait()

    class Blocks:
        async def handle(self, events: Sequence[Any]) -> None:
            over.wait()

    for number, observer in enumerate((Hangs, Blocks)):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(AssertionError, match="hangs or blocks"):
            observer_checks.check_survives_a_failed_experiment(
                observer_checks.Case(make=lambda folder, kind=observer: kind(), patience=0.3), tmp_path / str(number)
            )
    over.set()
    # They go on in their threads until they are let go; nothing of theirs may outlive this test.
    for thread in threading.enumerate():
        if thread.name.startswith("offbeat") or "play" in thread.name:
            thread.join(30)
            assert not thread.is_alive()


# --- the kit itself


def test_the_kit_can_be_imported_without_pytest_and_hypothesis() -> None:
    script = """
import importlib, json, pkgutil, sys
import offbeat.testing
for module in pkgutil.iter_modules(offbeat.testing.__path__):
    importlib.import_module(f"offbeat.testing.{module.name}")
print(json.dumps([name for name in ("pytest", "hypothesis", "offbeat_plugins", "jax") if name in sys.modules]))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == []


@given(events=histories())
def test_histories_are_legal(events: list[Event]) -> None:
    ledger = Ledger("loss")
    last = 0.0
    for event in events:
        ledger.apply(event)
        assert event.at >= last
        last = event.at
    assert not ledger.slots
    assert isinstance(events[-1], ExperimentClosed)


def test_histories_hold_every_kind_of_event_and_repeat() -> None:
    kinds = {wire_name(event) for seed in range(5) for event in event_history(seed)}
    assert kinds == set(EVENT_TYPES)
    assert event_history(3) == event_history(3)
    assert event_history(3) != event_history(4)
