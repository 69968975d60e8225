"""F3: eight shapes of process trees, five ends: nothing of a trial is alive when its end is told."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from offbeat.signals import Ended, PauseTrial, Reported, StartTrial, StopTrial

# Each test with trials that are fresh interpreters, and again with forks of a loaded one.
pytestmark = pytest.mark.parametrize("local", [None, []], indirect=True, ids=["fresh", "forked"])

SHAPES = ["plain", "child", "pipeline", "session", "daemon", "nameless", "deaf", "workers"]
SCRIPT = """
    import argparse, multiprocessing, os, shlex, signal, subprocess, sys
    from offbeat import Reporter

    parser = argparse.ArgumentParser()
    for name in ("shape", "end", "marker"):
        parser.add_argument("--" + name)
    args = parser.parse_args()
    CHILD = '''
    import os, signal, sys
    if "deaf" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(int(sys.argv[1]), b".")
    while True: signal.pause()
    '''.replace("\\n    ", "\\n")

    def child(*before, extra=(), **options):
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)
        command = [*before, sys.executable, "-S", "-c", CHILD, str(writing), args.marker, *extra]
        if options.pop("shell", False):
            command = ["sh", "-c", "yes | " + shlex.join(command) + " | cat"]
        subprocess.Popen(command, close_fds=False, **options)
        os.close(writing)
        assert os.read(reading, 1) == b"."

    def wait(ready):
        ready.release()
        while True: signal.pause()

    match args.shape:
        case "child": child()
        case "pipeline": child(shell=True)
        case "session": child(start_new_session=True)
        case "nameless": child("env", "-i")
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            child(extra=("deaf",), start_new_session=True)
        case "daemon":
            if (pid := os.fork()) == 0:
                os.setsid()
                child()
                os._exit(0)
            os.waitpid(pid, 0)
        case "workers":
            context = multiprocessing.get_context("fork")
            ready = context.Semaphore(0)
            for _ in range(2): context.Process(target=wait, args=(ready,)).start()
            for _ in range(2): ready.acquire()
    Reporter()(epoch=1)
    if args.end == "wait":
        while True: signal.pause()
    sys.stdout.flush()
    os._exit(1 if args.end == "failure" else 0)
"""


def order(trial: int, shape: str, end: str, marker: str, attempt: int) -> StartTrial:
    return StartTrial(trial=trial, attempt=attempt, config={"shape": shape, "end": end, "marker": marker})


rounds = pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=[pytest.mark.faults, pytest.mark.timeout(300)])])


@rounds
@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["stop", "pause", "failure", "normal"])
async def test_nothing_is_alive_when_the_end_is_told(local, end, rounds):
    script = local.script(SCRIPT)
    how = {"stop": "ended", "pause": "ended", "failure": "failed", "normal": "finished"}[end]
    kind = "wait" if end in ("stop", "pause") else end
    async with local.open(local.backend(script), grace=0.5, n_workers=len(SHAPES)) as session:
        for attempt in range(rounds):
            for trial, shape in enumerate(SHAPES):
                marker = f"{local.marker}{trial}"
                session.submit(order(trial, shape, kind, marker, attempt))
            left = set(range(len(SHAPES)))
            trees: dict[int, set[int]] = {}
            while left:
                for one in await session.receive():
                    if type(one) is Reported and kind == "wait":
                        main = await local.pid(session, one.trial)
                        assert main in local.alive()
                        trees[one.trial] = {main, *descendants(main), *local.alive(f"{local.marker}{one.trial}")}
                        session.submit((StopTrial if end == "stop" else PauseTrial)(one.trial, attempt))
                    elif type(one) is Ended:
                        assert one.how == how, one
                        assert not local.alive(f"{local.marker}{one.trial}")
                        assert not trees.get(one.trial, set()) & set(local.alive())
                        left.remove(one.trial)
            assert not local.alive()


ENGINE = """
    import asyncio, os, signal, sys
    from offbeat.backend import LocalBackend
    from offbeat.home import ExperimentFolder
    from offbeat.protocols import BackendContext
    from offbeat.signals import StartTrial

    script, folder, marker, shapes, forks, preload = sys.argv[1:]

    async def run():
        backend = LocalBackend(script, env={"TEST_MARKER": marker}, preload=[] if preload == "[]" else None)
        context = BackendContext(experiment="x", folder=ExperimentFolder(folder), n_workers=8, grace=1.0)
        async with backend.open(context) as session:
            for trial, shape in enumerate(shapes.split()):
                config = {"shape": shape, "end": "wait", "marker": f"{marker}{trial}"}
                session.submit(StartTrial(trial=trial, attempt=0, config=config))
            left = len(shapes.split())
            while left:
                left -= len(await session.receive())
            if forks == "yes" and os.fork() == 0:
                # Has a copy of every descriptor of the engine, the lifeline among them.
                os.write(1, b"%d\\n" % os.getpid())
                signal.pause()
            elif forks == "no":
                os.write(1, b"0\\n")
            await asyncio.Event().wait()

    asyncio.run(run())
