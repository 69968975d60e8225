"""The demo study over HTTP: what its docstring says, errors as statuses, a kill in between, clients that go away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from offbeat.demo.http import LIMIT, listening, port_of
from offbeat.demo.study import Desk, study
from offbeat.results import load


class Script:
    """The module as a script of its own."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "offbeat.demo.study", "my-study", "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OFFBEAT_HOME": str(home)},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def call(self, path: str, **body: Any) -> tuple[int, Any]:
        """A GET of "/", a POST of anything else: (status, JSON)."""
        data = None if path == "/" else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"{self.url}{path}", data, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        with self.process:
            code = self.process.wait(30)
            assert self.process.stderr is not None
            assert self.process.stderr.read() == ""
        return code


def test_clients_go_on_when_the_service_was_killed(tmp_path: Path) -> None:
    script = Script(tmp_path)
    assert script.call("/") == (200, {"trials": 0, "out": [], "best": None, "done": False})
    status, first = script.call("/ask")
    assert (status, first["id"], first["attempt"], set(first["config"])) == (200, 0, 0, {"lr", "layers", "epochs"})
    own = {"id": 0, "attempt": 0}
    assert script.call("/tell", **own, metrics={"epoch": 1, "loss": 0.5}) == (200, {"decision": "continue"})
    assert script.end(signal.SIGKILL) == -signal.SIGKILL

    script = Script(tmp_path)
    assert [trial["id"] for trial in script.call("/")[1]["out"]] == [0]
    assert script.call("/tell", **own, metrics={"epoch": 2, "loss": 0.25}) == (200, {"decision": "continue"})
    status, answer = script.call("/tell", **own, metrics={"epoch": 3, "los": 0.25})
    assert (status, "Did you mean 'los'?" in answer["error"]) == (400, True)
    status, answer = script.call("/tell", id=7, attempt=0, metrics={})
    assert (status, answer["error"].startswith("There is no trial 7")) == (409, True)
    assert script.call("/tell", atempt=0)[0] == 400
    assert script.call("/complete", **own) == (200, None)
    assert script.call("/complete", **own)[0] == 409
    assert script.call("/ask")[1]["id"] == 1
    assert script.call("/fail", id=1, attempt=0, reason="no data") == (200, None)
    assert script.call("/nowhere")[0] == 404
    assert script.call("/")[1]["best"]["loss"] == 0.25
    assert script.end(signal.SIGINT) == 0

    found = load("my-study", tmp_path)
    assert found.counts() == {"finished": 1, "failed": 1}
    assert found.ledger[1].reason == "no data"
    assert [session.outcome for session in found.sessions] == ["", "interrupted"]


async def raw(port: int, words: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(words)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def opened(desk: Desk) -> asyncio.Task[None]:
    task = asyncio.create_task(desk.run())
    await desk.serving.wait()
    return task


async def closed(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio
async def test_a_client_that_goes_away_while_it_waits_is_noticed() -> None:
    waiting, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(request: str, body: Any) -> Any:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    before = asyncio.all_tasks()
    async with listening(handler, 0) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(b"POST /ask HTTP/1.1\r\n\r\n")
        await waiting.wait()
        writer.transport.abort()
        await cancelled.wait()
        _, other = await asyncio.open_connection("127.0.0.1", port_of(server))
        waiting.clear()
        cancelled.clear()
        other.write(b"POST /ask HTTP/1.1\r\n\r\n")
        await waiting.wait()
    assert cancelled.is_set(), "leaving the server ends what still waits"
    other.close()
    assert asyncio.all_tasks() == before


@pytest.mark.asyncio
async def test_nonsense_disturbs_nobody(tmp_path: Path) -> None:
    desk = Desk(study("my-study", home=tmp_path), port=0)
    task = await opened(desk)
    assert await raw(desk.port, b"nonsense\r\n\r\n") == b""
    assert await raw(desk.port, b"POST /ask HTTP/1.1\r\nContent-Length: many\r\n\r\n") == b""
    assert (await raw(desk.port, b"POST /ask HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1))).startswith(
        b"HTTP/1.1 413"
    )
    assert (await raw(desk.port, b"POST /tell HTTP/1.1\r\nContent-Length: 1\r\n\r\n{")).startswith(b"HTTP/1.1 400")
    assert (await raw(desk.port, b"POST /tell HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400")
    assert b'"trials":0' in await raw(desk.port, b"GET / HTTP/1.1\r\n\r\n")
    await closed(task)
