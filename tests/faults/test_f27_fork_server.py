"""F27: engine, supervisor, fork server, shims and trials are killed at any time: each attempt's end is told, nobody is left."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from offbeat.signals import BackendBroken, Ended, Reported, StartTrial, StopTrial

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked trials need Linux")

# A child in its own session that ignores SIGTERM; reports go on until the trial is ended.
SCRIPT = """
    import os, signal, subprocess, sys, time
    from offbeat import Reporter
    report = Reporter()
    child = subprocess.Popen([sys.executable, "-S", "-c", '''
    import os, signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b".")
    while True: signal.pause()
    '''.replace("\\n    ", "\\n")], start_new_session=True, stdout=subprocess.PIPE)
    child.stdout.read(1)
    for epoch in range(1, 1000000):
        report(epoch=epoch)
        time.sleep(0.01)
"""
WORKERS = 3


@pytest.mark.asyncio
@pytest.mark.parametrize("kills", [20, pytest.param(300, marks=[pytest.mark.faults, pytest.mark.timeout(500)])])
async def test_kills_below_a_living_supervisor(local, kills):
    """Whoever is killed in whatever moment, idle or busy, forking or forked: ends are told, and others take over."""
    rng = random.Random(27)
    backend = local.backend(local.script(SCRIPT), preload=[])
    hit: dict[str, set[int]] = {"trial": set(), "stop": set()}
    async with local.open(backend, n_workers=WORKERS, grace=0.5) as session:
        alive: dict[int, int] = {}  # trial -> reports
        fresh = ended = 0
        for _ in range(kills):
            while len(alive) < WORKERS:
                session.submit(StartTrial(trial=fresh, attempt=0, config={}))
                alive[fresh] = 0
                fresh += 1
            kind = rng.choice(("fork server", "guard", "trial", "stop"))
            trial = rng.choice(sorted(alive))
            if kind == "fork server":
                if session.fork_server in local.guards():
                    kill(session.fork_server)
            elif kind == "guard":
                kill(rng.choice([*local.guards(), 0]))
            elif kind == "stop":
                hit[kind].add(trial)
                session.submit(StopTrial(trial, 0))
            elif session.pids.get(trial) in local.alive():
                hit[kind].add(trial)
                kill(session.pids[trial])
            for _ in range(rng.choice((0, 1, 5, 20))):
                for one in await session.receive():
                    assert one.trial in alive, one
                    if type(one) is Reported:
                        alive[one.trial] += 1
                        continue
                    assert type(one) is Ended
                    ended += 1
                    del alive[one.trial]
                    if one.trial in hit["stop"]:
                        assert one.how == "ended", one
                    elif one.trial in hit["trial"]:
                        assert one.how in ("failed", "lost"), one
                    elif one.how != "lost":
                        # A trial that had just been forked from its guard, or a fork server in the middle of its imports,
                        # which might have died of what it imports.
                        assert one.how == "failed", one
                        assert one.reason.endswith("killed by SIGKILL"), one
                if not alive:
                    break
        # The ends of those that were hit are told; whoever was not hit works, or is lost and told to be.
        before = dict(alive)
        while any(trial in hit["stop"] | hit["trial"] or count <= before[trial] for trial, count in alive.items()):
            for one in await session.receive():
                if type(one) is Ended:
                    ended += 1
                    del alive[one.trial]
                else:
                    alive[one.trial] += 1
        assert ended >= kills // 5
    assert not local.alive()
    assert not local.guards()


def kill(pid: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


ENGINE = """
    import asyncio, os, sys
    from offbeat.backend import LocalBackend
    from offbeat.home import ExperimentFolder
    from offbeat.protocols import BackendContext
    from offbeat.signals import Ended, StartTrial

    script, folder, marker, workers = sys.argv[1:]

    async def run():
        backend = LocalBackend(script, env={"TEST_MARKER": marker}, preload=["decimal"])
        context = BackendContext(experiment="x", folder=ExperimentFolder(folder), n_workers=3, grace=0.5)
        os.write(1, b".")
        async with backend.open(context) as session:
            os.write(1, b".")
            for trial in range(int(workers)):
                session.submit(StartTrial(trial=trial, attempt=0, config={}))
            while True:
                os.write(1, b"." * len(await session.receive()))

    asyncio.run(run())
"""
SCENES = ["engine", "engine supervisor", "engine server", "engine supervisor server", "engine shim", "engine trial"]


@pytest.mark.parametrize("rounds", [1, pytest.param(12, marks=[pytest.mark.faults, pytest.mark.timeout(500)])])
@pytest.mark.parametrize("scene", SCENES)
def test_nothing_outlives_the_engine_whoever_dies_with_it(local, scene, rounds):
    rng = random.Random(scene)
    script, engine = local.script(SCRIPT), local.script(ENGINE, "engine.py")
    for number in range(rounds):
        # From the middle of the imports to the middle of the reports.
        moment = rng.randrange(1, 12)
        folder = local.path / f"run-{number}"
        command = [sys.executable, engine, script, folder, local.marker, str(WORKERS)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.read(moment)
            everybody = descendants(process.pid)
            server = [pid for pid in everybody if name(pid) == "offbeat-forks"]
            shims = [pid for pid in everybody if name(pid) == "offbeat-shim"]
            trials = [pid for pid in everybody if name(pid).startswith("trial")]
            victims = {
                "engine": [process.pid],
                "supervisor": everybody[:1],
                "server": server,
                "shim": shims[:1],
                "trial": trials[:1],
            }
            chosen = [pid for word in scene.split() for pid in victims[word]]
            rng.shuffle(chosen)
            for pid in chosen:
                kill(pid)
            process.wait()
        # Those that were about to start are in no list yet.
        wait_for_ends(everybody)
        while left := [*local.alive(), *local.guards()]:
            wait_for_ends(left)


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def descendants(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found: list[int] = []
    level = [root]
    while level:
        level = sorted(pid for pid, parent in parents.items() if parent in level)
        found += level
    return found


def wait_for_ends(pids: list[int]) -> None:
    """Until each of these has ended; fails after 30 seconds."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            assert poll.poll(30_000), f"alive: {name(pid)} {Path(f'/proc/{pid}/cmdline').read_bytes()[:200]!r}"
        finally:
            os.close(fd)


@pytest.mark.asyncio
@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=[pytest.mark.faults, pytest.mark.timeout(500)])])
async def test_a_killed_supervisor_leaves_nobody_and_the_next_session_works(local, rounds):
    rng = random.Random(5)
    backend = local.backend(local.script(SCRIPT), preload=[])
    for number in range(rounds):
        async with local.open(backend, n_workers=WORKERS, grace=0.5) as session:
            for trial in range(WORKERS):
                session.submit(StartTrial(trial=trial, attempt=number, config={}))
            for _ in range(rng.randrange(6)):
                await session.receive()
            kill(session._link.pid)
            if rng.random() < 0.5:
                for pid in rng.sample(guards := local.guards(), rng.randrange(len(guards) + 1)):
                    kill(pid)
            while type((await session.receive())[-1]) is not BackendBroken:
                pass
        assert not local.alive()
        assert not local.guards()
