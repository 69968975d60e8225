"""Runs and blackboxes for tests of comparisons."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offbeat.bench.benchmark import Benchmark
from offbeat.bench.runs import POINTS, Run

TROUBLE = '''
"""Blackboxes that make trouble; each says who it is, so that nobody looks at its curves before a run does."""
import os
import sys
import threading

from offbeat.blackbox import FunctionBlackbox
from offbeat.config_space import uniform


def _box(curve):
    box = FunctionBlackbox(curve, {"x": uniform(0, 1)}, levels=3, objectives={"loss": "min"}, whole_curve=True)
    box.fingerprint = curve.__name__
    return box


def _fine(config, levels, seed):
    return {"loss": config["x"] / levels, "elapsed": 1.0 * levels}


def _crashing(config, levels, seed):
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)


def _hanging(config, levels, seed):
    threading.Event().wait()


def _talking(config, levels, seed):
    print("not an answer", flush=True)
    return _fine(config, levels, seed)


def _raising(config, levels, seed):
    raise ValueError("no such training")


def fine():
    return _box(_fine)


def crashing():
    return _box(_crashing)


def hanging():
    return _box(_hanging)


def talking():
    return _box(_talking)


def raising():
    return _box(_raising)
'''


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a benchmark of one of the blackboxes above, which workers can import."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "bench_trouble.py").write_text(TROUBLE)
    monkeypatch.syspath_prepend(str(folder))

    def make(kind: str, **fields: Any) -> Benchmark:
        known: dict[str, Any] = {"budget": 30.0, "best": 0.0, "median": 0.2}
        return Benchmark(name=kind, blackbox=f"bench_trouble:{kind}", **{**known, **fields})

    return make


def run(method: str, benchmark: str, seed: int, errors: Any, **fields: Any) -> Run:
    values = np.broadcast_to(np.asarray(errors, float), (POINTS,)).tolist()
    return Run(method=method, benchmark=benchmark, seed=seed, observed=values, true=values, **fields)


def benchmark(name: str = "task", **fields: Any) -> Benchmark:
    known: dict[str, Any] = {"budget": 100.0, "best": 0.0, "median": 1.0, "metric": "loss", "mode": "min"}
    return Benchmark(name=name, blackbox="made-up", **{**known, **fields})


@pytest.fixture
def made() -> SimpleNamespace:
    """Runs and benchmarks without a run."""
    return SimpleNamespace(run=run, benchmark=benchmark)
