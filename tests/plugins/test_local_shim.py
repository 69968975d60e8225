"""What a shim says to whom, message by message; what follows from it is tested where real backends are."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offbeat_plugins.backends.processes.handles import PAIR
from offbeat_plugins.backends.processes.launch import run_program
from offbeat_plugins.backends.processes.shim import IDLE, serve
from offbeat_plugins.backends.processes.wakeups import handle_signals


def shim(control: socket.socket, engine: socket.socket, *others: socket.socket) -> None:
    for other in others:
        other.close()
    serve(control, engine, handle_signals(), run_program)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The supervisor's and the engine's end of the sockets of a shim."""
    supervisor, control = socket.socketpair(socket.AF_UNIX, PAIR)
    engine, orders = socket.socketpair(socket.AF_UNIX, PAIR)
    process = multiprocessing.get_context("fork").Process(target=shim, args=(control, orders, supervisor, engine))
    process.start()
    for end in (control, orders):
        end.close()
    for end in (supervisor, engine):
        end.settimeout(30)
    yield supervisor, engine
    supervisor.close()
    engine.close()
    process.join()
    assert process.exitcode == 0


def order(folder: Path, key: int, code: str) -> bytes:
    fields: dict[str, Any] = {
        "op": "start", "key": key, "trial": 0, "attempt": 0, "argv": [sys.executable, "-S", "-c", code], "cwd": str(folder),
        "folder": str(folder / "trials" / "0" / "0"), "config": "{}", "clean": True, "donor": None, "grace": 1.0,
        "unset": [], "env": {},
    }  # fmt: skip
    return json.dumps(fields).encode()


def test_being_idle_and_how_the_attempt_ended_are_told_in_one_piece(ends: Any, tmp_path: Path) -> None:
    """Killed between two messages, a shim would be taken for an idle one, and nobody would hear of the end."""
    supervisor, engine = ends
    for key, code in ((7, "pass"), (8, "raise SystemExit(3)")):
        reading, writing = os.pipe()
        socket.send_fds(supervisor, [order(tmp_path, key, code)], [writing])
        os.close(writing)
        told = supervisor.recv(1 << 16)
        assert told.startswith(IDLE)
        message = json.loads(told[len(IDLE) :])
        assert (message["ended"], os.waitstatus_to_exitcode(message["status"])) == (key, 0 if key == 7 else 3)
        assert json.loads(engine.recv(1 << 16))["started"] == key
        assert os.read(reading, 1) == b""
        os.close(reading)
    engine.setblocking(False)
    with pytest.raises(BlockingIOError):
        engine.recv(1)


def test_without_a_supervisor_the_engine_is_told(ends: Any, tmp_path: Path) -> None:
    supervisor, engine = ends
    reading, writing = os.pipe()
    socket.send_fds(supervisor, [order(tmp_path, 7, "import signal; signal.pause()")], [writing])
    os.close(writing)
    assert json.loads(engine.recv(1 << 16))["started"] == 7
    supervisor.close()
    message = json.loads(engine.recv(1 << 16))
    assert (message["ended"], message["orphaned"]) == (7, True)
    os.close(reading)
