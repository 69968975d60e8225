"""Embedded runs: cancellation in every form, streams of events, and nothing left behind in the host's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import offbeat.bus as bus
from offbeat import events as ev
from offbeat.errors import InvalidArgument, PluginFailed
from offbeat.signals import Ended, Reported, StartTrial, StopTrial
from offbeat.testing.scripted import Hang, Report, ScriptedBackend
from offbeat.tuner import Tuner

FILES = Path("/proc/self/fd")


class Patient:
    """A real-time backend whose trials report once and run until they are told to end; `stubborn` ones only to interrupt."""

    time = "real"

    def __init__(self, *, stubborn: bool = False, slow_to_open: bool = False) -> None:
        self.stubborn, self.slow = stubborn, slow_to_open
        self.alive: dict[int, int] = {}
        self.commands: list[Any] = []
        self.opening = asyncio.Event()
        self.interrupted = asyncio.Event()
        self.told = asyncio.Event()
        self.started = asyncio.Event()
        self.on_start: Any = lambda: None

    @asynccontextmanager
    async def open(self, context: Any) -> AsyncIterator[Patient]:
        self.signals: asyncio.Queue[Any] = asyncio.Queue()
        self.opening.set()
        if self.slow:
            await asyncio.sleep(0.01)
        yield self
        await asyncio.sleep(0)
        self.alive.clear()

    def adopt(self, attempts: Any) -> list[Any]:
        return []

    def submit(self, command: Any) -> None:
        self.commands.append(command)
        if isinstance(command, StartTrial):
            self.alive[command.trial] = command.attempt
            self.signals.put_nowait(Reported(command.trial, command.attempt, 0, {"epoch": 1, "loss": 1.0}))
            self.started.set()
            self.on_start()
        elif isinstance(command, StopTrial):
            self.told.set()
            if not self.stubborn:
                self.end(command.trial)

    def end(self, trial: int) -> None:
        if trial in self.alive:
            self.signals.put_nowait(Ended(trial, self.alive.pop(trial), "ended"))  # type: ignore[arg-type]

    def receive_nowait(self) -> list[Any]:
        return [self.signals.get_nowait()] if not self.signals.empty() else []

    async def receive(self) -> list[Any]:
        return [await self.signals.get()]

    def interrupt(self) -> None:
        self.interrupted.set()
        for trial in list(self.alive):
            self.end(trial)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Threads and open files are the same after as before."""
    threads, files = set(threading.enumerate()), list(FILES.iterdir())
    yield
    assert set(threading.enumerate()) <= threads
    assert len(list(FILES.iterdir())) <= len(files)


async def no_tasks() -> None:
    assert asyncio.all_tasks() == {asyncio.current_task()}


def endless(lab: Any, backend: Any, **options: Any) -> Tuner:
    return lab.tuner(lab.home, lab.Toy(), backend=backend, stop_criterion=None, **options)


def closing(lab: Any, name: str = "run") -> ev.ExperimentClosed:
    return lab.events(lab.home, name)[-1]


def test_cancelled_once_it_stops_gracefully_and_raises(lab: Any) -> None:
    async def main() -> None:
        backend = Patient()
        task = asyncio.create_task(endless(lab, backend).arun())
        await backend.started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not backend.interrupted.is_set()
        await no_tasks()

    asyncio.run(main())
    lab.check_closed(lab.home)
    assert closing(lab).outcome == "interrupted"


@pytest.mark.parametrize("way", ["arun", "session"])
def test_cancelled_twice_it_stops_at_once(lab: Any, way: str) -> None:
    async def main() -> None:
        backend = Patient(stubborn=True)

        async def body() -> None:
            async with endless(lab, backend).session():
                await asyncio.sleep(3600)

        task = asyncio.create_task(endless(lab, backend).arun() if way == "arun" else body())
        await backend.started.wait()
        task.cancel()
        await backend.told.wait()
        assert not backend.interrupted.is_set()
        task.cancel()
        await backend.interrupted.wait()
        with pytest.raises(asyncio.CancelledError):
            await task
        await no_tasks()

    asyncio.run(main())
    lab.check_closed(lab.home)


@pytest.mark.parametrize("slow", [False, True])
def test_cancelled_before_it_has_begun_it_starts_no_trial(lab: Any, slow: bool) -> None:
    async def main() -> None:
        backend = Patient(slow_to_open=slow)
        task = asyncio.create_task(endless(lab, backend).arun())
        await backend.opening.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not backend.commands or not slow
        await no_tasks()

    asyncio.run(main())
    lab.check_closed(lab.home)


