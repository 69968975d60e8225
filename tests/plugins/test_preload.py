"""Trials that are forks of a loaded interpreter: what they share, what is their own, what is refused, who dies with whom."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument
from offbeat.signals import BackendBroken, Ended, Reported, StartTrial, StopTrial
from offbeat_plugins.backends.processes import forkserver, preloading

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked trials need Linux")


def start(trial=0, attempt=0, config=None, **options):
    return StartTrial(trial=trial, attempt=attempt, config=config or {}, **options)


@pytest.fixture
def modules(local):
    """Writes modules beside the scripts."""

    def write(**texts):
        for name, text in texts.items():
            local.script(text, f"{name}.py")

    return write


@pytest.mark.asyncio
async def test_modules_are_imported_once_and_their_state_is_where_every_trial_begins(local, modules):
    modules(
        slow="""
        import os, pathlib
        with open(pathlib.Path(__file__).with_name("imports"), "a") as file:
            file.write("x")
        made_in = os.getpid()
        state = []
        """
    )
    script = local.script("""
        import os, slow
        from offbeat import Reporter
        Reporter()(made_in=slow.made_in, here=os.getpid(), parent=os.getppid(), before=len(slow.state))
        slow.state.append(1)
    """)
    async with local.open(local.backend(script, preload=["slow"]), n_workers=2) as session:
        server = session.fork_server
        for trial in range(4):
            session.submit(start(trial))
        signals = await local.until(session, lambda seen: len(local.ended(seen)) == 4)
    assert (local.path / "imports").read_text() == "x"
    reports = [local.reports(signals, trial)[0].metrics for trial in range(4)]
    assert {(one["made_in"], one["before"]) for one in reports} == {(server, 0)}
    assert len({one["here"] for one in reports} | {server}) == 5
    assert not {one["parent"] for one in reports} & {server}


SETTERS = {
    "environment": ("os.environ['LEAK'] = 'yes'", "os.environ.get('LEAK')"),
    "folder": ("os.chdir('/')", "os.getcwd()"),
    "arguments": ("sys.argv.append('leak')", "sys.argv[1:]"),
    "path": ("sys.path.insert(0, '/leak')", "sys.path[0]"),
    "module": ("json.leak = True", "hasattr(json, 'leak')"),
    "limit": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 64",
    ),
    "mask": ("os.umask(0o777)", "oct(os.umask(0))"),
    "signal": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "str(signal.getsignal(signal.SIGTERM))"),
    "blocked": ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])", "len(signal.pthread_sigmask(0, []))"),
    "nice": ("os.nice(1)", "os.nice(0)"),
    "collector": ("gc.disable()", "gc.isenabled()"),
    "recursion": ("sys.setrecursionlimit(99999)", "sys.getrecursionlimit()"),
    "main": ("leak = 1", "'leak' in globals()"),
}


@pytest.mark.asyncio
async def test_what_a_trial_does_to_its_process_no_other_trial_sees(local):
    """One worker, so that one shim forks them all; beside it the same script in fresh interpreters."""
    script = local.script(f"""
        import gc, json, os, resource, signal, sys
        from offbeat import Reporter, report
        seen = {{}}
        {"; ".join(f"seen[{name!r}] = {look}" for name, (_, look) in SETTERS.items())}
        seen["descriptors"] = len(os.listdir("/proc/self/fd"))
        Reporter()(seen=json.dumps(seen))
        left_open = open(os.devnull)
        {"; ".join(do for do, _ in SETTERS.values())}
    """)
    seen = []
    for preload in ([], None):
        async with local.open(local.backend(script, preload=preload), n_workers=1) as session:
            for trial in range(2):
                session.submit(start(trial))
                signals = await local.until(session, local.ended)
                seen.append(json.loads(local.reports(signals, trial)[0].metrics["seen"]))
    assert seen[0] == seen[1] == seen[2] == seen[3]


@pytest.mark.asyncio
async def test_random_numbers_are_each_trials_own(local):
    script = local.script("""
        import random, uuid, tempfile
        import numpy
        from offbeat import Reporter
        name = next(tempfile._get_candidate_names())
        Reporter()(a=random.random(), b=float(numpy.random.random()), c=str(uuid.uuid4()), d=name)
    """)
    modules = ["random", "numpy", "numpy.random", "uuid", "tempfile"]
    signals = await local.run(local.backend(script, preload=modules), [start(t) for t in range(4)], n_workers=2)
    for name in "abcd":
        assert len({local.reports(signals, trial)[0].metrics[name] for trial in range(4)}) == 4, name


@pytest.mark.asyncio
async def test_the_script_is_main_in_every_respect(local, modules):
    modules(beside="value = 7\n")
    script = local.script("""
        import multiprocessing, os, pickle, sys
        from offbeat import Reporter
        import beside

        class Mine: pass

        def work(queue): queue.put((os.getpid(), __name__))

        if __name__ == "__main__":
            assert pickle.loads(pickle.dumps(Mine())).__class__ is Mine
            assert sys.modules["__main__"].Mine is Mine
            assert __spec__ is None and __builtins__ is __import__("builtins")
            assert __file__ == sys.argv[0] == os.path.abspath(__file__)
            assert sys.orig_argv == [sys.executable, *sys.argv]
            assert sys.path[0] == os.path.dirname(__file__)
            for way in ("fork", "spawn"):
                context = multiprocessing.get_context(way)
                queue = context.Queue()
                process = context.Process(target=work, args=(queue,))
                process.start()
                assert queue.get()[0] == process.pid
                process.join()
                assert process.exitcode == 0
            Reporter()(value=beside.value)
    """)
    signals = await local.run(local.backend(script, preload=["multiprocessing"]), [start()])
    assert local.ended(signals)[0] == Ended(0, 0, "finished"), local.ended(signals)[0].detail
    assert not list((local.path / "__pycache__").glob("train*"))


@pytest.mark.asyncio
async def test_the_end_of_a_script_writes_and_runs_what_is_left_over(local, modules):
    modules(
        logs="""
            import pathlib
            file = open(pathlib.Path(__file__).with_name("module-log"), "a")
            file.write("imported ")
            """,
        other="""
            import pathlib
            file = open(pathlib.Path(__file__).with_name("other-log"), "w")
            """,
    )
    script = local.script("""
        import atexit, ctypes, os, sys, tempfile, threading
        import logs, other
        from pathlib import Path
        here = Path(__file__).parent
        log = open(here / "log", "w")
        log.write("buffered")
        logs.file.write("trial")
        other.file.write("other")
        other.copy = open(here / "bytes", "wb")
        other.copy.write(b"bytes")
        folder = tempfile.TemporaryDirectory()
        class Bye:
            def __del__(self): os.write(1, b"deleted ")
        bye = Bye()
        atexit.register(lambda: print("handler", os.path.isdir(folder.name), flush=True))
        def late():
            go.wait()
            print("thread ", end="", flush=True)
        go = threading.Event()
        threading.Thread(target=late).start()
        ctypes.CDLL(None).printf(b"from C ")
        sys.stdout.write("buffered text ")
        (here / "folder").write_text(folder.name)
        go.set()
    """)
    signals = await local.run(local.backend(script, preload=["logs"]), [start()])
    assert local.ended(signals)[0].how == "finished", local.ended(signals)[0].detail
    assert (local.path / "log").read_text() == "buffered"
    assert (local.path / "module-log").read_text() == "imported trial"
    assert (local.path / "other-log").read_text() == "other"
    assert (local.path / "bytes").read_text() == "bytes"
    assert not Path((local.path / "folder").read_text()).exists()
    told = (local.folder.attempt(0, 0) / "stdout").read_text()
    assert "buffered text thread handler True\n" in told
    assert "deleted" in told
    assert "from C" in told


@pytest.mark.asyncio
async def test_exit_handlers_of_a_module_do_not_delete_what_trials_share(local, modules):
    modules(shared="import tempfile\nfolder = tempfile.TemporaryDirectory()\n")
    script = local.script("""
        import os, shared
        from offbeat import Reporter
        Reporter()(there=os.path.isdir(shared.folder.name))
    """)
    signals = await local.run(local.backend(script, preload=["shared"]), [start(t) for t in range(3)], n_workers=1)
    assert [local.reports(signals, trial)[0].metrics["there"] for trial in range(3)] == [True] * 3


@pytest.mark.asyncio
async def test_an_end_is_told_in_words(local):
    ends = {
        "sys.exit(3)": ("exit status 3", ""),
        "sys.exit('gave up')": ("exit status 1", "gave up\n"),
        "raise RuntimeError('no such layer')": ("exit status 1", "RuntimeError: no such layer\n"),
        "os.kill(os.getpid(), 11)": ("killed by SIGSEGV", ""),
        "raise KeyboardInterrupt": ("killed by SIGINT", "KeyboardInterrupt\n"),
        "sys.stdout.close(); os.close(1)": ("", ""),
        "1 +": ("exit status 1", "SyntaxError: invalid syntax\n"),
        "sys.excepthook = lambda *error: os.write(2, b'hooked'); raise ValueError": ("exit status 1", "hooked"),
    }
    for trial, text in enumerate(ends):
        local.script(f"import os, sys\n{text}\n", f"{trial}.py")
        backend = local.backend(local.path / f"{trial}.py", preload=[])
        end = local.ended(await local.run(backend, [start(trial)]))[trial]
        reason, detail = ends[text]
        assert (end.how, end.reason) == ("failed" if reason else "finished", reason), end
        assert end.detail.endswith(detail)
        assert "forked.py" not in end.detail


REFUSED = {
    "no_such_module_anywhere": (None, "'no_such_module_anywhere' cannot be imported: ModuleNotFoundError"),
    "raises": ("raise ValueError('bad day')", "'raises' cannot be imported: ValueError: bad day"),
    "leaves": ("raise SystemExit(3)", "'leaves' cannot be imported: SystemExit: 3"),
    "crashes": (
        "import os, sys; print('last words', flush=True); os.kill(os.getpid(), 11)",
        "ended in the middle of it: killed by SIGSEGV. Its last words:\nlast words",
    ),
    "quits": ("import os; os._exit(4)", "ended in the middle of it: exit status 4."),
    "threads": (
        "import threading; e = threading.Event(); threading.Thread(target=e.wait, name='watcher', daemon=True).start()",
        "importing 'threads' starts threads (watcher), which a forked trial would not have",
    ),
    "reporter": ("import offbeat; report = offbeat.Reporter()", "makes a Reporter when it is imported"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", REFUSED)
async def test_a_module_that_cannot_be_preloaded_is_named_before_the_first_trial(local, modules, name):
    text, words = REFUSED[name]
    if text is not None:
        modules(**{name: text})
    with pytest.raises(InvalidArgument) as error:
        await local.run(local.backend(local.script("pass"), preload=["json", name]), [])
    assert words in str(error.value)
    assert str(error.value).startswith(f"preload=['json', {name!r}]: ")


@pytest.mark.asyncio
async def test_threads_that_end_before_a_fork_do_no_harm(local):
    """NumPy's BLAS has a pool, which it takes down by itself."""
    script = local.script("""
        import os, numpy
        from offbeat import Reporter
        numpy.linalg.inv(numpy.eye(300))
        Reporter()(threads=len(os.listdir("/proc/self/task")))
    """)
    backend = local.backend(script, preload=["numpy", "numpy.linalg"], num_threads=2)
    signals = await local.run(backend, [start(t) for t in range(2)])
    assert {end.how for end in local.ended(signals).values()} == {"finished"}


