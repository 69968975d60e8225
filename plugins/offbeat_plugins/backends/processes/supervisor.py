"""The process above all trials of a run: takes orders from the engine, forks a shim for each attempt.

Run by an isolated interpreter: `python -I -S -X utf8 supervisor.py ORDERS`, where ORDERS is the descriptor of a datagram
socket and standard input is the lifeline, a socket that carries nothing. When the lifeline closes the engine is gone, and every
tree is ended. Standard library only, one thread: forking it is cheap and safe.
"""

# pathlib would double the start-up time of the supervisor.
# ruff: noqa: PTH100, PTH102, PTH103, PTH104, PTH108, PTH110, PTH112, PTH114, PTH118, PTH120, PTH123, PTH208
from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from typing import Any, Final

if __name__ == "__main__":
    # The isolated interpreter knows the standard library alone; it stays first.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from offbeat_plugins.backends.processes import tree
from offbeat_plugins.backends.processes.shim import Shim

LIFELINE: Final = 0
MESSAGE: Final = 1 << 18
"""Most bytes of an order."""


class Supervisor:
    """Keeps a control pipe to each shim, and ends whatever belongs to none."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._shims: dict[int, tuple[int, int]] = {}  # pid -> (key, write end of the control pipe)
        self._broken: list[int] = []  # keys whose shim was killed
        self._poll = select.poll()
        self._parent = os.getppid()
        self._serving = True
        self._strays_are_ours = tree.become_subreaper()
        # Signals sent to everybody at once (a terminal, a service manager) leave it to the engine to end the trials.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, _ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._wakeup = _wakeup_pipe()
        self._engine_fd = -1
        if hasattr(os, "pidfd_open"):
            # A child that the engine forked without exec may hold the lifeline open after its death.
            with contextlib.suppress(OSError):
                self._engine_fd = os.pidfd_open(self._parent)

    def run(self) -> None:
        """Until the engine is gone and every tree has ended."""
        for fd in (self._orders.fileno(), LIFELINE, self._wakeup, self._engine_fd):
            if fd >= 0:
                self._poll.register(fd, select.POLLIN)
        if os.getppid() != self._parent:
            self._engine_gone()
        while self._serving or self._shims or self._broken:
            ready = dict(self._poll.poll(50 if self._broken else None))
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
            if self._serving and self._orders.fileno() in ready:
                self._order()
            self._reap()
            if self._serving and (LIFELINE in ready or (self._engine_fd >= 0 and self._engine_fd in ready)):
                self._engine_gone()

    def _order(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._orders, MESSAGE, 1)
        if not data:
            return self._engine_gone()
        order: dict[str, Any] = json.loads(data)
        match order.get("op"):
            case "start":
                self._start(order, fds[0])
            case "stop":
                for key, control in self._shims.values():
                    if order["key"] is None or key == order["key"]:
                        _tell(control, order["grace"])
        return None

    def _start(self, order: dict[str, Any], report: int) -> None:
        os.set_inheritable(report, False)
        control, control_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self._become_shim(order, report, control, control_end)
            finally:
                os._exit(70)
        os.close(control)
        os.close(report)
        self._shims[pid] = (order["key"], control_end)

    def _become_shim(self, order: dict[str, Any], report: int, control: int, control_end: int) -> None:
        tree.become_subreaper()
        wakeup = _wakeup_pipe()
        # Whoever holds a copy of these would keep others waiting for their end.
        os.close(control_end)
        for _, other in self._shims.values():
            os.close(other)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, LIFELINE)
        os.close(null)
        if self._engine_fd >= 0:
            os.close(self._engine_fd)
        os.close(self._wakeup)
        Shim(order, report, control, self._orders, wakeup).run()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self._shims:
                key, control = self._shims.pop(pid)
                os.close(control)
                if status != 0:
                    self._broken.append(key)
        if self._broken:
            self._end_strays()

    def _end_strays(self) -> None:
        """A shim was killed: its trial's processes are ours now. Its end is told when they are gone."""
        strays = [pid for pid in tree.children(os.getpid()) if pid not in self._shims] if self._strays_are_ours else []
        for pid in strays:
            tree.send([*tree.descendants(pid), pid], signal.SIGKILL)
        if not strays:
            for key in self._broken:
                with contextlib.suppress(OSError):
                    self._orders.send(json.dumps({"ended": key, "lost": True}).encode())
            self._broken.clear()

    def _engine_gone(self) -> None:
        self._serving = False
        for fd in (self._orders.fileno(), LIFELINE, self._engine_fd):
            if fd >= 0:
                self._poll.unregister(fd)
        # A closed control pipe tells a shim all it needs to know.
        for pid, (key, control) in self._shims.items():
            os.close(control)
            self._shims[pid] = (key, os.open(os.devnull, os.O_WRONLY))


def _tell(control: int, grace: float) -> None:
    with contextlib.suppress(OSError):
        os.write(control, f"{grace}\n".encode())


def _ignored(number: int, frame: object) -> None:
    """A handler in Python is reset to the default in programs that are executed; an ignored signal would stay ignored."""


def _wakeup_pipe() -> int:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def main() -> None:
    """Serves the engine at the other end of the socket that the first argument names."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    supervisor = Supervisor(orders)
    # Objects that are never collected are never written to, so the shims share their memory.
    gc.disable()
    gc.freeze()
    supervisor.run()


if __name__ == "__main__":
    main()
