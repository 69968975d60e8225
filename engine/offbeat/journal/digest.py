"""The decision digest: one value by which two runs that should agree are compared."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final

import msgspec

from offbeat.events import (
    ComponentDescription,
    Event,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    LimitsChanged,
    PluginFailed,
    ProposalRequested,
    TrialFailed,
    TrialResult,
)
from offbeat.journal.format import START, UnknownEvent

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.decode


def decision_digest(events: Iterable[Event], *, simulated: bool = False) -> str:
    """BLAKE2b-128 chained over the events, 32 hexadecimal digits; the same for events at hand and read from a journal.

    Left out, because it differs between runs that decide alike:
    - `at` of every event, and metrics called `st_worker_*` (they measure the machine), unless the time is `simulated`;
    - `prefix` of proposal-requested: it is the event's own place, and counts the sessions;
    - experiment-closed, and experiment-opened of sessions after the first: into how many sessions a run was cut;
    - of the first experiment-opened: the host, and of its spec the name, metadata and journal version;
    - of every component: distribution and version (name, group, options and fingerprint stay);
    - `detail` of trial-failed, `traceback` of plugin-failed, and plugin-failed of observers as a whole.
    """
    digest = START
    for event in events:
        fields = _fields(event, simulated)
        if fields is not None:
            state = blake2b(digest, digest_size=16)
            state.update(_encode(fields))
            digest = state.digest()
    return digest.hex()


def _fields(event: Event, simulated: bool) -> list[Any] | None:
    """What counts of an event, wire name first; None if nothing does."""
    match event:
        case UnknownEvent():
            fields = [event.name, *event.fields]
        case ExperimentClosed():
            return None
        case ExperimentOpened():
            if event.session > 0:
                return None
            fields = ["experiment-opened", event.at, None if event.spec is None else _spec(event.spec)]
        case LimitsChanged():
            criterion = event.limits.stop_criterion
            limits = msgspec.structs.replace(event.limits, stop_criterion=criterion and _component(criterion))
            fields = ["limits-changed", event.at, limits]
        case ProposalRequested():
            fields = ["proposal-requested", event.at, event.number, event.slot, event.may_start]
        case PluginFailed():
            if event.group == "offbeat.reporters":
                return None
            fields = ["plugin-failed", event.at, event.group, event.name, event.where, event.error]
        case TrialFailed():
            fields = ["trial-failed", event.at, event.trial, event.attempt, event.reason, event.retry]
        case TrialResult():
            fields = _decode(_encode(event))
            if not simulated:
                for metrics in (fields[6], fields[10]):
                    for name in [name for name in metrics or () if name.startswith("st_worker_")]:
                        del metrics[name]
        case _:
            # Through JSON, so that a plugin's own event counts the same for a reader that does not have its class.
            fields = _decode(_encode(event))
    if not simulated:
        del fields[1]
    return fields


def _spec(spec: ExperimentSpec) -> ExperimentSpec:
    criterion = spec.limits.stop_criterion
    return msgspec.structs.replace(
        spec,
        name="",
        metadata={},
        journal_version=0,
        scheduler=_component(spec.scheduler),
        backend=_component(spec.backend),
        limits=msgspec.structs.replace(spec.limits, stop_criterion=criterion and _component(criterion)),
    )


def _component(component: ComponentDescription) -> ComponentDescription:
    return msgspec.structs.replace(component, distribution="", version="")
