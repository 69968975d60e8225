"""An engine in a process of its own, with a real training script, that says on its standard output what is on the disk."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TRAIN = """
import argparse, os, signal, time
from offbeat import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--rate", type=float)
options, _ = parser.parse_known_args()
if os.environ.get("STUBBORN"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
report = Reporter()
path = os.path.join(os.environ["OFFBEAT_CHECKPOINT_DIR"], "epoch")
start = int(open(path).read()) if os.path.exists(path) else 0
for epoch in range(start, options.epochs):
    time.sleep(60 if os.environ.get("STUBBORN") and epoch else 0.01)
    report(loss=options.rate / (epoch + 1), epoch=epoch + 1)
    with open(path + ".new", "w") as file:
        file.write(str(epoch + 1))
    os.replace(path + ".new", path)
"""

ENGINE = """
import sys
from offbeat import StoppingCriterion, Tuner
from offbeat.backend import LocalBackend
from offbeat.config_space import loguniform
from offbeat.journal import Journal
from offbeat_plugins.schedulers.asha import ASHA

commit = Journal.commit

def telling(self, events, *, sync):
    commit(self, events, sync=sync)
    print(self.next_seq, flush=True)

Journal.commit = telling
home, script, resume, trials, grace = sys.argv[1:]
if resume == "resume":
    tuner = Tuner.resume("run", home=home, observers=[], grace=float(grace))
else:
    tuner = Tuner(
        LocalBackend(entry_point=script),
        ASHA({"rate": loguniform(1e-3, 1.0), "epochs": 5}, "loss", resource_attr="epoch", max_resource_attr="epochs",
             grace_period=1, reduction_factor=2, random_seed=1, type="promotion"),
        StoppingCriterion(max_num_trials_started=int(trials)),
        n_workers=3, name="run", home=home, observers=[], grace=float(grace),
    )
try:
    tuner.run()
except KeyboardInterrupt:
    sys.exit(130)
"""


class Engine:
    """One engine process; `acknowledged` is the last number of events that it said to be on the disk."""

    def __init__(self, folder: Path, *, resume: bool = False, trials: int = 8, grace: float = 10.0, **env: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        (folder / "train.py").write_text(TRAIN)
        (folder / "engine.py").write_text(ENGINE)
        arguments = [str(self.home), str(folder / "train.py"), "resume" if resume else "new", str(trials), str(grace)]
        self.process = subprocess.Popen(
            [sys.executable, str(folder / "engine.py"), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env}, start_new_session=True,
        )  # fmt: skip
        self.acknowledged = 0

    def until(self, count: int) -> bool:
        """Reads on until so many events are on the disk; False if the engine ended before."""
        assert self.process.stdout is not None
        while self.acknowledged < count:
            line = self.process.stdout.readline()
            if not line:
                return False
            self.acknowledged = int(line)
        return True

    def end(self) -> int:
        """Reads all that it says and waits for its end."""
        self.until(10**9)
        with self.process:
            return self.process.wait(60)

    def error(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def nobody_left(self, seconds: float = 10.0) -> None:
        """Fails if a process that works on this folder is still there after `seconds`."""
        deadline = time.monotonic() + seconds
        while left := [pid for pid in processes_of(self.folder) if pid != self.process.pid]:
            assert time.monotonic() < deadline, left
            time.sleep(0.01)


def processes_of(folder: Path) -> list[int]:
    """Processes with the folder in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if bytes(folder) in line and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append(int(entry.name))
    return found


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Any]:
    """Starts engines: `engine(resume=False, trials=8, grace=10.0, **environment)`; none survives the test."""
    started: list[Engine] = []
    number = 0

    def start(*, fresh: bool = False, **options: Any) -> Engine:
        nonlocal number
        number += fresh
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        one = Engine(folder, **options)
        started.append(one)
        return one

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGKILL)
            one.process.wait()
        for pipe in (one.process.stdout, one.process.stderr):
            if pipe is not None:
                pipe.close()
