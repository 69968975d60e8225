"""Runs on known curves in figures: the best value, what it took, where two schedulers disagree, and what bounds there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from offbeat import events as ev
from offbeat.events import TrialResult
from offbeat.replay.curves import Known, KnownCurve, known
from offbeat.results.experiment import COUNTED
from offbeat.trial import TrialId


class Bounds(NamedTuple):
    """Between what and what a figure lies, whatever the unknown results are; None: on this side nothing is known.

    Of the best value `low` is the better end for a metric that is minimised, `high` for one that is maximised.
    """

    low: float | None
    high: float | None

    @property
    def exact(self) -> bool:
        """Whether both are the same."""
        return self.low is not None and self.low == self.high


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One run on the curves.

    Attributes:
        best: value of the first objective; resource: levels that all trials have reached, added up.
        seconds: of all workers; elapsed: from the first start to the last end.
    """

    best: float | None
    resource: int
    seconds: float
    elapsed: float


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded result on which the other scheduler decides otherwise."""

    trial: int
    level: int
    recorded: str
    other: str
    why: str


class View:
    """Known curves and runs on them, in figures."""

    def __init__(self, trials: Known, metric: str, mode: str, resource_attr: str) -> None:
        self.metric, self.mode, self.resource_attr = metric, mode, resource_attr
        self.sign = 1 if mode == "min" else -1
        self._curves = trials.curves
        self._slowest = trials.slowest
        values = [point.metrics[metric] for curve in self._curves for point in curve.points]
        self.best = self._better(values)
        self._at_level: dict[int, float] = {}
        for curve in self._curves:
            for point in curve.points:
                value = point.metrics[metric]
                there = self._at_level.get(point.level, value)
                self._at_level[point.level] = min(there, value, key=lambda one: self.sign * one)

    def _better(self, values: Sequence[float]) -> float | None:
        return min(values, key=lambda one: self.sign * one) if values else None

    # --- the unknown

    def stale(self, curve: KnownCurve, level: int) -> dict[str, Any]:
        """The last value, again and again; of a trial that never reported, the worst of its level."""
        if curve.points:
            return curve.points[-1].metrics
        return self._example(lambda values: max(values, key=lambda one: self.sign * one))

    def hopeful(self, curve: KnownCurve, level: int) -> dict[str, Any]:
        """As good as the best trial was at that level, and never worse than before."""
        before = self.stale(curve, level)
        best = [value for at, value in self._at_level.items() if at <= level]
        return {**before, self.metric: self._better([*best, before[self.metric]])}

    def _example(self, choose: Callable[[list[float]], float]) -> dict[str, Any]:
        points = [point for curve in self._curves for point in curve.points]
        value = choose([point.metrics[self.metric] for point in points])
        return {**points[0].metrics, self.metric: value}

    def first_unknown(self, events: Sequence[ev.Event]) -> int | None:
        """Number of the event from which on a run depends on what is unknown: a trial is let run on behind its record."""
        latest: dict[TrialId, int] = {}
        found: list[int] = []
        for number, event in enumerate(events):
            if isinstance(event, TrialResult) and event.resource > self._curves[event.trial].level:
                found.append(latest[event.trial])
            elif isinstance(event, TrialResult | ev.TrialStarted | ev.TrialResumed):
                latest[event.trial] = number
        return min(found, default=None)

    # --- figures

    def reached(self, events: Sequence[ev.Event]) -> dict[int, int]:
        """The level that each trial of a run has come to, those that were started."""
        found: dict[int, int] = {}
        for event in events:
            if isinstance(event, ev.TrialStarted):
                found.setdefault(int(event.trial), 0)
            elif isinstance(event, TrialResult) and event.verdict in COUNTED:
                found[int(event.trial)] = event.resource
        return found

    def scenario(self, events: Sequence[ev.Event]) -> Scenario:
        """A run in figures."""
        run = known(events)
        values = [point.metrics[self.metric] for curve in run.curves for point in curve.points]
        return Scenario(
            best=self._better(values),
            resource=sum(curve.level for curve in run.curves),
            seconds=sum(curve.seconds for curve in run.curves),
            elapsed=events[-1].at,
        )

    def recorded(self, elapsed: float) -> Scenario:
        """What was recorded, in the same figures."""
        return Scenario(
            best=self.best,
            resource=sum(curve.level for curve in self._curves),
            seconds=sum(curve.seconds for curve in self._curves),
            elapsed=elapsed,
        )

    def disagreements(self, events: Sequence[ev.Event], top: int) -> tuple[list[Disagreement], int]:
        """Recorded results on which a run decides otherwise, and how many it decides upon.

        Whether a trial is stopped at the end of its training or ends there by itself is no difference; `top`: the level at
        which trainings of the run end.
        """
        end = max([top, *(curve.level for curve in self._curves)])
        over = {curve.trial: curve.level for curve in self._curves if curve.ending == "finished"}
        recorded = {(c.trial, p.level): p.verdict for c in self._curves for p in c.points}
        found: list[Disagreement] = []
        compared = 0
        for event in events:
            if not isinstance(event, TrialResult) or event.verdict not in COUNTED:
                continue
            then = recorded.get((int(event.trial), event.resource))
            if then is None:
                continue
            compared += 1
            last = event.resource >= min(end, over.get(int(event.trial), end))
            if then != event.verdict and not (last and {then, event.verdict} == {"continue", "stop"}):
                found.append(
                    Disagreement(
                        trial=int(event.trial), level=event.resource, recorded=then, other=event.verdict, why=event.why
                    )
                )
        return found, compared

    def bounds(
        self, events: Sequence[ev.Event], unknown: int | None, top: int, limit: float | None, blind: bool
    ) -> tuple[Bounds, Bounds, Bounds]:
        """Best value, resource and seconds, whatever the unknown results are."""
        run = self.scenario(events)
        if unknown is None:
            return Bounds(run.best, run.best), Bounds(run.resource, run.resource), Bounds(run.seconds, run.seconds)
        certain = {one.trial: one for one in known(events[: unknown + 1]).curves}
        over = {
            int(event.trial)
            for event in events[: unknown + 1]
            if isinstance(event, ev.TrialStopped | ev.TrialFinished | ev.TrialFailed)
            or (isinstance(event, TrialResult) and event.verdict == "stop")
        }
        values: list[float] = []
        possible: list[float] = []
        least, most, least_seconds, most_seconds = 0, 0, 0.0, 0.0
        open_end = False
        for curve in self._curves:
            seen = certain.get(curve.trial)
            # A scheduler that is shown no results stops nobody: all that was recorded it would have seen.
            points = curve.points if blind else seen.points if seen is not None else []
            level = points[-1].level if points else 0
            ends = curve.trial in over
            known_end = curve.ending != "cut" or ends
            ceiling = level if ends else curve.level if known_end else max(top, curve.level)
            known_points = points if ends else curve.points
            values += [point.metrics[self.metric] for point in points]
            possible += [point.metrics[self.metric] for point in known_points]
            open_end |= ceiling > curve.level
            least += ceiling if blind else level
            most += ceiling
            least_seconds += sum(point.seconds for point in points)
            beyond = max(0, ceiling - curve.level) * self._slowest
            most_seconds += sum(point.seconds for point in known_points) + beyond
        sure = self._better(values)
        at_best = limit if open_end else self._better(possible)
        best = Bounds(at_best, sure) if self.sign == 1 else Bounds(sure, at_best)
        return best, Bounds(least, most), Bounds(least_seconds, most_seconds)
