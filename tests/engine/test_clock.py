"""The two clocks; and that nothing else in the engine reads time."""

from __future__ import annotations

import re
from pathlib import Path

import offbeat
from offbeat.clock import ManualClock, SystemClock


def test_a_manual_clock_moves_when_told_to() -> None:
    clock = ManualClock(5.0, wall=7.0)
    clock.advance(2.5)
    assert (clock.monotonic(), clock.wall()) == (7.5, 7.0)


def test_the_system_s_clock_does_not_go_back() -> None:
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)
    assert clock.wall() > 1.6e9


def test_the_engine_s_core_reads_time_nowhere_else() -> None:
    core = (
        "conductor",
        "state",
        "verdicts",
        "intake",
        "driver",
        "commits",
        "bus",
        "asking",
        "session",
        "tuner",
        "trial",
    )
    for name in core:
        source = (Path(offbeat.__file__).parent / f"{name}.py").read_text()
        assert not re.search(
            r"^(import time|from time)|time\.(time|monotonic)\(\)|datetime\.now", source, re.MULTILINE
        ), name