def test_a_gpu_that_is_open_is_seen(monkeypatch):
    files = {"/dev/null", "/dev/nvidiactl", "/dev/nvidia0"}
    monkeypatch.setattr(forkserver, "_files", lambda: files)
    words = forkserver.hazards({"torch": set(), "mine": set()}, {"torch": set(), "mine": {"/dev/nvidia0"}})
    assert words == (
        "importing 'mine' opens the GPU (/dev/nvidia0), which a forked trial cannot use: leave it out of preload"
    )
    monkeypatch.setattr(forkserver, "_files", lambda: {"/dev/null", "/tmp/nvidia"})
    assert "GPU" not in forkserver.hazards({}, {})


@pytest.mark.asyncio
async def test_an_import_that_does_not_end_is_given_up(local, modules, monkeypatch):
    monkeypatch.setattr(preloading, "LIMIT", 0.5)
    modules(endless="import signal\nsignal.pause()\n")
    with pytest.raises(InvalidArgument, match=r"this has taken more than 0.5 s"):
        await local.run(local.backend(local.script("pass"), preload=["endless"]), [])
    assert not local.alive()


@pytest.mark.asyncio
async def test_cancelled_during_an_import_nothing_is_left(local, modules):
    modules(
        endless="""
        import pathlib, signal
        pathlib.Path(__file__).with_name("begun").touch()
        signal.pause()
        """
    )
    task = asyncio.create_task(local.run(local.backend(local.script("pass"), preload=["endless"]), []))
    while not (local.path / "begun").exists():
        await asyncio.sleep(0)
    guards = local.guards()
    assert len(guards) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not local.guards()


