"""The process that keeps modules loaded and forks the shims whose trials need them.

Run by the trials' interpreter and environment: `python forkserver.py LINK SUPERVISOR`, LINK being the descriptor of a
socket to the supervisor, SUPERVISOR its process id. First comes a wish, `{"modules", "path", "folder"}`; READY or one
sentence goes back; then each message asks for a shim and brings its two sockets. Dies with the supervisor.

A trial here is a fork of a fork, so nothing may run in this process but its one thread, and no GPU may be in use: `hazards`
looks for both after the imports.
"""

# As in the supervisor.
# ruff: noqa: PTH100, PTH115, PTH208
from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil  # noqa: F401 - `folders` needs it later, when a script's folder may hide it
import signal
import socket
import sys
import time
import traceback

TYPE_CHECKING = False

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # this folder, whose files are nobody's modules
    sys.path.insert(0, os.path.abspath(__file__).rsplit(os.sep, 4)[0])

from offbeat_plugins.backends.processes import forked, tree  # noqa: E402 - found through the line above
from offbeat_plugins.backends.processes.handles import HELLO, READY  # noqa: E402
from offbeat_plugins.backends.processes.shim import MESSAGE, serve  # noqa: E402
from offbeat_plugins.backends.processes.wakeups import HANDLED, handle_signals, wakeup_pipe  # noqa: E402

if __name__ == "__main__":
    del sys.path[0]

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Final

SETTLING: Final = 2.0
"""Most seconds for threads that are ending."""
GPU_FILES: Final = ("/dev/nvidia", "/dev/kfd", "/dev/dri/")


def preload(modules: Sequence[str]) -> str:
    """Imports them; returns one sentence where that is not possible, or where their trials could not be forked."""
    import importlib

    started: dict[str, set[str]] = {}
    opened: dict[str, set[str]] = {}
    for name in modules:
        threads, files = _threads(), _files()
        try:
            importlib.import_module(name)
        except BaseException as error:
            traceback.print_exc()
            return f"{name!r} cannot be imported: {type(error).__name__}: {error}"
        started[name], opened[name] = _threads() - threads, _files() - files
    return hazards(started, opened)


def hazards(started: dict[str, set[str]], opened: dict[str, set[str]]) -> str:
    """Why a process that was forked from this one could not work; empty if it could.

    started, opened: ids of threads and names of open files that came with each module.
    """
    gpu = sorted(name for name in _files() if name.startswith(GPU_FILES))
    if gpu:
        guilty = _guilty(opened, gpu)
        return f"importing {guilty} opens the GPU ({gpu[0]}), which a forked trial cannot use: leave it out of preload"
    # Libraries that end their threads before a fork and start them when needed (OpenBLAS) do no harm.
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    deadline = time.monotonic() + SETTLING
    while len(left := _threads()) > 1:
        if time.monotonic() > deadline:
            left.discard(str(os.getpid()))
            return (
                f"importing {_guilty(started, left)} starts threads ({', '.join(_names(left))}), which a forked trial "
                "would not have and could wait for in vain: leave it out of preload"
            )
        time.sleep(0.01)
    report = sys.modules.get("offbeat.report")
    if report is not None and report.made():
        return "a preloaded module makes a Reporter when it is imported: make it where the trial begins"
    return ""


def _guilty(came_with: dict[str, set[str]], found: Collection[str]) -> str:
    names = [repr(name) for name, brought in came_with.items() if brought & set(found)]
    return " and ".join(names) or "these modules"


def _threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def _names(threads: Collection[str]) -> list[str]:
    """What threads are called, in Python where they were started there."""
    found: dict[str, str] = {}
    for thread in sorted(threads):
        with open(f"/proc/self/task/{thread}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            found[thread] = file.read().strip()
    threading = sys.modules.get("threading")
    for known in threading.enumerate() if threading is not None else ():
        if str(known.native_id) in found:
            found[str(known.native_id)] = known.name
    return sorted(set(found.values()))


def descriptors() -> set[int]:
    """Open descriptors of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own is closed by now
            os.readlink(f"/proc/self/fd/{name}")
            found.add(int(name))
    return found


def _files() -> set[str]:
    names = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            names.add(os.readlink(f"/proc/self/fd/{fd}"))
    return names


class Server:
    """Forks shims on demand, for ever."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        keep = descriptors() - {link.fileno()}
        dispositions = {int(number): signal.getsignal(number) for number in HANDLED}
        files = forked.open_files()
        forked.flush(())  # what is held back would be written by every trial
        self._launch = forked.Launcher(keep, files, dispositions)
        handle_signals()

    def run(self) -> None:
        """Until the supervisor is gone."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._link, 64, 2)
            except ConnectionError:
                return
            if not data:
                return
            try:
                self._fork(*fds)
            except OSError as problem:
                with socket.socket(fileno=os.dup(fds[0])) as control:
                    control.send(str(problem).encode())
            for fd in fds:
                os.close(fd)

    def _fork(self, control: int, engine: int) -> None:
        """Two forks: the shim's parent is gone at once, so the supervisor becomes it."""
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return
        status = 70
        try:
            if os.fork() == 0:
                self._become_shim(control, engine)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _become_shim(self, control: int, engine: int) -> None:
        self._link.close()
        tree.become_subreaper()
        tree.set_name("offbeat-shim")
        wakeup = wakeup_pipe()
        to_supervisor = socket.socket(fileno=control)
        to_supervisor.send(HELLO + str(os.getpid()).encode())
        serve(to_supervisor, socket.socket(fileno=engine), wakeup, self._launch)


def main() -> None:
    """Serves the supervisor at the other end of the socket that the first argument names."""
    link = socket.socket(fileno=int(sys.argv[1]))
    tree.die_with_parent(int(sys.argv[2]))
    tree.set_name("offbeat-forks")
    wish = json.loads(link.recv(MESSAGE))
    sys.path[:] = wish["path"] or [*([] if sys.flags.safe_path else [wish["folder"]]), *sys.path]
    sys.argv[:] = [""]
    problem = preload(wish["modules"])
    if problem:
        link.send(problem[:4000].encode(errors="replace"))
        os._exit(1)
    server = Server(link)
    # What is never collected is never written to, so the trials share its memory.
    gc.collect()
    gc.freeze()
    gc.disable()
    link.send(READY)
    server.run()
    os._exit(0)


if __name__ == "__main__":
    main()
