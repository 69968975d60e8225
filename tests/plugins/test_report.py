"""The script's side: what a report looks like, what it refuses, and that it never hurts a training."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat import report as module
from offbeat.report import LINE_LIMIT, Reporter

ENGINE = Path(module.__file__).parents[1]


@pytest.fixture
def pipe(monkeypatch):
    """An engine's end of the report pipe; the environment says that we are trial 3, attempt 2."""
    for name in (*module.RANK_VARIABLES, "OFFBEAT_PRICE_PER_HOUR", "OFFBEAT_INSTANCE_COUNT", "OFFBEAT_REPORT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OFFBEAT_REPORTER", str(os.getpid()))
    reading, writing = os.pipe()
    monkeypatch.setenv("OFFBEAT_TRIAL", "3")
    monkeypatch.setenv("OFFBEAT_ATTEMPT", "2")
    monkeypatch.setenv("OFFBEAT_REPORT_FD", str(writing))
    monkeypatch.setenv("OFFBEAT_REPORT_INODE", str(os.fstat(writing).st_ino))
    yield reading, writing
    for fd in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(fd)


def fill(writing, piece):
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, piece)
    os.set_blocking(writing, True)


def lines(reading):
    return [json.loads(line) for line in os.read(reading, 1 << 20).splitlines()]


def run(code, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFBEAT_") and k not in module.RANK_VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "PYTHONPATH": str(ENGINE), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_line_on_the_wire(pipe):
    report = Reporter(price_per_hour=3.6, instance_count=2)
    report(epoch=1, loss=np.float32(0.25), ok=np.bool_(True), n=np.int64(7), name='a"b\\ü\n', bad=float("nan"))
    report(top=float("inf"), low=-np.inf, one=np.array(3), also=np.array([4.0]))
    first, second = lines(pipe[0])
    assert {k: first[k] for k in ("v", "trial", "attempt", "seq")} == {"v": 1, "trial": 3, "attempt": 2, "seq": 0}
    metrics = first["metrics"]
    assert list(metrics)[:6] == ["epoch", "loss", "ok", "n", "name", "bad"]
    assert [metrics[k] for k in list(metrics)[:6]] == [1, 0.25, True, 7, 'a"b\\ü\n', "nan"]
    assert metrics["st_worker_iter"] == 0
    assert metrics["st_worker_cost"] == pytest.approx(metrics["st_worker_time"] * 0.002)
    assert metrics["st_worker_timestamp"] > 1e9
    assert second["seq"] == second["metrics"]["st_worker_iter"] == 1
    assert [second["metrics"][k] for k in ("top", "low", "one", "also")] == ["inf", "-inf", 3, 4.0]


def test_fields_can_be_left_out(pipe, monkeypatch):
    Reporter(add_time=False)(epoch=1)
    monkeypatch.setenv("OFFBEAT_PRICE_PER_HOUR", "36")
    Reporter(add_cost=False)(epoch=2)
    Reporter()(epoch=3)
    one, two, three = [line["metrics"] for line in lines(pipe[0])]
    assert "st_worker_time" not in one
    assert "st_worker_cost" not in one | two
    assert three["st_worker_cost"] == pytest.approx(three["st_worker_time"] * 0.01)


class Level(enum.IntEnum):
    HIGH = 3


class Colour(str, enum.Enum):  # noqa: UP042 - the older kind, whose str() is its name
    RED = "red"


def test_kinds_of_numbers_and_texts(pipe):
    Reporter()(level=Level.HIGH, colour=Colour.RED, text=np.str_("x"), big=2**63)
    metrics = lines(pipe[0])[0]["metrics"]
    assert [metrics[k] for k in ("level", "colour", "text", "big")] == [3, "red", "x", 2**63]


@pytest.mark.parametrize(
    ("metrics", "error", "words"),
    [
        ({"st_loss": 1}, ValueError, "'st_loss'"),
        ({"loss": None}, ValueError, "'loss' is None"),
        ({"loss": [1, 2]}, TypeError, "'loss' is a list"),
        ({"loss": {"a": 1}}, TypeError, "'loss' is a dict"),
        ({"loss": np.zeros(2)}, TypeError, "'loss' is a ndarray"),
        ({"loss": 1j}, TypeError, "'loss' is a complex"),
        ({"loss": Decimal(1)}, TypeError, "'loss' is a Decimal"),
        ({"loss": b"x"}, TypeError, "'loss' is a bytes"),
        ({"loss": object()}, TypeError, "'loss' is a object"),
        ({"loss": 2**64}, ValueError, "'loss' does not fit into 64 bits"),
        ({"loss": "\ud800"}, ValueError, "'loss' is not valid Unicode"),
        ({"\ud800": 1}, ValueError, "not valid Unicode"),
        ({"": 1}, ValueError, "empty name"),
        ({"fine": 1, "weights": "w" * LINE_LIMIT}, ValueError, "'weights'"),
    ],
)
@pytest.mark.parametrize("engine", [True, False])
def test_a_bad_value_is_refused_by_name(pipe, monkeypatch, metrics, error, words, engine):
    if not engine:
        monkeypatch.delenv("OFFBEAT_TRIAL")
        if "weights" in metrics:
            return
    report = Reporter()
    with pytest.raises(error) as caught:
        report(**metrics)
    assert words in str(caught.value)
    report(epoch=1)
    if engine:
        assert [line["seq"] for line in lines(pipe[0])] == [0]


numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(st.text(max_size=5), st.booleans() | numbers | st.text(max_size=10), max_size=5))
def test_the_small_encoder_writes_json(values):
    assert json.loads(module._encoded(values)) == values


