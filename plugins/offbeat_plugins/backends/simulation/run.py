"""An attempt in simulated time, and the delays that all of them have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, Literal, NamedTuple

import msgspec

from offbeat.trial import TrialId
from offbeat_plugins.backends.simulation.curves import Curve


class Timing(NamedTuple):
    """Delays in simulated seconds; see `SimulatedBackend`."""

    start: float = 0.0
    stop: float = 0.0
    result: float = 0.0
    finish: float = 0.0
    stopped: float = 0.0


Fate = tuple[Literal["failed", "lost"], str]
"""How an attempt ends, and one sentence, if a fault (or the blackbox) ends it."""


class Run(msgspec.Struct, eq=False, gc=False):
    """An attempt.

    Attributes:
        base: curve points behind its checkpoint; seq: reports delivered; n: reports to its own end.
        times: seconds from the attempt's beginning to each report; zero: time of a report that takes no time.
        rows: the values of the reports to come; levels: the level of each report; plain: see `offbeat.signals.Reported`;
            passes: each is sure to arrive and to count as a result; top: highest level that an earlier attempt has reported,
            inf where that is not known.
        until: reports from here on do not arrive; effect: when a command takes effect.
        count: place of its last report among everything that was put into the heap.
        told: it was told to end; pauses: only for a while; over: its end is known.
        curve: what it goes along; begun: of which only the beginning was read; level: up to which it is to go; slow: by how
            much its worker takes longer.
    """

    trial: TrialId
    attempt: int
    base: int
    seq: int = 0
    n: int = 0
    times: Sequence[float] = ()
    rows: Iterator[tuple[Any, ...]] = iter(())
    plain: bool = False
    levels: Sequence[int] = ()
    passes: bool = False
    top: float = 0.0
    zero: float = 0.0
    until: float = inf
    effect: float = inf
    count: int = 0
    fate: Fate = ("failed", "")
    told: bool = False
    pauses: bool = False
    over: bool = False
    begun: bool = False
    level: float = inf
    slow: float = 1.0
    curve: Curve | None = None
