"""What journals tell of trainings: curves, how each of them ended, and how long a level took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat import events as ev
from offbeat.errors import InvalidArgument, nearest
from offbeat.journal import read_journal
from offbeat.protocols import Mode
from offbeat.results import COUNTED, Experiment
from offbeat.space import Space
from offbeat.trial import Status
from offbeat_plugins.blackboxes.fitting.agreement import common_space

End = Literal["full", "cut", "ended"]
"""`full`: reached the highest level; `cut`: ended from outside before it, or goes on; `ended`: by itself or badly."""


class Gap(NamedTuple):
    """Time between two reports of one execution, or from its start to its first report.

    Attributes:
        until: the level that was reached in it; levels: how many that were.
    """

    first: bool
    until: int
    levels: int
    seconds: float

    @property
    def pace(self) -> float:
        """Seconds of a level."""
        return self.seconds / self.levels


class Observed(NamedTuple):
    """A trial.

    Attributes:
        experiment, trial: which one, by place among the experiments and by number.
        levels: at which it reported, increasing; values: (levels, objectives).
    """

    experiment: int
    trial: int
    config: dict[str, Any]
    levels: NDArray[Any]
    values: NDArray[Any]
    gaps: tuple[Gap, ...]
    end: End


class Past(NamedTuple):
    """All trials with a result, and what they have in common.

    Attributes:
        levels: resource levels of a full curve; (1,) where there is no resource.
        failed: trials without any result, which are left out.
    """

    names: tuple[str, ...]
    space: Space
    objectives: Mapping[str, Mode]
    resource_attr: str
    levels: tuple[int, ...]
    trials: tuple[Observed, ...]
    failed: int

    @property
    def full(self) -> int:
        """How many curves are full."""
        return sum(trial.end == "full" for trial in self.trials)


def observed(experiments: Sequence[Experiment], max_t: int | None = None) -> Past:
    """The trials of experiments that fit each other; `max_t`: curves are taken to end there.

    Raises InvalidArgument that names what differs.
    """
    space = common_space(experiments)
    first = experiments[0].spec
    objectives: dict[str, Mode] = {metric.name: metric.mode for metric in first.metrics}
    read = [_read(number, one, tuple(objectives)) for number, one in enumerate(experiments)]
    found = [trial for trials in read for trial in trials if len(trial.levels)]
    seen = sorted({int(level) for trial in found for level in trial.levels})
    if not seen:
        raise InvalidArgument(f"{_named(experiments)}: no trial has a result.")
    top = _top(experiments, seen, max_t)
    levels = tuple(level for level in seen if level <= top)
    trials = tuple(trial for trial in (_until(one, top) for one in found) if len(trial.levels))
    return Past(
        names=tuple(one.name for one in experiments),
        space=space,
        objectives=objectives,
        resource_attr=first.resource_attr or "level",
        levels=levels,
        trials=trials,
        failed=sum(len(trials) for trials in read) - len(found),
    )


def _named(experiments: Sequence[Experiment]) -> str:
    return ", ".join(one.name for one in experiments)


def _top(experiments: Sequence[Experiment], seen: Sequence[int], max_t: int | None) -> int:
    """The level at which a curve is full: what is asked for, what the experiments aimed at, else the highest seen."""
    if max_t is not None:
        if max_t not in seen:
            raise InvalidArgument(
                f"max_t={max_t!r}: no trial has reported at this level; {nearest(str(max_t), map(str, seen))}"
            )
        return max_t
    aims = {one.spec.max_t for one in experiments if one.spec.max_t is not None}
    return max((aim for aim in aims if aim in seen), default=seen[-1])


def _until(trial: Observed, top: int) -> Observed:
    """The trial up to a level."""
    last = int(trial.levels[-1])
    if last < top:
        return trial
    n = int(np.searchsorted(trial.levels, top, side="right"))
    reached = n > 0 and int(trial.levels[n - 1]) == top
    gaps = tuple(gap for gap in trial.gaps if gap.until <= top)
    return trial._replace(levels=trial.levels[:n], values=trial.values[:n], gaps=gaps, end="full" if reached else "cut")


class _Growing:
    """A trial while its events are read."""

    def __init__(self) -> None:
        self.levels: list[int] = []
        self.values: list[list[float]] = []
        self.gaps: list[Gap] = []
        self.attempt = -1
        self.since = 0.0
        self.reached = 0
        self.fresh = True

    def begin(self, event: ev.TrialStarted | ev.TrialResumed) -> None:
        self.attempt, self.since, self.fresh = event.attempt, event.at, True

    def report(self, event: ev.TrialResult, names: Sequence[str]) -> None:
        level = event.resource or 1
        highest = self.levels[-1] if self.levels else 0
        if event.attempt == self.attempt and event.verdict != "late":
            # Without a checkpoint the execution began from nothing, and repeats what was there.
            again = highest if event.verdict != "repeat" else 0
            begun = again if self.fresh else self.reached
            seconds = event.at - self.since
            if level > begun and seconds > 0:
                self.gaps.append(Gap(self.fresh, level, level - begun, seconds))
            self.since, self.reached, self.fresh = event.at, level, False
        if event.verdict in COUNTED:
            values = [event.metrics.get(name) for name in names]
            if all(isinstance(v, int | float) and not isinstance(v, bool) and isfinite(v) for v in values):
                row = [float(v) for v in values if v is not None]
                if level > highest:
                    self.levels.append(level)
                    self.values.append(row)
                elif event.resource == 0:  # without a resource the last report counts
                    self.values[-1] = row


def _read(number: int, experiment: Experiment, names: Sequence[str]) -> list[Observed]:
    growing: dict[int, _Growing] = {}
    for recorded in read_journal(experiment.folder):
        if recorded.seq >= experiment.events:
            break
        event = recorded.event
        if isinstance(event, ev.TrialStarted | ev.TrialResumed):
            growing.setdefault(event.trial, _Growing()).begin(event)
        elif isinstance(event, ev.TrialResult):
            growing[event.trial].report(event, names)
    found = []
    for record in experiment.ledger:
        if record.id not in growing:
            continue
        one = growing[record.id]
        end: End = "ended" if record.status in (Status.FINISHED, Status.FAILED) else "cut"
        values = np.array(one.values, dtype=float).reshape(len(one.levels), len(names))
        found.append(
            Observed(number, record.id, dict(record.config), np.array(one.levels), values, tuple(one.gaps), end)
        )
    return found