@pytest.mark.asyncio
async def test_what_modules_print_is_kept_apart(local, modules):
    modules(loud="import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    script = local.script("import loud\nprint('trial')")
    await local.run(local.backend(script, preload=["loud"]), [start(0), start(1)])
    assert sorted((local.folder.path / "trials" / "preload.log").read_text().split()) == ["err", "out"]
    for trial in range(2):
        assert (local.folder.attempt(trial, 0) / "stdout").read_text() == "trial\n"


SLEEPER = """
    import os, signal
    from offbeat import Reporter
    Reporter()(epoch=1, made_in=int(os.environ.get("MADE_IN", "0")))
    signal.pause()
"""


@pytest.mark.asyncio
async def test_a_fork_server_that_was_killed_harms_no_trial_and_is_replaced(local):
    script = local.script(SLEEPER)
    async with local.open(local.backend(script, preload=[]), n_workers=4) as session:
        session.submit(start(0))
        await session.receive()
        first = session.fork_server
        os.kill(first, signal.SIGKILL)
        # Needs a second shim, so a fork server.
        session.submit(start(1))
        (report,) = await session.receive()
        assert (type(report), report.trial) == (Reported, 1)
        assert session.fork_server not in (None, first)
        for trial in range(2):
            session.submit(StopTrial(trial, 0))
        ends = local.ended(await local.until(session, lambda seen: len(seen) == 2))
        assert [(end.how, end.reason) for end in ends.values()] == [("ended", "killed by SIGTERM")] * 2
        # Shims that are there need none.
        os.kill(session.fork_server, signal.SIGKILL)
        session.submit(start(2))
        assert (await session.receive())[0].trial == 2
    assert not local.alive()
    assert not local.guards()


@pytest.mark.asyncio
@pytest.mark.parametrize("killed", [False, True])
async def test_what_a_module_starts_ends_with_the_session(local, modules, killed):
    modules(
        busy="""
        import subprocess
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        """
    )
    async with local.open(local.backend(local.script(SLEEPER), preload=["busy"])) as session:
        session.submit(start(0))
        await session.receive()
        assert len(local.alive()) == 2
        if killed:
            os.kill(session.fork_server, signal.SIGKILL)
            while session.fork_server is not None:
                await asyncio.sleep(0)
    assert not local.alive()
    assert not local.guards()


@pytest.mark.asyncio
async def test_modules_that_have_gone_when_they_are_needed_again_fail_that_trial(local, modules):
    modules(frail="value = 1\n")
    script = local.script(SLEEPER)
    async with local.open(local.backend(script, preload=["frail"]), n_workers=4) as session:
        modules(frail="raise RuntimeError('edited in the meantime')\n")
        os.kill(session.fork_server, signal.SIGKILL)
        session.submit(start(0))
        (end,) = await session.receive()
        if end.how == "lost":  # the order went to the one that was killed and had not been missed yet
            session.submit(start(2))
            (end,) = await session.receive()
        assert end.how == "failed"
        assert end.reason == ("could not be started: 'frail' cannot be imported: RuntimeError: edited in the meantime")
        modules(frail="value = 1\n")
        session.submit(start(1))
        assert type((await session.receive())[0]) is Reported


@pytest.mark.asyncio
async def test_a_trial_that_waits_for_imports_can_be_stopped(local, modules):
    modules(
        moody="""
        import pathlib, signal
        if pathlib.Path(__file__).with_name("hang").exists():
            pathlib.Path(__file__).with_name("hangs").touch()
            signal.pause()
        """
    )
    script = local.script(SLEEPER)
    async with local.open(local.backend(script, preload=["moody"]), n_workers=4, grace=60) as session:
        (local.path / "hang").touch()
        os.kill(session.fork_server, signal.SIGKILL)
        session.submit(start(0))
        while not (local.path / "hangs").exists():
            await asyncio.sleep(0)
        session.submit(StopTrial(0, 0))
        assert await session.receive() == [Ended(0, 0, "ended", "it was not started")]
    assert not local.guards()


@pytest.mark.asyncio
@pytest.mark.parametrize("victims", ["supervisor", "supervisor and fork server", "everybody"])
async def test_a_dead_supervisor_takes_the_fork_server_and_every_trial_along(local, victims):
    script = local.script(SLEEPER)
    async with local.open(local.backend(script, preload=[]), grace=1) as session:
        for trial in range(3):
            session.submit(start(trial))
        await local.until(session, lambda seen: len(seen) == 3)
        pids = {
            "supervisor": [session._link.pid],
            "supervisor and fork server": [session._link.pid, session.fork_server],
            "everybody": [session._link.pid, *local.guards()],
        }[victims]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        assert type((await session.receive())[0]) is BackendBroken
    assert not local.alive()
    assert not local.guards()


@pytest.mark.asyncio
async def test_an_import_dies_with_the_supervisor(local, modules):
    modules(
        endless="""
        import pathlib, signal
        pathlib.Path(__file__).with_name("begun").touch()
        signal.pause()
        """
    )

    async def kill():
        while not (local.path / "begun").exists():
            await asyncio.sleep(0)
        (server,) = local.guards()
        parent = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)

    killing = asyncio.create_task(kill())
    with pytest.raises(InvalidArgument, match="supervises the trials was killed"):
        await local.run(local.backend(local.script("pass"), preload=["endless"]), [])
    await killing
    assert not local.guards()


@pytest.mark.asyncio
async def test_the_journal_describes_it(local):
    script = local.script("import decimal\nfrom offbeat import Reporter; Reporter()(epoch=1)")
    description = describe(local.backend(script, preload=("decimal",)), "offbeat.backends")
    assert description.options["preload"] == ["decimal"]
    (report, _) = await local.run(build(description), [start()])
    assert report.metrics["epoch"] == 1
