"""What happened: every fact of an experiment, in the past tense, as it stands in the journal.

Each event is a frozen struct that the journal writes as a JSON array `[wire name, field, field, ...]`. Wire names are
for ever: a class may be renamed, its tag may not; new fields go to the end and have a default.

`at` is in seconds of the experiment's own clock: running time added up over all sessions, or simulated time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from offbeat.trial import StoppedBy, TrialId

JOURNAL_VERSION: Final = 1

Metrics: TypeAlias = dict[str, Any]
"""Reported values by name: finite numbers, text, booleans; a number that is not finite stands as text ("nan")."""

Verdict: TypeAlias = Literal["continue", "stop", "pause", "late", "repeat"]
"""What became of a result. `late`: the trial had been told to stop or pause before; `repeat`: a later attempt reported
a resource level again that an earlier one had reached. Neither is shown to the scheduler."""


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Root of all events; `wire_name(event)` gives the tag."""

    at: float


# The structs below that are not events leave out what has its default: fields that later versions add must not change the
# digests of the journals that were written without them.


class ComponentDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to build a plugin again: found by (group, name), built with `options`.

    Attributes:
        options: constructor arguments as JSON; None where the component cannot be described (a lambda, an object) and
            has to be passed again on resume, when its `fingerprint` is compared.
    """

    group: str
    name: str
    distribution: str = ""
    version: str = ""
    options: dict[str, Any] | None = None
    fingerprint: str = ""


ASK_TELL: Final = "ask-tell"
"""Stands for the backend in experiments whose trials are executed by whoever asks for them."""

IMPORTED: Final = "imported"
"""Stands for scheduler and backend of an experiment of another tool, described by that tool's name and version."""

ANY_NUMBER: Final = 2**31 - 1
"""Workers of an experiment that limits them to no number."""


AHEAD: Final = -1
"""The slot of a request whose answer waits for a free one."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may be changed between two sessions of one experiment; each change is a `limits-changed` event.

    Attributes:
        n_workers: trials that run at once, at most; ANY_NUMBER where nobody counts them (ask and tell).
        max_failures: a count (int), a share of ended trials (0 < float < 1), or None for no limit.
        max_retries: how often a trial that failed is started again before its failure counts.
        stop_criterion: None: run until the space is exhausted or somebody stops the run.
        approval: new trials wait until somebody approves of them.
        prefetch: proposals that are asked for while all workers are busy, and wait for the next free one.
        checkpoint_budget: bytes that the checkpoints of all trials may take; None: as many as they want.
    """

    n_workers: int
    stop_criterion: ComponentDescription | None = None
    max_failures: int | float | None = None
    max_retries: int = 0
    asynchronous: bool = True
    wait_for_trials: bool = False
    approval: bool = False
    prefetch: int = 0
    checkpoint_budget: int | None = None

    @property
    def workers(self) -> str:
        """The number of workers in words."""
        return "any number of workers" if self.n_workers == ANY_NUMBER else f"{self.n_workers} workers"


class MetricSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A metric that the scheduler needs with every result, and what a value that is not finite means.

    Attributes:
        mode: "min" or "max"; of a constraint the sense in which it gets better: "min" for values up to the bound.
        nonfinite: "fail" ends the trial as failed, "worst" counts as the worst value seen so far, "ignore" drops the
            report.
        role: an "objective" is optimised, a "constraint" has to hold, a "cost" is what the result took.
        bound: of a constraint.
    """

    name: str
    mode: Literal["min", "max"] = "min"
    nonfinite: Literal["fail", "worst", "ignore"] = "fail"
    role: Literal["objective", "constraint", "cost"] = "objective"
    bound: float = 0.0

    def holds(self, metrics: Metrics) -> bool:
        """Whether a constraint holds in a result; true for everything else."""
        if self.role != "constraint":
            return True
        value = metrics[self.name]
        return bool(value <= self.bound if self.mode == "min" else value >= self.bound)

    @property
    def words(self) -> str:
        """For people: "loss (min)", "latency <= 0.5", "seconds (cost)"."""
        if self.role == "constraint":
            return f"{self.name} {'<=' if self.mode == 'min' else '>='} {self.bound:g}"
        return f"{self.name} ({self.mode if self.role == 'objective' else self.role})"


class ExperimentSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an experiment is: written once, as the first event."""

    name: str
    seed: int
    metrics: tuple[MetricSpec, ...]
    resource_attr: str | None = None
    max_t: int | None = None
    space: dict[str, Any] = {}
    scheduler: ComponentDescription
    backend: ComponentDescription
    limits: Limits
    journal_version: int = JOURNAL_VERSION
    metadata: dict[str, Any] = {}


