"""What does one suggestion of the Gaussian process cost, by the number of observations?

    .venv/bin/python benchmarks/gp.py                      # ours beside a LAPACK floor
    .venv/bin/python benchmarks/gp.py --cold               # first suggestion of a process, warm compile cache, beside `import jax`
    .venv/bin/python benchmarks/gp.py --peer PYTHON --with optuna     # or synetune: an interpreter that has it

Four hyperparameters (two continuous, an integer of 505 values, a categorical of four), all observations used. CPU seconds of
one process on one core with one BLAS thread; medians of calls that each follow a new observation. `rough` is an objective
that no smooth model fits. The floor is what any exact process has to pay: one likelihood with gradient by LAPACK and
improvement at 250 points.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure

SIZES = (20, 100, 200, 500, 520, 770, 1000)
GOALS = {20: 0.005, 100: 0.008, 200: 0.02, 500: 0.06, 520: 0.06, 770: 0.35, 1000: 0.35}


def objective(codes: Any, rough: bool) -> Any:
    import numpy as np

    u = np.c_[codes[:, :3], codes[:, 3:] @ np.arange(4) / 3]
    smooth = (np.linspace(1, 0.3, 4) * (u - 0.35) ** 2).sum(1) + 0.15 * np.sin(6 * u[:, 0]) * u[:, 1]
    return np.sin(40 * u[:, 0]) * np.cos(50 * u[:, 1]) + smooth if rough else smooth


def layout() -> Any:
    import numpy as np

    from offbeat_plugins.surrogates.blocks import Block, Layout

    levels = tuple(((np.arange(505) + 0.5) / 505).tolist())
    return Layout([Block(), Block(), Block("discrete", levels=levels), Block("categorical", 4)])


def ours(n: int, backend: Any, rough: bool, calls: int, folder: str) -> tuple[list[float], list[int]]:
    """Seconds and evaluations of calls after the first."""
    import numpy as np

    from offbeat_plugins.acquisition.options import Data, Options
    from offbeat_plugins.acquisition.suggestion import suggest

    space, rng = layout(), np.random.default_rng(0)
    codes = space.draw(rng.random((n, 4)))
    targets = objective(codes, rough) + 0.02 * rng.standard_normal(n)
    options, state = Options(backend=backend, compile_cache=folder), None
    seconds, evaluations = [], []
    for call in range(calls + 1):
        began = time.process_time()
        answer = suggest(Data(codes, targets), space, [0, call], state, options)
        seconds.append(time.process_time() - began)
        evaluations.append(answer.diagnostics["evaluations"][0])
        state = answer.state
        codes = np.concatenate([codes[1:], answer.codes[:1]])
        targets = np.append(targets[1:], objective(answer.codes[:1], rough) + 0.02 * rng.standard_normal())
    return seconds[1:], evaluations[1:]


def floor(n: int, calls: int) -> float:
    """Median seconds of one likelihood with gradient and of improvement at 250 points, by hand."""
    import numpy as np
    from scipy.linalg import lapack
    from scipy.special import ndtr

    rng = np.random.default_rng(0)
    x, ask, y = rng.random((n, 7)), rng.random((250, 7)), rng.standard_normal(n)
    seconds = []
    for _ in range(calls):
        began = time.process_time()
        kernel = matern(x, x)
        factor, _ = lapack.dpotrf((kernel + 0.1 * np.eye(n)).T, lower=1, overwrite_a=1)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        alpha = inverse @ y
        weights = (inverse - np.outer(alpha, alpha)) * kernel
        (weights @ x).sum()
        cross = matern(ask, x)
        deviation = np.sqrt(np.maximum(1 - ((cross @ inverse) * cross).sum(1), 1e-9))
        z = -(cross @ alpha) / deviation
        (deviation * (np.exp(-0.5 * z * z) / 2.5066 + z * ndtr(z))).argmax()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def matern(a: Any, b: Any) -> Any:
    import numpy as np

    r = np.sqrt(5 * np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0))
    return (1 + r + r * r / 3) * np.exp(-r)


def warm(folder: str, sizes: list[int]) -> None:
    import threadpoolctl

    with threadpoolctl.threadpool_limits(1):
        for n in sizes:
            calls = 15 if n <= 200 else 7
            bare = floor(n, calls)
            for rough in (False, True):
                for backend in ("jax", "numpy"):
                    seconds, evaluations = ours(n, backend, rough, calls, folder)
                    middle = statistics.median(seconds)
                    measure.say(
                        question="seconds of a suggestion", n=n, backend=backend, objective="rough" if rough else "smooth",
                        median=middle, worst=max(seconds), goal=GOALS.get(n, float("nan")), floor=bare,
                        of_floor=middle / bare, evaluations=statistics.median(evaluations),
                        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    )  # fmt: skip


FIRST = """
import sys, time
sys.path.insert(0, {here!r})
import gp
gp.ours({n}, "jax", False, 0, {folder!r})
"""


def cold(folder: str) -> None:
    """Whole processes: the first suggestion with compiled programs on the disk, beside a bare `import jax`."""

    def process(code: str) -> float:
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime

    for n in (20, 100, 500):
        code = FIRST.format(here=str(Path(__file__).parent), n=n, folder=folder)
        process(code)
        first, bare, _ = measure.paired(lambda code=code: process(code), lambda: process("import jax"), 3)
        measure.say(
            question="first suggestion of a process",
            n=n,
            seconds=first,
            bare_import=bare,
            beyond=first - bare,
            goal=0.5,
        )


def peer(python: str, which: str, sizes: list[int]) -> None:
    script = Path(__file__).parent / "peers" / f"{which}_gp.py"
    for n in sizes:
        subprocess.run([python, str(script), str(n), "3" if n <= 200 else "1"], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--peer")
    parser.add_argument("--with", dest="which", choices=("optuna", "synetune"), default="optuna")
    arguments = parser.parse_args()
    measure.pin()
    measure.say(machine=measure.machine())
    with tempfile.TemporaryDirectory() as folder:
        if arguments.peer:
            peer(arguments.peer, arguments.which, arguments.sizes)
        elif arguments.cold:
            cold(os.environ.get("OFFBEAT_BENCH_CACHE", folder))
        else:
            warm(os.environ.get("OFFBEAT_BENCH_CACHE", folder), arguments.sizes)


if __name__ == "__main__":
    main()
