"""Schedulers compared in simulated time, with statistics: `offbeat bench`, and `compare` from Python.

from offbeat.bench import Benchmark, compare
comparison = compare(["random", "asha"], ["digits", "lcbench-7593"], seeds=30, jobs=4, folder="results")
comparison.to_pandas()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offbeat.bench.benchmark import Benchmark as Benchmark
    from offbeat.bench.comparing import compare as compare
    from offbeat.bench.comparison import Comparison as Comparison
    from offbeat.bench.contestant import Contestant as Contestant

_HOMES = {
    "Benchmark": "offbeat.bench.benchmark",
    "Comparison": "offbeat.bench.comparison",
    "Contestant": "offbeat.bench.contestant",
    "compare": "offbeat.bench.comparing",
}

__all__ = ["Benchmark", "Comparison", "Contestant", "compare"]

if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt name is a type error

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
