"""The process above one attempt: starts it, owns its whole tree, ends it, and says how it ended. Standard library only.

It is forked by the supervisor and lives as long as anything of the trial does. Being the nearest subreaper, it inherits
whatever the trial leaves behind (children with a session of their own, double forks), so "no child left" means "the tree is
gone".
"""

# pathlib would double the start-up time of the supervisor.
# ruff: noqa: PTH100, PTH102, PTH103, PTH104, PTH108, PTH110, PTH112, PTH114, PTH118, PTH120, PTH123, PTH208
from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from typing import Any, Final, NoReturn

from offbeat_plugins.backends.processes import folders, tree

LEFTOVER_GRACE: Final = 0.5
"""Seconds for what a trial left behind when it ended by itself."""
ORPHAN_GRACE: Final = 3.0
"""Most seconds for a trial whose engine or supervisor died."""
KILL_LIMIT: Final = 30.0
"""Seconds after which a process that survives SIGKILL (a hanging disk or driver) is not waited for any longer."""
KILL_INTERVAL: Final = 0.05

MARK: Final = b"[tune-metric]:"
LINE_LIMIT: Final = 64 * 1024
# A pipe that polls as writable takes this much without blocking.
ATOMIC: Final = 4096


class _GiveUp(Exception):
    """The attempt was told to end before it was started."""


