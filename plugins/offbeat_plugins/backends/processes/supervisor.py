"""The process above all trials of a run: takes orders from the engine, forks a shim for each attempt.

Run by an isolated interpreter: `python -I -S -X utf8 supervisor.py ORDERS`, where ORDERS is the descriptor of a
datagram socket and standard input is the lifeline, a socket that carries nothing. When the lifeline closes, the engine
is gone, and every tree is ended. Standard library only, one thread: forking it is cheap and safe.
"""

# pathlib would double the start-up time of the supervisor.
# ruff: noqa: PTH100
from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys

TYPE_CHECKING = False

if __name__ == "__main__":
    # The isolated interpreter knows the standard library alone; it stays first.
    sys.path.append(os.path.abspath(__file__).rsplit(os.sep, 4)[0])

from offbeat_plugins.backends.processes import tree  # noqa: E402 - found through the line above
from offbeat_plugins.backends.processes.shim import MESSAGE, serve  # noqa: E402

if TYPE_CHECKING:
    from typing import Any, Final

LIFELINE: Final = 0
PAIR: Final = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM


class Supervisor:
    """Hands each attempt to an idle shim or a new one, and ends whatever belongs to none."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._shims: dict[int, _Shim] = {}  # by process id
        self._broken: list[int] = []  # keys of attempts whose shim was killed
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
            for shim in self._shims.values():
                if shim.control.fileno() in ready:
                    shim.listen(self._poll)
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
                shim = next((shim for shim in self._shims.values() if shim.key is None), None) or self._new_shim()
                shim.start(order["key"], data, fds[0])
                os.close(fds[0])
            case "stop":
                for shim in self._shims.values():
                    if shim.key is not None and order["key"] in (None, shim.key):
                        shim.end(order["grace"])
        return None

    def _new_shim(self) -> _Shim:
        ours, theirs = socket.socketpair(socket.AF_UNIX, PAIR)
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                ours.close()
                self._become_shim(theirs)
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)
        theirs.close()
        self._poll.register(ours, select.POLLIN)
        shim = self._shims[pid] = _Shim(ours)
        return shim

    def _become_shim(self, control: socket.socket) -> None:
        tree.become_subreaper()
        wakeup = _wakeup_pipe()
        # Whoever holds a copy of these would keep others waiting for their end.
        for other in self._shims.values():
            other.control.close()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, LIFELINE)
        os.close(null)
        if self._engine_fd >= 0:
            os.close(self._engine_fd)
        os.close(self._wakeup)
        serve(control, self._orders, wakeup)

    def _reap(self) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self._shims:
                shim = self._shims.pop(pid)
                shim.listen(self._poll)
                shim.control.close()
                if shim.key is not None:
                    self._broken.append(shim.key)
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
        # A closed control socket tells a shim all it needs to know.
        for shim in self._shims.values():
            self._poll.unregister(shim.control)
            shim.control.close()


class _Shim:
    """The supervisor's end of one shim.

    Attributes:
        control: socket to it.
        key: of the attempt that it serves, None while it is idle.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.key: int | None = None

    def start(self, key: int, order: bytes, report: int) -> None:
        """Hands it an attempt."""
        self.key = key
        with contextlib.suppress(OSError):
            socket.send_fds(self.control, [order], [report])

    def end(self, grace: float) -> None:
        """Has it end its attempt."""
        with contextlib.suppress(OSError):
            self.control.send(json.dumps({"key": self.key, "grace": grace}).encode())

    def listen(self, poll: select.poll) -> None:
        """Notes that it is idle, or closes the socket of one that is gone."""
        if self.control.fileno() < 0:
            return
        try:
            told = self.control.recv(64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if told:
            self.key = None
        else:
            poll.unregister(self.control)
            self.control.close()


def _ignored(number: int, frame: object) -> None:
    """Does nothing. In executed programs a handler gives way to the default; an ignored signal would stay ignored."""


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
