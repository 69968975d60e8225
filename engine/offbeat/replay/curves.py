"""The trials of an experiment as far as they are known: what each reported, how long it took, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from offbeat import events as ev
from offbeat.results.experiment import COUNTED
from offbeat.trial import TrialId

Ending: TypeAlias = Literal["finished", "failed", "cut"]
"""How a curve ends: the training was over, it failed for good, or somebody ended it: what would have come is unknown."""


class KnownPoint(msgspec.Struct, frozen=True):
    """A counted result; `seconds` since the one before, or since the attempt began."""

    level: int
    metrics: dict[str, Any]
    seconds: float
    verdict: str


class KnownCurve(msgspec.Struct):
    """A trial as far as it is known."""

    trial: int
    config: dict[str, Any]
    points: list[KnownPoint] = []
    ending: Ending = "cut"
    reason: str = ""

    @property
    def level(self) -> int:
        """The highest level that is known, 0 without any."""
        return self.points[-1].level if self.points else 0

    @property
    def seconds(self) -> float:
        """What it took to get there."""
        return sum(point.seconds for point in self.points)


class Known(msgspec.Struct):
    """All trials of an experiment.

    Attributes:
        curves: by number, those that were started.
        levels: resource levels that anybody reported, ascending.
        workers: most trials that ran at once.
    """

    curves: list[KnownCurve]
    levels: list[int]
    workers: int

    @property
    def slowest(self) -> float:
        """Seconds for one resource level, of the slowest step of all."""
        return max((pace for curve in self.curves for pace in paces(curve)), default=0.0)


def paces(curve: KnownCurve) -> list[float]:
    """Seconds for one resource level, of each step of a curve."""
    before, found = 0, []
    for point in curve.points:
        found.append(point.seconds / (point.level - before))
        before = point.level
    return found


def known(events: Iterable[ev.Event]) -> Known:
    """The trials that events tell of."""
    curves: dict[TrialId, KnownCurve] = {}
    configs: dict[TrialId, dict[str, Any]] = {}
    marks: dict[TrialId, float] = {}
    workers = 0
    for event in events:
        match event:
            case ev.Suggested(kind="start"):
                configs[event.trial] = event.config or {}
            case ev.TrialStarted() | ev.TrialResumed():
                if event.trial not in curves:
                    curves[event.trial] = KnownCurve(int(event.trial), configs[event.trial], [])
                marks[event.trial] = event.at
                workers = max(workers, len(marks))
            case ev.TrialResult():
                if event.verdict in COUNTED:
                    seconds = event.at - marks.get(event.trial, event.at)
                    point = KnownPoint(event.resource, event.metrics, seconds, event.verdict)
                    curves[event.trial].points.append(point)
                # What an attempt repeats after a crash took time too, and is not the next level's.
                marks[event.trial] = event.at
            case ev.TrialFinished():
                curves[event.trial].ending = "finished"
            case ev.TrialFailed(retry=False):
                curves[event.trial].ending, curves[event.trial].reason = "failed", event.reason
            case _:
                pass
        if isinstance(event, ev.TrialPaused | ev.TrialStopped | ev.TrialFinished | ev.TrialFailed | ev.TrialLost):
            marks.pop(event.trial, None)
    levels = sorted({point.level for curve in curves.values() for point in curve.points})
    return Known([curves[trial] for trial in sorted(curves)], levels, workers)
