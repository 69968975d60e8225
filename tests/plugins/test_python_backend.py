"""What function trials promise: the function as it is, checked before the first trial, unpickled by nobody but a trial."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from offbeat import Reporter, StoppingCriterion, Tuner
from offbeat.backend import PythonBackend
from offbeat.config_space import choice, loguniform, uniform, when
from offbeat.errors import InvalidArgument, MissingExtra
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.signals import Ended, StartTrial

pytest.importorskip("cloudpickle", reason="functions need the extra `functions`")

BOTH = pytest.mark.parametrize("preload", [None, []], ids=["fresh", "forked"])
SPACE = {"lr": uniform(0, 1), "epochs": 3}
FACTOR = 2.0


def start(trial=0, attempt=0, config=None, **options):
    return StartTrial(trial=trial, attempt=attempt, config=config or {"lr": 0.5, "epochs": 3}, **options)


def plain(lr, epochs):
    report = Reporter()
    for epoch in range(1, epochs + 1):
        report(epoch=epoch, loss=lr * FACTOR / epoch)


def functions():
    """Made here they are sent by value; imported, each trial would import all that this file imports."""
    factor = 2.0

    class Net:
        def __init__(self, factor):
            self.factor = factor

        def train(self, lr, epochs):
            Reporter()(loss=lr * self.factor)

        def __call__(self, lr, **others):
            Reporter()(loss=lr * self.factor)

    def closure(lr, epochs):
        Reporter()(loss=lr * factor)

    def recursive(lr, epochs, left=2):
        return recursive(lr, epochs, left - 1) if left else {"loss": lr * factor}

    return {
        "closure": closure,
        "lambda": lambda lr, epochs: Reporter()(loss=2 * lr),
        "partial": functools.partial(closure, epochs=1),
        "method": Net(2.0).train,
        "object": Net(2.0),
        "recursive": recursive,
        "**kwargs": lambda **config: Reporter()(loss=config["lr"] * 2),
        "returned": lambda lr, epochs: {"loss": 1.0, "epoch": 1},
        "imported": plain,
    }


@pytest.mark.asyncio
@BOTH
async def test_every_kind_of_function_trains(local, preload):
    for name, function in functions().items():
        signals = await local.run(PythonBackend(function, SPACE, preload=preload), [start()])
        assert local.ended(signals)[0] == Ended(0, 0, "finished"), name
        assert local.reports(signals)[0].metrics["loss"] == 1.0, name


@pytest.mark.asyncio
@BOTH
async def test_a_trial_is_a_process_of_its_own_with_everything_that_a_script_has(local, preload, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")

    def train(lr, epochs):
        import signal

        from offbeat.report import checkpoint_dir, config, seed

        print("out")
        print("err", file=sys.stderr)
        Reporter()(
            pid=os.getpid(),
            leader=os.getsid(0) == os.getpid(),
            cwd=str(Path.cwd()),
            seed=seed(),
            lr=config()["lr"],
            mine=os.environ["MINE"],
            gpu=os.environ["CUDA_VISIBLE_DEVICES"],
            checkpoints=checkpoint_dir(),
            argv=str(sys.argv[1:]),
            path=str(sys.path),
            term=signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
            interrupt=signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            fds=len(list(Path("/proc/self/fd").iterdir())) - 1,
            threads=os.environ["OMP_NUM_THREADS"],
        )

    backend = PythonBackend(
        train, SPACE, cwd=local.path, env={"MINE": "a b"}, num_threads=2, gpus_to_use=[4], preload=preload
    )
    signals = await local.run(backend, [start(t, seed=7) for t in range(2)])
    first, second = (local.reports(signals, t)[0].metrics for t in range(2))
    assert first["pid"] != second["pid"] != os.getpid()
    expected = {
        "leader": True, "cwd": str(local.path), "seed": 7, "lr": 0.5, "mine": "a b", "gpu": "4", "argv": "[]",
        "checkpoints": str(local.folder.checkpoints(0)), "term": True, "interrupt": True, "fds": 4, "threads": "2",
        "path": str([os.path.abspath(entry) for entry in sys.path]),  # noqa: PTH100,
    }  # fmt: skip
    assert {name: first[name] for name in expected} == expected
    folder = local.folder.attempt(0, 0)
    assert (folder / "stdout").read_text() == "out\n"
    assert (folder / "stderr").read_text() == "err\n"


@pytest.mark.asyncio
@BOTH
async def test_a_function_that_reports_nothing_says_what_to_do(local, preload):
    values = {0: None, 1: 0.25, 2: [0.25], 3: {}, 4: "well"}

    def train(lr, epochs):
        return values[int(lr)]

    backend = PythonBackend(train, SPACE, preload=preload)
    ends = local.ended(await local.run(backend, [start(t, config={"lr": t, "epochs": 1}) for t in values]))
    for end in ends.values():
        assert (end.how, end.reason) == (
            "failed",
            "train returned without a report: call report = offbeat.Reporter() and report(loss=...) in it, or return its "
            "metrics as a dict",
        )


@pytest.mark.asyncio
@BOTH
async def test_what_is_returned_counts_only_where_nothing_was_reported(local, preload):
    def train(lr, epochs):
        if epochs:
            Reporter()(epoch=1, loss=lr)
        return {"loss": 99.0, "epoch": 7}

    backend = PythonBackend(train, SPACE, preload=preload)
    signals = await local.run(backend, [start(0), start(1, config={"lr": 0.5, "epochs": 0})])
    assert [one.metrics["loss"] for one in local.reports(signals, 0)] == [0.5]
    assert [(one.metrics["loss"], one.metrics["epoch"]) for one in local.reports(signals, 1)] == [(99.0, 7)]


@pytest.mark.asyncio
async def test_reports_of_another_process_and_of_resumed_attempts_are_reports(local):
    def train(lr, epochs):
        if epochs == 1:
            print('[tune-metric]: {"loss": 0.5}')
        elif epochs == 2:
            code = "from offbeat import Reporter; Reporter()(loss=0.5)"
            subprocess.run([sys.executable, "-c", code], check=True, pass_fds=[int(os.environ["OFFBEAT_REPORT_FD"])])

    backend = PythonBackend(train, SPACE)
    starts = [start(t, config={"lr": 0.1, "epochs": t}) for t in (1, 2)]
    # Its first attempt may have done everything before it was interrupted.
    done = start(3, 1, config={"lr": 0.1, "epochs": 0}, resume=True)
    signals = await local.run(backend, [*starts, done])
    assert {end.how for end in local.ended(signals).values()} == {"finished"}
    assert len(local.reports(signals, 1)) == len(local.reports(signals, 2)) == 1


@pytest.mark.asyncio
@BOTH
async def test_an_end_is_told_in_words(local, preload):
    def train(lr, epochs):
        match epochs:
            case 0:
                raise RuntimeError("no such layer")
            case 1:
                sys.exit(3)
            case 2:
                sys.exit("gave up")
            case 3:
                os.kill(os.getpid(), 11)
            case 4:
                raise KeyboardInterrupt
            case 5:
                os._exit(5)
        return {"loss": None}

    backend = PythonBackend(train, SPACE, preload=preload)
    starts = [start(t, config={"lr": 0.1, "epochs": t}) for t in range(7)]
    ends = local.ended(await local.run(backend, starts, n_workers=7))
    assert [ends[t].reason for t in range(7)] == [
        "exit status 1", "exit status 3", "exit status 1", "killed by SIGSEGV", "killed by SIGINT", "exit status 5",
        "exit status 1",
    ]  # fmt: skip
    assert ends[0].detail.endswith("RuntimeError: no such layer\n")
    assert ends[0].detail.count("File ") == 1  # the function's own line and nobody else's
    assert ends[2].detail == "gave up\n"
    assert "The value of 'loss' is None" in ends[6].detail


@pytest.mark.asyncio
@BOTH
async def test_nothing_that_somebody_else_wrote_is_unpickled(local, preload):
    witness = local.path / "unpickled"

    class Payload:
        def __reduce__(self):
            return Path.touch, (witness,)

    import pickle

    backend = PythonBackend(plain, SPACE, preload=preload)
    async with local.open(backend) as session:
        file = local.folder.path / "trials" / "function.pickle"
        content = file.read_bytes()
        head = content.partition(b"\n")[0]
        for trial, other in enumerate((head + b"\n" + pickle.dumps(Payload()), content + b"x", b"")):
            file.write_bytes(other)
            session.submit(start(trial))
            (end,) = await local.until(session, lambda seen: len(seen) == 1)
            assert end.how == "failed"
            assert "nothing of it was unpickled" in end.detail.replace("\n", " ")
        file.write_bytes(content)
        session.submit(start(3))
        assert local.ended(await local.until(session, lambda seen: len(seen) == 4))[3].how == "finished"
    assert not witness.exists()


@pytest.mark.asyncio
async def test_the_function_is_written_once_and_is_the_one_that_was_given(local):
    state = {"loss": 1.0}

    def train(lr, epochs):
        return dict(state)

    backend = PythonBackend(train, SPACE)
    state["loss"] = 2.0
    file = local.folder.path / "trials" / "function.pickle"
    inodes = []
    for _ in range(2):
        signals = await local.run(backend, [start()])
        assert local.reports(signals)[0].metrics["loss"] == 1.0
        assert file.stat().st_mode & 0o777 == 0o600
        inodes.append(file.stat().st_ino)
    assert inodes[0] == inodes[1]
    signals = await local.run(PythonBackend(train, SPACE), [start()])
    assert local.reports(signals)[0].metrics["loss"] == 2.0
    assert sorted(entry.name for entry in file.parent.iterdir() if entry.is_file()) == ["function.pickle"]


def test_a_function_that_does_not_fit_is_refused_before_anything_starts():
    lock = threading.Lock()

    async def coroutine(lr, epochs):
        pass

    def generator(lr, epochs):
        yield

    def locked(lr, epochs):
        lock.acquire()

    def misspelt(lrate, epochs):
        pass

    def more(lr, epochs, batch, size=1):
        pass

    for function, words in [
        (coroutine, "is a coroutine function"),
        (functools.partial(coroutine, epochs=1), "is a coroutine function"),
        (generator, "is a generator"),
        ("train.py", "pass the function itself; LocalBackend(entry_point=...) runs scripts"),
        (None, "is not a function"),
        (misspelt, "does not take 'lr', which config_space has. Did you mean 'lrate'?"),
        (more, "needs 'batch', which config_space does not have"),
        (lambda lr, epochs, /: None, "does not take 'lr'"),
        (lambda x, /, **config: None, "takes 'x' by position only"),
        (
            locked,
            "because of its variable 'lock', a _thread.lock, which cannot be pickled. Make it inside the function",
        ),
        (functools.partial(plain, note=lock), "incorrect arguments"),
        (functools.partial(lambda note, lr, epochs: None, lock), "argument 0, a _thread.lock"),
        (functools.partial(lambda lr, epochs, note: None, note={"a": [1, lock]}), "'note' -> entry 'a' -> item 1"),
    ]:
        with pytest.raises(InvalidArgument) as error:
            PythonBackend(function, SPACE)
        assert words in str(error.value), error.value


def test_other_arguments_are_checked_as_those_of_local_backend(tmp_path):
    for options, words in [
        ({"env": {"A": 1}}, "have to be text"),
        ({"cwd": tmp_path / "nowhere"}, "not a directory"),
        ({"max_silence": 0}, "above 0"),
        ({"gpus_to_use": "0"}, "give a list"),
        ({"num_gpus_per_trial": -1}, "whole number"),
        ({"preload": "torch"}, "such as preload=['torch']"),
        ({"entry_point": "x.py"}, "has no argument 'entry_point'"),
    ]:
        with pytest.raises(InvalidArgument) as error:
            PythonBackend(plain, SPACE, **options)
        assert words in str(error.value)


def test_without_cloudpickle_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(MissingExtra, match=r"pip install 'offbeat\[functions\]'"):
        PythonBackend(plain, SPACE)


SCRIPT = """
    import enum, pickle, sys
    from offbeat import Reporter, StoppingCriterion, Tuner
    from offbeat.backend import PythonBackend
    from offbeat.config_space import uniform
    from offbeat.optimizer.baselines import RandomSearch
    from helper import double

    class Kind(enum.Enum):
        GOOD = 1

    class Net:
        kind = Kind.GOOD

    def train(lr):
        # As checkpoints and worker processes do it: by name.
        net = pickle.loads(pickle.dumps(Net()))
        assert net.kind is Kind.GOOD
        Reporter()(loss=double(lr))

    preload = None if sys.argv[1] == "fresh" else ["helper"]
    tuner = Tuner(PythonBackend(train, {"lr": uniform(0, 1)}, preload=preload),
                  RandomSearch({"lr": uniform(0, 1)}, metric="loss", points_to_evaluate=[{"lr": 0.5}]),
                  StoppingCriterion(max_num_trials_started=2), n_workers=2, observers=[], home=sys.argv[2], name="run")
    tuner.run()
    print(max(r.value for r in [tuner.best()]) <= 1.0)
