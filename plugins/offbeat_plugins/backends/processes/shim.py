"""The process above one attempt: starts it, owns its whole tree, ends it, and says how it ended. Standard library only.

Being the nearest subreaper, it inherits what the trial leaves behind (children with a session of their own, double
forks), so "no child left" means "the tree is gone". It is forked by the supervisor or, where modules are kept loaded, by
the fork server, and serves one attempt after the other: a fresh fork for each would cost 6 ms in copied pages.
"""

# pathlib would double the start-up time of the supervisor.
# ruff: noqa: PTH112, PTH118, PTH120, PTH123
from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time

from offbeat_plugins.backends.processes import folders, tree
from offbeat_plugins.backends.processes.output import Output

TYPE_CHECKING = False  # typing.TYPE_CHECKING would cost the import of typing, a third of the supervisor's start
if TYPE_CHECKING:
    from typing import Any, Final

    from offbeat_plugins.backends.processes.launch import Launch

LEFTOVER_GRACE: Final = 0.5
"""Seconds for what a trial left behind when it ended by itself."""
ORPHAN_GRACE: Final = 3.0
"""Most seconds for a trial whose engine or supervisor died."""
KILL_LIMIT: Final = 30.0
"""Seconds after which a process that survives SIGKILL (a hanging disk or driver) is not waited for any longer."""
KILL_INTERVAL: Final = 0.05

IDLE: Final = b"idle"
MESSAGE: Final = 1 << 18
"""Most bytes of an order."""


class _GiveUp(Exception):
    """The attempt was told to end before it was started."""


def serve(control: socket.socket, engine: socket.socket, wakeup: int, launch: Launch) -> None:
    """Runs attempts as they are ordered, until the supervisor is gone.

    Args:
        control: from the supervisor come orders to start, a report pipe with each, and `{"key", "grace"}` to end one;
            its end means that nobody is left whom a trial could serve. `IDLE` goes back, with what is to be told to the
            engine.
        engine: socket to the engine, written to only.
        wakeup: read end of the pipe that signals write to.
        launch: begins a trial's process.
    """
    while True:
        data, fds, _, _ = socket.recv_fds(control, MESSAGE, 1)
        if not data:
            return
        if not fds:
            continue  # the attempt that was to be ended has ended by itself
        attempt = _Attempt(json.loads(data), fds[0], control, engine, wakeup, launch)
        message = json.dumps(attempt.run()).encode()
        try:
            # In one piece with the news of being idle, and by the supervisor: if this process is killed now, it is either
            # known to have told how the attempt ended or known to have lost it; and what the engine orders in answer finds
            # it idle.
            control.send(IDLE + message)
        except OSError:
            # If the engine is gone, the tree has ended by the closed control socket.
            with contextlib.suppress(OSError):
                engine.send(message)
        if attempt.abandoned:
            return


