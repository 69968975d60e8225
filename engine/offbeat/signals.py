"""The two ways between engine and backend: commands down, signals up. Neither is journaled; events are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from offbeat.trial import TrialId


class StartTrial(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Start an attempt.

    Attributes:
        config: everything that the script is given: hyperparameters, constants, and `until` under the space's
            `max_resource_attr`.
        resume: the trial's own checkpoints are to be kept and used; attempt 0 of a trial starts clean.
        donor: trial whose checkpoint is copied first, as it is when the command arrives; on a later attempt only if the
            trial has none of its own, since the first one ended before it was copied.
        slot: worker number, from 0, below the number of workers.
        seed: a number of the trial's own for the script's randomness.
    """

    trial: TrialId
    attempt: int
    config: dict[str, Any]
    slot: int = 0
    resume: bool = False
    donor: TrialId | None = None
    seed: int = 0


class StopTrial(msgspec.Struct, frozen=True, gc=False):
    """End the attempt: SIGTERM, grace, SIGKILL on the whole tree, or what corresponds to it. Answer with `Ended`."""

    trial: TrialId
    attempt: int


class PauseTrial(msgspec.Struct, frozen=True, gc=False):
    """Like `StopTrial`, but the trial may be resumed: its checkpoints stay."""

    trial: TrialId
    attempt: int


class DeleteCheckpoints(msgspec.Struct, frozen=True, gc=False):
    """The trial's checkpoints are not needed any more."""

    trial: TrialId


Command: TypeAlias = StartTrial | StopTrial | PauseTrial | DeleteCheckpoints


class Reported(msgspec.Struct, frozen=True, gc=False):
    """One usable report line.

    Attributes:
        seq: counts the attempt's reports from 0; the engine drops duplicates and puts stragglers in order.
        metrics: as reported; numbers that are not finite as the texts "nan", "inf", "-inf".
        at: simulated time; real backends leave it None and the engine looks at its clock.
        plain: the backend has checked that each number is an int or a finite float between -2**53 and 2**53.
    """

    trial: TrialId
    attempt: int
    seq: int
    metrics: dict[str, Any]
    at: float | None = None
    plain: bool = False


class Garbled(msgspec.Struct, frozen=True, gc=False):
    """Something that should have been a report was not; `sample` has at most 200 characters of it."""

    trial: TrialId
    attempt: int
    reason: str
    sample: str = ""
    count: int = 1
    at: float | None = None


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The attempt is over, its tree is gone, and every report that it sent was delivered before.

    Attributes:
        how: "finished" (exit status 0), "failed" (any other end of its own, or a limit of the backend's such as
            `max_silence`), "ended" (on the engine's command), "lost" (preempted, node gone: start it again).
        reason, detail: one sentence; tail of stderr.
    """

    trial: TrialId
    attempt: int
    how: Literal["finished", "failed", "ended", "lost"]
    reason: str = ""
    detail: str = ""
    at: float | None = None


class Saved(msgspec.Struct, frozen=True, gc=False):
    """Bytes in a trial's checkpoint folder, after a report or the end of the attempt; where the engine wants to know.

    May come after the attempt's `Ended`. Told where they differ from what was told before.
    """

    trial: TrialId
    attempt: int
    size: int
    at: float | None = None


class BackendBroken(msgspec.Struct, frozen=True, gc=False):
    """The backend cannot go on; every attempt counts as lost and the session ends, resumable."""

    reason: str


class Passing(msgspec.Struct, gc=False):
    """How a simulated backend may make results of reports, instead of a signal of each.

    Attributes:
        events: where such a result is put, as the event that the report would become.
        due: level from which on a trial's reports are decided on, 0 for one that is not in it; None: no report is.
        room: how many results on which nobody decides may be put there, at most; 0: none, and no other either.
        since: reports before this time are signals.
        resource_attr, metric: names of what every report needs.
    """

    events: list[Any]
    due: Mapping[TrialId, int] | None
    room: int
    since: float
    resource_attr: str
    metric: str


Signal: TypeAlias = Reported | Garbled | Ended | Saved | BackendBroken
