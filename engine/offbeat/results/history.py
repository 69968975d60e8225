"""When everything happened: every attempt from its start to its end, and every trial's results, from one reading of a journal."""

from __future__ import annotations

from itertools import islice
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from offbeat import events as ev
from offbeat.journal import read_journal
from offbeat.results.experiment import COUNTED, Experiment
from offbeat.results.table import NONFINITE
from offbeat.trial import TrialId

Ending: TypeAlias = Literal["finished", "stopped", "paused", "failed", "lost", "interrupted", "open"]
"""How an attempt ended. `interrupted`: cut off by the end of a session; `open`: its end is not in the journal (yet)."""


class Span(NamedTuple):
    """One attempt; times in seconds of the experiment's clock, `ended` is None while it is open."""

    trial: TrialId
    attempt: int
    slot: int
    began: float
    ended: float | None
    how: Ending


class Result(NamedTuple):
    """A counted result, and whether the trial was told to stop or pause on it."""

    resource: int
    at: float
    metrics: dict[str, Any]
    verdict: ev.Verdict

    def value(self, metric: str) -> float | None:
        """The metric as a number, not a finite one too; None where it was not reported as one."""
        found = self.metrics.get(metric)
        if type(found) is str:
            return NONFINITE.get(found)
        return float(found) if type(found) in (int, float) else None  # type: ignore[arg-type]


class Rejected(NamedTuple):
    """Reports that were not usable."""

    trial: TrialId
    slot: int
    at: float
    reason: str


class History(msgspec.Struct):
    """What a journal tells, in its order.

    Attributes:
        spans: attempts, by their start; results: counted ones, of each trial that has any; rejected: unusable reports.
    """

    spans: list[Span]
    results: dict[TrialId, list[Result]]
    rejected: list[Rejected]


def history(experiment: Experiment) -> History:
    """The history of an experiment up to where it was loaded or last refreshed. Raises JournalDamaged."""
    found = _Reading()
    for recorded in islice(read_journal(experiment.folder), experiment.events):
        found.take(recorded.event)
    return found.history


class _Reading:
    def __init__(self) -> None:
        self.history = History([], {}, [])
        #: Trial -> place of its open span; trials that were told to stop.
        self._open: dict[TrialId, int] = {}
        self._told: set[TrialId] = set()

    def take(self, event: ev.Event) -> None:
        match event:
            case ev.TrialResult():
                self._result(event)
            case ev.TrialStarted() | ev.TrialResumed():
                self._open[event.trial] = len(self.history.spans)
                self.history.spans.append(Span(event.trial, event.attempt, event.slot, event.at, None, "open"))
            case ev.TrialFinished():
                self._ended(event.trial, event.at, "finished")
            case ev.TrialPaused():
                self._ended(event.trial, event.at, "paused")
            case ev.TrialFailed():
                self._ended(event.trial, event.at, "failed")
            case ev.TrialLost():
                self._ended(event.trial, event.at, "lost")
            case ev.TrialStopped():
                cut_off = event.by == "experiment" and event.trial not in self._told
                self._ended(event.trial, event.at, "interrupted" if cut_off else "stopped")
            case ev.Instructed(what="stop"):
                self._told.add(event.trial)
            case ev.ReportRejected():
                slot = self.history.spans[self._open[event.trial]].slot if event.trial in self._open else -1
                self.history.rejected.append(Rejected(event.trial, slot, event.at, event.reason))
            case _:
                pass

    def _result(self, event: ev.TrialResult) -> None:
        if event.verdict in COUNTED:
            kept = Result(event.resource, event.at, event.metrics, event.verdict)
            self.history.results.setdefault(event.trial, []).append(kept)
        if event.verdict == "stop":
            self._told.add(event.trial)
        self._told.update(trial for trial, what, _ in event.others if what == "stop")

    def _ended(self, trial: TrialId, at: float, how: Ending) -> None:
        place = self._open.pop(trial, None)
        if place is not None:
            self.history.spans[place] = self.history.spans[place]._replace(ended=at, how=how)
