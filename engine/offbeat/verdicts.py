"""From a scheduler's answers to the record and the commands: checked, put in order, stripped of what cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offbeat import events as ev
from offbeat.decisions import Continue, Decision, Pause, Proposal, Resume, Start, Stop
from offbeat.errors import InvalidConfig
from offbeat.intake import short
from offbeat.protocols import Objective, ProposalRequest
from offbeat.seeds import child_seed
from offbeat.signals import Command, PauseTrial, StartTrial, StopTrial
from offbeat.space import Space
from offbeat.trial import Ledger, Status, TrialId, TrialRecord


def check_decisions(event: ev.Event, decisions: Sequence[Decision]) -> None:
    """Raises TypeError for what `observe` may not answer."""
    if not isinstance(event, ev.TrialResult) or not all(isinstance(one, Continue | Stop | Pause) for one in decisions):
        raise TypeError(
            f"observe({ev.wire_name(event)}) answered {short(decisions)}; it may answer Continue, Stop and Pause, and only "
            "to a trial-result"
        )


def decided(
    event: ev.TrialResult, decisions: Sequence[Decision], ledger: Ledger
) -> tuple[ev.TrialResult, list[Command]]:
    """The result with its decisions in it, and the commands to trials that run.

    Decisions on other trials that do not run (or, for a stop, are not paused) are dropped: the trial ended before.
    """
    verdict: ev.Verdict = "continue"
    why = ""
    others: dict[TrialId, tuple[TrialId, Any, str]] = {}
    for decision in decisions:
        trial = decision.trial
        ending = None if type(decision) is Continue else "stop" if type(decision) is Stop else "pause"
        if trial == event.trial:
            verdict, why = ending or "continue", decision.why  # type: ignore[assignment]
        elif ending is not None and trial in ledger.trials:
            status = ledger[trial].status
            if status is Status.RUNNING or (ending == "stop" and status is Status.PAUSED):
                others.setdefault(trial, (trial, ending, decision.why))
    commands: list[Command] = []
    for trial, ending in [(event.trial, verdict), *((trial, what) for trial, what, _ in others.values())]:
        record = ledger[trial]
        if ending != "continue" and record.status is Status.RUNNING:
            commands.append((StopTrial if ending == "stop" else PauseTrial)(trial, record.attempt))
    result = ev.TrialResult(
        event.at, event.trial, event.attempt, event.seq, event.resource, event.metrics, verdict, why,
        tuple(others.values()), event.raw,
    )  # fmt: skip
    return result, commands


def suggested(
    request: ProposalRequest, proposal: Proposal | None, at: float, ledger: Ledger, space: Space
) -> ev.Suggested:
    """A proposal as an event. Raises InvalidConfig or TypeError for one that cannot be carried out."""
    if proposal is None or (isinstance(proposal, Start) and not request.may_start):
        return ev.Suggested(at, request.number, "nothing")
    if isinstance(proposal, Start):
        config = space.validate(proposal.config)
        donor = proposal.donor
        if donor is not None and donor not in ledger.trials:
            raise InvalidConfig(f"donor={donor!r} is not a trial of this experiment.")
        trial = TrialId(len(ledger))
        return ev.Suggested(
            at, request.number, "start", trial, config, proposal.until, donor, proposal.why, proposal.tags
        )
    if isinstance(proposal, Resume):
        trial = proposal.trial
        record = ledger.trials.get(trial)
        if record is None or record.status is not Status.PAUSED:
            state = record.status.value if record is not None else "unknown"
            raise InvalidConfig(f"Trial {trial!r} cannot be resumed: it is {state}, not paused.")
        return ev.Suggested(at, request.number, "resume", trial, None, proposal.until, None, proposal.why, proposal.tags)
    raise TypeError(f"propose answered {short(proposal)}; it has to be a Start, a Resume or None")


def start_command(record: TrialRecord, objective: Objective, space: Space, seed: int) -> StartTrial:
    """The command for the attempt that a record has come to."""
    config = space.full(record.config)
    if objective.max_resource_attr is not None and record.until is not None:
        config[objective.max_resource_attr] = record.until
    first = record.attempt == 0
    return StartTrial(
        trial=record.id,
        attempt=record.attempt,
        config=config,
        slot=record.slot,
        resume=not first,
        donor=record.donor if first else None,
        seed=child_seed(seed, "trial", record.id),
    )


def plain(metrics: ev.Metrics) -> ev.Metrics:
    """Metrics that were not checked, with numbers that are not finite as text, as the journal wants them."""
    return {
        name: value if not isinstance(value, float) or value - value == 0 else str(value)
        for name, value in metrics.items()
    }