"""


@pytest.mark.parametrize("how", ["fresh", "forked"])
@pytest.mark.parametrize("way", ["script", "stdin"])
def test_functions_of_main_and_modules_beside_it(tmp_path, how, way):
    """A notebook's cells are a `__main__` without a file, as is a program that comes by standard input."""
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    text = textwrap.dedent(SCRIPT)
    (tmp_path / "tune.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "tune.py" if way == "script" else "-", how, str(tmp_path / "home")],
        cwd=tmp_path, capture_output=True, text=True, check=False, input=text if way == "stdin" else "",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert len(list((tmp_path / "home" / "run" / "trials").glob("[0-9]*"))) == 2


def test_a_module_that_trials_cannot_import_is_sent_along(tmp_path):
    import types

    from offbeat_plugins.backends.functions import can_be_imported

    assert can_be_imported(sys.modules["json.decoder"])
    assert can_be_imported(sys.modules["sys"])
    made = types.ModuleType("made_up")
    code = "def inner(x):\n    return 2 * x\ndef train(lr):\n    return {'loss': inner(lr)}\n"
    exec(code, vars(made))
    sys.modules["made_up"] = made
    try:
        assert not can_be_imported(made)
        backend = PythonBackend(made.train, {"lr": uniform(0, 1)})
        space = {"lr": uniform(0, 1)}
        tuner = Tuner(
            backend, RandomSearch(space, metric="loss", points_to_evaluate=[{"lr": 0.25}]),
            StoppingCriterion(max_num_trials_started=1), n_workers=1, observers=[], home=tmp_path,
        )  # fmt: skip
        tuner.run()
        assert tuner.best().value == 0.5
    finally:
        del sys.modules["made_up"]


def going_on():
    def train(lr, epochs):
        from offbeat.report import checkpoint_dir

        path = Path(checkpoint_dir()) / "epoch"
        reached = int(path.read_text()) if path.exists() else 0
        report = Reporter()
        for epoch in range(reached + 1, epochs + 1):
            path.write_text(str(epoch))
            report(epoch=epoch, loss=lr / epoch)

    return train


@BOTH
def test_a_search_with_pauses_ends_and_is_resumed_with_the_same_function(tmp_path, preload):
    space = {"lr": loguniform(1e-3, 1), "epochs": 4}

    def scheduler():
        return ASHA(
            space, metric="loss", resource_attr="epoch", max_resource_attr="epochs", type="promotion", grace_period=1,
            reduction_factor=2, random_seed=0,
        )  # fmt: skip

    tuner = Tuner(
        PythonBackend(going_on(), space, preload=preload), scheduler(),
        StoppingCriterion(max_num_trials_started=6), n_workers=2, observers=[], home=tmp_path, name="run",
    )  # fmt: skip
    assert tuner.run().outcome == "done"
    with pytest.raises(InvalidArgument, match="Pass it as trial_backend="):
        Tuner.resume("run", home=tmp_path)
    again = Tuner.resume(
        "run", home=tmp_path, trial_backend=PythonBackend(going_on(), space, preload=preload), observers=[],
        stop_criterion=StoppingCriterion(max_num_trials_started=8),
    )  # fmt: skip
    assert again.run().outcome == "done"
    from offbeat.results import load

    ledger = load("run", tmp_path).ledger
    assert len(ledger) == 8
    assert not any(trial.failures for trial in ledger)
    assert max(trial.resource for trial in ledger) == 4


def test_another_function_on_resume_is_warned_of(tmp_path, caplog):
    space = {"lr": uniform(0, 1)}

    def first():
        return lambda lr: {"loss": lr}

    def second():
        return lambda lr: {"loss": lr + 1}

    stop = StoppingCriterion(max_num_trials_started=1)
    Tuner(
        PythonBackend(first(), space), RandomSearch(space, metric="loss"), stop, observers=[], home=tmp_path, name="run"
    ).run()
    caplog.clear()
    Tuner.resume("run", home=tmp_path, trial_backend=PythonBackend(first(), space))
    assert "other code" not in caplog.text
    Tuner.resume("run", home=tmp_path, trial_backend=PythonBackend(second(), space))
    assert "other code than the recorded one" in caplog.text


def test_a_conditional_hyperparameter_needs_a_default() -> None:
    space = {"kind": choice(["a", "b"]), "depth": when(uniform(0, 1), "kind == 'b'")}

    def without(kind: str, depth: float) -> None: ...

    def with_default(kind: str, depth: float | None = None) -> None: ...

    with pytest.raises(InvalidArgument, match="needs a default for 'depth', such as depth=None"):
        PythonBackend(without, space)
    PythonBackend(with_default, space)
