"""Process trees: who descends from whom, how they are told to end, and how they ended. Standard library only."""

# pathlib would double the start-up time of the supervisor.
# ruff: noqa: PTH110, PTH123, PTH208
from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable

# linux/prctl.h
_SET_PDEATHSIG = 1
_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """From here on orphaned descendants become children of this process, not of init; False where the system cannot."""
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def die_with_parent(parent: int) -> None:
    """From here on this process is killed when the thread that started it ends. Linux only."""
    import ctypes

    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def set_name(name: str) -> None:
    """What lists of processes call this one, at most 15 bytes: forks have the arguments of another. Linux only."""
    import ctypes

    ctypes.CDLL(None).prctl(_SET_NAME, name.encode(), 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Process ids below `root`, parents first. A process that is being born or dying may be missed: ask again."""
    if sys.platform != "linux":
        return _below(root, _parents_from_ps())
    found: list[int] = []
    level = [root]
    while level:
        below: list[int] = []
        for pid in level:
            listed = _listed_children(pid)
            if listed is None:
                return _below(root, _parents_from_proc())
            below += listed
        found += below
        level = below
    return found


def children(pid: int) -> list[int]:
    """Process ids directly below `pid`."""
    listed = _listed_children(pid) if sys.platform == "linux" else None
    if listed is not None:
        return listed
    parents = _parents_from_proc() if sys.platform == "linux" else _parents_from_ps()
    return [child for child, parent in parents.items() if parent == pid]


def _listed_children(pid: int) -> list[int] | None:
    """Children of all threads of a process; None if this kernel does not list them."""
    tasks = f"/proc/{pid}/task"
    listed: list[int] = []
    try:
        threads = os.listdir(tasks)
    except OSError:
        return listed
    for thread in threads:
        try:
            with open(f"{tasks}/{thread}/children", "rb") as file:
                listed += map(int, file.read().split())
        except FileNotFoundError:
            if os.path.exists(f"{tasks}/{thread}"):
                return None
        except ProcessLookupError:
            continue
    return listed


def _parents_from_proc() -> dict[int, int]:
    parents: dict[int, int] = {}
    for pid in process_ids():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # The command's name stands in parentheses and may hold any character; the parent is second after it.
                parents[pid] = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
    return parents


def _parents_from_ps() -> dict[int, int]:
    listing = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=False).stdout
    rows = (line.split() for line in listing.splitlines())
    return {int(row[0]): int(row[1]) for row in rows if len(row) == 2}


def _below(root: int, parents: dict[int, int]) -> list[int]:
    found: list[int] = []
    level = {root}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level} - set(found)
        found += sorted(level)
    return found


def process_ids() -> list[int]:
    """All processes of this machine that /proc shows."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def send(pids: Iterable[int], number: int) -> None:
    """Sends a signal to each of them; those that are gone or not ours are passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def ask_to_end(root: int) -> None:
    """SIGTERM to everything below `root`; what is stopped is woken so that it notices."""
    asked: set[int] = set()
    # A second look finds what was started while the first one went round.
    for _ in range(2):
        fresh = [pid for pid in descendants(root) if pid not in asked]
        send(fresh, signal.SIGTERM)
        send(fresh, signal.SIGCONT)
        asked.update(fresh)


def holding(token: bytes, spare: Iterable[int] = ()) -> list[int]:
    """Processes whose initial environment has an `OFFBEAT_TOKEN` beginning with `token`, those in `spare` left out."""
    wanted = b"OFFBEAT_TOKEN=" + token
    found: list[int] = []
    spared = set(spare)
    for pid in process_ids():
        if pid in spared:
            continue
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if any(entry.startswith(wanted) for entry in file.read().split(b"\0")):
                    found.append(pid)
        except OSError:
            continue
    return found


def kill_and_wait(pids: Iterable[int]) -> None:
    """SIGKILL, then waits until they have ended, 10 seconds at most; they need not be children. Blocks."""
    if not hasattr(os, "pidfd_open"):
        send(pids, signal.SIGKILL)
        return
    poll = select.poll()
    opened: list[int] = []
    try:
        for pid in pids:
            try:
                fd = os.pidfd_open(pid)
            except OSError:
                continue
            opened.append(fd)
            poll.register(fd, select.POLLIN)
            send([pid], signal.SIGKILL)
        left = set(opened)
        while left:
            ready = poll.poll(10_000)
            if not ready:
                return
            for fd, _ in ready:
                poll.unregister(fd)
                left.discard(fd)
    finally:
        for fd in opened:
            os.close(fd)


def in_words(status: int) -> str:
    """What `waitpid` says."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"killed by {signal.Signals(number).name}"
        except ValueError:
            return f"killed by signal {number}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"
