"""Observers: whatever they do, the run is the same; what they are owed they get, in order, once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import offbeat.bus as bus
import offbeat.driver as driver
from offbeat import events as ev
from offbeat.errors import BrokenPlugin, InvalidArgument
from offbeat.lane import Lane


class Recorder:
    """Keeps what it is given; `start` answers `first`."""

    def __init__(self, first: int | None = 0) -> None:
        self.first = first
        self.seen: list[Any] = []
        self.batches: list[int] = []
        self.finished = 0

    def start(self, experiment: Any) -> int | None:
        self.spec = experiment.spec
        return self.first

    def handle(self, events: Any) -> None:
        self.batches.append(len(events))
        self.seen += events

    def finish(self) -> None:
        self.finished += 1


class AsyncRecorder(Recorder):
    async def start(self, experiment: Any) -> int | None:  # type: ignore[override]
        return super().start(experiment)

    async def handle(self, events: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().handle(events)

    async def finish(self) -> None:  # type: ignore[override]
        super().finish()


def complete(lab: Any, recorder: Recorder, name: str = "run") -> None:
    assert [recorded.event for recorded in recorder.seen] == lab.events(lab.home, name)
    assert [recorded.seq for recorded in recorder.seen] == list(range(len(recorder.seen)))
    assert recorder.finished == 1


@pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
@pytest.mark.parametrize("first", [0, None])
def test_a_recorder_gets_every_event_once_in_order(lab: Any, kind: Any, first: Any) -> None:
    recorder = kind(first)
    lab.run(lab.tuner(lab.home, lab.asha("promotion"), observers=[recorder]))
    complete(lab, recorder)
    assert recorder.spec.name == "run"


@pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
def test_one_that_lags_far_behind_the_tail_reads_on_from_the_journal(
    lab: Any, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    monkeypatch.setattr(bus, "TAIL", 4)
    monkeypatch.setattr(bus, "BATCH", 3)
    monkeypatch.setattr("offbeat.readback.BATCH", 3)
    recorder = kind()
    lab.run(lab.tuner(lab.home, lab.asha("promotion"), observers=[recorder]))
    complete(lab, recorder)
    assert max(recorder.batches) <= 3


def test_latest_only_skips_rather_than_lags(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "BATCH", 5)
    monkeypatch.setattr("offbeat.readback.BATCH", 5)
    recorder = Recorder()
    recorder.latest_only = True  # type: ignore[attr-defined]
    lab.run(lab.tuner(lab.home, lab.asha("promotion"), observers=[recorder]))
    numbers = [recorded.seq for recorded in recorder.seen]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == len(lab.events(lab.home)) - 1
    assert len(numbers) < len(lab.events(lab.home))


def test_observers_change_no_decision(lab: Any) -> None:
    class Spoiler(Recorder):
        def handle(self, events: Any) -> None:
            for recorded in events:
                if isinstance(recorded.event, ev.TrialResult):
                    recorded.event.metrics.clear()

    lab.run(lab.tuner(lab.home, lab.asha("promotion")))
    for i in range(3):
        watching = [Spoiler(), Recorder(), AsyncRecorder(), Recorder(None)][: i + 2]
        lab.run(lab.tuner(lab.home, lab.asha("promotion"), name=f"watched-{i}", observers=watching))
        assert lab.digest(lab.home, f"watched-{i}") == lab.digest(lab.home)


@pytest.mark.parametrize("where", ["start", "handle", "finish"])
@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(2), KeyboardInterrupt(), asyncio.CancelledError()])
@pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
def test_one_that_raises_is_switched_off_once_and_the_rest_goes_on(lab: Any, kind: Any, where: str, error: Any) -> None:
    calls = 0

    def plain(*_: Any) -> Any:
        nonlocal calls
        calls += 1
        raise error

    async def later(*_: Any) -> Any:
        plain()

    bad, good = kind(), Recorder()
    setattr(bad, where, later if kind is AsyncRecorder else plain)
    assert lab.run(lab.tuner(lab.home, lab.asha(), observers=[bad, good])).outcome == "done"
    assert calls == 1
    complete(lab, good)
    lab.check_closed(lab.home)
    noted = [e for e in lab.events(lab.home) if isinstance(e, ev.PluginFailed)]
    assert len(noted) <= 1
    for event in noted:
        assert (event.group, event.where) == ("offbeat.reporters", where)
        assert type(error).__name__ in event.error


def test_one_that_raises_is_noted_in_the_journal_while_the_run_lasts(lab: Any) -> None:
    """Real time: the observer's failure comes before the end, which the test brings about."""

    class Bad:
        def handle(self, events: Any) -> None:
            raise ValueError("no room")

    async def propose(request: Any, ledger: Any) -> Any:
        from offbeat import Start

        await asyncio.sleep(0.001)
        noted = [one async for one in stream_until(ev.PluginFailed)] if not len(ledger) else []
        return Start(config={"rate": 0.5}) if noted else None

    session: Any = None

    async def stream_until(kind: type) -> Any:
        async for recorded in session.events(start=0):
            if isinstance(recorded.event, kind):
                yield recorded
                return

    async def main() -> None:
        nonlocal session
        async with lab.tuner(lab.home, lab.Toy(None, propose), observers=[Bad()]).session() as session:
            await session.wait()

    asyncio.run(main())
    noted = [e for e in lab.events(lab.home) if isinstance(e, ev.PluginFailed)]
    assert [(e.name, e.where, e.error) for e in noted] == [("Bad", "handle", "ValueError: no room")]
    assert "no room" in noted[0].traceback


