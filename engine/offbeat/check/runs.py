"""Runs of the script, through the local backend as in an experiment, each with all that could be seen of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from offbeat.check import watcher
from offbeat.check.checkpoints import Watch, files
from offbeat.check.plan import Plan
from offbeat.clock import SystemClock
from offbeat.home import ExperimentFolder
from offbeat.protocols import BackendContext, BackendSession
from offbeat.registry import load
from offbeat.signals import BackendBroken, Ended, Garbled, Reported, StartTrial, StopTrial
from offbeat.text import printable
from offbeat.trial import TrialId

How: TypeAlias = Literal["by itself", "kill", "stop", "given up"]
"""How a run ended: `kill` and `stop` are ours (SIGKILL, SIGTERM), `given up`: it was silent for too long."""

REAPING: Final = 60.0
"""Seconds beyond the grace after which the end of a process is not waited for."""


class Report(msgspec.Struct, frozen=True):
    """A usable report: its metrics, without those that the Reporter adds, and seconds since the run began."""

    metrics: dict[str, Any]
    at: float


class Run(msgspec.Struct, kw_only=True):
    """One attempt.

    Attributes:
        told: level up to which the script was told to run, None if it was not told.
        reports: in their order; garbled: reason -> (how many, a sample).
        how: see `How`; ended: how the backend saw the end, with its reason and the tail of stderr.
        late: how many of them came after the script was asked to end; took: seconds from then to its end.
        status: of the script itself, negative for a signal, None if it had to be killed with all its processes.
        left: processes that were there when the script had ended by itself.
        written, moved, read: names in the checkpoint folder, see `Watch`; None where that cannot be seen.
        files: those that lay there at the end.
    """

    attempt: int
    told: int | None
    reports: list[Report] = []
    garbled: dict[str, tuple[int, str]] = {}
    how: How = "by itself"
    ended: Ended | None = None
    late: int = 0
    took: float = 0.0
    seconds: float = 0.0
    status: int | None = None
    left: list[str] = []
    written: set[str] | None = None
    moved: set[str] | None = None
    read: set[str] | None = None
    files: dict[str, int] = {}

    @property
    def failed(self) -> bool:
        """Whether the script ended by itself and badly."""
        return self.how == "by itself" and (self.ended is None or self.ended.how != "finished")

    @property
    def missed(self) -> bool:
        """Whether the script had come to its own end before it could be interrupted."""
        return self.how == "by itself" or (self.how == "kill" and self.status == 0)

    @property
    def outcome(self) -> str:
        """How it ended in words, with the last line of stderr."""
        if self.ended is None:
            return "its end was not seen"
        how = self.ended.reason if self.ended.how != "finished" else "it ended well, exit status 0"
        lines = self.ended.detail.strip().splitlines()
        return f"{how} ({printable(lines[-1])})" if lines else how


class Lab:
    """An opened backend in which runs are made one after the other."""

    def __init__(self, plan: Plan, session: BackendSession, folder: ExperimentFolder) -> None:
        self.plan = plan
        self._session = session
        self._folder = folder
        self._clock = SystemClock()
        self._trials = count()

    def fresh(self) -> int:
        """The number of a trial that has not run yet."""
        return next(self._trials)

    def checkpoints(self, trial: int) -> Path:
        """The checkpoint folder of a trial."""
        return self._folder.checkpoints(trial)

    async def run(
        self,
        trial: int,
        attempt: int,
        config: dict[str, Any],
        *,
        told: int | None,
        enough: Callable[[Run], bool],
        end: Literal["kill", "stop"] = "stop",
    ) -> Run:
        """Runs an attempt until it ends, or `enough` holds of what it reported, when it is ended in one of two ways."""
        run = Run(attempt=attempt, told=told)
        folder = self.checkpoints(trial)
        folder.mkdir(parents=True, exist_ok=True)
        watch = Watch(folder)
        began = self._clock.monotonic()
        asked: float | None = None
        # `resume` in a first attempt too: the folder is there already, watched and empty.
        self._session.submit(
            StartTrial(trial=TrialId(trial), attempt=attempt, config=config, resume=True, seed=self.plan.seed)
        )
        try:
            while run.ended is None:
                # From the last report on: whatever else a script sends is no sign of training.
                heard = began + run.reports[-1].at if run.reports else began
                until = heard + self.plan.patience if asked is None else asked + self.plan.grace + REAPING
                try:
                    async with asyncio.timeout(until - self._clock.monotonic()):
                        signals = await self._session.receive()
                except TimeoutError:
                    if asked is not None:
                        break
                    run.how, signals = "given up", ()
                watch.look()
                now = self._clock.monotonic()
                for one in signals:
                    self._take(run, one, trial, now - began, late=asked is not None)
                if asked is None and run.ended is None and (run.how == "given up" or enough(run)):
                    asked = self._clock.monotonic()
                    self._end(run, trial, "stop" if run.how == "given up" else end)
        finally:
            watch.close()
        run.seconds = self._clock.monotonic() - began
        run.took = self._clock.monotonic() - asked if asked is not None else 0.0
        self._read_record(run, trial)
        if watch.seen:
            run.written, run.moved, run.read = watch.written, watch.moved, watch.read
        run.files = files(folder)
        return run

    def _take(self, run: Run, one: Any, trial: int, at: float, *, late: bool) -> None:
        if isinstance(one, BackendBroken):
            run.ended = Ended(TrialId(trial), run.attempt, "failed", one.reason)
        if getattr(one, "trial", None) != trial or getattr(one, "attempt", None) != run.attempt:
            return
        if isinstance(one, Reported):
            run.late += late
            own = {name: value for name, value in one.metrics.items() if not name.startswith("st_")}
            run.reports.append(Report(own, at))
        elif isinstance(one, Garbled):
            times, sample = run.garbled.get(one.reason, (0, one.sample))
            run.garbled[one.reason] = (times + one.count, sample)
        elif isinstance(one, Ended):
            run.ended = one

    def _end(self, run: Run, trial: int, end: Literal["kill", "stop"]) -> None:
        if run.how != "given up":
            run.how = end
        if end == "kill":
            # The script alone, as a machine without memory or a careless hand does it; its children are the backend's work.
            pid = self._record(run, trial).get("pid")
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        self._session.submit(StopTrial(TrialId(trial), run.attempt))

    def _record(self, run: Run, trial: int) -> dict[str, Any]:
        path = self._folder.attempt(trial, run.attempt) / watcher.RECORD
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def _read_record(self, run: Run, trial: int) -> None:
        record = self._record(run, trial)
        run.status, run.left = record.get("status"), record.get("left", [])


@asynccontextmanager
async def lab(plan: Plan, folder: Path) -> AsyncIterator[Lab]:
    """Opens the local backend with the watcher above the script. Raises InvalidArgument as the backend does."""
    options = dict(plan.backend)
    backend = load("offbeat.backends", "offbeat:local")
    given = options.pop("binary", None)
    above = [sys.executable, "-I", str(Path(watcher.__file__))]
    if given is None:
        # Asks the backend what is wrong with the script, if anything is: behind the watcher it would not be seen.
        backend(plan.script, **options)
        runner = [sys.executable] if plan.script.suffix == ".py" else []
    else:
        backend(plan.script, binary=given, **options)
        runner = [given] if isinstance(given, str) else list(given)
    made = backend(plan.script, binary=[*above, *runner], **options)
    place = ExperimentFolder(folder)
    context = BackendContext(
        experiment="check", folder=place, n_workers=1, grace=plan.grace, resource_attr=plan.resource_attr
    )
    async with made.open(context) as session:
        yield Lab(plan, session, place)
