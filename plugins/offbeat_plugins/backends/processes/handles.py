"""The supervisor's ends of the processes below it: shims, and the fork server. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

from offbeat_plugins.backends.processes import folders, tree
from offbeat_plugins.backends.processes.shim import IDLE

TYPE_CHECKING = False  # typing.TYPE_CHECKING would cost the import of typing, a third of the supervisor's start
if TYPE_CHECKING:
    from typing import Any, Final

PAIR: Final = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
READY: Final = b"ready"
HELLO: Final = b"pid "
"""What a shim of the fork server says first, its process id behind it."""
LONGEST: Final = 1 << 14
"""Most bytes of what shims and fork server say to the supervisor."""


class Shim:
    """The supervisor's end of one shim.

    Attributes:
        pid: its process id, None until a shim of the fork server has told it.
        control: socket to it, closed when it is gone.
        key: of the attempt that it serves, None while it is idle.
        error: why it could not be forked.
    """

    def __init__(self, control: socket.socket, pid: int | None) -> None:
        self.control = control
        self.pid = pid
        self.key: int | None = None
        self.error = ""

    def start(self, key: int, order: bytes, report: int) -> None:
        """Hands it an attempt."""
        self.key = key
        with contextlib.suppress(OSError):
            socket.send_fds(self.control, [order], [report])

    def end(self, grace: float) -> None:
        """Has it end its attempt."""
        with contextlib.suppress(OSError):
            self.control.send(json.dumps({"key": self.key, "grace": grace}).encode())

    def listen(self) -> bool:
        """Takes in what it says; False if it is gone."""
        while True:
            try:
                told = self.control.recv(LONGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                told = b""
            if not told:
                return False
            if told == IDLE:
                self.key = None
            elif told.startswith(HELLO):
                self.pid = int(told[len(HELLO) :])
            else:
                self.error = told.decode()


class ForkServer:
    """The supervisor's end of the fork server: starts it, and again when it is needed after its death.

    Args:
        order: what the engine asked for: program, wish, cwd, env, unset, log.

    Attributes:
        pid: its process id, None while there is none.
        link: socket to it.
        ready: it has imported everything.
        error: why the last one could not.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self.pid: int | None = None
        self.link: socket.socket | None = None
        self.ready = False
        self.error = ""

    def start(self) -> bool:
        """Starts it; whether that was possible, else `error` says why not."""
        order = self._order
        self.ready, self.error = False, ""
        env = {name: value for name, value in os.environ.items() if name not in order["unset"]} | order["env"]
        ours, theirs = socket.socketpair(socket.AF_UNIX, PAIR)
        try:
            folders.make(os.path.dirname(order["log"]))  # noqa: PTH120 - see the supervisor
            with open(folders.create(order["log"]), "wb") as log:  # noqa: PTH123 - see the supervisor
                process = subprocess.Popen(
                    [*order["argv"], str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=order["cwd"],
                    env=env,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except (OSError, ValueError, subprocess.SubprocessError) as problem:
            ours.close()
            self.error = f"the process that keeps modules loaded could not be started: {problem}"
            return False
        finally:
            theirs.close()
        # The supervisor collects its exit status.
        process.returncode = 0
        self.pid, self.link = process.pid, ours
        with contextlib.suppress(OSError):
            ours.send(json.dumps(order["wish"]).encode())
        return True

    def fork(self, control: socket.socket, engine: socket.socket) -> None:
        """Asks for a shim with these sockets; what comes of it is told at the other end of `control`."""
        assert self.link is not None
        with contextlib.suppress(OSError):
            socket.send_fds(self.link, [b"fork"], [control.fileno(), engine.fileno()])

    def listen(self) -> dict[str, Any] | None:
        """Takes in what it says; an answer for the engine, if it is one."""
        assert self.link is not None
        try:
            told = self.link.recv(LONGEST, socket.MSG_DONTWAIT)
        except OSError:
            told = b""
        if not told:
            return None
        if told == READY:
            self.ready = True
            return {"preloaded": "", "pid": self.pid}
        self.error = told.decode()
        return {"preloaded": self.error}

    def died(self, status: int) -> dict[str, Any] | None:
        """Its process has ended; an answer for the engine where one is due."""
        answer = self.listen() if self.link is not None and not self.ready else None
        if answer is None and not self.ready and not self.error:
            self.error = "the process that imports modules ended in the middle of it"
            answer = {"preloaded": self.error, "status": status}
        self.close()
        return answer

    def close(self) -> None:
        """Forgets about it."""
        if self.link is not None:
            self.link.close()
        self.pid, self.link, self.ready = None, None, False

    def kill(self) -> None:
        """Ends it, and what the modules started, at once."""
        if self.pid is not None:
            tree.send([*tree.descendants(self.pid), self.pid], signal.SIGKILL)
