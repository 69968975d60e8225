"""F12: sleepers, half of them deaf to SIGTERM: limits on time and silence hold, trees go, reasons are told."""

from __future__ import annotations

import asyncio
import os

import pytest

from offbeat.signals import Ended, Reported, StartTrial

SCRIPT = """
    import argparse, signal, subprocess, time
    from offbeat import Reporter
    parser = argparse.ArgumentParser()
    parser.add_argument("--deaf", type=int)
    if parser.parse_args().deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Reporter()(now=time.monotonic())
    while True: signal.pause()
"""
LIMIT = 0.6
BATCH = 10


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", ["max_silence", "max_trial_time"])
@pytest.mark.parametrize("count", [5, pytest.param(50, marks=[pytest.mark.faults, pytest.mark.timeout(300)])])
async def test_sleepers(local, limit, count):
    reason = {"max_silence": f"silent for {LIMIT:g} s", "max_trial_time": f"ran longer than {LIMIT:g} s"}[limit]
    backend = local.backend(local.script(SCRIPT), **{limit: LIMIT})
    loop = asyncio.get_running_loop()
    began: dict[int, float] = {}
    late: list[float] = []
    async with local.open(backend, grace=1000, n_workers=BATCH) as session:
        started = ended = 0
        while ended < count:
            while started < count and started - ended < BATCH:
                session.submit(StartTrial(trial=started, attempt=0, config={"deaf": started % 2}))
                started += 1
            for one in await session.receive():
                if type(one) is Reported:
                    began[one.trial] = one.metrics["now"]
                else:
                    assert one == Ended(one.trial, 0, "failed", reason)
                    ended += 1
                    # On a crowded machine the limit may be over before the script has come to its first report.
                    if one.trial in began:
                        late.append(loop.time() - began[one.trial] - LIMIT)
        assert not local.alive()
    assert min(late) > (0 if limit == "max_silence" else -LIMIT)
    # SIGKILL follows half a second and 5 % after the limit, not after the grace of 1000 s.
    assert sorted(late)[len(late) // 2] < 1 + 0.05 * LIMIT


@pytest.mark.asyncio
async def test_whoever_reports_is_not_silent(local):
    script = local.script("""
        import os, time
        from offbeat import Reporter
        report = Reporter()
        begun = time.monotonic()
        while time.monotonic() - begun < 1.5:
            report(alive=True)
            time.sleep(0.05)
    """)
    signals = await local.run(local.backend(script, max_silence=0.5), [StartTrial(trial=0, attempt=0, config={})])
    assert signals[-1] == Ended(0, 0, "finished")


@pytest.mark.asyncio
async def test_a_busy_engine_does_not_take_its_own_silence_for_the_trial_s(local):
    """The timer fires while a report lies in the pipe unread, as if the loop had been blocked for minutes."""
    gates = [local.path / "first", local.path / "second"]
    for gate in gates:
        os.mkfifo(gate)
    script = local.script("""
        import os
        from offbeat import Reporter
        report = Reporter()
        report(epoch=1)
        open(os.environ["FIRST"]).read()
        report(epoch=2)
        open(os.environ["SECOND"]).read()
    """)
    env = {"FIRST": str(gates[0]), "SECOND": str(gates[1])}
    async with local.open(local.backend(script, max_silence=60, env=env)) as session:
        session.submit(StartTrial(trial=0, attempt=0, config={}))
        await session.receive()
        (running,) = session._running.values()
        running.ignore()
        (await asyncio.to_thread(gates[0].open, "w")).close()
        second = await asyncio.to_thread(gates[1].open, "w")  # opened by both: the report was written before
        running.heard_at -= 1000
        running._check_silence(60.0)
        assert [report.metrics["epoch"] for report in session.receive_nowait()] == [2]
        running.heard_at -= 1000
        running._check_silence(60.0)
        (end,) = await session.receive()
        assert end == Ended(0, 0, "failed", "silent for 60 s")
        second.close()
