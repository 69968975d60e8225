"""The demo service: it answers while it tunes itself, goes on with better settings, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from offbeat.demo.service import DEFAULTS, HOURS, Service, latencies, tuner
from offbeat.events import TrialFinished
from offbeat.results import load


async def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body


async def status(service: Service) -> dict[str, Any]:
    code, body = await get(service.port, "/")
    assert code == 200
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.asyncio
async def test_it_serves_while_it_searches_and_takes_over_what_was_found(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    service = Service(tuner(trials=12, name="service", home=tmp_path), port=0)
    task = asyncio.create_task(service.run())
    await service.serving.wait()
    first = await status(service)
    assert first["search"] == "searching"
    assert first["settings"] == DEFAULTS
    code, lines = await get(service.port, "/events")
    assert code == 200
    events = [json.loads(line) for line in lines.splitlines()]
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert (events[0]["event"], events[-1]["event"]) == ("experiment-opened", "experiment-closed")
    while (last := await status(service))["search"] == "searching":
        await asyncio.sleep(0)
    assert last["search"].startswith("max_num_trials_started=12 reached")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before

    found = load("service", tmp_path)
    finished = [trial for trial in found.ledger if trial.status.value == "finished"]
    best = min(finished, key=lambda trial: trial.last["latency"])  # type: ignore[index]
    assert last["settings"] == {name: best.config[name] for name in DEFAULTS}
    assert last["latency"] == best.last["latency"]  # type: ignore[index]
    assert sum(event["event"] == TrialFinished.__struct_config__.tag for event in events) == len(finished)


@pytest.mark.asyncio
async def test_stopped_in_the_middle_it_can_be_resumed_by_name(tmp_path: Path) -> None:
    from offbeat import Tuner

    service = Service(tuner(trials=1000, name="service", home=tmp_path), port=0)
    task = asyncio.create_task(service.run())
    await service.serving.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert load("service", tmp_path).status == "interrupted"
    from offbeat import StoppingCriterion

    outcome = await Tuner.resume("service", home=tmp_path, stop_criterion=StoppingCriterion(max_num_trials_started=8),
                                 observers=[]).arun()  # fmt: skip
    assert outcome.outcome == "done"


@pytest.mark.asyncio
@pytest.mark.parametrize(("path", "method"), [("/nowhere", "GET"), ("/", "POST")])
async def test_what_it_does_not_have_is_a_404(tmp_path: Path, path: str, method: str) -> None:
    service = Service(tuner(trials=1, home=tmp_path), port=0)
    task = asyncio.create_task(service.run())
    await service.serving.wait()
    assert (await get(service.port, path, method))[0] == 404
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.asyncio
async def test_clients_that_go_away_disturb_nobody(tmp_path: Path) -> None:
    service = Service(tuner(trials=2, home=tmp_path), port=0)
    task = asyncio.create_task(service.run())
    await service.serving.wait()
    for words in (b"", b"nonsense\r\n\r\n", b"GET /events HTTP/1.1\r\n\r\n"):
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(words)
        await writer.drain()
        writer.transport.abort()
    assert (await status(service))["experiment"]
    task.cancel()
    await asyncio.wait([task])


def test_latencies_are_those_of_a_queue() -> None:
    """One request at a time: each waits for those before it, then for its own 5.5 ms. Nobody is answered before it came."""
    for hour in range(1, HOURS + 1):
        alone, batched = (list(latencies({"batch": batch, "window": 0.5}, hour)) for batch in (1, 200))
        assert len(alone) == len(batched) == 4000
        assert min(alone) >= 5.5
        assert sum(batched) < sum(alone), "more come than can be answered one by one"
    waiting = list(latencies({"batch": 10**6, "window": 30.0}, 1))
    assert max(waiting) <= 2 * (30.0 + 5.0 + 0.5 * 60)


def test_as_a_script_it_ends_well_by_ctrl_c(tmp_path: Path) -> None:
    script = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "offbeat.demo.service", "--port", "0", "--trials", "4"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OFFBEAT_HOME": str(tmp_path)},
    )  # fmt: skip
    with script:
        assert script.stdout is not None
        assert script.stderr is not None
        url = script.stdout.readline().strip()
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert json.load(answer)["search"]
        script.send_signal(signal.SIGINT)
        assert script.wait(30) == 0, script.stderr.read()
        assert script.stderr.read() == ""
