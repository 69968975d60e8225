"""What every backend has to hold to, as plain functions that raise an AssertionError which says what to mend.

The author supplies a `Maker`: a function that answers a backend whose trials behave in a stated way. Behaviours:

"counts"   reports {"epoch": n, "loss": 1 / n} for n from 1 (or from behind its checkpoint) to config["epochs"],
           saving n in its checkpoint before each report, then ends well
"endless"  the same without an end, 20 to 200 reports a second
"crashes"  reports once, then ends badly (a non-zero exit status, an exception)
"hangs"    reports once, then neither says anything nor ends
"garbage"  reports once, sends something unusable, reports again, ends well
"missing"  cannot even be started (the script was deleted); the backend itself can be made and opened
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import anyio

from offbeat.home import ExperimentFolder
from offbeat.protocols import Backend, BackendContext, BackendSession
from offbeat.signals import (
    BackendBroken,
    Ended,
    Garbled,
    PauseTrial,
    Reported,
    Signal,
    StartTrial,
    StopTrial,
)
from offbeat.trial import TrialId

Behaviour: TypeAlias = Literal["counts", "endless", "crashes", "hangs", "garbage", "missing"]
Maker: TypeAlias = Callable[[Behaviour, Path], Backend | None]
"""(behaviour, an empty folder to put scripts into) -> backend; None where the behaviour cannot be had."""

PATIENCE: Final = 60.0
"""Seconds without the expected signal after which a check fails; far more than anything takes."""


class NotApplicable(Exception):
    """The maker answered None for a behaviour."""


class Stage:
    """An opened backend and everything it has said so far.

    Attributes:
        session: the backend's; signals: all signals in the order of their arrival.
    """

    def __init__(self, session: BackendSession, *, simulated: bool) -> None:
        self.session = session
        self.signals: list[Signal] = []
        self._simulated = simulated

    def start(self, trial: int = 0, attempt: int = 0, *, slot: int = 0, epochs: int = 3, resume: bool = False) -> None:
        """Starts an attempt."""
        config = {"epochs": epochs, "lr": 0.1}
        self.session.submit(
            StartTrial(trial=TrialId(trial), attempt=attempt, config=config, slot=slot, resume=resume, seed=trial)
        )

    def stop(self, trial: int = 0, attempt: int = 0) -> None:
        """Stops it."""
        self.session.submit(StopTrial(TrialId(trial), attempt))

    def pause(self, trial: int = 0, attempt: int = 0) -> None:
        """Pauses it."""
        self.session.submit(PauseTrial(TrialId(trial), attempt))

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Takes signals in until the condition holds."""
        try:
            with anyio.fail_after(PATIENCE):
                while not condition():
                    await self.receive(what)
        except TimeoutError:
            raise AssertionError(f"waited {PATIENCE:g} s for {what}; signals so far: {self.signals}") from None

    async def receive(self, what: str) -> None:
        """Takes in the next signals."""
        found = self.session.receive_nowait()
        if not found:
            assert not self._simulated, f"simulated time came to its end before {what}; signals so far: {self.signals}"
            found = await self.session.receive()
            assert found, "receive() answered nothing; it has to wait for at least one signal"
        self.signals += found
        broken = [signal for signal in found if isinstance(signal, BackendBroken)]
        assert not broken, f"the backend gave up: {broken[0].reason}"

    def ended(self, trial: int = 0, attempt: int = 0) -> Ended | None:
        """How an attempt ended; None if it has not. Fails if it ended twice or said something afterwards."""
        own = [s for s in self.signals if not isinstance(s, BackendBroken) and (s.trial, s.attempt) == (trial, attempt)]
        ends = [signal for signal in own if isinstance(signal, Ended)]
        assert len(ends) <= 1, f"trial {trial}, attempt {attempt} ended {len(ends)} times: {ends}"
        assert not ends or own[-1] is ends[0], f"trial {trial} said {own[-1]} after its end; drain what it sent before"
        return ends[0] if ends else None

    async def end(self, trial: int = 0, attempt: int = 0) -> Ended:
        """Waits for an attempt's end."""
        await self.until(lambda: self.ended(trial, attempt) is not None, f"the end of trial {trial}, attempt {attempt}")
        ended = self.ended(trial, attempt)
        assert ended is not None
        return ended

    def reports(self, trial: int = 0, attempt: int = 0) -> list[Reported]:
        """Reports of an attempt, as they came."""
        return [s for s in self.signals if isinstance(s, Reported) and (s.trial, s.attempt) == (trial, attempt)]

    def epochs(self, trial: int = 0, attempt: int = 0) -> list[Any]:
        """Their epochs, checked to be numbered from 0 without a gap."""
        reports = self.reports(trial, attempt)
        assert [one.seq for one in reports] == list(range(len(reports))), (
            f"report numbers are not 0, 1, 2 ...: {reports}"
        )
        return [one.metrics.get("epoch") for one in reports]


