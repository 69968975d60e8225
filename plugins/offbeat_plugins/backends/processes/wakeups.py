"""Processes that signals wake and do not end: supervisor, fork server, shims. Standard library only."""

from __future__ import annotations

import os
import signal

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
"""Those sent to everybody at once (by a terminal, a service manager) leave it to the engine to end the trials."""


def handle_signals() -> int:
    """Makes this process survive them; returns the read end of a pipe that each of them writes to."""
    for number in HANDLED:
        signal.signal(number, _ignored)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return wakeup_pipe()


def wakeup_pipe() -> int:
    """A pipe of this process's own instead of its parent's; returns the read end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def _ignored(number: int, frame: object) -> None:
    """Does nothing. In executed programs a handler gives way to the default; an ignored signal would stay ignored."""