@pytest.mark.parametrize("passes", range(6))
def test_cancelled_after_any_number_of_passes_of_the_loop_nothing_is_left(lab: Any, passes: int) -> None:
    async def main() -> None:
        task = asyncio.create_task(endless(lab, Patient()).arun())
        for _ in range(passes):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await no_tasks()

    asyncio.run(main())
    # The name is free again, or the journal is in good order.
    if lab.home.joinpath("run").exists() and lab.events(lab.home):
        lab.check_closed(lab.home)
    else:
        assert lab.run(lab.tuner(lab.home, lab.Toy(limit=1))).outcome == "done"


def test_a_timeout_is_a_timeout(lab: Any) -> None:
    async def main() -> None:
        backend = Patient()
        with pytest.raises(TimeoutError):  # noqa: PT012
            async with asyncio.timeout(None) as timeout:
                backend.on_start = lambda: timeout.reschedule(0.0)
                await endless(lab, backend).arun()
        await no_tasks()

    asyncio.run(main())
    lab.check_closed(lab.home)


@pytest.mark.parametrize("way", ["arun", "session"])
def test_inside_a_cancelled_anyio_scope_it_stops_gracefully(lab: Any, way: str) -> None:
    async def main() -> None:
        backend = Patient()
        tuner = endless(lab, backend)
        with anyio.CancelScope() as scope:
            backend.on_start = scope.cancel
            if way == "arun":
                await tuner.arun()
            else:
                async with tuner.session() as session:
                    async for _ in session.events():
                        pass
        assert scope.cancelled_caught
        assert not backend.interrupted.is_set()
        await no_tasks()

    asyncio.run(main())
    lab.check_closed(lab.home)
    assert closing(lab).outcome == "interrupted"


def test_a_failing_task_beside_it_cancels_it_and_its_error_comes_through(lab: Any) -> None:
    async def main() -> None:
        backend = Patient()

        async def failing() -> None:
            await backend.started.wait()
            raise ValueError("mine")

        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
            async with anyio.create_task_group() as group:
                group.start_soon(failing)
                await endless(lab, backend).arun()
        assert [str(error) for error in caught.value.exceptions] == ["mine"]
        await no_tasks()

    asyncio.run(main())
    lab.check_closed(lab.home)


def test_leaving_the_block_stops_the_session(lab: Any) -> None:
    async def main() -> None:
        async with endless(lab, Patient()).session() as session:
            assert session.name == "run"
        await no_tasks()

    asyncio.run(main())
    lab.check_closed(lab.home)
    assert closing(lab).reason == "the session was left"


def test_the_body_s_error_is_not_hidden_by_the_session_s(lab: Any) -> None:
    def observe(event: Any, ledger: Any) -> Any:
        if isinstance(event, ev.TrialStopped):
            raise RuntimeError("theirs")
        return ()

    async def main() -> None:
        backend = Patient()
        with pytest.raises(ValueError, match="mine"):  # noqa: PT012
            async with lab.tuner(lab.home, lab.Toy(observe), backend=backend).session():
                await backend.started.wait()
                raise ValueError("mine")
        await no_tasks()

    asyncio.run(main())
    lab.check_closed(lab.home)


def test_what_the_session_fails_with_is_raised_by_wait_and_on_leaving(lab: Any) -> None:
    def observe(event: Any, ledger: Any) -> Any:
        raise RuntimeError("theirs")

    async def main() -> None:
        with pytest.raises(PluginFailed, match="theirs"):
            async with lab.tuner(lab.home, lab.Toy(observe), backend=Patient()).session() as session:
                await session.wait()
        with pytest.raises(PluginFailed, match="theirs"):  # noqa: PT012
            async with lab.tuner(lab.home, lab.Toy(observe), backend=Patient(), name="b").session() as session:
                async for _ in session.events():
                    pass
        await no_tasks()

    asyncio.run(main())


def test_two_tuners_on_one_loop(lab: Any) -> None:
    async def main() -> None:
        one = lab.tuner(lab.home, lab.asha(), name="one")
        two = lab.tuner(lab.home, lab.asha(), name="two", durability="commit")
        outcomes = await asyncio.gather(one.arun(), two.arun())
        assert [outcome.name for outcome in outcomes] == ["one", "two"]
        await no_tasks()

    asyncio.run(main())
    assert lab.digest(lab.home, "one") == lab.digest(lab.home, "two")