@asynccontextmanager
async def stage(make: Maker, behaviour: Behaviour, folder: Path, *, n_workers: int = 2) -> AsyncIterator[Stage]:
    """A backend whose trials behave in a way, opened in a fresh experiment folder."""
    scripts = folder / f"scripts-{behaviour}"
    scripts.mkdir(exist_ok=True, parents=True)
    backend = make(behaviour, scripts)
    if backend is None:
        raise NotApplicable(f"there is no {behaviour!r} for this backend")
    home = ExperimentFolder(folder / "experiment")
    home.path.mkdir(exist_ok=True, mode=0o700)
    context = BackendContext(
        experiment="conformance", folder=home, n_workers=n_workers, grace=2.0, resource_attr="epoch"
    )
    async with backend.open(context) as session:
        yield Stage(session, simulated=backend.time == "simulated")


# --- the checks


async def check_reports_in_order_then_ends(make: Maker, folder: Path) -> None:
    """Every report once, in order, with the values that were sent; then one end, "finished"."""
    async with stage(make, "counts", folder) as on:
        on.start(epochs=5)
        ended = await on.end()
        assert on.epochs() == [1, 2, 3, 4, 5], f"epochs 1 to 5 were reported, {on.epochs()} arrived"
        assert [one.metrics["loss"] for one in on.reports()] == [1 / n for n in range(1, 6)]
        assert ended.how == "finished", f"a trial that ended well is {ended}"


async def check_many_trials_at_once(make: Maker, folder: Path) -> None:
    """Trials do not disturb each other."""
    async with stage(make, "counts", folder, n_workers=8) as on:
        for trial in range(8):
            on.start(trial, slot=trial, epochs=trial + 1)
        for trial in range(8):
            assert (await on.end(trial)).how == "finished"
            assert on.epochs(trial) == list(range(1, trial + 2)), f"trial {trial} reported {on.epochs(trial)}"


async def check_stop(make: Maker, folder: Path) -> None:
    """A stopped trial ends as "ended"; a second stop, a late pause, a stop of strangers or of the dead are harmless."""
    async with stage(make, "endless", folder) as on:
        on.stop(99)
        on.start()
        on.stop(0, 7)
        await on.until(lambda: bool(on.reports()), "the first report")
        on.stop()
        on.stop()
        on.pause()
        assert (await on.end()).how == "ended", f"a stopped trial is {on.ended()}"
        on.stop()
        on.pause()
        # Had one of these been harmful or answered, this trial's signals would not be all that comes.
        on.start(1, slot=1)
        await on.until(lambda: bool(on.reports(1)), "a report of the next trial")
        on.stop(1)
        await on.end(1)
        on.ended()
        strangers = [s for s in on.signals if not isinstance(s, BackendBroken) and s.trial not in (0, 1)]
        assert not strangers, f"a trial that never was has signals: {strangers}"


async def check_stop_of_one_that_hangs(make: Maker, folder: Path) -> None:
    """A trial that says nothing can be ended."""
    async with stage(make, "hangs", folder) as on:
        on.start()
        await on.until(lambda: bool(on.reports()), "the only report")
        on.stop()
        assert (await on.end()).how == "ended"


async def check_pause_and_resume(make: Maker, folder: Path) -> None:
    """Pause ends the attempt and keeps the checkpoint: the next attempt goes on behind it, counting reports from 0."""
    async with stage(make, "endless", folder) as on:
        on.start()
        await on.until(lambda: len(on.reports()) >= 2, "two reports")
        on.pause()
        assert (await on.end()).how == "ended", f"a paused trial is {on.ended()}"
        reached = on.epochs()[-1]
        on.start(0, 1, resume=True)
        await on.until(lambda: bool(on.reports(0, 1)), "a report of the resumed attempt")
        first = on.epochs(0, 1)[0]
        # What was saved but not yet reported, or reported and not read any more, may lie between.
        assert first > reached, (
            f"the checkpoint was at epoch {reached} at least, the resumed attempt began with {first}"
        )
        on.stop(0, 1)
        await on.end(0, 1)
        on.start(1, slot=1)
        await on.until(lambda: bool(on.reports(1)), "a report of a new trial")
        assert on.epochs(1)[0] == 1, "a new trial found another trial's checkpoint"
        on.stop(1)
        await on.end(1)


async def check_crash(make: Maker, folder: Path) -> None:
    """A trial that ends badly is "failed", with a reason, after its reports."""
    async with stage(make, "crashes", folder) as on:
        on.start()
        ended = await on.end()
        assert ended.how == "failed", f"a trial that ended badly is {ended}"
        assert ended.reason, (
            "Ended.reason is empty: say in one sentence what happened (exit status 1, killed by SIGKILL)"
        )
        assert on.epochs() == [1], f"it had reported epoch 1 before, {on.epochs()} arrived"


