"""The decision digest: one value by which two runs that should agree are compared."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final

import msgspec

from offbeat.events import (
    TIMES_ONLY,
    ComponentDescription,
    Event,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    LimitsChanged,
    PluginFailed,
    ProposalRequested,
    Suggested,
    TrialFailed,
    TrialResult,
)
from offbeat.journal.format import SCALARS, START, UnknownEvent

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.decode

_MACHINE: Final = b'"st_worker_'
"""How metrics that measure the machine begin in the text of a result."""


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
        counted = _counted(event, simulated)
        if counted is not None:
            digest = blake2b(digest + counted, digest_size=16).digest()
    return digest.hex()


def _counted(event: Event, simulated: bool) -> bytes | None:
    """What counts of an event as a JSON array, wire name first; None if nothing does.

    What comes by the million is written once, and its time cut out of the text: decoded and written again, plain values
    under names stand there as they did.
    """
    kind = type(event)
    if kind is TrialResult:
        text = _result(event, simulated)  # type: ignore[arg-type]
    elif kind is Suggested:
        text = _encode(event) if _plain(event.config) and _plain(event.tags) else None  # type: ignore[attr-defined]
    elif kind in TIMES_ONLY and kind is not ProposalRequested:
        text = _encode(event)
    else:
        text = None
    if text is None:
        fields = _fields(event, simulated)
        return None if fields is None else _encode(fields)
    if simulated:
        return text
    time = text.index(b",")
    return text[:time] + text[text.index(b",", time + 1) :]


def _result(event: TrialResult, simulated: bool) -> bytes | None:
    """A result as text without what measures the machine; None if it holds more than plain values."""
    if not (_plain(event.metrics) and _plain(event.raw)):
        return None
    text = _encode(event)
    if simulated or _MACHINE not in text:
        return text
    return _encode(msgspec.structs.replace(event, metrics=_decided(event.metrics), raw=_decided(event.raw)))


def _plain(values: dict[str, Any] | None) -> bool:
    return not values or SCALARS.issuperset(map(type, values.values()))


def _decided(metrics: dict[str, Any] | None) -> dict[str, Any] | None:
    """Metrics without those that measure the machine."""
    return metrics and {name: value for name, value in metrics.items() if not name.startswith("st_worker_")}


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
                fields[6], fields[10] = _decided(fields[6]), _decided(fields[10])
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
