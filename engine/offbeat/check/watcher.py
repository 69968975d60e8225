"""Stands between the backend and a script that is checked, and writes down what nobody else can see.

That is the script's process id, how it ended, and which of its processes were still there then. Standard library only;
changes nothing for the script.

    python watcher.py PROGRAM ARGUMENT ...

The record lies beside the attempt's config.json, in `watched.json`.
"""

# pathlib and typing would delay the script that is watched.
# ruff: noqa: PTH105, PTH112, PTH118, PTH120, PTH123, PTH208
from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys

RECORD = "watched.json"

PR_SET_CHILD_SUBREAPER = 36

TURNS, TURN = 25, 0.02
"""How often and at what distance (seconds) is looked for processes that are about to end with the script."""


def main(argv: list[str]) -> int:
    """Runs the program and returns its exit status; ends by the same signal as it did."""
    with contextlib.suppress(OSError, AttributeError):
        # What the script leaves behind comes to this process, and can be seen.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # The backend signals every process of the tree; a handler is reset in the program, which an ignored signal is not.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    process = subprocess.Popen(argv, close_fds=False)
    _write({"pid": process.pid})
    status = process.wait()
    left = _left_behind()
    _write({"pid": process.pid, "status": status, "left": left})
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _left_behind() -> list[str]:
    """What the remaining processes were called; those that end with the script get a moment for it."""
    left: list[int] = []
    for _ in range(TURNS):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = _children()
        if not left:
            break
        select.select([], [], [], TURN)
    return [_name(pid) for pid in left]


def _children() -> list[int]:
    """Processes whose parent is this one."""
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError):
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
                if int(parent) == os.getpid() and state != "Z":
                    found.append(int(entry))
    return found


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()[:200]
    except OSError:
        return f"process {pid}"


def _write(record: dict[str, object]) -> None:
    """In one piece: whoever reads finds the record before or this one."""
    path = os.path.join(os.path.dirname(os.environ["OFFBEAT_CONFIG"]), RECORD)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.replace(f"{path}.new", path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
