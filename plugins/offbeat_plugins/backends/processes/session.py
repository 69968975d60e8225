"""An opened local backend: commands become orders to the supervisor, pipes and messages become signals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import anyio

from offbeat.errors import InvalidArgument
from offbeat.protocols import Attempt, BackendContext
from offbeat.signals import BackendBroken, Command, DeleteCheckpoints, Ended, Reported, Saved, Signal, StartTrial
from offbeat.trial import TrialId
from offbeat_plugins.backends.command import Unpassable, command, thread_limits
from offbeat_plugins.backends.gpus import GpuPool, environment_for
from offbeat_plugins.backends.processes import folders, preloading, tree
from offbeat_plugins.backends.processes.attempt import Running
from offbeat_plugins.backends.processes.endings import end_of
from offbeat_plugins.backends.processes.link import Link
from offbeat_plugins.backends.processes.options import Options, Preload
from offbeat_plugins.backends.wire import Rejection

UNDELIVERED: Final = 10_000
"""Signals waiting for the engine, beyond which report pipes are left to fill up."""
INTERRUPT_GRACE: Final = 0.5
PATIENCE: Final = 40.0
"""Seconds beyond the grace after which closing no longer waits for processes that cannot be killed."""


def token(folder: Path) -> str:
    """What the environment of every trial of this experiment begins its `OFFBEAT_TOKEN` with."""
    return blake2b(os.fsencode(folder), digest_size=12).hexdigest() + ":"


class LocalSession:
    """What `LocalBackend.open` gives; see `offbeat.protocols.BackendSession`.

    Attributes:
        pids: process ids of the attempts' main processes, by trial, from their start until they have ended.
        fork_server: process id of the fork server, None where no modules are kept loaded.
    """

    def __init__(self, options: Options, context: BackendContext, gpus: GpuPool) -> None:
        self.pids: dict[TrialId, int] = {}
        self.fork_server: int | None = None
        self._options = options
        self._context = context
        self._gpus = gpus
        self._folder = Path(context.folder.path).absolute()
        self._token = token(self._folder)
        self._limits = thread_limits(options.num_threads, context.n_workers, {**os.environ, **options.env})
        self._loop = asyncio.get_running_loop()
        self._signals: deque[Signal] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._running: dict[int, Running] = {}
        self._by_trial: dict[TrialId, Running] = {}
        self._keys = 0
        self._paused = False
        self._broken = False
        self._interrupted = False
        self._gone: asyncio.Event = asyncio.Event()
        self._preloaded: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        #: Deletes and measures, in the order in which it was told to.
        self._disk = ThreadPoolExecutor(1, "offbeat-checkpoints")
        self._to_measure: set[TrialId] = set()
        self._sizes: dict[TrialId, tuple[int, int]] = {}
        #: Attempt -> trial that it copies from, until the copy is there; and whose checkpoints go as soon as nobody copies.
        self._copying: dict[int, TrialId] = {}
        self._doomed: set[TrialId] = set()
        self._link = Link(self._message, self._supervisor_died, self._nobody_left)

    async def preload(self, wish: Preload) -> None:
        """Has modules imported, from which all attempts are forked. Before the first of them.

        Raises InvalidArgument for modules with which that is not possible.
        """
        variables = {**self._limits, **self._options.env, "OFFBEAT_TOKEN": f"{self._token}preload"}
        self._link.send(preloading.order(wish, self._options, self._folder, variables))
        try:
            async with asyncio.timeout(preloading.LIMIT):
                answer = await self._preloaded
        except TimeoutError:
            answer = {"preloaded": f"this has taken more than {preloading.LIMIT:g} s"}
        if answer["preloaded"]:
            raise InvalidArgument(preloading.complaint(answer, wish, self._folder))

    # --- the engine's side

    def adopt(self, attempts: Sequence[Attempt]) -> Collection[TrialId]:
        """None: no trial outlives the engine that started it."""
        return ()

    def resize(self, n_workers: int) -> None:
        """Trials that start from here on share the cores among so many."""
        self._limits = thread_limits(self._options.num_threads, n_workers, {**os.environ, **self._options.env})

    def submit(self, command: Command) -> None:
        """Begins to carry out a command."""
        if isinstance(command, StartTrial):
            if not self._broken:
                self._start(command)
        elif isinstance(command, DeleteCheckpoints):
            self._delete(command.trial)
        else:
            running = self._by_trial.get(command.trial)
            if running is not None and running.start.attempt == command.attempt:
                running.commanded = True
                self._end(running, self._context.grace)

    def receive_nowait(self) -> Sequence[Signal]:
        """Signals that are there, oldest first."""
        if not self._signals:
            return ()
        taken = list(self._signals)
        self._signals.clear()
        if self._paused:
            self._paused = False
            for running in self._running.values():
                running.listen()
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
        """Ends all attempts at once: SIGTERM, half a second, SIGKILL. From any thread."""
        self._interrupted = True
        self._link.send_at_once({"op": "stop", "key": None, "grace": min(INTERRUPT_GRACE, self._context.grace)})

    async def close(self) -> None:
        """Ends what still runs, within the grace; cancelled meanwhile, at once. Leaves no process and no descriptor."""
        cancelled: asyncio.CancelledError | None = None
        for running in self._running.values():
            running.commanded = True
        self._link.send({"op": "stop", "key": None, "grace": self._context.grace})
        patience = self._loop.call_later(self._context.grace + PATIENCE, self._nobody_left)
        with anyio.CancelScope(shield=True):
            while self._running:
                # Set whenever no attempt is left, so also long before the one that runs now.
                self._gone.clear()
                try:
                    await self._gone.wait()
                except asyncio.CancelledError as again:
                    cancelled = again
                    self.interrupt()
            patience.cancel()
            try:
                await self._link.close()
            except asyncio.CancelledError as again:
                cancelled = again
            if self._broken:
                # Shims may have been killed together with the supervisor; what they kept is found by its token.
                await anyio.to_thread.run_sync(end_strays, self._folder)
            await anyio.to_thread.run_sync(self._disk.shutdown)
        self._wake()
        if cancelled is not None:
            raise cancelled

    # --- starting and ending

    def _start(self, start: StartTrial) -> None:
        folder = self._folder / "trials" / str(int(start.trial)) / str(int(start.attempt))
        try:
            argv, env = command(self._options.base, start.config, self._options.config_as, str(folder / "config.json"))
            reading, writing = os.pipe()
        except (Unpassable, OSError) as problem:
            self._push(Ended(start.trial, start.attempt, "failed", f"could not be started: {problem}"))
            return
        os.set_blocking(reading, False)
        self._keys += 1
        gpus = self._gpus.acquire()
        running = Running(self._keys, start, reading, gpus, self._deliver, self._over_limit, self._options)
        order = {
            "op": "start",
            "key": running.key,
            "trial": int(start.trial),
            "attempt": int(start.attempt),
            "argv": argv,
            "cwd": self._options.cwd,
            "folder": str(folder),
            "config": json.dumps(start.config),
            "clean": start.attempt == 0 and not start.resume,
            "donor": None if start.donor is None else str(self._checkpoints(start.donor)),
            "grace": self._context.grace,
            "unset": self._options.unset(),
            "env": {**self._limits, **self._options.env, **env, **environment_for(gpus), **self._names(start)},
        }
        self._running[running.key] = self._by_trial[start.trial] = running
        if start.donor is not None:
            self._copying[running.key] = start.donor
        if not self._paused:
            running.listen()
        try:
            self._link.send(order, writing)
        except OSError as problem:
            self._ended(running, {"error": f"could not be started: its configuration is too long ({problem})"})

    def _names(self, start: StartTrial) -> dict[str, str]:
        return {
            "OFFBEAT_TRIAL": str(int(start.trial)),
            "OFFBEAT_ATTEMPT": str(int(start.attempt)),
            "OFFBEAT_SEED": str(int(start.seed)),
            "OFFBEAT_GRACE": f"{self._context.grace:g}",
            "OFFBEAT_TOKEN": f"{self._token}{int(start.trial)}:{int(start.attempt)}",
        }

    def _checkpoints(self, trial: TrialId) -> Path:
        return self._folder / "trials" / str(int(trial)) / folders.CHECKPOINTS

    def _end(self, running: Running, grace: float) -> None:
        self._link.send({"op": "stop", "key": running.key, "grace": grace})

    def _over_limit(self, running: Running, grace: float) -> None:
        self._end(running, min(grace, self._context.grace))

    def _copy_is_over(self, key: int) -> None:
        donor = self._copying.pop(key, None)
        if donor is not None and donor in self._doomed and donor not in self._copying.values():
            self._doomed.discard(donor)
            self._delete(donor)

    def _delete(self, trial: TrialId) -> None:
        if trial in self._copying.values():
            self._doomed.add(trial)
            return
        path = str(self._checkpoints(trial))
        # Here and now: the trial's next attempt may be started at once, and must find it gone.
        with contextlib.suppress(OSError):
            folders.set_aside(path)
        self._disk.submit(folders.sweep, path)

    def _measure(self, running: Running) -> None:
        """Has the trial's checkpoints measured, unless that waits to be done already."""
        start = running.start
        if self._context.checkpoint_sizes and start.trial not in self._to_measure:
            self._to_measure.add(start.trial)
            self._disk.submit(self._measured, start, str(self._checkpoints(start.trial)))

    def _measured(self, start: StartTrial, path: str) -> None:
        """In the thread: what is written from here on is for the next time."""
        self._to_measure.discard(start.trial)
        size = folders.size(path)
        self._loop.call_soon_threadsafe(self._tell_size, Saved(start.trial, start.attempt, size))

    def _tell_size(self, saved: Saved) -> None:
        if not self._broken and self._sizes.get(saved.trial) != (saved.attempt, saved.size):
            self._sizes[saved.trial] = (saved.attempt, saved.size)
            self._push(saved)

    # --- the trials' side

    def _message(self, message: dict[str, Any]) -> None:
        if "preloaded" in message:
            self.fork_server = message.get("pid")
            if not self._preloaded.done():
                self._preloaded.set_result(message)
        elif "started" in message:
            self._copy_is_over(message["started"])
            running = self._running.get(message["started"])
            if running is not None:
                self.pids[running.start.trial] = message["pid"]
                running.started()
        elif (running := self._running.get(message["ended"])) is not None:
            if message.get("orphaned"):
                self._supervisor_died()
            self._ended(running, message)

    def _ended(self, running: Running, message: dict[str, Any]) -> None:
        running.close()
        self._gpus.release(running.gpus)
        del self._running[running.key]
        self._copy_is_over(running.key)
        start = running.start
        if self._by_trial.get(start.trial) is running:
            del self._by_trial[start.trial]
            self.pids.pop(start.trial, None)
        self._measure(running)
        if not self._broken:
            self._push(end_of(running, message, interrupted=self._interrupted, no_report=self._options.no_report))
        if not self._running:
            self._gone.set()

    def _deliver(self, running: Running, outcome: Sequence[Reported | Rejection]) -> None:
        """What one read of a report pipe brought."""
        for one in outcome:
            if type(one) is Reported:
                running.heard_at = self._loop.time()
                if not self._broken:
                    self._signals.append(one)
                    self._measure(running)
            else:
                running.garbage.add(one)  # type: ignore[arg-type]
        if running.garbage:
            self._signals += running.show_garbage()
        if len(self._signals) > UNDELIVERED and not self._paused:
            self._paused = True
            for other in self._running.values():
                other.ignore()
        self._wake()

    def _supervisor_died(self) -> None:
        # A shim may tell of it before the supervisor's own lifeline does.
        if self._broken:
            return
        self._broken = True
        words = self._link.last_words()
        reason = "the process that supervises the trials was killed; all trials were ended"
        reason = f"{reason}: {words}" if words else reason
        self._push(BackendBroken(reason))
        if not self._preloaded.done():
            self._preloaded.set_result({"preloaded": reason})

    def _nobody_left(self) -> None:
        for running in list(self._running.values()):
            running.close()
            self._gpus.release(running.gpus)
        self._running.clear()
        self._by_trial.clear()
        self.pids.clear()
        self._gone.set()

    def _push(self, signal: Signal) -> None:
        self._signals.append(signal)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done() and self._signals:
            waiter.set_result(None)


def end_strays(folder: Path) -> int:
    """Kills what an earlier session of this experiment left behind, and waits for its end; returns how many there were.

    Only for the holder of the experiment's lock, with no trial of its own running. Not for the event loop.
    """
    count = 0
    wanted = token(Path(folder).absolute()).encode()
    while strays := tree.holding(wanted, {os.getpid(), os.getppid()}):
        count += len(strays)
        tree.kill_and_wait(strays)
    return count