async def check_missing(make: Maker, folder: Path) -> None:
    """What cannot be started is an `Ended`, not an exception out of `submit`."""
    async with stage(make, "missing", folder) as on:
        on.start()
        ended = await on.end()
        assert ended.how == "failed", f"a trial that could not be started is {ended}"
        assert ended.reason, "Ended.reason is empty: name what is missing"


async def check_garbage(make: Maker, folder: Path) -> None:
    """An unusable line is `Garbled`, once, and harms neither the reports before nor those behind it."""
    async with stage(make, "garbage", folder) as on:
        on.start()
        assert (await on.end()).how == "finished"
        assert len(on.reports()) == 2, f"two good reports were sent, {on.reports()} arrived"
        garbled = [signal for signal in on.signals if isinstance(signal, Garbled)]
        assert sum(one.count for one in garbled) == 1, f"one unusable line was sent; signals: {on.signals}"
        assert garbled[0].reason, "Garbled.reason is empty"


async def check_interrupt(make: Maker, folder: Path) -> None:
    """`interrupt` called from another thread ends every attempt."""
    async with stage(make, "endless", folder) as on:
        on.start(0)
        on.start(1, slot=1)
        await on.until(lambda: bool(on.reports(0) and on.reports(1)), "reports of both trials")
        thread = threading.Thread(target=on.session.interrupt)
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
        for trial in range(2):
            ended = await on.end(trial)
            assert ended.how in ("ended", "failed"), f"an interrupted trial is {ended}"


async def check_cancelled_receive_loses_nothing(make: Maker, folder: Path) -> None:
    """`receive` may be cancelled at any time; no signal is lost by that, none comes twice."""
    async with stage(make, "counts", folder) as on:
        if on._simulated:
            raise NotApplicable("simulated time does not wait")
        on.start(epochs=40)
        session = on.session
        while on.ended() is None:
            receiving = asyncio.ensure_future(session.receive())
            for _ in range(3):
                await asyncio.sleep(0)
            # One that is done has its signals; one that is not must not take any with it.
            if receiving.done() or not receiving.cancel():
                on.signals += await receiving
            else:
                with contextlib.suppress(asyncio.CancelledError):
                    on.signals += await receiving
                await on.receive("the next signal")
        assert on.epochs() == list(range(1, 41)), f"epochs 1 to 40 were reported, {on.epochs()} arrived"


async def check_leaving_ends_everything(make: Maker, folder: Path) -> None:
    """Leaving the context ends what is alive, also if it hangs, and after an error inside."""
    for behaviour in ("endless", "hangs"):
        with contextlib.suppress(ZeroDivisionError):
            async with stage(make, behaviour, folder) as on:
                on.start(0)
                on.start(1, slot=1)
                await on.until(lambda: bool(on.reports(0) and on.reports(1)), "reports of both trials")
                raise ZeroDivisionError


def check_leaves_nothing_behind(make: Maker, folder: Path) -> None:
    """After all that no task, thread, child process or open file is left."""

    async def once(number: int) -> None:
        tasks = asyncio.all_tasks()
        await check_leaving_ends_everything(make, folder / str(number))
        await check_reports_in_order_then_ends(make, folder / f"{number}b")
        left = asyncio.all_tasks() - tasks
        assert not left, f"tasks are left behind: {left}"

    for number in range(3):
        (folder / str(number)).mkdir(parents=True)
        (folder / f"{number}b").mkdir()
    asyncio.run(once(0))  # what is made once and kept is made now
    before = resources()
    for number in range(1, 3):
        asyncio.run(once(number))
    for name, left in resources().items():
        more = [one for one in left if one not in before[name]]
        # Numbers of files may change; their count tells.
        assert len(left) <= len(before[name]), f"{name} are left behind: {more}"


def resources() -> dict[str, list[str]]:
    """Threads, child processes and open files of this process, as text; the latter two on Linux only."""
    gc.collect()
    found = {"threads": [thread.name for thread in threading.enumerate()]}
    tasks, files = Path("/proc/self/task"), Path("/proc/self/fd")
    if tasks.is_dir():
        children = [(task / "children").read_text().split() for task in tasks.iterdir() if (task / "children").exists()]
        found["child processes"] = [child for group in children for child in group]
        found["open files"] = []
        for file in files.iterdir():
            with contextlib.suppress(OSError):
                found["open files"].append(f"{file.name} -> {file.readlink()}")
    return found


Check: TypeAlias = Callable[[Maker, Path], Coroutine[Any, Any, None]]

CHECKS: Final[Sequence[Check]] = (
    check_reports_in_order_then_ends, check_many_trials_at_once, check_stop, check_stop_of_one_that_hangs,
    check_pause_and_resume, check_crash, check_missing, check_garbage, check_interrupt,
    check_cancelled_receive_loses_nothing, check_leaving_ends_everything,
)  # fmt: skip
