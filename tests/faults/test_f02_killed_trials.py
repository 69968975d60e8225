"""F2: trials are killed; each is seen with its signal, nobody else is touched, GPUs go back to the pool."""

from __future__ import annotations

import os
import random
import signal

import pytest

from offbeat.signals import Ended, Reported, StartTrial

# Each test with trials that are fresh interpreters, and again with forks of a loaded one.
pytestmark = pytest.mark.parametrize("local", [None, []], indirect=True, ids=["fresh", "forked"])

WORKERS = 4
SCRIPT = """
    import os, signal, subprocess
    from offbeat import Reporter
    child = subprocess.Popen(["sleep", "1000"])
    Reporter()(gpu=os.environ["CUDA_VISIBLE_DEVICES"], child=child.pid)
    signal.pause()
"""


@pytest.mark.asyncio
@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=[pytest.mark.faults, pytest.mark.timeout(300)])])
async def test_kills_over_four_workers(local, monkeypatch, kills):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    rng = random.Random(2)
    script = local.script(SCRIPT)
    gpus: dict[int, str] = {}
    async with local.open(local.backend(script), n_workers=WORKERS) as session:
        for trial in range(WORKERS):
            session.submit(StartTrial(trial=trial, attempt=0, config={}))
        fresh = WORKERS
        for _ in range(kills):
            while len(gpus) < WORKERS:
                for one in await session.receive():
                    assert type(one) is Reported
                    gpus[one.trial] = one.metrics["gpu"]
            assert sorted(gpus.values()) == ["0", "1", "2", "3"]
            victim = rng.choice(sorted(gpus))
            number = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM))
            os.kill(await local.pid(session, victim), number)
            (end,) = await session.receive()
            assert end == Ended(victim, 0, "failed", f"killed by {number.name}")
            del gpus[victim]
            session.submit(StartTrial(trial=fresh, attempt=0, config={}))
            fresh += 1
        assert session.receive_nowait() == () or len(gpus) < WORKERS
    assert not local.alive()