def test_events_from_the_beginning_however_late_and_slow_the_reader(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tail is far shorter than what the reader is behind: it reads on from the journal and misses nothing."""
    monkeypatch.setattr(bus, "TAIL", 8)
    monkeypatch.setattr(bus, "BATCH", 4)
    monkeypatch.setattr("offbeat.readback.BATCH", 4)

    async def main() -> None:
        seen = []
        async with lab.tuner(lab.home, lab.asha("promotion")).session() as session:
            async for recorded in session.events(start=0):
                seen.append(recorded)
                if recorded.seq % 16 == 0:
                    await asyncio.sleep(0.001)
            outcome = await session.wait()
        assert outcome.outcome == "done"
        assert [recorded.seq for recorded in seen] == list(range(len(seen)))
        assert [recorded.event for recorded in seen] == lab.events(lab.home)
        await no_tasks()

    asyncio.run(main())


def test_events_resume_from_a_number_in_a_later_session(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.Toy(limit=3), lambda s: [Report({"epoch": 1, "loss": 1.0})]))
    before = len(lab.events(lab.home))

    async def main() -> None:
        backend = ScriptedBackend(lambda s: [Report({"epoch": 1, "loss": 1.0})])
        tuner = Tuner.resume(
            "run", home=lab.home, trial_backend=backend, scheduler=lab.Toy(limit=5), observers=[], n_workers=3
        )
        async with tuner.session() as session:
            seen = [recorded async for recorded in session.events(start=5)]
        assert [recorded.seq for recorded in seen] == list(range(5, len(lab.events(lab.home))))
        assert len(seen) > before - 5

    asyncio.run(main())


def test_a_reader_that_leaves_early_harms_nobody(lab: Any) -> None:
    async def main() -> None:
        async with lab.tuner(lab.home, lab.asha()).session() as session:
            stream = session.events(start=0)
            async for _ in stream:
                break
            await stream.aclose()
            assert (await session.wait()).outcome == "done"

    asyncio.run(main())


def test_a_reader_may_change_what_it_was_given(lab: Any) -> None:
    async def main() -> None:
        async with lab.tuner(lab.home, lab.asha("promotion")).session() as session:
            async for recorded in session.events(start=0):
                if isinstance(recorded.event, ev.TrialResult):
                    recorded.event.metrics.clear()

    asyncio.run(main())
    lab.run(lab.tuner(lab.home, lab.asha("promotion"), name="other"))
    assert lab.digest(lab.home) == lab.digest(lab.home, "other")


def test_the_engine_s_own_task_cancelled_from_outside_is_resumable(lab: Any) -> None:
    """A host that cancels every task of its loop."""

    async def main() -> None:
        backend = Patient()
        async with endless(lab, backend).session() as session:
            await backend.started.wait()
            assert session._task is not None
            session._task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await session.wait()
            await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    found = lab.events(lab.home)
    assert isinstance(found[-1], ev.TrialLost)
    patient = Patient()

    async def resumed() -> None:
        tuner = Tuner.resume("run", home=lab.home, trial_backend=patient, scheduler=lab.Toy(), observers=[])
        async with tuner.session():
            await patient.started.wait()

    asyncio.run(resumed())
    lab.check_closed(lab.home)


def test_a_tuner_runs_once(lab: Any) -> None:
    tuner = lab.tuner(lab.home, lab.Toy(limit=1))
    lab.run(tuner)
    with pytest.raises(InvalidArgument, match=r"has run already; go on with Tuner\.resume\('run'\)"):
        lab.run(tuner)


def test_stop_of_the_application(lab: Any) -> None:
    async def main() -> None:
        backend = Patient()
        async with endless(lab, backend).session() as session:
            await backend.started.wait()
            session.stop("enough")
            outcome = await session.wait()
            assert (outcome.outcome, outcome.reason) == ("interrupted", "enough")
            session.stop("again", hurry=True)

    asyncio.run(main())
    lab.check_closed(lab.home)


def test_hanging_script_is_interrupted_in_simulated_time_too(lab: Any) -> None:
    async def main() -> None:
        async def propose(request: Any, ledger: Any) -> Any:
            from offbeat import Start

            await asyncio.sleep(0.001)
            return Start(config={"rate": 0.5})

        backend = ScriptedBackend(lambda s: [Report({"epoch": 1, "loss": 1.0}), Hang()])
        scheduler = lab.Toy(None, propose)
        async with lab.tuner(lab.home, scheduler, backend=backend, stop_criterion=None, n_workers=1000).session():
            await asyncio.sleep(0.01)

    asyncio.run(main())
    lab.check_closed(lab.home)