class Shim:
    """One attempt.

    Args:
        order: what `LocalSession` sent: key, trial, attempt, argv, env, unset, cwd, folder, config, clean, donor, grace.
        report: write end of the report pipe.
        control: read end of the supervisor's pipe: one line for each wish to end, the seconds of grace in it; its end
            means that nobody is left whom the trial could serve.
        engine: socket to the engine, written to only.
        wakeup: read end of the pipe that signals write to.
    """

    def __init__(self, order: dict[str, Any], report: int, control: int, engine: socket.socket, wakeup: int) -> None:
        self._order = order
        self._report = report
        self._control = control
        self._engine = engine
        self._wakeup = wakeup
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(wakeup, select.POLLIN)
        self._main = -1
        self._status: int | None = None
        self._asked = False
        self._alone = False
        self._ending = False
        self._deadline: float | None = None
        self._given_up = float("inf")
        self._killed_by_us = False
        self._output: _Output | None = None

    def run(self) -> NoReturn:
        """Never returns."""
        error = ""
        try:
            self._start()
        except _GiveUp:
            pass
        except (OSError, ValueError, subprocess.SubprocessError) as problem:
            error = f"could not be started: {problem}"
        else:
            self._watch()
            if self._output is not None:
                self._output.finish(self._poll, self._control)
        self._tell_end(error)
        os._exit(0)

    def _start(self) -> None:
        order = self._order
        folder: str = order["folder"]
        trial_folder = os.path.dirname(folder)
        folders.make(trial_folder)
        folders.make(folder)
        checkpoints = os.path.join(trial_folder, folders.CHECKPOINTS)
        if order["clean"]:
            folders.remove(checkpoints)
        if order["donor"] is not None:
            folders.copy(order["donor"], checkpoints, self._give_up_if_asked)
        if not os.path.isdir(checkpoints):
            folders.make(checkpoints)
        config = os.path.join(folder, "config.json")
        fd = folders.create(config)
        with open(fd, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(order["config"])
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
        stdout_file = folders.create(os.path.join(folder, "stdout"))
        stderr = folders.create(os.path.join(folder, "stderr"))
        process = subprocess.Popen(
            order["argv"],
            stdin=subprocess.DEVNULL,
            stdout=stdout_end,
            stderr=stderr,
            cwd=order["cwd"],
            env=env,
            pass_fds=(self._report,),
            start_new_session=True,
        )
        self._main = process.pid
        # The exit status is collected below, together with that of every other child.
        process.returncode = 0
        os.close(stdout_end)
        os.close(stderr)
        self._output = _Output(order, stdout, stdout_file, self._report)
        self._poll.register(stdout, select.POLLIN)
        self._tell({"started": order["key"], "pid": self._main})

    def _give_up_if_asked(self) -> None:
        readable = select.poll()
        readable.register(self._control, select.POLLIN)
        if readable.poll(0):
            self._asked = True
            raise _GiveUp

    def _watch(self) -> None:
        """Until no process of the trial is left."""
        output = self._output
        assert output is not None
        while True:
            wait = None if self._deadline is None else max(0.0, self._deadline - time.monotonic()) * 1000
            ready = dict(self._poll.poll(wait))
            if self._control in ready:
                self._listen()
            if output.fd in ready or self._report in ready:
                output.move(self._poll)
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
            if not self._reap():
                return
            now = time.monotonic()
            if self._deadline is not None and now >= self._deadline:
                if now > self._given_up:
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

    def _listen(self) -> None:
        text = os.read(self._control, 4096)
        if text:
            self._asked = self._asked or self._status is None
            self._end(min(map(float, text.split())))
        else:
            self._poll.unregister(self._control)
            self._alone = True
            self._end(min(ORPHAN_GRACE, self._order["grace"]))

    def _end(self, grace: float) -> None:
        deadline = time.monotonic() + grace
        if not self._ending:
            self._ending = True
            if grace > 0:
                tree.ask_to_end(os.getpid())
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def _kill(self, now: float) -> None:
        if self._given_up == float("inf"):
            self._given_up = now + KILL_LIMIT
        tree.send(tree.descendants(os.getpid()), signal.SIGKILL)
        self._deadline = now + KILL_INTERVAL

    def _tell_end(self, error: str) -> None:
        message: dict[str, Any] = {
            "ended": self._order["key"],
            "status": self._status,
            "asked": self._asked,
            "error": error,
        }
        if error or (self._status and not self._asked):
            message["detail"] = folders.tail(os.path.join(self._order["folder"], "stderr"))
        if self._given_up < time.monotonic():
            left = ", ".join(map(str, tree.descendants(os.getpid())))
            message["detail"] = f"These processes survived SIGKILL and were left behind: {left}."
        self._tell(message)

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self._engine.send(json.dumps(message).encode())
        except OSError:
            pass  # the engine is gone; the tree ends by the closed control pipe


class _Output:
    """A trial's standard output on its way to its file; Syne Tune's lines in it become reports."""

    def __init__(self, order: dict[str, Any], fd: int, file: int, report: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._file = file
        self._report = report
        self._head = f'{{"v":1,"trial":{order["trial"]},"attempt":{order["attempt"]},"seq":'
        self._seq = 0
        self._rest = b""
        self._pending = b""

    def move(self, poll: select.poll) -> bool:
        """Takes what is there; False at the end of the stream. Reads no further while reports cannot be passed on."""
        if self._pending:
            self._pass_on(poll)
            return True
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return True
        if not data:
            poll.unregister(self.fd)
            return False
        self._store(data)
        self._scan(data)
        if self._pending:
            poll.unregister(self.fd)
            poll.register(self._report, select.POLLOUT)
        return True

    def finish(self, poll: select.poll, control: int) -> None:
        """The tree is gone: moves what is left in the pipe. Gives up if supervisor or engine are gone too."""
        quick = select.poll()
        while True:
            while self._pending:
                quick.register(self._report, select.POLLOUT)
                quick.register(control, select.POLLIN)
                ready = dict(quick.poll())
                if ready.get(control, 0) & select.POLLHUP:
                    return
                self._write_pending()
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                data = b""
            if not data:
                if self._rest:
                    self._scan(b"\n")
                    continue
                break
            self._store(data)
            self._scan(data)
        os.close(self._file)

    def _store(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            pass  # a full disk costs the log, not the trial

    def _scan(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            # Passed on in part, it is counted as garbage; without a mark it is no report at all.
            lines.append(self._rest[:LINE_LIMIT] if MARK in self._rest else b"")
            self._rest = b""
        for line in lines:
            start = line.find(MARK)
            if start >= 0:
                metrics = line[start + len(MARK) :].strip()
                self._pending += f'{self._head}{self._seq},"metrics":'.encode() + metrics + b"}\n"
                self._seq += 1

    def _pass_on(self, poll: select.poll) -> None:
        self._write_pending()
        if not self._pending:
            poll.unregister(self._report)
            poll.register(self.fd, select.POLLIN)

    def _write_pending(self) -> None:
        try:
            self._pending = self._pending[os.write(self._report, self._pending[:ATOMIC]) :]
        except OSError:
            self._pending = b""  # nobody reads any more
