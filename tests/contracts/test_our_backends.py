"""Our own backends, through the suite that strangers use."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from offbeat.backend import CoroutineBackend, LocalBackend, PythonBackend
from offbeat.config_space import uniform
from offbeat.protocols import Backend, BackendContext, BackendSession
from offbeat.signals import StartTrial
from offbeat.testing.backend_checks import Behaviour
from offbeat.testing.backend_suite import BackendContract
from offbeat.testing.scripted import End, Garbage, Hang, Report, ScriptedBackend, Step
from offbeat_plugins.backends.coroutine import Trial


def scripted(behaviour: Behaviour, start: StartTrial) -> Iterator[Step]:
    if behaviour == "missing":
        raise FileNotFoundError("no such script")
    for epoch in itertools.count(1):
        yield Report({"epoch": epoch, "loss": 1 / epoch})
        if behaviour == "counts" and epoch == start.config["epochs"]:
            return
        if behaviour == "crashes":
            yield End("failed", "exit status 1")
        elif behaviour == "hangs":
            yield Hang()
        elif behaviour == "garbage":
            if epoch == 2:
                return
            yield Garbage()


class TestScriptedBackend(BackendContract):
    def make(self, behaviour: Behaviour, folder: Path) -> Backend:
        return ScriptedBackend(lambda start: scripted(behaviour, start), checkpoints=True)


SCRIPT = """
import argparse, os, sys, time
from pathlib import Path
from offbeat.report import Reporter, checkpoint_dir

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--lr", type=float)
epochs = parser.parse_args().epochs
behaviour = {behaviour!r}
report = Reporter()
saved = Path(checkpoint_dir()) / "epoch"
saved.parent.mkdir(parents=True, exist_ok=True)
epoch = int(saved.read_text()) if saved.exists() else 0
while behaviour != "counts" or epoch < epochs:
    epoch += 1
    saved.with_name("new").write_text(str(epoch))
    saved.with_name("new").replace(saved)
    report(epoch=epoch, loss=1 / epoch)
    if behaviour == "crashes":
        sys.exit(1)
    while behaviour == "hangs":
        time.sleep(60)
    if behaviour == "garbage":
        if epoch == 2:
            break
        os.write(int(os.environ["OFFBEAT_REPORT_FD"]), b"not a report\\n")
    if behaviour == "endless":
        time.sleep(0.01)
"""


class TestLocalBackend(BackendContract):
    preload: Sequence[str] | None = None

    def make(self, behaviour: Behaviour, folder: Path) -> Backend:
        path = folder / "train.py"
        path.write_text(SCRIPT.format(behaviour=behaviour))
        backend = LocalBackend(path, preload=self.preload)
        if behaviour == "missing":
            path.unlink()
        return backend


def coroutine(behaviour: Behaviour) -> Any:
    async def objective(trial: Trial) -> None:
        saved = trial.checkpoint_dir / "epoch"
        epoch = int(saved.read_text()) if saved.exists() else 0
        while behaviour != "counts" or epoch < trial.config["epochs"]:
            epoch += 1
            saved.write_text(str(epoch))
            await trial.report(epoch=epoch, loss=1 / epoch)
            if behaviour == "crashes":
                raise RuntimeError("the loss went up")
            if behaviour == "hangs":
                await asyncio.Event().wait()
            if behaviour == "garbage":
                if epoch == 2:
                    break
                with contextlib.suppress(TypeError):
                    await trial.report(epoch=object())
            if behaviour == "endless":
                await asyncio.sleep(0.01)

    return objective


class TestCoroutineBackend(BackendContract):
    def make(self, behaviour: Behaviour, folder: Path) -> Backend:
        if behaviour == "missing":
            # There is no script that could be missing; an import that fails inside the objective comes nearest.
            async def objective(trial: Trial) -> None:
                import offbeat_has_no_such_module  # noqa: F401

            return CoroutineBackend(objective)
        return CoroutineBackend(coroutine(behaviour))


class TestLocalBackendWithPreload(TestLocalBackend):
    preload = ("decimal",)


def training(behaviour: Behaviour) -> Callable[..., None]:
    def train(lr: float, epochs: int) -> None:
        import os
        import sys
        import time
        from pathlib import Path

        from offbeat.report import Reporter, checkpoint_dir

        report = Reporter()
        saved = Path(checkpoint_dir() or "") / "epoch"
        epoch = int(saved.read_text()) if saved.exists() else 0
        while behaviour != "counts" or epoch < epochs:
            epoch += 1
            saved.with_name("new").write_text(str(epoch))
            saved.with_name("new").replace(saved)
            report(epoch=epoch, loss=1 / epoch)
            if behaviour == "crashes":
                sys.exit(1)
            while behaviour == "hangs":
                time.sleep(60)
            if behaviour == "garbage":
                if epoch == 2:
                    break
                os.write(int(os.environ["OFFBEAT_REPORT_FD"]), b"not a report\n")
            if behaviour == "endless":
                time.sleep(0.01)

    return train


class Forgetful:
    """Loses the function when it has been opened."""

    time = "real"

    def __init__(self, backend: PythonBackend) -> None:
        self._backend = backend

    @asynccontextmanager
    async def open(self, context: BackendContext) -> AsyncIterator[BackendSession]:
        async with self._backend.open(context) as session:
            (context.folder.path / "trials" / "function.pickle").unlink()
            yield session


class TestPythonBackend(BackendContract):
    preload: Sequence[str] | None = None

    def make(self, behaviour: Behaviour, folder: Path) -> Any:
        pytest.importorskip("cloudpickle", reason="functions need the extra `functions`")
        backend = PythonBackend(training(behaviour), {"lr": uniform(0, 1), "epochs": 3}, preload=self.preload)
        return Forgetful(backend) if behaviour == "missing" else backend


class TestPythonBackendWithPreload(TestPythonBackend):
    preload = ("decimal",)