"""


@rounds
@pytest.mark.parametrize("forks", ["no", "yes"])
def test_nothing_outlives_an_engine_that_is_killed(local, rounds, forks):
    script = local.script(SCRIPT)
    engine = local.script(ENGINE, "engine.py")
    for number in range(rounds):
        command = [
            sys.executable,
            engine,
            script,
            local.path / f"run-{number}",
            local.marker,
            " ".join(SHAPES),
            forks,
            str(local.preload),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            copy = int(process.stdout.readline())
            before = set(local.alive()) - {process.pid, copy}
            guards = set(descendants(process.pid)) - {copy}
            assert len(before) >= len(SHAPES) + 8
            assert guards > before
            process.kill()
            process.wait()
            wait_for_ends(before | guards)
            assert not set(local.alive()) - {copy}
            if copy:
                os.kill(copy, signal.SIGKILL)


def descendants(root: int) -> list[int]:
    """By parent in /proc: those that were orphaned belong to a shim."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, level = [], [root]
    while level:
        level = [pid for pid, parent in parents.items() if parent in level]
        found += level
    return found


def wait_for_ends(pids: set[int]) -> None:
    """Until each of these has ended; fails after 30 seconds."""
    poll, left = select.poll(), {}
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        left[fd] = pid
        poll.register(fd, select.POLLIN)
    try:
        while left:
            ready = poll.poll(30_000)
            assert ready, f"alive: {[(p, Path(f'/proc/{p}/cmdline').read_bytes()[:200]) for p in left.values()]}"
            for fd, _ in ready:
                poll.unregister(fd)
                os.close(fd)
                del left[fd]
    finally:
        for fd in left:
            os.close(fd)


@pytest.mark.asyncio
async def test_the_next_session_ends_what_survived_everything(local):
    """Engine, supervisor and shims killed at once: the trials are left; the next session finds them by their token."""
    script = local.script(SCRIPT)
    engine = local.script(ENGINE, "engine.py")
    command = [
        sys.executable,
        engine,
        script,
        local.folder.path,
        local.marker,
        "plain child session deaf",
        "no",
        str(local.preload),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        trials = set(local.alive()) - {process.pid}
        guards = set(descendants(process.pid)) - trials
        # Each of them would see the others die and act: all stand still first.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in (*guards, process.pid):
                os.kill(pid, number)
    assert len(set(local.alive()) & trials) >= 4
    text = "from offbeat import Reporter; Reporter()(epoch=1)"
    async with local.open(local.backend(local.script(text, "next.py"))) as session:
        assert not local.alive()
        session.submit(StartTrial(trial=0, attempt=1, config={}))
        assert [type(s) for s in await local.until(session, lambda seen: len(seen) == 2)] == [Reported, Ended]
