"""Events in words, for people: one clause each, about the trial or the experiment that the reader has in mind."""

from __future__ import annotations

from typing import Final

from offbeat import events as ev
from offbeat.byte_sizes import in_words
from offbeat.events import ExperimentSpec
from offbeat.journal import UnknownEvent
from offbeat.text import shown

DONE: Final = {"stop": "stopped", "pause": "paused"}


def sentence(event: ev.Event, spec: ExperimentSpec, knew: int | None = None) -> str:
    """What happened, as said of the event's own trial where it has one (`trial` names it).

    Args:
        event: what happened.
        spec: of the experiment: names of metrics and resource.
        knew: how many events a proposal may have seen, None to leave it out.
    """
    match event:
        case ev.Suggested(kind="start"):
            copied = f", from the checkpoint of trial {event.donor}" if event.donor is not None else ""
            known = f"; {knew} events were known then" if knew is not None else ""
            tags = "".join(f", {name} {shown(value)}" for name, value in event.tags.items())
            return f"suggested by {spec.scheduler.name}{copied}{tags}{because(event.why)}{known}"
        case ev.Suggested(kind="resume"):
            until = f" up to {event.until}" if event.until is not None else ""
            return f"chosen to go on{until}{because(event.why)}"
        case ev.Suggested():
            return "nothing to propose for now"
        case ev.TrialResult():
            return _result(event, spec)
        case ev.TrialStarted():
            return f"attempt {event.attempt} started on worker {event.slot}"
        case ev.TrialResumed():
            return f"resumed as attempt {event.attempt} on worker {event.slot}"
        case ev.TrialStopped():
            return "ended" if event.by == "scheduler" else f"ended by the {event.by}{because(event.why)}"
        case ev.TrialFailed():
            return f"failed: {event.reason}{', to be started again' if event.retry else ''}"
        case ev.TrialLost():
            return f"lost: {event.reason}"
        case ev.TrialPaused():
            return "paused"
        case ev.TrialFinished():
            return "ran to its end"
        case ev.CheckpointSaved():
            return f"has {in_words(event.size)} of checkpoints"
        case ev.CheckpointDeleted():
            return f"checkpoint deleted{because(event.why)}"
        case ev.ReportRejected():
            return f"{event.count} report{'s' if event.count > 1 else ''} not usable: {event.reason}"
        case _:
            return _of_the_experiment(event)


def trial_of(event: ev.Event) -> int | None:
    """Whose event it is, None for those of the experiment as a whole."""
    trial = getattr(event, "trial", None)
    return None if trial is None or trial < 0 else int(trial)


def name_of(event: ev.Event) -> str:
    """The wire name, also of an event whose class this process does not have."""
    return event.name if isinstance(event, UnknownEvent) else ev.wire_name(event)


def because(why: str) -> str:
    """The reason as the end of a clause."""
    return f", because: {why}" if why else ""


def _result(event: ev.TrialResult, spec: ExperimentSpec) -> str:
    at = f"{spec.resource_attr} {event.resource}: " if spec.resource_attr and event.resource else ""
    metric = spec.metrics[0].name
    value = f"{at}{metric} {shown(event.metrics.get(metric))}"
    if event.verdict == "late":
        return f"{value}, which came too late to count"
    if event.verdict == "repeat":
        return f"{value}, which an earlier attempt had reported"
    verdict = {"continue": "goes on", **DONE}[event.verdict]
    others = "".join(f"; trial {trial} is {DONE[what]}{because(why)}" for trial, what, why in event.others)
    return f"{value}: {verdict}{because(event.why)}{others}"


def _of_the_experiment(event: ev.Event) -> str:
    match event:
        case ev.ExperimentOpened():
            return f"session {event.session} began"
        case ev.ExperimentClosed():
            return f"session {event.session} ended ({event.outcome}): {event.reason}"
        case ev.ProposalRequested():
            only = "" if event.may_start else ", not for new trials"
            return f"worker {event.slot} is free: proposal {event.number} asked for{only}"
        case ev.LimitsChanged():
            return f"other limits: {event.limits.workers}"
        case ev.Instructed(what="enqueue"):
            return f"told to try a configuration{because(event.why)}"
        case ev.Instructed():
            return f"told from outside: {event.what}{because(event.why)}"
        case ev.ModelFitted():
            return f"{event.model} fitted for proposal {event.number}"
        case ev.PluginFailed():
            return f"{event.name} failed in {event.where}: {event.error}"
        case _:
            return "an event of a plugin"
