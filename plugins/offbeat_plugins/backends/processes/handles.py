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
    from collections.abc import Callable
    from typing import Any, Final

PAIR: Final = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
READY: Final = b"ready"
HELLO: Final = b"pid "
"""What a shim of the fork server says first, its process id behind it."""
LONGEST: Final = 1 << 16
"""Most bytes of what shims and fork server say to the supervisor."""


class Shim:
    """The supervisor's end of one shim.

    Args:
        control: socket to it, None where it has to be asked for.
        pid: its process id, None until a shim of the fork server has told it.

    Attributes:
        control: closed (None) when it is gone.
        key: of the attempt that it serves, None while it is idle.
        asked: how often the fork server was asked for it.
        error: why it could not be forked.
    """

    def __init__(self, control: socket.socket | None = None, pid: int | None = None) -> None:
        self.control = control
        self.pid = pid
        self.key: int | None = None
        self.asked = 0
        self.error = ""
        self._waiting: tuple[bytes, int] | None = None

    def start(self, key: int, order: bytes, report: int) -> None:
        """Hands it an attempt, when it is there. `report` is closed here."""
        self.key = key
        self._waiting = order, report
        if self.pid is not None:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._waiting is not None and self.control is not None:
            order, report = self._waiting
            with contextlib.suppress(OSError):
                socket.send_fds(self.control, [order], [report])
            self.forget()

    def forget(self) -> None:
        """Drops an attempt that was not handed over."""
        if self._waiting is not None:
            os.close(self._waiting[1])
            self._waiting = None

    def end(self, grace: float) -> None:
        """Has it end its attempt."""
        if self.control is not None:
            with contextlib.suppress(OSError):
                self.control.send(json.dumps({"key": self.key, "grace": grace}).encode())

    def listen(self, tell: Callable[[bytes], None]) -> bool:
        """Takes in what it says, and passes on what is for the engine; False if it is gone."""
        while self.control is not None:
            try:
                told = self.control.recv(LONGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                told = b""
            if not told:
                return False
            if told.startswith(IDLE):
                self.key = None
                tell(told[len(IDLE) :])
            elif told.startswith(HELLO):
                self.pid = int(told[len(HELLO) :])
                self._hand_over()
            else:
                self.error = told.decode()
        return False

    def close(self) -> None:
        """Closes the socket, which tells a shim that nobody is left whom a trial could serve."""
        if self.control is not None:
            self.control.close()
            self.control = None


class ForkServer:
    """The supervisor's end of the fork server: starts it, and again when it is needed after its death.

    Args:
        order: what the engine asked for: program, wish, cwd, env, unset, log.

    Attributes:
        pid: its process id, None while there is none.
        link: socket to it.
        silent: it has closed its end.
        ready: it has imported everything.
        error: why the last one could not.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self.pid: int | None = None
        self.link: socket.socket | None = None
        self.silent = False
        self.ready = False
        self.error = ""

    def start(self) -> bool:
        """Starts it; whether that was possible, else `error` says why not."""
        order = self._order
        self.silent, self.ready, self.error = False, False, ""
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

    def fork(self, control: socket.socket, engine: socket.socket) -> bool:
        """Asks for a shim with these sockets; False where the server is dying.

        What comes of it is told at the other end of `control`.
        """
        assert self.link is not None
        try:
            socket.send_fds(self.link, [b"fork"], [control.fileno(), engine.fileno()])
        except OSError:
            return False
        return True

    def listen(self) -> dict[str, Any] | None:
        """Takes in what it says; an answer for the engine, if it is one."""
        assert self.link is not None
        try:
            told = self.link.recv(LONGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            told = b""
        if not told:
            self.silent = True
            return None
        if told == READY:
            self.ready = True
            return {"preloaded": "", "pid": self.pid}
        self.error = told.decode()
        return {"preloaded": self.error}

    def died(self, status: int) -> dict[str, Any]:
        """Its process has ended; what the engine is told: why it could not import everything, or that there is none."""
        if not self.ready and not self.silent:
            self.listen()
        answer: dict[str, Any] = {"preloaded": self.error}
        if not self.ready and not self.error:
            self.error = f"the process that imports modules ended in the middle of it: {tree.in_words(status)}"
            answer = {"preloaded": self.error, "died": True}
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