@pytest.mark.parametrize("argument", [{"timeout": -1}, {"price_per_hour": "much"}, {"price_per_hour": float("nan")}])
def test_bad_arguments(argument, pipe):
    with pytest.raises(ValueError, match=next(iter(argument))):
        Reporter(**argument)


def test_bad_price_in_the_environment(pipe, monkeypatch):
    monkeypatch.setenv("OFFBEAT_PRICE_PER_HOUR", "$3")
    with pytest.raises(ValueError, match="OFFBEAT_PRICE_PER_HOUR"):
        Reporter()
    Reporter(add_cost=False)


def test_without_an_engine_it_is_printed():
    done = run("from offbeat.report import *; r = Reporter(); r(epoch=1, loss=0.123456789, note='x'); r(epoch=2)\n"
               "import offbeat.report as o; print(o.seed(5), o.checkpoint_dir(), o.config())")  # fmt: skip
    first, second, third = done.stdout.splitlines()
    assert first.startswith("report epoch=1 loss=0.123457 note=x (")
    assert second.startswith("report epoch=2 (")
    assert third == "5 None {}"
    assert done.stderr == ""
    closed = run("import os; os.close(1)\nfrom offbeat.report import Reporter; Reporter()(epoch=1)")
    assert (closed.returncode, closed.stderr) == (0, "")


def test_a_dead_engine_is_no_error(pipe):
    report = Reporter()
    report(epoch=1)
    os.close(pipe[0])
    for epoch in range(2, 5):
        report(epoch=epoch)
    assert report.blocked == report.dropped == 0


def test_a_full_pipe_blocks_and_is_counted(pipe):
    reading, writing = pipe
    report = Reporter(timeout=0.0)
    fill(writing, b"x" * 4096)
    report(epoch=1)
    assert (report.blocked, report.dropped) == (1, 1)
    patient = Reporter(timeout=60)
    thread = threading.Thread(target=patient, kwargs={"epoch": 2})
    thread.start()
    while b"epoch" not in (data := os.read(reading, 1 << 16)):
        pass
    thread.join()
    assert json.loads(data[data.index(b"{") :])["metrics"]["epoch"] == 2
    assert patient.dropped == 0


def test_a_line_given_up_in_its_middle_spoils_no_other(pipe):
    reading, writing = pipe
    report = Reporter(timeout=0.0)
    fill(writing, b"x" * 4095 + b"\n")
    assert len(os.read(reading, 8192)) == 8192
    report(text="y" * 60_000)
    assert report.dropped == 1
    data = os.read(reading, 1 << 20)
    report(epoch=1)
    data += os.read(reading, 1 << 16)
    assert json.loads(data.splitlines()[-1])["metrics"]["epoch"] == 1
    assert b"yyy\n" in data


@pytest.mark.parametrize("variable", module.RANK_VARIABLES)
def test_only_rank_0_speaks(pipe, monkeypatch, variable):
    monkeypatch.setenv(variable, "0")
    Reporter()(epoch=1)
    monkeypatch.setenv(variable, "2")
    silent = Reporter()
    silent(epoch=2)
    with pytest.raises(ValueError, match="None"):
        silent(loss=None)
    assert [line["metrics"]["epoch"] for line in lines(pipe[0])] == [1]


