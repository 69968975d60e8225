"""A trial's standard output on its way to its file; Syne Tune's lines in it become reports. Standard library only."""

# pathlib would double the start-up time of the supervisor.
# ruff: noqa: PTH118
from __future__ import annotations

import contextlib
import os
import select

from offbeat_plugins.backends.processes import folders

TYPE_CHECKING = False  # typing.TYPE_CHECKING would cost the import of typing, a third of the supervisor's start
if TYPE_CHECKING:
    from typing import Any, Final

MARK: Final = b"[tune-metric]:"
LINE_LIMIT: Final = 64 * 1024
# A pipe that polls as writable takes this much without blocking.
ATOMIC: Final = 4096


class Output:
    """A trial's standard output on its way to its file; Syne Tune's lines in it become reports.

    The file is made when there is something to write: making one costs as much as all the rest of this class.
    """

    def __init__(self, order: dict[str, Any], fd: int, report: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._path = os.path.join(order["folder"], "stdout")
        self._file = -1
        self._report = report
        self._head = f'{{"v":1,"trial":{order["trial"]},"attempt":{order["attempt"]},"seq":'
        self._seq = 0
        self._rest = b""
        self._pending = b""

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.fd)
        if self._file >= 0:
            os.close(self._file)

    def move(self, poll: select.poll) -> None:
        """Takes what is there; reads no further while reports cannot be passed on."""
        if self._pending:
            self._pass_on(poll)
            return
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        if not data:
            poll.unregister(self.fd)
            return
        self._store(data)
        if self._scan(data):
            poll.unregister(self.fd)
            poll.register(self._report, select.POLLOUT)

    def finish(self, control: int) -> None:
        """The tree is gone: moves what is left in the pipe. Gives up if the supervisor or the engine is gone too."""
        poll = select.poll()
        poll.register(self._report, select.POLLOUT)
        poll.register(control, 0)
        while True:
            while self._pending:
                if dict(poll.poll()).get(control):
                    return
                self._write_pending()
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                data = b""
            if not data:
                if self._rest:
                    self._scan(b"\n")
                    continue
                break
            self._store(data)
            self._scan(data)

    def _store(self, data: bytes) -> None:
        # A full disk costs the log, not the trial.
        with contextlib.suppress(OSError):
            if self._file < 0:
                self._file = folders.create(self._path)
            while data:
                data = data[os.write(self._file, data) :]

    def _scan(self, data: bytes) -> bool:
        """Finds reports in what was read; whether any are to be passed on."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            # Passed on in part, it is counted as garbage; without a mark it is no report at all.
            lines.append(self._rest[:LINE_LIMIT] if MARK in self._rest else b"")
            self._rest = b""
        for line in lines:
            start = line.find(MARK)
            if start >= 0:
                metrics = line[start + len(MARK) :].strip()
                self._pending += f'{self._head}{self._seq},"metrics":'.encode() + metrics + b"}\n"
                self._seq += 1
        return bool(self._pending)

    def _pass_on(self, poll: select.poll) -> None:
        self._write_pending()
        if not self._pending:
            poll.unregister(self._report)
            poll.register(self.fd, select.POLLIN)

    def _write_pending(self) -> None:
        try:
            self._pending = self._pending[os.write(self._report, self._pending[:ATOMIC]) :]
        except OSError:
            self._pending = b""  # nobody reads any more
