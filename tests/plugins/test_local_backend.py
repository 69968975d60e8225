"""What the local backend promises an engine: signals in order, files in place, values intact, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument
from offbeat.signals import BackendBroken, DeleteCheckpoints, Ended, PauseTrial, Reported, StartTrial, StopTrial

# Each test with trials that are fresh interpreters, and again with forks of a loaded one.
pytestmark = pytest.mark.parametrize("local", [None, []], indirect=True, ids=["fresh", "forked"])

SLEEPER = """
    import signal
    from offbeat import Reporter
    Reporter()(epoch=1)
    signal.pause()
"""


def start(trial=0, attempt=0, config=None, **options):
    return StartTrial(trial=trial, attempt=attempt, config=config or {}, **options)


@pytest.mark.asyncio
async def test_reports_come_in_order_and_before_the_end(local):
    script = local.script("""
        import argparse
        from offbeat import Reporter
        p = argparse.ArgumentParser(); p.add_argument("--lr", type=float); p.add_argument("--epochs", type=int)
        a = p.parse_args(); report = Reporter()
        print("hello")
        for epoch in range(1, a.epochs + 1):
            report(epoch=epoch, loss=a.lr / epoch)
    """)
    signals = await local.run(local.backend(script), [start(t, config={"lr": 0.5, "epochs": 20}) for t in range(3)])
    for trial in range(3):
        reports = local.reports(signals, trial)
        assert [r.seq for r in reports] == list(range(20))
        assert [r.metrics["epoch"] for r in reports] == list(range(1, 21))
        assert [r.metrics["st_worker_iter"] for r in reports] == list(range(20))
        assert signals.index(local.ended(signals)[trial]) > signals.index(reports[-1])
        assert local.ended(signals)[trial] == Ended(trial, 0, "finished")
        folder = local.folder.attempt(trial, 0)
        assert json.loads((folder / "config.json").read_text()) == {"lr": 0.5, "epochs": 20}
        assert (folder / "stdout").read_text() == "hello\n"
        assert local.folder.checkpoints(trial).is_dir()


@pytest.mark.asyncio
async def test_an_end_is_told_in_words(local):
    script = local.script("""
        import os, signal, sys
        from offbeat import report
        how = report.config()["how"]
        sys.stderr.write("x" * 10000 + "the last words")
        sys.stderr.flush()
        if how == "status": sys.exit(3)
        if how == "signal": os.kill(os.getpid(), signal.SIGSEGV)
        if how == "error": raise RuntimeError("no such layer")
    """)
    hows = ["status", "signal", "error", "well"]
    signals = await local.run(local.backend(script), [start(t, config={"how": how}) for t, how in enumerate(hows)])
    ends = local.ended(signals)
    assert [(ends[t].how, ends[t].reason) for t in range(4)] == [
        ("failed", "exit status 3"),
        ("failed", "killed by SIGSEGV"),
        ("failed", "exit status 1"),
        ("finished", ""),
    ]
    assert ends[0].detail.endswith("the last words")
    assert len(ends[0].detail) == 4096
    assert "RuntimeError: no such layer" in ends[2].detail


@pytest.mark.asyncio
async def test_a_stopped_trial_may_use_its_grace(local):
    script = local.script("""
        import os, signal, sys
        from offbeat import report
        def save(*_):
            open(os.path.join(report.checkpoint_dir(), "state"), "w").write("saved")
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        report.Reporter()(epoch=1)
        while True: signal.pause()
    """)
    async with local.open(local.backend(script)) as session:
        for trial in range(2):
            session.submit(start(trial))
        await local.until(session, lambda seen: len(seen) == 2)
        session.submit(StopTrial(0, 0))
        session.submit(PauseTrial(1, 0))
        ends = local.ended(await local.until(session, lambda seen: len(seen) == 2))
        assert ends[0].how == ends[1].how == "ended"
        for trial in range(2):
            assert (local.folder.checkpoints(trial) / "state").read_text() == "saved"
    assert not local.alive()


@pytest.mark.asyncio
async def test_orders_for_what_is_not_there_are_passed_over(local):
    script = local.script(SLEEPER)
    async with local.open(local.backend(script)) as session:
        session.submit(StopTrial(7, 0))
        session.submit(start(0))
        await session.receive()
        session.submit(StopTrial(0, 1))
        session.submit(StopTrial(0, 0))
        session.submit(StopTrial(0, 0))
        (end,) = await session.receive()
        assert end == Ended(0, 0, "ended", "killed by SIGTERM")
        session.submit(StopTrial(0, 0))
        assert session.receive_nowait() == ()


@pytest.mark.asyncio
async def test_checkpoints_are_kept_copied_cleaned_and_deleted(local):
    script = local.script("""
        import os
        from offbeat import report
        folder = report.checkpoint_dir()
        seen = sorted(os.listdir(folder))
        if os.path.exists(folder + "/sub/epoch"):
            seen.append(open(folder + "/sub/epoch").read())
        os.makedirs(folder + "/sub", exist_ok=True)
        open(folder + "/sub/epoch", "a").write(os.environ["OFFBEAT_TRIAL"])
        report.Reporter()(seen=",".join(seen))
    """)
    backend = local.backend(script)

    async def seen(session, order):
        session.submit(order)
        signals = await local.until(session, lambda got: any(type(s) is Ended for s in got))
        return local.reports(signals, order.trial)[0].metrics["seen"]

    async with local.open(backend) as session:
        assert await seen(session, start(0)) == ""
        assert await seen(session, start(0, 1, resume=True)) == "sub,0"
        assert await seen(session, start(0, 2)) == "sub,00"
        assert await seen(session, start(1, donor=0)) == "sub,000"
        assert await seen(session, start(2, donor=99)) == ""
        assert await seen(session, start(0)) == ""
        session.submit(DeleteCheckpoints(0))
        session.submit(DeleteCheckpoints(1234))
    assert not local.folder.checkpoints(0).exists()
    assert sorted(p.name for p in local.folder.trial(0).iterdir()) == ["0", "1", "2"]
    assert (local.folder.checkpoints(1) / "sub" / "epoch").read_text() == "0001"


@pytest.mark.asyncio
@pytest.mark.parametrize("config_as", ["flags", "json", "env"])
async def test_values_arrive_intact(local, config_as):
    config = {
        "text": "two words", "quotes": "it's \"so\"", "empty": "", "dash": "--lr", "line": "a\nb", "path": "../$HOME/*",
        "umlaut": "grün 😀", "number": -1e-05, "yes": True, "units": [64, 32], "none": None, "big": 10**12,
    }  # fmt: skip
    script = local.script("""
        import json, os, sys
        from offbeat import report
        flags, args = {}, iter(sys.argv[1:])
        for arg in args:
            name, equals, value = arg[2:].partition("=")
            flags[name] = value if equals else next(args)
        env = {k[11:]: v for k, v in os.environ.items() if k.startswith("OFFBEAT_HP_")}
        if "offbeat-config" in flags:
            assert flags == {"offbeat-config": os.environ["OFFBEAT_CONFIG"]}
        report.Reporter()(got=json.dumps([flags, env, report.config()]))
    """)
    signals = await local.run(local.backend(script, config_as=config_as), [start(0, config=config)])
    flags, env, file = json.loads(local.reports(signals)[0].metrics["got"])
    assert file == config
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in config.items()}
    assert flags == (texts if config_as == "flags" else flags)
    assert env == (texts if config_as == "env" else {})


@pytest.mark.asyncio
async def test_what_cannot_be_passed_fails_that_trial_alone(local):
    script = local.script("from offbeat import Reporter; Reporter()(epoch=1)")
    odd = [{"a=b": 1}, {"": 1}, {"-x": 1}, {"x": "nul\0"}, {"x y": 1}, {"long": "x" * 300_000}]
    starts = [start(t, config=config) for t, config in enumerate([*odd, {"fine": 1}])]
    ends = local.ended(await local.run(local.backend(script), starts))
    assert [ends[t].how for t in range(7)] == ["failed"] * 4 + ["finished", "failed", "finished"]
    assert "config_as='json'" in ends[0].reason
    assert all(ends[t].reason.startswith("could not be started") for t in (0, 1, 2, 3, 5))
    (end,) = local.ended(await local.run(local.backend(script, config_as="json"), [start(0, config=odd[3])])).values()
    assert end.how == "finished"


@pytest.mark.asyncio
async def test_any_program_can_be_a_trial(local):
    shell = local.script(
        """
        echo "[tune-metric]: {\\"epoch\\": 1, \\"lr\\": $2}"
        printf 'progress 50%%\\r[tune-metric]: {"epoch": 2, "loss": NaN, "st_worker_time": 0.5}\\n'
        echo nothing of interest
        printf '[tune-metric]: {"epoch": 3}'
    """,
        "train.sh",
    )
    plain = local.script('#!/bin/sh\nexec bash "$(dirname "$0")/train.sh" "$@"\n', "run", 0o755)
    for backend in (
        local.backend(shell, binary="bash"),
        local.backend(plain),
        local.backend(shell, binary=["bash", "-e"]),
    ):
        signals = await local.run(backend, [start(0, config={"lr": 0.25})])
        assert [r.metrics for r in local.reports(signals)] == [
            {"epoch": 1, "lr": 0.25},
            {"epoch": 2, "loss": "nan", "st_worker_time": 0.5},
            {"epoch": 3},
        ]
        assert [r.seq for r in local.reports(signals)] == [0, 1, 2]
        assert b"nothing of interest" in (local.folder.attempt(0, 0) / "stdout").read_bytes()


def test_a_script_that_cannot_run_is_refused_at_once(local):
    from offbeat.backend import LocalBackend

    local.script("pass", "train_network.py")
    data = local.script("1", "data.csv")
    for argument, options, words in [
        (local.path / "train_netwrk.py", {}, "Did you mean 'train_network.py'?"),
        (local.path, {}, "is a directory"),
        (local.path / "missing" / "x.py", {}, "no files"),
        (None, {}, "path of the training script"),
        ("", {}, "path of the training script"),
        (local.path / "train_network.py", {"gpus_to_use": "0,1"}, "give a list, such as ['0', '1']"),
        (local.path / "train_network.py", {"rotate_gpu": True}, "Did you mean 'rotate_gpus'?"),
        (data, {}, "not executable"),
        (data, {"binary": "no-such-program"}, "not on PATH"),
        (data, {"binary": "python -u"}, "Did you mean binary=['python', '-u']?"),
        (data, {"binary": []}, "give a program"),
        (local.path / "train_network.py", {"config_as": "yaml"}, "'flags', 'json' or 'env'"),
        (local.path / "train_network.py", {"max_silence": 0}, "above 0"),
        (local.path / "train_network.py", {"num_gpus_per_trial": 0.5}, "whole number"),
        (local.path / "train_network.py", {"env": {"A": 1}}, "have to be text"),
        (local.path / "train_network.py", {"cwd": local.path / "nowhere"}, "not a directory"),
        (local.path / "train_network.py", {"preload": "numpy"}, "such as preload=['numpy']"),
        (local.path / "train_network.py", {"preload": ["os.path", "-x"]}, "'-x' is no module's name"),
        (local.path / "train_network.py", {"preload": 3}, "give a list of modules"),
        (local.path / "train_network.py", {"preload": ["os"], "binary": "python"}, "leave out preload, or binary"),
    ]:
        with pytest.raises(InvalidArgument) as error:
            LocalBackend(argument, **options)
        assert words in str(error.value)


@pytest.mark.asyncio
async def test_a_script_that_has_gone_fails_its_trials(local):
    script = local.script("pass", "run", 0o755)
    backend = local.backend(script)
    script.unlink()
    (end,) = await local.run(backend, [start(0)])
    assert end.how == "failed"
    assert str(script) in end.reason


@pytest.mark.asyncio
async def test_the_environment_of_a_trial(local, monkeypatch):
    script = local.script("""
        import json, os, signal
        from offbeat import report
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OFFBEAT_TRIAL", "OFFBEAT_ATTEMPT",
                 "OFFBEAT_GRACE", "MINE", "SLURM_PROCID", "OFFBEAT_REPORTER", "RANK")
        report.Reporter()(env=json.dumps({n: os.environ.get(n) for n in names}), cwd=os.getcwd(), seed=report.seed(),
            interrupt=signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            session=os.getsid(0) == os.getpid(),
            term=signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, stdin=os.read(0, 1) == b"",
            fds=len(os.listdir("/proc/self/fd")) - 1)
    """)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("OFFBEAT_REPORTER", "1")
    monkeypatch.setenv("RANK", "0")
    backend = local.backend(script, num_threads=2, env={"MINE": "a b", "OPENBLAS_NUM_THREADS": "5"}, cwd=local.path)
    signals = await local.run(backend, [start(4, 2, seed=99)])
    metrics = local.reports(signals, 4)[0].metrics
    assert json.loads(metrics["env"]) == {
        "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "7", "OPENBLAS_NUM_THREADS": "5", "OFFBEAT_TRIAL": "4",
        "OFFBEAT_ATTEMPT": "2", "OFFBEAT_GRACE": "5", "MINE": "a b", "SLURM_PROCID": None, "OFFBEAT_REPORTER": None,
        "RANK": "0",
    }  # fmt: skip
    assert metrics["cwd"] == str(local.path)
    assert (metrics["seed"], metrics["interrupt"], metrics["term"], metrics["session"]) == (99, True, True, True)
    assert metrics["stdin"] is True
    assert metrics["fds"] == 4  # the three standard ones and the report pipe


@pytest.mark.asyncio
async def test_gpus_are_assigned_within_what_the_user_allows(local, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    script = local.script("""
        import os, signal
        from offbeat import Reporter
        Reporter()(gpus=os.environ["CUDA_VISIBLE_DEVICES"])
        signal.pause()
    """)
    async with local.open(local.backend(script)) as session:
        got = []
        for trial in range(4):
            session.submit(start(trial))
            (report,) = await session.receive()
            got.append(report.metrics["gpus"])
            if trial == 1:
                session.submit(StopTrial(0, 0))
                await session.receive()
        assert got == ["4", "5", "7", "4"]
    with pytest.raises(InvalidArgument, match="at most 3"):
        await local.run(local.backend(script, num_gpus_per_trial=4), [])


@pytest.mark.asyncio
async def test_no_gpus_at_all(local, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    script = local.script("""
        import os
        from offbeat import Reporter
        Reporter()(gpus=os.environ["CUDA_VISIBLE_DEVICES"])
    """)
    for options, seen in [({"gpus_to_use": []}, ""), ({"gpus_to_use": [5]}, "5"), ({"rotate_gpus": False}, "4,5")]:
        (report, _) = await local.run(local.backend(script, **options), [start(0)])
        assert report.metrics["gpus"] == seen
    with pytest.raises(InvalidArgument, match="only 4, 5 may be used"):
        await local.run(local.backend(script, gpus_to_use=[0]), [])


@pytest.mark.asyncio
async def test_built_again_from_the_journal_it_runs_in_the_original_folder(local, monkeypatch):
    local.script("""
        import os
        from offbeat import Reporter
        Reporter()(cwd=os.getcwd(), wrapped=os.environ["WRAPPED"])
    """)
    local.script(f'#!/bin/sh\nWRAPPED=$1 exec {sys.executable} "$2"\n', "wrap", 0o755)
    elsewhere = local.path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(local.path)
    original = local.backend("train.py", binary=["./wrap", "yes"])
    description = describe(original, "offbeat.backends")
    monkeypatch.chdir(elsewhere)
    assert (description.options["cwd"], description.options["binary"]) == (
        str(local.path),
        [str(local.path / "wrap"), "yes"],
    )
    for backend in (original, build(description)):
        (report, _) = await local.run(backend, [start(0)])
        assert (report.metrics["cwd"], report.metrics["wrapped"]) == (str(local.path), "yes")
    by_name = describe(local.backend("../train.py", binary="env"), "offbeat.backends").options
    assert by_name["binary"] == "env"
    assert "binary" not in describe(local.backend("../train.py"), "offbeat.backends").options


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["left", "supervisor killed", "cancelled"])
async def test_it_closes_although_it_has_been_idle_before(local, how):
    script = local.script(SLEEPER)
    running = asyncio.Event()

    async def run():
        async with local.open(local.backend(script), n_workers=1, grace=1) as session:
            session.submit(start(0))
            await session.receive()
            session.submit(StopTrial(0, 0))
            await session.receive()
            session.submit(start(1))
            await session.receive()
            running.set()
            if how == "cancelled":
                await session.receive()
            if how == "supervisor killed":
                os.kill(session._link.pid, signal.SIGKILL)

    task = asyncio.create_task(run())
    await running.wait()
    if how == "cancelled":
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() == (how == "cancelled")
    assert task.cancelled() or task.exception() is None
    assert not local.alive()


@pytest.mark.asyncio
async def test_nothing_is_lost_when_receiving_is_cancelled(local):
    script = local.script(SLEEPER)
    async with local.open(local.backend(script)) as session:
        task = asyncio.create_task(session.receive())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        session.submit(start(0))
        (report,) = await session.receive()
        assert report.metrics["epoch"] == 1


@pytest.mark.asyncio
async def test_a_slow_engine_makes_the_script_wait_and_loses_nothing(local):
    script = local.script("""
        import os
        from offbeat import Reporter
        report = Reporter()
        for epoch in range(1, 30001): report(epoch=epoch)
        os.write(1, b"all written")
    """)
    async with local.open(local.backend(script)) as session:
        session.submit(start(0))
        got = list(await session.receive())
        # Left alone, no more than the limit and what one read holds is taken in.
        while len(session._signals) <= 10_000:
            await asyncio.sleep(0)
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(session._signals) < 12_000
        while type(got[-1]) is not Ended:
            got += await session.receive()
    assert [r.seq for r in local.reports(got)] == list(range(30_000))
    assert got[-1].how == "finished"


@pytest.mark.asyncio
async def test_interrupt_from_another_thread_ends_everything(local):
    script = local.script(SLEEPER)
    async with local.open(local.backend(script), grace=60) as session:
        for trial in range(3):
            session.submit(start(trial))
        await local.until(session, lambda seen: len(seen) == 3)
        threading.Thread(target=session.interrupt).start()
        ends = local.ended(await local.until(session, lambda seen: len(seen) == 3))
        assert {end.how for end in ends.values()} == {"ended"}
        assert not local.alive()


@pytest.mark.asyncio
async def test_a_dead_supervisor_breaks_the_backend_and_takes_every_trial_along(local):
    script = local.script(SLEEPER)
    async with local.open(local.backend(script), grace=1) as session:
        for trial in range(3):
            session.submit(start(trial))
        await local.until(session, lambda seen: len(seen) == 3)
        os.kill(session._link.pid, signal.SIGKILL)
        (broken,) = await session.receive()
        assert type(broken) is BackendBroken
        session.submit(start(9))
        session.submit(StopTrial(0, 0))
    assert session.receive_nowait() == ()
    assert not local.alive()


@pytest.mark.asyncio
@pytest.mark.parametrize("with_supervisor", [False, True])
async def test_a_killed_shim_leaves_nothing_behind(local, with_supervisor):
    script = local.script("""
        import signal, subprocess
        from offbeat import Reporter
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for own in (False, True): subprocess.Popen(["sleep", "1000"], start_new_session=own)
        Reporter()(epoch=1)
        signal.pause()
    """)
    async with local.open(local.backend(script), grace=1) as session:
        session.submit(start(0))
        session.submit(start(1))
        await local.until(session, lambda seen: len(seen) == 2)
        stats = [Path(f"/proc/{await local.pid(session, trial)}/stat").read_text() for trial in (0, 1)]
        shims = [int(stat.rpartition(")")[2].split()[1]) for stat in stats]
        if with_supervisor:
            os.kill(session._link.pid, signal.SIGKILL)
            for shim in shims:
                os.kill(shim, signal.SIGKILL)
            assert type((await session.receive())[0]) is BackendBroken
        else:
            os.kill(shims[0], signal.SIGKILL)
            (end,) = await session.receive()
            assert (end.trial, end.how) == (0, "lost")
            assert len(local.alive()) == 3  # the other trial
    assert not local.alive()


@pytest.mark.asyncio
async def test_opening_and_closing_leaves_the_host_as_it_was(local):
    script = local.script(SLEEPER)

    def host():
        return (
            len(list(Path("/proc/self/fd").iterdir())),
            [signal.getsignal(n) for n in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM)],
            Path.cwd(),
        )

    await local.run(local.backend(script), [])
    before = host()
    for _ in range(5):
        async with local.open(local.backend(script)) as session:
            session.submit(start(0))
            await session.receive()
            session.submit(DeleteCheckpoints(5))
    assert host() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.asyncio
async def test_cancelled_while_closing_it_ends_at_once_and_completely(local):
    script = local.script("""
        import signal
        from offbeat import Reporter
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Reporter()(epoch=1)
        while True: signal.pause()
    """)
    entered = asyncio.Event()

    async def run():
        async with local.open(local.backend(script), grace=1000) as session:
            session.submit(start(0))
            await session.receive()
            entered.set()

    task = asyncio.create_task(run())
    await entered.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not local.alive()


def test_it_runs_in_any_thread_and_any_loop(local):
    script = local.script(SLEEPER)
    ended = []

    def work():
        async def run():
            async with local.open(local.backend(script)) as session:
                session.submit(start(0))
                await session.receive()
                session.submit(StopTrial(0, 0))
                ended.extend(await session.receive())

        asyncio.run(run())

    threads = [threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [Ended(0, 0, "ended", "killed by SIGTERM")]


@pytest.mark.asyncio
async def test_reports_of_processes_that_lost_the_pipe_arrive_all_the_same(local):
    """Launchers such as torchrun close inherited descriptors when they start their workers."""
    local.script(
        """
        import sys
        from offbeat import Reporter
        report = Reporter()
        report(rank=int(sys.argv[1]))
    """,
        "worker.py",
    )
    script = local.script("""
        import os, subprocess, sys
        for rank in (1, 0):
            worker = os.path.join(os.path.dirname(__file__), "worker.py")
            env = {**os.environ, "RANK": str(rank)}
            subprocess.run([sys.executable, worker, str(rank)], check=True, env=env, close_fds=True)
    """)
    signals = await local.run(local.backend(script), [start(0)])
    assert [r.metrics["rank"] for r in local.reports(signals)] == [0]


@pytest.mark.asyncio
async def test_one_process_of_a_trial_reports(local):
    script = local.script("""
        import multiprocessing, os, sys
        from offbeat import Reporter
        report = Reporter()
        def work(rank):
            report(who=rank); Reporter()(who=rank + 10)
        if __name__ == "__main__":
            report(who=0)
            for method in ("fork", "spawn"):
                p = multiprocessing.get_context(method).Process(target=work, args=(1,)); p.start(); p.join()
                assert p.exitcode == 0
            report(who=0)
    """)
    signals = await local.run(local.backend(script), [start(0)])
    assert [r.metrics["who"] for r in local.reports(signals)] == [0, 0]
    assert local.ended(signals)[0].how == "finished"


@pytest.mark.asyncio
async def test_a_forked_child_does_not_report_before_its_parent_either(local):
    script = local.script("""
        import os
        from offbeat import Reporter
        report = Reporter()
        pid = os.fork()
        if pid == 0:
            Reporter()(who=1)
            os._exit(0)
        os.waitpid(pid, 0)
        report(who=0)
    """)
    signals = await local.run(local.backend(script), [start(0)])
    assert [r.metrics["who"] for r in local.reports(signals)] == [0]


@pytest.mark.asyncio
async def test_one_process_after_the_other_may_report(local):
    script = local.script(
        f"""
        for i in 1 2; do
            {sys.executable} -c "from offbeat import Reporter; r = Reporter(); r(step=$i); r(step=$i)"
        done
    """,
        "train.sh",
    )
    signals = await local.run(local.backend(script, binary="bash"), [start(0)])
    assert [(r.seq, r.metrics["step"]) for r in local.reports(signals)] == [(0, 1), (1, 1), (2, 2), (3, 2)]


@pytest.mark.asyncio
async def test_all_starts_together(local):
    script = local.script("from offbeat import Reporter; Reporter()(epoch=1)")
    signals = await local.run(local.backend(script), [start(t) for t in range(30)], n_workers=30)
    assert {end.how for end in local.ended(signals).values()} == {"finished"}
    assert sum(type(s) is Reported for s in signals) == 30


@pytest.mark.asyncio
async def test_a_donor_s_checkpoints_are_kept_until_they_are_copied(local):
    script = local.script("""
        import os
        from offbeat import report
        folder = report.checkpoint_dir()
        seen = len(os.listdir(folder))
        for n in range(200):
            open(os.path.join(folder, str(n)), "w").close()
        report.Reporter()(seen=seen)
    """)
    async with local.open(local.backend(script)) as session:
        session.submit(start(0))
        await local.until(session, local.ended)
        session.submit(start(1, donor=0))
        session.submit(DeleteCheckpoints(0))
        seen = await local.until(session, local.ended)
        assert local.reports(seen, 1)[0].metrics["seen"] == 200
    assert not local.folder.checkpoints(0).exists()


@pytest.mark.asyncio
async def test_an_attempt_after_one_that_ended_before_its_copy_was_complete_copies(local):
    script = local.script("""
        import os
        from offbeat import report
        folder = report.checkpoint_dir()
        seen = sorted(os.listdir(folder))
        open(os.path.join(folder, os.environ["OFFBEAT_TRIAL"]), "w").close()
        report.Reporter()(seen=",".join(seen))
    """)
    async with local.open(local.backend(script)) as session:
        for order in (start(0), start(1, 1, donor=0, resume=True), start(1, 2, donor=0, resume=True)):
            session.submit(order)
            seen = await local.until(session, local.ended)
            found = local.reports(seen, order.trial)[0].metrics["seen"]
            assert found == ["", "0", "0,1"][order.trial + max(0, order.attempt - 1)]