def test_rank_goes_before_local_rank(pipe, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("RANK", "8")
    Reporter()(epoch=1)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    Reporter()(epoch=2)
    assert [line["metrics"]["epoch"] for line in lines(pipe[0])] == [2]


def test_a_descriptor_that_is_another_file_by_now_is_not_written_to(pipe, monkeypatch, tmp_path, capsys):
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setenv("OFFBEAT_REPORT_FD", str(log.fileno()))
        Reporter()(epoch=1)
    assert (tmp_path / "log").read_text() == ""
    printed = capsys.readouterr().out
    assert printed.startswith('[tune-metric]: {"epoch":1,')
    assert json.loads(printed.partition(": ")[2])["epoch"] == 1


def test_helpers(monkeypatch, tmp_path):
    (tmp_path / "config.json").write_text('{"lr": 0.1}')
    monkeypatch.setenv("OFFBEAT_CONFIG", str(tmp_path / "config.json"))
    monkeypatch.setenv("OFFBEAT_CHECKPOINT_DIR", str(tmp_path / "a" / "b"))
    monkeypatch.setenv("OFFBEAT_SEED", "42")
    assert module.config() == {"lr": 0.1}
    assert module.checkpoint_dir() == str(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert module.seed() == 42


def test_it_works_as_the_only_file_of_the_package(tmp_path):
    (tmp_path / "offbeat").mkdir()
    shutil.copy(module.__file__, tmp_path / "offbeat" / "__init__.py")
    done = run("from offbeat import Reporter; Reporter()(epoch=1)", PYTHONPATH=str(tmp_path))
    assert done.stdout.startswith("report epoch=1")


def test_it_loads_nothing_heavy():
    code = "import sys; before = set(sys.modules); from offbeat.report import Reporter; Reporter()(epoch=1)\n" \
           "print(sorted(set(sys.modules) - before))"  # fmt: skip
    loaded = set(run(code, OFFBEAT_TRIAL="0").stdout.splitlines()[-1].strip("[]").replace("'", "").split(", "))
    assert not loaded & {
        "json",
        "typing",
        "re",
        "pathlib",
        "subprocess",
        "socket",
        "numpy",
        "logging",
        "importlib.metadata",
    }


def test_threads_may_report_at_the_same_time(pipe):
    reading, writing = pipe
    report = Reporter()
    received = bytearray()

    def read():
        while data := os.read(reading, 1 << 16):
            received.extend(data)

    def work(thread):
        for step in range(50):
            report(thread=thread, step=step, text="x" * (3000 if step % 2 else 6000))

    reader = threading.Thread(target=read)
    reader.start()
    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(writing)
    reader.join()
    got = [json.loads(line) for line in received.splitlines()]
    assert [line["seq"] for line in got] == [line["metrics"]["st_worker_iter"] for line in got] == list(range(200))
    for thread in range(4):
        assert [line["metrics"]["step"] for line in got if line["metrics"]["thread"] == thread] == list(range(50))


@pytest.mark.parametrize("leave", [False, True])
def test_a_signal_handler_may_report_in_the_middle_of_a_report(pipe, monkeypatch, leave):
    """The write of the first piece of a long line is interrupted."""
    report = Reporter()
    report(epoch=0)
    write = os.write

    def handler(*_):
        report(epoch=2)
        if leave:
            raise SystemExit

    def interrupted(fd, data):
        monkeypatch.undo()
        written = write(fd, data)
        signal.raise_signal(signal.SIGUSR1)
        return written

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        channel = report._channel
        monkeypatch.setattr(module.os, "write", interrupted)
        with pytest.raises(SystemExit) if leave else contextlib.nullcontext():
            report(epoch=1, text="x" * 6000)
    finally:
        signal.signal(signal.SIGUSR1, before)
    report._channel = channel
    report(epoch=3)
    first, *others = os.read(pipe[0], 1 << 16).splitlines()
    assert json.loads(first)["metrics"]["epoch"] == 0
    if leave:
        assert others.pop(0).endswith(b"xxx")
    assert [json.loads(line)["metrics"]["epoch"] for line in others] == ([2, 3] if leave else [1, 2, 3])


def test_a_fork_while_another_thread_reports_leaves_the_child_free(pipe):
    code = """if True:
        import os, threading
        from offbeat import report as module
        held, done = threading.Event(), threading.Event()
        def hold():
            with module._process.lock:
                held.set()
                done.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        import warnings
        warnings.simplefilter("ignore")
        pid = os.fork()
        if pid == 0:
            module.Reporter()(epoch=1)
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
        done.set()
    """
    assert run(code).stdout.splitlines()[-1] == "0"
