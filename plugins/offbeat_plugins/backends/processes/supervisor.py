"""The process above all trials of a run: takes orders from the engine, has a shim for each attempt.

Run by an isolated interpreter: `python -I -S -X utf8 supervisor.py ORDERS`, where ORDERS is the descriptor of a
datagram socket and standard input is the lifeline, a socket that carries nothing. When the lifeline closes, the engine
is gone, and every tree is ended. Standard library only, one thread: forking it is cheap and safe.

Where the engine wishes modules to be kept loaded, shims are forked by the fork server instead, twice, so that they become
children of this process all the same: it is the nearest subreaper.
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
from offbeat_plugins.backends.processes.handles import PAIR, ForkServer, Shim  # noqa: E402
from offbeat_plugins.backends.processes.launch import run_program  # noqa: E402
from offbeat_plugins.backends.processes.shim import MESSAGE, serve  # noqa: E402
from offbeat_plugins.backends.processes.wakeups import handle_signals, wakeup_pipe  # noqa: E402

if TYPE_CHECKING:
    from typing import Any, Final

LIFELINE: Final = 0
ASKED: Final = 3
"""How often the fork server is asked for one shim, if it dies over it."""


class Supervisor:
    """Hands each attempt to an idle shim or a new one, and ends whatever belongs to none."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._shims: list[Shim] = []
        self._broken: list[int] = []  # keys of attempts whose shim was killed
        self._fork_server: ForkServer | None = None
        self._poll = select.poll()
        self._parent = os.getppid()
        self._serving = True
        self._strays_are_ours = tree.become_subreaper()
        self._wakeup = handle_signals()
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
        while self._serving or self._shims or self._broken or self._server_pid is not None:
            ready = dict(self._poll.poll(50 if self._broken else None))
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
            for shim in tuple(self._shims):
                if shim.control is not None and shim.control.fileno() in ready:
                    self._hear(shim)
            server = self._fork_server
            if server is not None and server.link is not None and server.link.fileno() in ready:
                self._hear_server(server)
            if self._serving and self._orders.fileno() in ready:
                self._order()
            self._reap()
            if self._serving and (LIFELINE in ready or (self._engine_fd >= 0 and self._engine_fd in ready)):
                self._engine_gone()
        if self._strays_are_ours:
            # What modules started when they were imported, where the fork server died before them.
            tree.kill_and_wait(tree.descendants(os.getpid()))

    @property
    def _server_pid(self) -> int | None:
        return None if self._fork_server is None else self._fork_server.pid

    # --- orders

    def _order(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._orders, MESSAGE, 1)
        if not data:
            return self._engine_gone()
        order: dict[str, Any] = json.loads(data)
        match order.get("op"):
            case "start":
                shim = next((shim for shim in self._shims if shim.key is None), None) or self._new_shim()
                shim.start(order["key"], data, fds[0])
                if shim.pid is None and not shim.asked:
                    self._ask_for(shim)
            case "stop":
                for shim in tuple(self._shims):
                    if shim.key is not None and order["key"] in (None, shim.key):
                        self._stop(shim, order["grace"])
            case "preload":
                self._fork_server = ForkServer(order)
                self._start_server(self._fork_server)
        return None

    def _new_shim(self) -> Shim:
        if self._fork_server is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, PAIR)
            shim = Shim(ours, self._fork_shim(ours, theirs))
            theirs.close()
            self._poll.register(ours, select.POLLIN)
        else:
            shim = Shim()
        self._shims.append(shim)
        return shim

    def _ask_for(self, shim: Shim) -> None:
        server = self._fork_server
        assert server is not None
        if server.pid is None and not self._start_server(server):
            self._give_up(shim, server.error)
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, PAIR)
        if server.fork(theirs, self._orders):
            shim.control = ours
            shim.asked += 1
            self._poll.register(ours, select.POLLIN)
        else:
            ours.close()  # it is asked for again when the server's death has been seen
        theirs.close()

    def _fork_shim(self, ours: socket.socket, theirs: socket.socket) -> int:
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
        return pid

    def _become_shim(self, control: socket.socket) -> None:
        tree.become_subreaper()
        wakeup = wakeup_pipe()
        # Whoever holds a copy of these would keep others waiting for their end.
        for other in self._shims:
            other.close()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, LIFELINE)
        os.close(null)
        if self._engine_fd >= 0:
            os.close(self._engine_fd)
        os.close(self._wakeup)
        serve(control, self._orders, wakeup, run_program)

    def _stop(self, shim: Shim, grace: float) -> None:
        if shim.pid is not None:
            shim.end(grace)
            return
        # Modules may have to be imported before it is there, which takes longer than any grace.
        self._forget(shim)
        self._tell({"ended": shim.key, "status": None, "asked": True})

    # --- what the processes below say

    def _hear(self, shim: Shim) -> None:
        if shim.listen(self._pass_on):
            return
        self._close(shim)
        if shim.pid is not None:
            return  # its death comes as that of a child
        if shim.error:
            self._give_up(shim, f"no process could be made: {shim.error}")
        elif shim.asked < ASKED:
            self._ask_for(shim)
        else:
            self._forget(shim)
            self._lost(shim)

    def _close(self, shim: Shim) -> None:
        if shim.control is not None:
            self._poll.unregister(shim.control)
            shim.close()

    def _forget(self, shim: Shim) -> None:
        self._shims.remove(shim)
        self._close(shim)
        shim.forget()

    def _give_up(self, shim: Shim, reason: str) -> None:
        self._forget(shim)
        self._tell({"ended": shim.key, "error": f"could not be started: {reason}"})

    def _lost(self, shim: Shim) -> None:
        if shim.key is not None:
            self._broken.append(shim.key)

    def _start_server(self, server: ForkServer) -> bool:
        if server.start():
            assert server.link is not None
            self._poll.register(server.link, select.POLLIN)
            return True
        self._tell({"preloaded": server.error})
        return False

    def _hear_server(self, server: ForkServer) -> None:
        answer = server.listen()
        if answer is not None:
            self._tell(answer)
        if server.silent and server.link is not None:
            self._poll.unregister(server.link)  # the rest is said when it is dead

    def _tell(self, message: dict[str, Any]) -> None:
        self._pass_on(json.dumps(message).encode())

    def _pass_on(self, message: bytes) -> None:
        with contextlib.suppress(OSError):
            self._orders.send(message)

    # --- deaths

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            server = self._fork_server
            if server is not None and pid == server.pid:
                self._server_died(server, status)
            else:
                self._shim_died(pid)
        if self._broken:
            self._end_strays()

    def _shim_died(self, pid: int) -> None:
        for shim in tuple(self._shims):
            if shim.pid is None and shim.control is not None:
                self._hear(shim)  # it may have said who it is
        for shim in tuple(self._shims):
            if shim.pid == pid:
                shim.listen(self._pass_on)
                self._forget(shim)
                self._lost(shim)

    def _server_died(self, server: ForkServer, status: int) -> None:
        if server.link is not None and not server.silent:
            self._poll.unregister(server.link)
        self._tell(server.died(status))
        for shim in tuple(self._shims):
            if shim.pid is None and shim.control is None:
                if server.error:
                    self._give_up(shim, server.error)
                else:
                    self._ask_for(shim)

    def _end_strays(self) -> None:
        """A shim was killed: its trial's processes are ours now. Its end is told when they are gone."""
        server = self._fork_server
        if server is not None and server.ready and any(shim.pid is None for shim in self._shims):
            return  # one of the strays may be a shim that has not said so yet
        known = {self._server_pid, *(shim.pid for shim in self._shims)}
        strays = [pid for pid in tree.children(os.getpid()) if pid not in known] if self._strays_are_ours else []
        for pid in strays:
            tree.send([*tree.descendants(pid), pid], signal.SIGKILL)
        if not strays:
            for key in self._broken:
                self._tell({"ended": key, "lost": True})
            self._broken.clear()

    def _engine_gone(self) -> None:
        self._serving = False
        for fd in (self._orders.fileno(), LIFELINE, self._engine_fd):
            if fd >= 0:
                self._poll.unregister(fd)
        # A closed control socket tells a shim all it needs to know.
        for shim in tuple(self._shims):
            if shim.pid is None:
                self._forget(shim)
            else:
                self._close(shim)
        if self._fork_server is not None:
            self._fork_server.kill()


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
