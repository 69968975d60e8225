"""An opened SageMaker backend: commands become paced calls, listings and log lines become signals.

Three tasks run beside the jobs' own: one lists all jobs, one reads all logs, and one says that an attempt has ended once its
job is over and its last lines are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, Final, Literal

import msgspec

from offbeat.log import get_logger
from offbeat.protocols import Attempt
from offbeat.signals import (
    BackendBroken,
    Command,
    DeleteCheckpoints,
    Ended,
    Reported,
    Signal,
    StartTrial,
)
from offbeat.trial import TrialId
from offbeat_plugins.backends.training_jobs import listing
from offbeat_plugins.backends.training_jobs.calls import Refused, Service
from offbeat_plugins.backends.training_jobs.checkpoints import Checkpoints
from offbeat_plugins.backends.training_jobs.listing import Listing, Seen
from offbeat_plugins.backends.training_jobs.logs import Log, Numbered
from offbeat_plugins.backends.training_jobs.naming import Names
from offbeat_plugins.backends.training_jobs.requests import Template, Unpassable, request_for

QUIET: Final = 600.0
"""Seconds without news after which one job at a time is looked at closely."""

INFRASTRUCTURE: Final = ("InternalServerError", "CapacityError", "InsufficientInstanceCapacity")
"""How a FailureReason begins that is not the script's fault."""

PREEMPTED: Final = ("Interrupted", "MaxWaitTimeExceeded")


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The three services that are called."""

    sagemaker: Service
    logs: Service
    s3: Service


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds.

    Attributes:
        poll: between two readings of the log, and between two listings.
        settle: that lines may still arrive after a job's end.
    """

    poll: float = 5.0
    settle: float = 15.0


class Job:
    """One attempt.

    Attributes:
        asked: a request to create it may have arrived; exists: it is known to.
        told: what the engine has told it since.
        over: what AWS said when it ended; since: the loop's time then; passes: readings of the log begun since.
        news: the loop's time of the last change.
    """

    __slots__ = (
        "adopted",
        "asked",
        "exists",
        "name",
        "news",
        "numbered",
        "over",
        "passes",
        "reports",
        "since",
        "start",
        "told",
    )

    def __init__(self, start: StartTrial, name: str, now: float, *, adopted: bool) -> None:
        self.start, self.name = start, name
        self.numbered = Numbered(start.trial, start.attempt)
        self.asked = self.adopted = adopted
        self.exists = False
        self.told: Literal["", "stop", "pause"] = ""
        self.over: Seen | None = None
        self.since = 0.0
        self.passes = 0
        self.reports = 0
        self.news = now


