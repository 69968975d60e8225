"""What is found in an experiment, as plain records: sessions, points of curves, best results, lines of listings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from offbeat.journal import Holder
from offbeat.trial import TrialId, TrialRecord


class Session(msgspec.Struct, kw_only=True):
    """One run of an engine on the experiment.

    Attributes:
        opened, closed: seconds on the experiment's clock; closed is None while it runs and after a crash.
        started: wall time of its beginning in seconds since 1970.
        outcome, reason: as in `experiment-closed`; "" as long as there is none.
    """

    number: int
    opened: float
    started: float = 0.0
    closed: float | None = None
    outcome: str = ""
    reason: str = ""


class Point(NamedTuple):
    """A result on a learning curve."""

    resource: int
    value: float
    at: float
    attempt: int


class Incumbent(NamedTuple):
    """A result that was better than all before it, by the first objective."""

    at: float
    trial: TrialId
    value: float


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """A trial and the best value that it reported.

    Attributes:
        resource, at: where on its curve, and when on the experiment's clock.
        checkpoints: the folder of the trial's checkpoints, None if there is none (any more).
    """

    trial: TrialRecord
    metric: str
    value: float
    resource: int
    at: float
    config: dict[str, Any]
    checkpoints: Path | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment in one line of a listing.

    Attributes:
        status, reason: see `Experiment.status`; what the last session said when it ended.
        holder: the engine that is writing to it, None if none is.
        started, latest: wall time at which the first and the last session began, in seconds since 1970.
        elapsed: seconds on the experiment's clock.
        metric, mode: of the first objective.
        counts: trials by status.
        results, late: counted results, and late or repeated ones.
        best: trial, value, resource, at, config and checkpoints of the best result, None before the first.
    """

    name: str
    path: str
    status: str
    reason: str
    holder: Holder | None
    started: float
    latest: float
    sessions: int
    elapsed: float
    events: int
    scheduler: str
    backend: str
    seed: int
    n_workers: int
    metric: str | None
    mode: str | None
    trials: int
    counts: dict[str, int]
    results: int
    late: int
    best: dict[str, Any] | None


def brief(best: Best) -> dict[str, Any]:
    """A best result as JSON, without its trial's history."""
    return {
        "trial": int(best.trial.id),
        "value": best.value,
        "resource": best.resource,
        "at": best.at,
        "config": best.config,
        "checkpoints": str(best.checkpoints) if best.checkpoints else None,
    }