class _Attempt:
    """One attempt, from its order to the end of its tree.

    Args:
        order: what `LocalSession` sent: key, trial, attempt, argv, env, unset, cwd, folder, config, clean, donor ...
        report: write end of the report pipe, owned from here on.

    Attributes:
        abandoned: processes that survive SIGKILL were left behind.
    """

    def __init__(  # noqa: PLR0917 - one caller, above
        self,
        order: dict[str, Any],
        report: int,
        control: socket.socket,
        engine: socket.socket,
        wakeup: int,
        launch: Launch,
    ) -> None:
        os.set_inheritable(report, False)
        self.abandoned = False
        self._order = order
        self._report = report
        self._control = control
        self._engine = engine
        self._wakeup = wakeup
        self._launch = launch
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(wakeup, select.POLLIN)
        self._main = -1
        self._status: int | None = None
        self._asked = False
        self._orphaned = False
        self._ending = False
        self._deadline: float | None = None
        self._give_up_at = float("inf")

    def run(self) -> dict[str, Any]:
        """Returns what is to be told about its end, when nothing of it is left."""
        error = ""
        try:
            with self._start() as output:
                self._watch(output)
                output.finish(self._control.fileno())
        except _GiveUp:
            pass
        except (OSError, ValueError, subprocess.SubprocessError) as problem:
            error = f"could not be started: {problem}"
        finally:
            os.close(self._report)
        return self._end_of_it(error)

    def _start(self) -> Output:
        order = self._order
        folder: str = order["folder"]
        trial_folder = os.path.dirname(folder)
        folders.make(trial_folder)
        folders.make(folder)
        checkpoints = os.path.join(trial_folder, folders.CHECKPOINTS)
        if order["clean"]:
            folders.remove(checkpoints)
        # A later attempt has a folder, unless the first one ended before its copy was complete.
        if order["donor"] is not None and not os.path.isdir(checkpoints):
            folders.copy(order["donor"], checkpoints, self._give_up_if_asked)
        if not os.path.isdir(checkpoints):
            folders.make(checkpoints)
        config = os.path.join(folder, "config.json")
        fd = folders.create(config)
        with open(fd, "w", encoding="utf-8") as written:
            written.write(order["config"])
        env = {name: value for name, value in os.environ.items() if name not in order["unset"]}
        env.update(order["env"])
        env.update(
            OFFBEAT_CONFIG=config,
            OFFBEAT_CHECKPOINT_DIR=checkpoints,
            OFFBEAT_REPORT_FD=str(self._report),
            OFFBEAT_REPORT_INODE=str(os.fstat(self._report).st_ino),
        )
        if os.path.isdir("/proc/self/fd"):
            env["OFFBEAT_REPORT_PATH"] = f"/proc/{os.getpid()}/fd/{self._report}"
        self._give_up_if_asked()
        stdout, stdout_end = os.pipe()
        output = Output(order, stdout, self._report)
        try:
            stderr = folders.create(os.path.join(folder, "stderr"))
            try:
                self._main = self._launch(order["argv"], order["cwd"], env, stdout_end, stderr, self._report)
            finally:
                os.close(stderr)
        except BaseException:
            os.close(stdout)
            raise
        finally:
            os.close(stdout_end)
        with contextlib.suppress(OSError):
            self._engine.send(json.dumps({"started": order["key"], "pid": self._main}).encode())
        self._poll.register(stdout, select.POLLIN)
        return output

    def _give_up_if_asked(self) -> None:
        if select.select((self._control,), (), (), 0)[0] and self._listen() is not None:
            self._asked = True
            raise _GiveUp

    def _watch(self, output: Output) -> None:
        """Until no process of the trial is left."""
        while True:
            wait = None if self._deadline is None else max(0.0, self._deadline - time.monotonic()) * 1000
            ready = dict(self._poll.poll(wait))
            if self._control.fileno() in ready and (grace := self._listen()) is not None:
                self._asked = self._asked or self._status is None
                self._end(grace)
            if output.fd in ready or self._report in ready:
                output.move(self._poll)
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
            if not self._reap():
                return
            now = time.monotonic()
            if self._deadline is not None and now >= self._deadline:
                if now > self._give_up_at:
                    self.abandoned = True
                    return
                self._kill(now)

    def _reap(self) -> bool:
        """Collects what has ended; False if nothing is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                break
            if pid == self._main:
                self._status = status
        if self._status is not None and not self._ending:
            self._end(LEFTOVER_GRACE)
        return True

    def _listen(self) -> float | None:
        """The grace within which this attempt is to end; None if that was said of an earlier one."""
        data = self._control.recv(MESSAGE)
        if not data:
            self._poll.unregister(self._control)
            self._orphaned = True
            return float(min(ORPHAN_GRACE, self._order["grace"]))
        wish = json.loads(data)
        return float(wish["grace"]) if wish["key"] == self._order["key"] else None

    def _end(self, grace: float) -> None:
        deadline = time.monotonic() + grace
        if not self._ending:
            self._ending = True
            if grace > 0:
                tree.ask_to_end(os.getpid())
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def _kill(self, now: float) -> None:
        self._give_up_at = min(self._give_up_at, now + KILL_LIMIT)
        tree.send(tree.descendants(os.getpid()), signal.SIGKILL)
        self._deadline = now + KILL_INTERVAL

    def _end_of_it(self, error: str) -> dict[str, Any]:
        message: dict[str, Any] = {
            "ended": self._order["key"],
            "status": self._status,
            "asked": self._asked,
            "orphaned": self._orphaned,
            "error": error,
        }
        if error or (self._status and not self._asked):
            message["detail"] = folders.tail(os.path.join(self._order["folder"], "stderr"))
        if self.abandoned:
            left = ", ".join(map(str, tree.descendants(os.getpid())))
            message["detail"] = f"These processes survived SIGKILL and were left behind: {left}."
        return message