class JobSession:
    """See `offbeat.protocols.BackendSession`. Enter it as a context before use."""

    def __init__(self, template: Template, names: Names, services: Services, timing: Timing, grace: float) -> None:
        self._template, self._names, self._services = template, names, services
        self._timing, self._grace = timing, grace
        self._checkpoints = Checkpoints(services.s3, template.checkpoints)
        self._listing = Listing(services.sagemaker, names.prefix)
        self._log = Log(services.logs, names.prefix)
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[str, Job] = {}
        self._signals: list[Signal] = []
        self._waiter: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._read = asyncio.Event()
        self._any = False  # whether a job of this session was ever accepted

    async def __aenter__(self) -> JobSession:
        self._spawn(self._list())
        self._spawn(self._follow())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close()

    # --- the engine's side

    def adopt(self, attempts: Sequence[Attempt]) -> Collection[TrialId]:
        """All of them: a job that runs on is followed, one that was never created is created now."""
        for attempt in attempts:
            job = self._add(attempt.start, adopted=True)
            job.told = attempt.command
            self._spawn(self._create(job))
        return [attempt.start.trial for attempt in attempts]

    def submit(self, command: Command) -> None:
        """Begins to carry out a command."""
        if isinstance(command, StartTrial):
            self._spawn(self._create(self._add(command, adopted=False)))
        elif isinstance(command, DeleteCheckpoints):
            self._spawn(self._delete(command.trial))
        else:
            job = self._jobs.get(self._names.job(command.trial, command.attempt))
            if job is not None and not job.told:
                job.told = "stop"
                if job.exists:
                    self._spawn(self._stop(job))
                elif not job.asked:
                    self._end(
                        job, Ended(job.start.trial, job.start.attempt, "ended", "stopped before its job was created")
                    )

    def receive_nowait(self) -> Sequence[Signal]:
        """Signals that are there, oldest first."""
        taken, self._signals = self._signals, []
        return taken

    async def receive(self) -> Sequence[Signal]:
        """Waits for at least one signal; cancelling it loses nothing."""
        while not self._signals:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.receive_nowait()

    def interrupt(self) -> None:
        """Asks AWS to stop all jobs, by a client of its own, since the loop may be stuck. From any thread."""
        from offbeat_plugins.backends.training_jobs.clients import stop_now

        alive = [job for job in list(self._jobs.values()) if job.asked]
        for job in alive:
            job.told = job.told or "stop"
        stop_now([job.name for job in alive])

    # --- one job

    def _add(self, start: StartTrial, *, adopted: bool) -> Job:
        job = Job(start, self._names.job(start.trial, start.attempt), self._loop.time(), adopted=adopted)
        self._jobs[job.name] = job
        return job

    async def _create(self, job: Job) -> None:
        start = job.start
        try:
            request = request_for(self._template, self._names, start)
        except Unpassable as error:
            self._fail(job, str(error))
            return
        try:
            if start.donor is not None and not job.adopted:
                await self._checkpoints.copy(start.donor, start.trial)
            if not await self._exists_already(job):
                if job.name not in self._jobs:
                    return
                job.asked = True
                await self._services.sagemaker("create_training_job", **request)
        except Refused as refused:
            if refused.code != "ResourceInUse" and "already exists" not in refused.text:
                self._refused(job, refused)
                return
            if not await self._ours(job):
                self._fail(
                    job, f"A training job {job.name!r} of somebody else's exists already: use another experiment name."
                )
                return
        job.exists, job.news, self._any = True, self._loop.time(), True
        if job.told:
            await self._stop(job)

    async def _exists_already(self, job: Job) -> bool:
        """An adopted job is looked for first: it may be over, and its name then cannot be created again."""
        if not job.adopted:
            return False
        seen = await self._listing.look(job.name)
        if seen is None:
            if job.start.donor is not None:
                await self._checkpoints.copy(job.start.donor, job.start.trial)
            if job.told:
                self._end(job, Ended(job.start.trial, job.start.attempt, "ended", "stopped before its job was created"))
            return False
        job.exists = True
        self._note(seen)
        return True

    async def _ours(self, job: Job) -> bool:
        try:
            answer = await self._services.sagemaker("describe_training_job", TrainingJobName=job.name)
            wanted = [(tag["Key"], tag["Value"]) for tag in self._names.tags(job.start.trial, job.start.attempt)]
            return await listing.tagged(self._services.sagemaker, answer["TrainingJobArn"], wanted)
        except Refused:
            return False

    async def _stop(self, job: Job) -> None:
        if job.over is not None:
            return
        try:
            await self._services.sagemaker("stop_training_job", TrainingJobName=job.name)
        except Refused as refused:
            # It has ended by itself meanwhile, which the listing will say.
            get_logger().debug("nothing to stop", job=job.name, why=str(refused))

    async def _delete(self, trial: TrialId) -> None:
        try:
            await self._checkpoints.delete(trial)
        except Refused as refused:
            # A checkpoint that cannot be deleted costs room, never the run.
            get_logger().warning("checkpoints stay in S3", trial=int(trial), why=str(refused))

    # --- all jobs

    async def _list(self) -> None:
        while True:
            if self._jobs:
                for seen in await self._listing.changed():
                    self._note(seen)
                await self._look_at_the_quietest()
            await asyncio.sleep(self._timing.poll)

    async def _look_at_the_quietest(self) -> None:
        now = self._loop.time()
        waiting = [job for job in self._jobs.values() if job.exists and job.over is None and now - job.news > QUIET]
        if waiting:
            job = min(waiting, key=lambda one: one.news)
            job.news = now
            seen = await self._listing.look(job.name)
            if seen is None:
                seen = Seen(name=job.name, status="Failed", reason="InternalServerError: the job is gone")
            self._note(seen)

    def _note(self, seen: Seen) -> None:
        job = self._jobs.get(seen.name)
        if job is None or job.over is not None:
            return
        job.news = self._loop.time()
        if seen.status in listing.OVER:
            job.exists = True
            job.over, job.since = seen, self._loop.time()
            self._spawn(self._settle(job))

    async def _follow(self) -> None:
        while True:
            if self._jobs:
                for job in self._jobs.values():
                    job.passes += job.over is not None
                for line in await self._log.read():
                    if (speaker := self._jobs.get(line.job)) is not None:
                        signal = speaker.numbered.take(line)
                        speaker.reports += isinstance(signal, Reported)
                        if speaker.over is not None:
                            speaker.since = self._loop.time()
                        self._push(signal)
                self._read.set()
                self._read = asyncio.Event()
            await asyncio.sleep(self._timing.poll)

    async def _settle(self, job: Job) -> None:
        """Waits for the last lines, then says that the attempt has ended."""
        seen = job.over
        if seen is None:
            return
        if seen.status == "Failed" and not seen.reason:
            seen = await self._listing.look(job.name) or seen
        while job.passes == 0 or self._loop.time() - job.since < self._timing.settle:
            read = self._read
            await read.wait()
        self._end(job, ended(job.start, seen, told=bool(job.told), reports=job.reports, resumed=job.start.resume))

    # --- signals

    def _refused(self, job: Job, refused: Refused) -> None:
        reason = f"SageMaker refused the training job. {refused}"
        if self._any:
            self._fail(job, reason)
        else:
            # Role, image or machine are wrong for every trial: failing them one after the other would help nobody.
            self._push(BackendBroken(f"{reason}. No job of this session was accepted: mend the template and resume."))

    def _fail(self, job: Job, reason: str) -> None:
        self._end(job, Ended(job.start.trial, job.start.attempt, "failed", reason))

    def _end(self, job: Job, signal: Ended) -> None:
        if self._jobs.pop(job.name, None) is job:
            self._push(signal)

    def _push(self, signal: Signal) -> None:
        self._signals.append(signal)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            text = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
            self._push(BackendBroken(self._services.sagemaker.redacted(text)))

    async def _close(self) -> None:
        """Stops what still runs. Jobs may take minutes to end: that they were told to is what is waited for."""
        alive = [job for job in self._jobs.values() if job.over is None and job.asked]
        stops = [asyncio.ensure_future(self._stop(job)) for job in alive if not job.told]
        for task in self._tasks:
            task.cancel()
        if stops:
            await asyncio.wait(stops, timeout=max(self._grace, 2.0 * len(stops)))
        for stop in stops:
            stop.cancel()


def ended(start: StartTrial, seen: Seen, *, told: bool, reports: int, resumed: bool) -> Ended:
    """What the end of a job means for its attempt."""
    trial, attempt = start.trial, start.attempt
    if told:
        return Ended(trial, attempt, "ended")
    if seen.status == "Completed":
        if reports == 0 and not resumed:
            what = "ended without a report: the script has to use offbeat's Reporter, or print `[tune-metric]: {json}`"
            return Ended(trial, attempt, "failed", what)
        return Ended(trial, attempt, "finished")
    if seen.secondary in PREEMPTED:
        return Ended(trial, attempt, "lost", f"preempted ({seen.secondary})")
    if seen.status == "Stopped":
        if seen.secondary == "MaxRuntimeExceeded":
            return Ended(trial, attempt, "failed", "longer than the template's MaxRuntimeInSeconds")
        return Ended(trial, attempt, "lost", "stopped by somebody else")
    reason = seen.reason or "the job failed"
    if reason.startswith(INFRASTRUCTURE):
        return Ended(trial, attempt, "lost", reason.partition("\n")[0][:300], reason)
    return Ended(trial, attempt, "failed", reason.partition("\n")[0][:300], reason)
