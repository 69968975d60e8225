"""What the benchmarks share: medians, ratios of paired runs, a line about the machine, the journal of toy runs."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def machine() -> str:
    """One line that says where figures were taken."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{model}, {len(os.sched_getaffinity(0))} core(s) used, Python {platform.python_version()}"


def pin(core: int = -1) -> None:
    """Keeps this process and its children on one core (by default the last it may use) and BLAS on one thread."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core]})
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile by rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")


def paired(ours: Callable[[], float], theirs: Callable[[], float], runs: int) -> tuple[float, float, float]:
    """Runs both in turn `runs` times after one warm-up each; (median ours, median theirs, median of the ratios)."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(runs)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder on a disk (not in memory, where fdatasync would cost nothing) that goes away."""
    return tempfile.TemporaryDirectory(prefix="offbeat-bench-", dir=os.environ.get("OFFBEAT_BENCH_DIR") or None)


def say(**figures: Any) -> None:
    """One line of JSON; floats with four significant digits."""
    short = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in figures.items()}
    sys.stdout.write(json.dumps(short) + "\n")
    sys.stdout.flush()
