"""What `ask` answers, and what can be wrong with what is told."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from offbeat.errors import OffbeatError

Decision: TypeAlias = Literal["continue", "stop", "pause"]
"""What `tell` answers. After "stop" and "pause" the trial is no longer out; a paused one may be asked for again."""


class AskedTrial(msgspec.Struct, frozen=True):
    """A trial that was handed out.

    `id` and `attempt` alone say which one is meant: a client elsewhere may send them back, as `AskedTrial(3, 0)`.

    Attributes:
        id: counts the trials from 0; attempt: which execution of it this is, from 0.
        config: hyperparameters and constants; under the space's `max_resource_attr` how far this attempt is to run.
        until: resource level up to which the attempt is to run, None for its own maximum.
        resumes: the trial has been out before (paused, lost, given back): go on from its checkpoint where there is one.
        resource: highest level that it has reported so far.
        donor: trial from whose checkpoint a new one is to begin, None for its own beginning.
        seed: a number for the trial's own generators, the same for all its attempts.
        slot: the lowest number, from 0, that no other trial which is out has.
    """

    id: int
    attempt: int
    config: dict[str, Any] = {}
    until: int | None = None
    resumes: bool = False
    resource: int = 0
    donor: int | None = None
    seed: int = 0
    slot: int = 0


class TrialNotOut(OffbeatError, LookupError):
    """Something was told about a trial that nobody has: it is unknown, has ended, or was handed out again since."""


class AllOut(OffbeatError, RuntimeError):
    """Somebody asks while as many trials are out as there may be."""


class StudyClosed(OffbeatError, RuntimeError):
    """The study was closed, or not opened yet."""