class Host(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where and when a session ran; left out of the decision digest."""

    wall_time: float = 0.0
    hostname: str = ""
    pid: int = 0
    python: str = ""
    offbeat: str = ""


class ExperimentOpened(Event, frozen=True, gc=False, array_like=True, tag="experiment-opened"):
    """A session began. `spec` is there in session 0 only."""

    session: int
    spec: ExperimentSpec | None = None
    host: Host = Host()


class ProposalRequested(Event, frozen=True, gc=False, array_like=True, tag="proposal-requested"):
    """The scheduler was asked what to do with a free slot.

    Attributes:
        number: counts requests from 0; the key of all randomness that the answer may use.
        slot: the worker that is free, from 0; AHEAD: none yet, the answer waits for the next one.
        prefix: how many events lay in the journal before this one, i.e. what the answer may have seen.
        may_start: False once a limit forbids new trials; resuming paused ones is still welcome.
    """

    number: int
    slot: int
    prefix: int
    may_start: bool = True


class Suggested(Event, frozen=True, gc=False, array_like=True, tag="suggested"):
    """The answer to a request.

    Attributes:
        kind: "start" a new trial with `config`, "resume" a paused one, or "nothing" for now.
        until: resource level up to which the trial is to run, None for its own maximum.
        donor: trial whose checkpoint the new one starts from.
        why: one clause for people; tags: what the scheduler itself wants to find again (bracket, model, ...), or
            {"enqueued": true} where it was not asked: the configuration came from outside.
    """

    number: int
    kind: Literal["start", "resume", "nothing"]
    trial: TrialId = TrialId(-1)
    config: dict[str, Any] | None = None
    until: int | None = None
    donor: TrialId | None = None
    why: str = ""
    tags: dict[str, Any] = {}


class TrialStarted(Event, frozen=True, gc=False, array_like=True, tag="trial-started"):
    """An attempt at a trial is being started from the trial's beginning or its own last checkpoint."""

    trial: TrialId
    attempt: int
    slot: int


class TrialResumed(Event, frozen=True, gc=False, array_like=True, tag="trial-resumed"):
    """A paused trial is being started again, as its next attempt."""

    trial: TrialId
    attempt: int
    slot: int


class TrialResult(Event, frozen=True, gc=False, array_like=True, tag="trial-result"):
    """A trial reported, and what was decided on it: one record, so that neither exists without the other.

    Attributes:
        seq: counts the attempt's reports from 0.
        resource: value of the resource attribute, 0 in experiments without one.
        metrics: clean values: every objective is a finite number.
        verdict, why: the decision; schedulers must not read them (they are empty when `observe` is called).
        others: decisions on other trials, as (trial, "stop" or "pause", why).
        raw: the values as reported, where a policy replaced one.
    """

    trial: TrialId
    attempt: int
    seq: int
    resource: int
    metrics: Metrics
    verdict: Verdict = "continue"
    why: str = ""
    others: tuple[tuple[TrialId, Literal["stop", "pause"], str], ...] = ()
    raw: Metrics | None = None


class TrialPaused(Event, frozen=True, gc=False, array_like=True, tag="trial-paused"):
    """The attempt ended after a pause; the trial waits to be resumed."""

    trial: TrialId
    attempt: int


class TrialStopped(Event, frozen=True, gc=False, array_like=True, tag="trial-stopped"):
    """The attempt was ended from outside. By the "experiment" (its end, Ctrl-C): it goes on when the run is resumed."""

    trial: TrialId
    attempt: int
    by: StoppedBy = "scheduler"
    why: str = ""


class TrialFinished(Event, frozen=True, gc=False, array_like=True, tag="trial-finished"):
    """The attempt ended by itself and well."""

    trial: TrialId
    attempt: int


class TrialFailed(Event, frozen=True, gc=False, array_like=True, tag="trial-failed"):
    """The attempt ended badly.

    Attributes:
        reason: one sentence (`killed by SIGKILL`, `exit status 1`, `silent for 30 s`, `reported nothing`).
        detail: tail of stderr or a traceback.
        retry: the trial is queued for its next attempt; the failure does not count yet.
    """

    trial: TrialId
    attempt: int
    reason: str
    detail: str = ""
    retry: bool = False


class TrialLost(Event, frozen=True, gc=False, array_like=True, tag="trial-lost"):
    """Contact to an attempt was lost (engine or node crash, preemption); the trial is queued for its next attempt."""

    trial: TrialId
    attempt: int
    reason: str


class ReportRejected(Event, frozen=True, gc=False, array_like=True, tag="report-rejected"):
    """Something that should have been a report was not usable.

    Attributes:
        sample: its first characters; count: how many of the kind; seq: its number, -1 where it had none.
        ends_trial: the metric's policy says that the trial has failed; its attempt is being ended.
    """

    trial: TrialId
    attempt: int
    reason: str
    sample: str = ""
    count: int = 1
    seq: int = -1
    ends_trial: bool = False


class LimitsChanged(Event, frozen=True, gc=False, array_like=True, tag="limits-changed"):
    """From here on these limits hold."""

    limits: Limits


class Instructed(Event, frozen=True, gc=False, array_like=True, tag="instructed"):
    """Somebody outside said what shall be done.

    Attributes:
        what: "stop" a trial whose attempt is alive (one that has none is `trial-stopped` at once), "approve" a trial that
            waits for it, or "enqueue" a configuration, to be tried before the scheduler is asked again.
        why: one clause for people.
    """

    what: Literal["stop", "approve", "enqueue"]
    trial: TrialId = TrialId(-1)
    config: dict[str, Any] | None = None
    why: str = ""


class ModelFitted(Event, frozen=True, gc=False, array_like=True, tag="model-fitted"):
    """What later proposals read beside the fold: fitted hyperparameters, learned weights."""

    number: int
    model: str
    state: dict[str, Any] = {}


class CheckpointSaved(Event, frozen=True, gc=False, array_like=True, tag="checkpoint-saved"):
    """What lies in a trial's checkpoint folder was measured, `size` in bytes; only where there is a budget for it."""

    trial: TrialId
    attempt: int
    size: int


class CheckpointDeleted(Event, frozen=True, gc=False, array_like=True, tag="checkpoint-deleted"):
    """A trial's checkpoint is being deleted; an attempt that follows begins from nothing."""

    trial: TrialId
    why: str = ""


class PluginFailed(Event, frozen=True, gc=False, array_like=True, tag="plugin-failed"):
    """A plugin raised, answered nonsense or took too long. Observers are switched off, a scheduler ends the run."""

    group: str
    name: str
    where: str
    error: str
    traceback: str = ""


class ExperimentClosed(Event, frozen=True, gc=False, array_like=True, tag="experiment-closed"):
    """A session ended in good order.

    Attributes:
        outcome: "done" (criterion met or space exhausted), "interrupted" (signal, cancel) or "failed".
        reason: one sentence.
    """

    session: int
    outcome: Literal["done", "interrupted", "failed"]
    reason: str


AnyEvent: TypeAlias = (
    ExperimentOpened
    | ProposalRequested
    | Suggested
    | TrialStarted
    | TrialResumed
    | TrialResult
    | TrialPaused
    | TrialStopped
    | TrialFinished
    | TrialFailed
    | TrialLost
    | ReportRejected
    | LimitsChanged
    | Instructed
    | ModelFitted
    | CheckpointSaved
    | CheckpointDeleted
    | PluginFailed
    | ExperimentClosed
)

EVENT_TYPES: Final[Mapping[str, type[Event]]] = {
    str(cls.__struct_config__.tag): cls
    for cls in (
        ExperimentOpened, ProposalRequested, Suggested, TrialStarted, TrialResumed, TrialResult, TrialPaused,
        TrialStopped, TrialFinished, TrialFailed, TrialLost, ReportRejected, LimitsChanged, Instructed, ModelFitted,
        CheckpointSaved, CheckpointDeleted, PluginFailed, ExperimentClosed,
    )
}  # fmt: skip
"""The closed table of wire names."""


TIMES_ONLY: Final = frozenset((
    ProposalRequested, TrialStarted, TrialResumed, TrialPaused, TrialStopped, TrialFinished, TrialLost, CheckpointSaved,
    CheckpointDeleted,
))  # fmt: skip
"""Events that hold one float, the time."""


def wire_name(event: Event) -> str:
    """The name under which an event stands in the journal, such as `trial-result`."""
    return str(event.__struct_config__.tag)
