"""An attempt in simulated time, and the delays that all of them have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, Literal, NamedTuple

from offbeat.trial import TrialId
from offbeat_plugins.backends.simulation.curves import Curve


class Timing(NamedTuple):
    """Delays in simulated seconds; see `SimulatedBackend`."""

    start: float = 0.0
    stop: float = 0.0
    result: float = 0.0
    finish: float = 0.0
    stopped: float = 0.0


class Run:
    """An attempt.

    Attributes:
        base: curve points behind its checkpoint; seq: reports delivered; n: reports to its own end.
        times: seconds from the attempt's beginning to each report; zero: time of a report that takes no time.
        rows: the metrics of the reports to come.
        until: reports from here on do not arrive; effect: when a command takes effect.
        fate: how it ends if a fault (or the blackbox) ends it.
        curve: what it goes along; begun: of which only the beginning was read; level: up to which it is to go; slow: by how
            much its worker takes longer.
    """

    __slots__ = (
        "attempt", "base", "begun", "curve", "effect", "fate", "level", "n", "over", "pauses", "rows", "seq", "slow",
        "times", "told", "trial", "until", "zero",
    )  # fmt: skip

    def __init__(self, trial: TrialId, attempt: int, base: int) -> None:
        self.trial, self.attempt, self.base = trial, attempt, base
        self.seq = self.n = 0
        self.times: Sequence[float] = ()
        self.rows: Iterator[dict[str, Any]] = iter(())
        self.zero = 0.0
        self.until = self.effect = inf
        self.fate: tuple[Literal["failed", "lost"], str] = ("failed", "")
        self.told = self.pauses = self.over = self.begun = False
        self.level: float = inf
        self.slow = 1.0
        self.curve: Curve | None = None
