"""Notices that the event loop does not come back, and names who holds it.

A thread asks the loop for a sign of life and looks at its stack when none comes. It cannot free the loop (no thread can
be interrupted from outside); it makes the matter known and lets the trials end at their checkpoints.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable

from offbeat.errors import EngineBlocked


class Watchdog:
    """Watches one loop.

    Args:
        limit: seconds without a sign of life after which `fired` is called, once; None switches the watchdog off.
        fired: called in the watchdog's thread.

    Attributes:
        where: the plugin call that the loop is in, as the driver last said; "" for none.
    """

    def __init__(self, limit: float | None, fired: Callable[[EngineBlocked], None]) -> None:
        self.where = ""
        self._limit = limit
        self._fired = fired
        self._stop = threading.Event()
        self._alive = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to watch the loop of the calling thread."""
        if self._limit is None:
            return
        self._thread = threading.Thread(
            target=self._watch,
            args=(loop, threading.get_ident(), self._limit),
            name="offbeat-watchdog",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int, limit: float) -> None:
        pause = limit / 4
        waited = 0.0
        self._alive.set()
        while not self._stop.wait(pause):
            if self._alive.is_set():
                waited = 0.0
                self._alive.clear()
                try:
                    loop.call_soon_threadsafe(self._alive.set)
                except RuntimeError:  # the loop was closed
                    return
                continue
            waited += pause
            if waited >= limit:
                frame = sys._current_frames().get(thread)
                stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
                self._fired(EngineBlocked(self.where or "a callback in the event loop", waited, stack))
                return
