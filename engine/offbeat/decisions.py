"""What shall be done: a scheduler's answers. Each names its reason, from which `offbeat explain` is rendered."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from offbeat.trial import TrialId


class Continue(msgspec.Struct, frozen=True, gc=False):
    """Let the trial run on. Answering nothing at all means the same; answer this where the reason is worth keeping."""

    trial: TrialId
    why: str = ""


class Stop(msgspec.Struct, frozen=True, gc=False):
    """End the trial for good."""

    trial: TrialId
    why: str = ""


class Pause(msgspec.Struct, frozen=True, gc=False):
    """End the attempt and keep the trial, so that a later proposal can resume it from its checkpoint."""

    trial: TrialId
    why: str = ""


Decision: TypeAlias = Continue | Stop | Pause
"""Answers of `Scheduler.observe` to a `trial-result`; the trial may be another than the one that reported."""


class Fitted(msgspec.Struct, frozen=True, gc=False):
    """What later proposals will read beside the events: journaled as `model-fitted`, right before the proposal.

    Attributes:
        model: its name, for people; state: JSON, as `observe` gets it back.
    """

    model: str
    state: dict[str, Any]


class Start(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Start a new trial.

    Attributes:
        config: values for the hyperparameters of the space (constants may be left out).
        until: resource level at which the trial will be looked at next; handed to the script as `max_resource_attr`.
        donor: trial whose checkpoint is copied before the start.
        tags: JSON that comes back in the `suggested` event (bracket, model, fallback ...).
        fitted: what the model behind this proposal learned, if later ones begin from it.
    """

    config: dict[str, Any]
    until: int | None = None
    donor: TrialId | None = None
    why: str = ""
    tags: dict[str, Any] = {}
    fitted: Fitted | None = None


class Resume(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Start the next attempt of a paused trial; attributes as those of `Start`."""

    trial: TrialId
    until: int | None = None
    why: str = ""
    tags: dict[str, Any] = {}
    fitted: Fitted | None = None


class Nothing(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Nothing to propose, as None says it, with the reason: it is the run's own if nothing follows any more.

    Attributes:
        tags: as those of `Start`.
    """

    why: str = ""
    tags: dict[str, Any] = {}


Proposal: TypeAlias = Start | Resume | Nothing
"""Answers of `Scheduler.propose`; None is `Nothing()`."""
