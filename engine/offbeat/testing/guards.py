"""Context managers inside which a plugin cannot look at what it must not: the clock and the global generators."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

CLOCKS: Final = (
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "thread_time",
)  # fmt: skip

EXCUSED: Final[Collection[str]] = frozenset(
    {"numpy", "scipy", "jax", "jaxlib", "sklearn", "joblib", "msgspec", "anyio", "pytest"}
)
"""Libraries that read the clock for reasons of their own (log lines, time-outs); so does the standard library."""


@contextmanager
def no_clock() -> Iterator[None]:
    """Reading the time raises AssertionError, except from inside the standard library and `EXCUSED` libraries.

    Catches `time.time()` and its like; a function that was imported by name before, or datetime, is not seen.
    """
    kept = {name: getattr(time, name) for name in CLOCKS}
    for name, original in kept.items():
        setattr(time, name, _guarded(name, original))
    try:
        yield
    finally:
        for name, original in kept.items():
            setattr(time, name, original)


def _guarded(name: str, original: Callable[[], Any]) -> Callable[[], Any]:
    def clock() -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__", "")).partition(".")[0]
        if caller in sys.stdlib_module_names or caller in EXCUSED:
            return original()
        raise AssertionError(f"time.{name}() was called by {caller}: decisions must not depend on the clock")

    return clock


@contextmanager
def no_global_randomness() -> Iterator[None]:
    """Raises AssertionError at the end if a number was drawn from the global generator of `random` or NumPy."""
    before = _states()
    yield
    for name, one, other in zip(("random", "numpy.random"), before, _states(), strict=True):
        if one != other:
            raise AssertionError(f"the global generator of {name} was used: draw from request.rng(purpose) instead")


def _states() -> tuple[str, str]:
    return repr(random.getstate()), repr([np.asarray(part).tolist() for part in np.random.get_state()])
