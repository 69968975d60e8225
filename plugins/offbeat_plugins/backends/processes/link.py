"""The engine's end of the supervisor: its process, the orders going down, the messages coming up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_PROGRAM = Path(__file__).with_name("supervisor.py")
# Whole messages in their order; where the system has no such sockets, local datagrams behave the same.
_KIND = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_STREAM) if sys.platform == "linux" else socket.SOCK_DGRAM


class Link:
    """Starts the supervisor and talks to it; never blocks the event loop.

    Args:
        on_message: called with each message of the supervisor or a shim.
        on_death: called once when the supervisor's process ends while the link is open.
        on_silence: called once when neither supervisor nor any shim is left.
    """

    def __init__(
        self, on_message: Callable[[dict[str, Any]], None], on_death: Callable[[], None], on_silence: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message, self._on_death, self._on_silence = on_message, on_death, on_silence
        self._queue: deque[tuple[bytes, int]] = deque()
        self._dead: asyncio.Future[None] = self._loop.create_future()
        self._open = True
        with contextlib.ExitStack() as opened:
            self._orders, orders_end = socket.socketpair(socket.AF_UNIX, _KIND)
            opened.callback(orders_end.close)
            self._lifeline, lifeline_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            opened.callback(lifeline_end.close)
            self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the link
            for end in (self._orders, orders_end):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
            self._orders.setblocking(False)
            self._lifeline.setblocking(False)
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-X", "utf8", str(_PROGRAM), str(orders_end.fileno())],
                    stdin=lifeline_end.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                    pass_fds=(orders_end.fileno(),),
                    start_new_session=True,
                )
            except BaseException:
                self._close_all()
                raise
        self._loop.add_reader(self._orders, self._receive)
        self._loop.add_reader(self._lifeline, self._lifeline_closed)

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    @property
    def dead(self) -> bool:
        """Whether the supervisor's process has ended."""
        return self._dead.done()

    def send(self, order: dict[str, Any], fd: int = -1) -> None:
        """Sends an order, and a descriptor with it, which is closed here once it is sent.

        Raises OSError if the order is too long; one to a supervisor that is gone is dropped.
        """
        data = json.dumps(order).encode()
        if self._queue or not self._sent(data, fd):
            if not self._queue:
                self._loop.add_writer(self._orders, self._send_queued)
            self._queue.append((data, fd))

    def send_at_once(self, order: dict[str, Any]) -> None:
        """From any thread, past all orders that wait; cuts the lifeline where even that is not possible."""
        try:
            self._orders.send(json.dumps(order).encode())
        except OSError:
            with contextlib.suppress(OSError):
                self._lifeline.shutdown(socket.SHUT_RDWR)

    def last_words(self) -> str:
        """What the supervisor wrote to its standard error, its last 2000 bytes."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 2000))
        return self._errors.read().decode(errors="replace").strip()

    async def close(self) -> None:
        """Tells the supervisor that the engine is gone, waits for its end and collects it."""
        self._open = False
        with contextlib.suppress(OSError):
            self._lifeline.shutdown(socket.SHUT_WR)
        try:
            await self._dead
        finally:
            if not self._dead.done():
                self._process.kill()
            self._loop.remove_reader(self._orders)
            self._loop.remove_reader(self._lifeline)
            self._loop.remove_writer(self._orders)
            for _, fd in self._queue:
                _close(fd)
            self._queue.clear()
            # Its descriptors are closed already, so it is a zombie by now or within microseconds.
            self._process.wait()
            self._close_all()

    def _close_all(self) -> None:
        self._orders.close()
        self._lifeline.close()
        self._errors.close()

    def _sent(self, data: bytes, fd: int) -> bool:
        try:
            if fd >= 0:
                socket.send_fds(self._orders, [data], [fd])
            else:
                self._orders.send(data)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionError):
            pass  # the lifeline tells
        except OSError:
            _close(fd)
            raise
        _close(fd)
        return True

    def _send_queued(self) -> None:
        while self._queue:
            data, fd = self._queue[0]
            try:
                if not self._sent(data, fd):
                    return
            except OSError as error:
                order = json.loads(data)
                self._loop.call_soon(self._on_message, {"ended": order.get("key"), "error": str(error), "status": None})
            self._queue.popleft()
        self._loop.remove_writer(self._orders)

    def _receive(self) -> None:
        # A few at a time: reports have their turn in between.
        for _ in range(32):
            try:
                data = self._orders.recv(1 << 16)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self._loop.remove_reader(self._orders)
                self._on_silence()
                return
            self._on_message(json.loads(data))

    def _lifeline_closed(self) -> None:
        self._loop.remove_reader(self._lifeline)
        if not self._dead.done():
            self._dead.set_result(None)
        if self._open:
            self._on_death()


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
