"""The driver in simulated time and on a real loop: order, limits by time, plugins that misbehave, what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from offbeat import Start, StoppingCriterion
from offbeat import events as ev
from offbeat.errors import BackendFailed, ExperimentExists, ExperimentLocked, InvalidArgument, PluginFailed
from offbeat.signals import Ended, Reported, StartTrial, StopTrial
from offbeat.testing.scripted import End, Hang, Report, ScriptedBackend
from offbeat.tuner import Tuner


class LoopBackend:
    """Real time: a trial reports and ends as the test says through `tell`; commands are kept."""

    time = "real"

    def __init__(self, script: Any = None) -> None:
        self.commands: list[Any] = []
        self.signals: asyncio.Queue[Any] | None = None
        self.opened = self.closed = 0
        self.interrupted = False
        self.script = script
        self.fault: Exception | None = None

    @asynccontextmanager
    async def open(self, context: Any) -> AsyncIterator[LoopBackend]:
        self.opened += 1
        self.signals = asyncio.Queue()
        try:
            yield self
        finally:
            await asyncio.sleep(0)  # as any real backend it has to wait for something here
            self.closed += 1

    def adopt(self, attempts: Sequence[Any]) -> list[Any]:
        return []

    def submit(self, command: Any) -> None:
        if self.fault is not None:
            raise self.fault
        self.commands.append(command)
        if isinstance(command, StartTrial) and self.script:
            for signal in self.script(command):
                self.tell(signal)
        if isinstance(command, StopTrial):
            self.tell(Ended(command.trial, command.attempt, "ended"))

    def tell(self, signal: Any) -> None:
        assert self.signals is not None
        self.signals.put_nowait(signal)

    def receive_nowait(self) -> list[Any]:
        assert self.signals is not None
        return [self.signals.get_nowait()] if not self.signals.empty() else []

    async def receive(self) -> list[Any]:
        assert self.signals is not None
        return [await self.signals.get()]

    def interrupt(self) -> None:
        self.interrupted = True


def good(start: Any) -> list[Any]:
    trial, attempt = start.trial, start.attempt
    return [Reported(trial, attempt, 0, {"epoch": 1, "loss": 1.0}), Ended(trial, attempt, "finished")]


@pytest.mark.parametrize("durability", ["commit", "batch", "end"])
def test_durability_changes_no_decision(lab: Any, durability: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.asha("promotion"), durability=durability))
    lab.run(lab.tuner(lab.home, lab.asha("promotion"), name="other"))
    assert lab.digest(lab.home) == lab.digest(lab.home, "other")
    lab.check_closed(lab.home)


@pytest.mark.parametrize("durability", ["commit", "batch", "end"])
def test_a_real_run_ends_by_itself(lab: Any, durability: Any) -> None:
    backend = LoopBackend(good)
    outcome = lab.run(lab.tuner(lab.home, lab.Toy(limit=30), backend=backend, durability=durability))
    assert outcome.outcome == "done"
    assert len([c for c in backend.commands if isinstance(c, StartTrial)]) == 20
    assert (backend.opened, backend.closed) == (1, 1)
    lab.check_closed(lab.home)


def test_no_command_leaves_before_its_events_are_in_the_journal(lab: Any) -> None:
    from offbeat.journal import read_journal

    class Looking(LoopBackend):
        def submit(self, command: Any) -> None:
            if isinstance(command, StartTrial):
                from offbeat.home import ExperimentFolder

                found = [r.event for r in read_journal(ExperimentFolder(lab.home / "run"))]
                assert any(isinstance(e, ev.TrialStarted) and e.trial == command.trial for e in found)
            super().submit(command)

    assert lab.run(lab.tuner(lab.home, lab.Toy(limit=9), backend=Looking(good))).outcome == "done"


def test_a_time_limit_is_exact_in_simulated_time(lab: Any) -> None:
    """A report that comes after the limit does not count, however long before it the last event was."""

    def slow(start: Any) -> Any:
        return [Report({"epoch": i, "loss": 1.0}, 7.0) for i in range(1, 9)]

    lab.run(lab.tuner(lab.home, lab.Toy(), slow, stop_criterion=StoppingCriterion(max_wallclock_time=20), n_workers=2))
    counted = [e for e in lab.events(lab.home) if isinstance(e, ev.TrialResult) and e.verdict == "continue"]
    assert {e.at for e in counted} == {7.0, 14.0}
    closed = lab.events(lab.home)[-1]
    assert "20.0 s have passed" in closed.reason


def test_a_hanging_trial_in_simulated_time_ends_at_the_limit(lab: Any) -> None:
    outcome = lab.run(
        lab.tuner(lab.home, lab.Toy(), lambda s: [Hang()], stop_criterion=StoppingCriterion(max_wallclock_time=20))
    )
    assert outcome.outcome == "done"
    lab.check_closed(lab.home)
    ats = [e.at for e in lab.events(lab.home)]
    assert ats == sorted(ats)


def test_simulated_time_that_ends_under_running_trials_is_an_error_that_can_be_resumed(lab: Any) -> None:
    with pytest.raises(BackendFailed, match="simulated time has come to its end"):
        lab.run(lab.tuner(lab.home, lab.Toy(limit=2), lambda s: [Hang()]))
    resumed = Tuner.resume(
        "run", home=lab.home, trial_backend=ScriptedBackend(lambda s: [Report({"epoch": 1, "loss": 1.0})], adopts=False),
        scheduler=lab.Toy(limit=2), observers=[],
    )  # fmt: skip
    assert lab.run(resumed).outcome == "done"


def test_a_backend_that_cannot_start_does_not_use_the_name_up(lab: Any) -> None:
    class Broken(LoopBackend):
        @asynccontextmanager
        async def open(self, context: Any) -> AsyncIterator[Any]:
            raise BackendFailed("no such service")
            yield

    for _ in range(2):
        with pytest.raises(BackendFailed, match="no such service"):
            lab.run(lab.tuner(lab.home, lab.Toy(), backend=Broken()))
    assert lab.events(lab.home) == []
    assert lab.run(lab.tuner(lab.home, lab.Toy(limit=2))).outcome == "done"
    with pytest.raises(ExperimentExists):
        lab.run(lab.tuner(lab.home, lab.Toy(limit=2)))


def test_a_backend_that_cannot_start_on_resume_writes_nothing(lab: Any) -> None:
    class Broken(LoopBackend):
        @asynccontextmanager
        async def open(self, context: Any) -> AsyncIterator[Any]:
            raise BackendFailed("no such service")
            yield

    with pytest.raises(BackendFailed):
        lab.run(lab.tuner(lab.home, lab.Toy(limit=2), lambda s: [Hang()]))
    before = lab.events(lab.home)
    broken = Broken()
    with pytest.raises(InvalidArgument, match="was recorded with"):
        Tuner.resume("run", home=lab.home, trial_backend=broken, scheduler=lab.Toy(), observers=[])
    ScriptedBroken = type("ScriptedBackend", (Broken,), {"__module__": ScriptedBackend.__module__})
    with pytest.raises(BackendFailed, match="no such service"):
        lab.run(Tuner.resume("run", home=lab.home, trial_backend=ScriptedBroken(), scheduler=lab.Toy(), observers=[]))
    assert lab.events(lab.home) == before


@pytest.mark.parametrize("durability", ["commit", "batch"])
def test_a_backend_that_refuses_a_command_breaks_the_session_resumable(lab: Any, durability: Any) -> None:
    backend = LoopBackend()
    backend.fault = OSError("no more processes")
    with pytest.raises(BackendFailed, match="StartTrial for trial 0 failed with OSError: no more processes"):
        lab.run(lab.tuner(lab.home, lab.Toy(), backend=backend, durability=durability))
    lab.check_closed(lab.home)
    assert backend.closed == 1


def test_a_backend_whose_receive_fails_breaks_the_session_resumable(lab: Any) -> None:
    class Deaf(LoopBackend):
        async def receive(self) -> list[Any]:
            raise ConnectionError("gone")

    with pytest.raises(BackendFailed, match="ConnectionError: gone"):
        lab.run(lab.tuner(lab.home, lab.Toy(), backend=Deaf()))
    lab.check_closed(lab.home)


def test_a_flood_of_signals_leaves_the_loop_its_turn(lab: Any) -> None:
    """A backend that always has something: timers of the host still fire."""

    class Flood(LoopBackend):
        seq = 0

        def receive_nowait(self) -> list[Any]:
            if not self.commands:
                return []
            Flood.seq += 1
            return [Reported(0, 0, Flood.seq - 1, {"epoch": Flood.seq, "loss": 1.0})]  # type: ignore[arg-type]

    async def main() -> None:
        backend = Flood()
        tuner = lab.tuner(lab.home, lab.Toy(limit=1), backend=backend, durability="end", stop_criterion=None)
        async with tuner.session() as session:
            while not Flood.seq:
                await asyncio.sleep(0)
            session.stop()
            backend.tell(Ended(0, 0, "ended"))  # type: ignore[arg-type]
            Flood.receive_nowait = LoopBackend.receive_nowait  # type: ignore[method-assign]

    asyncio.run(main())
    lab.check_closed(lab.home)


def test_an_async_proposal_is_awaited_in_place_in_simulated_time(lab: Any) -> None:
    def make() -> Any:
        async def propose(request: Any, ledger: Any) -> Any:
            await asyncio.sleep(0)
            return Start(config={"rate": 0.5}) if len(ledger) < 9 else None

        return lab.Toy(None, propose)

    script = lab.script(function=lambda c, e: {"loss": c["rate"] / e})

    def short(start: Any) -> Any:
        return [Report({"epoch": 1, "loss": 1.0}, 1 + start.trial % 3)]

    lab.run(lab.tuner(lab.home, make(), short))
    lab.run(lab.tuner(lab.home, lab.Toy(limit=9), short, name="sync"))
    assert script
    assert lab.digest(lab.home) == lab.digest(lab.home, "sync")


@pytest.mark.parametrize("how", ["cancels itself", "exits", "hangs", "swallows cancellation"])
@pytest.mark.parametrize("time", ["real", "simulated"])
def test_a_proposal_may_do_anything_and_other_trials_go_on(lab: Any, how: str, time: str) -> None:
    calls = 0

    async def propose(request: Any, ledger: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            if how == "cancels itself":
                raise asyncio.CancelledError
            if how == "exits":
                raise SystemExit(1)
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    if how == "hangs" or calls > 9:
                        raise
        return Start(config={"rate": 0.5}) if len(ledger) < 9 else None

    backend = LoopBackend(good) if time == "real" else ScriptedBackend(lambda s: [Report({"epoch": 1, "loss": 1.0})])

    async def main() -> None:
        nonlocal calls
        outcome = await lab.tuner(lab.home, lab.Toy(None, propose), backend=backend, proposal_deadline=0.05).arun()
        assert outcome.outcome == "done"
        calls = 100

    asyncio.run(main())
    failed = [e for e in lab.events(lab.home) if isinstance(e, ev.PluginFailed)]
    assert len(failed) == 1
    assert failed[0].where == "propose(number=1)"
    lab.check_closed(lab.home)


def test_a_proposal_that_always_hangs_ends_the_session(lab: Any) -> None:
    async def propose(request: Any, ledger: Any) -> Any:
        await asyncio.sleep(3600)

    with pytest.raises(PluginFailed, match=r"no answer within 0.01 s"):
        lab.run(lab.tuner(lab.home, lab.Toy(None, propose), backend=LoopBackend(good), proposal_deadline=0.01))
    lab.check_closed(lab.home)


def test_a_proposal_under_way_when_the_run_is_stopped_is_given_up_without_a_warning(lab: Any) -> None:
    started = None

    async def propose(request: Any, ledger: Any) -> Any:
        started.set()
        await asyncio.sleep(3600)

    async def main() -> None:
        nonlocal started
        started = asyncio.Event()
        async with lab.tuner(lab.home, lab.Toy(None, propose), backend=LoopBackend(good)).session() as session:
            await started.wait()
            session.stop()

    asyncio.run(main())
    lab.check_closed(lab.home)


def test_a_proposal_never_awaited_leaves_no_warning(lab: Any) -> None:
    async def propose(request: Any, ledger: Any) -> Any:
        return None

    async def main() -> None:
        async with lab.tuner(lab.home, lab.Toy(None, propose), backend=LoopBackend(good)).session() as session:
            session.stop()

    asyncio.run(main())
    lab.check_closed(lab.home)


def test_a_second_engine_is_refused_at_once_and_told_who_holds_it(lab: Any) -> None:
    async def main() -> None:
        backend = LoopBackend()
        async with lab.tuner(lab.home, lab.Toy(), backend=backend).session():
            while not backend.commands:
                await asyncio.sleep(0)
            with pytest.raises(ExperimentLocked, match="being run by"):
                await lab.tuner(lab.home, lab.Toy(), backend=LoopBackend()).arun()
            other = type("LoopBackend", (LoopBackend,), {"__module__": LoopBackend.__module__})()
            with pytest.raises(ExperimentLocked, match="being run by"):
                await Tuner.resume("run", home=lab.home, trial_backend=other, scheduler=lab.Toy(), observers=[]).arun()

    asyncio.run(main())
    lab.check_closed(lab.home)


def test_a_full_disk_ends_the_trials_and_the_run_and_says_so(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    import offbeat.journal.writer as writer
    from offbeat.errors import JournalUnwritable

    original, count = writer.write_all, 0

    def full(fd: int, data: bytes) -> None:
        nonlocal count
        count += 1
        if count > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(fd, data)

    backend = LoopBackend(good)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_all", full)
        with pytest.raises(JournalUnwritable, match="No space left on device"):
            lab.run(lab.tuner(lab.home, lab.Toy(), backend=backend, stop_criterion=None))
    assert backend.closed == 1
    acknowledged = lab.events(lab.home)
    started = {e.trial for e in acknowledged if isinstance(e, ev.TrialStarted)}
    assert {c.trial for c in backend.commands if isinstance(c, StartTrial)} <= started
    again = type("LoopBackend", (LoopBackend,), {"__module__": LoopBackend.__module__})(good)
    resumed = Tuner.resume(
        "run", home=lab.home, trial_backend=again, scheduler=lab.Toy(limit=9), observers=[],
        stop_criterion=StoppingCriterion(max_num_trials_started=9),
    )  # fmt: skip
    assert lab.run(resumed).outcome == "done"
    lab.check_closed(lab.home)


def test_a_crashed_journal_can_be_resumed_at_any_event(lab: Any) -> None:
    """Not only at the borders of groups: whatever the last event is, the run goes on to the same end."""
    from offbeat.home import ExperimentFolder
    from offbeat.journal import Journal

    def run(home: Any) -> Any:
        return lab.tuner(home, lab.asha("promotion"), stop_criterion=StoppingCriterion(max_num_trials_started=6))

    lab.run(run(lab.home / "clean"))
    clean = lab.events(lab.home / "clean")
    expected = lab.digest(lab.home / "clean")
    for k in range(1, len(clean)):
        home = lab.home / str(k)
        (home / "run").mkdir(parents=True)
        with Journal.create(ExperimentFolder(home / "run")) as journal:
            journal.commit(clean[:k], sync=False)
        lab.run(Tuner.resume("run", home=home, trial_backend=ScriptedBackend(lab.script()), observers=[]))
        assert lab.digest(home) == expected, (k, clean[k - 1])
        lab.check_closed(home)


def test_resuming_twice_and_lost_attempts_run_again_as_the_next_attempt(lab: Any) -> None:
    with pytest.raises(BackendFailed):
        lab.run(lab.tuner(lab.home, lab.Toy(limit=2), lambda s: [Report({"epoch": 1, "loss": 1.0}), Hang()]))

    def script(start: Any) -> Any:
        return [Report({"epoch": e, "loss": 1.0}) for e in (1, 2)] if start.attempt else [Hang()]

    backend = ScriptedBackend(script, adopts=False)
    lab.run(Tuner.resume("run", home=lab.home, trial_backend=backend, scheduler=lab.Toy(limit=2), observers=[]))
    found = lab.events(lab.home)
    verdicts = [(e.attempt, e.verdict) for e in found if isinstance(e, ev.TrialResult) and e.trial == 0]
    assert verdicts == [(0, "continue"), (1, "repeat"), (1, "continue")]
    assert all(e.at >= 1.0 for e in found[found.index(next(e for e in found if isinstance(e, ev.TrialLost))) :])
    lab.check_closed(lab.home)


@pytest.mark.parametrize("later", [False, True])
def test_time_never_falls_within_a_session_or_from_one_to_the_next(lab: Any, later: bool) -> None:
    """A clock that has moved on whenever it is looked at: the times of events are in order all the same."""
    from offbeat.clock import ManualClock

    class Ticking(ManualClock):
        def monotonic(self) -> float:
            self.advance(0.25)
            return self.now

    class BadObserver:
        def start(self) -> None:
            raise ValueError

        def handle(self, events: Any) -> None: ...

    def propose(request: Any, ledger: Any) -> Any:
        return Start(config={"rate": 0.5}) if len(ledger) < 8 else None

    async def propose_later(request: Any, ledger: Any) -> Any:
        await asyncio.sleep(0)
        return propose(request, ledger)

    def make() -> Any:
        return lab.Toy(None, propose_later if later else propose)

    def backend() -> Any:
        return LoopBackend(good)

    options = {"clock": Ticking(), "observers": [BadObserver()]}
    lab.run(
        lab.tuner(
            lab.home, make(), backend=backend(), **options, stop_criterion=StoppingCriterion(max_num_trials_started=3)
        )
    )
    again = Tuner.resume(
        "run", home=lab.home, trial_backend=backend(), scheduler=make(), clock=Ticking(), observers=[BadObserver()],
        stop_criterion=StoppingCriterion(max_num_trials_started=6),
    )  # fmt: skip
    lab.run(again)
    ats = [event.at for event in lab.events(lab.home)]
    assert ats == sorted(ats)
    assert len(set(ats)) > 5


def test_end_is_imported_for_scripts(lab: Any) -> None:
    outcome = lab.run(
        lab.tuner(
            lab.home, lab.Toy(limit=4), lambda s: [Report({"epoch": 1, "loss": 1.0}), End("failed", "exit status 1")]
        )
    )
    assert outcome.outcome == "done"