@pytest.mark.parametrize("where", ["start", "handle", "finish"])
def test_one_that_hangs_delays_the_end_by_no_more_than_the_farewell(
    lab: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(driver, "FAREWELL", 0.05)
    release, stuck = threading.Event(), threading.Event()

    def hang(*_: Any) -> None:
        stuck.set()
        release.wait()

    async def hang_too(*_: Any) -> None:
        await asyncio.sleep(3600)

    plain, later, good = Recorder(), AsyncRecorder(), Recorder()
    setattr(plain, where, hang)
    setattr(later, where, hang_too)
    try:
        assert lab.run(lab.tuner(lab.home, lab.asha(), observers=[plain, later, good])).outcome == "done"
        assert stuck.is_set()
        complete(lab, good)
    finally:
        release.set()
    for thread in threading.enumerate():
        if thread.name == "offbeat-Recorder":
            thread.join()


def test_one_that_swallows_its_cancellation_is_left_behind(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "FAREWELL", 0.05)
    over = False

    class Stubborn:
        async def handle(self, events: Any) -> None:
            while not over:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    continue

    async def main() -> None:
        nonlocal over
        outcome = await lab.tuner(lab.home, lab.asha(), observers=[Stubborn()]).arun()
        assert outcome.outcome == "done"
        over = True

    asyncio.run(main())
    lab.check_closed(lab.home)


@pytest.mark.parametrize("answer", ["zero", 1.5, object(), [0]])
def test_a_start_that_answers_nonsense_switches_it_off(lab: Any, answer: Any) -> None:
    recorder = Recorder(answer)
    assert lab.run(lab.tuner(lab.home, lab.asha(), observers=[recorder])).outcome == "done"
    assert recorder.seen == []


def test_hooks_may_take_fewer_arguments(lab: Any) -> None:
    class Counter:
        starts = batches = 0

        def start(self) -> int:
            Counter.starts += 1
            return 0

        def handle(self, events: Any) -> None:
            Counter.batches += 1

    lab.run(lab.tuner(lab.home, lab.asha(), observers=[Counter()]))
    assert Counter.starts == 1
    assert Counter.batches > 0


def test_a_hook_with_an_unknown_argument_is_refused_before_anything_is_written(lab: Any) -> None:
    class Wrong:
        def handle(self, events: Any, ledger: Any) -> None: ...

    with pytest.raises(BrokenPlugin, match="ledger"):
        lab.run(lab.tuner(lab.home, lab.asha(), observers=[Wrong()]))
    assert not (lab.home / "run").exists()


def test_an_observer_without_handle_and_a_class_are_refused(lab: Any) -> None:
    class Wrong:
        def handel(self, events: Any) -> None: ...

    with pytest.raises(BrokenPlugin, match=r"no method `handle\(events\)`. Did you mean 'handel'"):
        lab.run(lab.tuner(lab.home, lab.asha(), observers=[Wrong()]))
    with pytest.raises(InvalidArgument, match=r"Recorder is a class; pass an object: Recorder\(...\)"):
        lab.run(lab.tuner(lab.home, lab.asha(), observers=[Recorder]))


def test_plain_hooks_run_in_one_thread_of_their_own_with_the_host_s_context(lab: Any) -> None:
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")
    threads, values = set(), set()

    class Looking(Recorder):
        def handle(self, events: Any) -> None:
            threads.add(threading.current_thread())
            values.add(variable.get())

    async def main() -> None:
        variable.set("the host's")
        await lab.tuner(lab.home, lab.asha(), observers=[Looking()]).arun()

    asyncio.run(main())
    assert values == {"the host's"}
    assert len(threads) == 1
    assert not threads & set(threading.enumerate())


def test_a_journal_that_cannot_be_read_back_costs_the_observer_not_the_run(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "TAIL", 2)

    def broken(*_: Any) -> Any:
        raise OSError("no more files")

    monkeypatch.setattr("offbeat.readback.read_journal", broken)
    recorder = Recorder()
    assert lab.run(lab.tuner(lab.home, lab.asha(), observers=[recorder])).outcome == "done"
    lab.check_closed(lab.home)


def test_names_of_equal_observers_are_made_unique(lab: Any) -> None:
    from offbeat.parts import named_observers

    assert [name for name, _ in named_observers([Recorder(), Recorder()])] == ["Recorder", "Recorder-1"]
    assert Lane("x", Recorder()).name == "x"
