"""From a scheduler's answers to the record and the commands: checked, put in order, stripped of what cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, Final

import msgspec

from offbeat import events as ev
from offbeat.budget import Usage
from offbeat.decisions import Continue, Decision, Fitted, Nothing, Pause, Proposal, Resume, Start, Stop
from offbeat.errors import InvalidConfig
from offbeat.intake import short
from offbeat.protocols import Objective, ProposalRequest
from offbeat.seeds import child_seed
from offbeat.signals import Command, PauseTrial, StartTrial, StopTrial
from offbeat.space import Space
from offbeat.trial import Ledger, Status, TrialId, TrialRecord

FAILURE_SHARE_FROM: Final = 10
"""`max_failures` as a share is judged once so many trials have ended."""


def too_many_failures(usage: Usage, limits: ev.Limits) -> bool:
    """Whether `max_failures` is exceeded, or as many trials as there are workers failed and none ever reported."""
    failed, ended, allowed = usage.failed, usage.finished, limits.max_failures
    if failed >= max(3, limits.n_workers) and failed == ended and usage.results == 0:
        return True
    if isinstance(allowed, float):
        return ended >= FAILURE_SHARE_FROM and failed > allowed * ended
    return allowed is not None and failed > allowed


_DECISIONS: Final = (Continue, Stop, Pause)


def check_decisions(event: ev.Event, decisions: Sequence[Decision], ledger: Ledger) -> None:
    """Raises TypeError for what `observe` may not answer."""
    if type(decisions) is tuple and len(decisions) == 1 and type(event) is ev.TrialResult:
        one = decisions[0]
        if type(one) in _DECISIONS and one.trial == event.trial and type(one.why) is str and one.why.isascii():
            return
    # A generator or a coroutine has to be refused before it is looked into: reading the journal again never would.
    if (
        not isinstance(event, ev.TrialResult)
        or not isinstance(decisions, list | tuple)
        or not all(isinstance(one, _DECISIONS) and isinstance(one.why, str) for one in decisions)
    ):
        raise TypeError(
            f"observe({ev.wire_name(event)}) answered {short(decisions)}; it may answer a list of Continue, Stop and Pause, "
            "and only to a trial-result"
        )
    for one in decisions:
        if index(one.trial) not in ledger.trials:
            raise TypeError(f"observe({ev.wire_name(event)}) answered {short(one)} on a trial that does not exist")
        one.why.encode()  # lone surrogates are no text that a journal could hold


def decided(
    event: ev.TrialResult, decisions: Sequence[Decision], ledger: Ledger
) -> tuple[ev.TrialResult, list[Command]]:
    """The result with its decisions in it, and the commands to trials that run.

    Decisions on other trials that do not run (or, for a stop, are not paused) are dropped: the trial ended before.
    """
    verdict: ev.Verdict = "continue"
    why = ""
    if len(decisions) == 1 and (only := decisions[0]).trial == event.trial:
        result, command = _decided_alone(event, only)
        return result, [] if command is None else [command]
    others: dict[TrialId, tuple[TrialId, Any, str]] = {}
    for decision in decisions:
        trial = TrialId(index(decision.trial))
        ending = None if type(decision) is Continue else "stop" if type(decision) is Stop else "pause"
        if trial == event.trial:
            verdict, why = ending or "continue", decision.why  # type: ignore[assignment]
        elif ending is not None:
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


def _decided_alone(event: ev.TrialResult, decision: Decision) -> tuple[ev.TrialResult, StopTrial | PauseTrial | None]:
    """The one decision on the trial that reported, which runs."""
    kind = type(decision)
    verdict: ev.Verdict = "continue"
    command: StopTrial | PauseTrial | None = None
    if kind is Stop:
        verdict, command = "stop", StopTrial(event.trial, event.attempt)
    elif kind is Pause:
        verdict, command = "pause", PauseTrial(event.trial, event.attempt)
    result = ev.TrialResult(
        event.at,
        event.trial,
        event.attempt,
        event.seq,
        event.resource,
        event.metrics,
        verdict,
        decision.why,
        (),
        event.raw,
    )
    return result, command


def suggested(
    request: ProposalRequest, proposal: Proposal | None, at: float, ledger: Ledger, space: Space
) -> ev.Suggested:
    """A proposal as an event. Raises InvalidConfig, TypeError or ValueError for one that cannot be carried out."""
    if proposal is None or (isinstance(proposal, Start) and not request.may_start):
        return ev.Suggested(at, request.number, "nothing")
    if isinstance(proposal, Nothing):
        why, tags = _said(proposal)
        return ev.Suggested(at, request.number, "nothing", why=why, tags=tags)
    if isinstance(proposal, Start):
        config = space.validate(proposal.config)
        donor = None if proposal.donor is None else TrialId(index(proposal.donor))
        if donor is not None and donor not in ledger.trials:
            raise InvalidConfig(f"donor={donor!r} is not a trial of this experiment.")
        trial = TrialId(len(ledger))
        until, why, tags = _checked(proposal)
        return ev.Suggested(at, request.number, "start", trial, config, until, donor, why, tags)
    if isinstance(proposal, Resume):
        trial = TrialId(index(proposal.trial))
        record = ledger.trials.get(trial)
        if record is None or record.status is not Status.PAUSED:
            state = record.status.value if record is not None else "unknown"
            raise InvalidConfig(f"Trial {trial!r} cannot be resumed: it is {state}, not paused.")
        until, why, tags = _checked(proposal)
        return ev.Suggested(at, request.number, "resume", trial, None, until, None, why, tags)
    raise TypeError(f"propose answered {short(proposal)}; it has to be a Start, a Resume, a Nothing or None")


def model_fitted(request: ProposalRequest, fitted: Fitted, at: float) -> ev.ModelFitted:
    """What a proposal's model learned, as an event. Raises TypeError for what JSON cannot hold."""
    if not isinstance(fitted, Fitted) or not isinstance(fitted.model, str) or not isinstance(fitted.state, dict):
        raise TypeError(f"fitted={short(fitted)}: it has to be a Fitted with a name and a dict")
    # Through JSON, as tags go: a model goes on from the same numbers in this session and in the next.
    return ev.ModelFitted(at, request.number, fitted.model, msgspec.json.decode(msgspec.json.encode(fitted.state)))


_PLAIN: Final = frozenset((int, bool, type(None)))
"""Types whose values come back from JSON as they were."""


def _checked(proposal: Start | Resume) -> tuple[int | None, str, dict[str, Any]]:
    """`until`, `why` and `tags` as the journal can keep them."""
    until = None if proposal.until is None else index(proposal.until)
    if until is not None and until < 1:
        raise InvalidConfig(f"until={until}: a resource level is a whole number from 1 up.")
    why, tags = _said(proposal)
    return until, why, tags


def _said(proposal: Proposal) -> tuple[str, dict[str, Any]]:
    """`why` and `tags` as the journal can keep them."""
    if not isinstance(proposal.why, str) or not isinstance(proposal.tags, dict):
        raise TypeError(f"why={short(proposal.why)} has to be a text and tags={short(proposal.tags)} a dict")
    # Through JSON, so that the scheduler sees now what it will see when the journal is read again.
    tags = proposal.tags
    if tags:
        plain = all(type(value) in _PLAIN for value in tags.values()) and all(type(name) is str for name in tags)
        tags = dict(tags) if plain else msgspec.json.decode(msgspec.json.encode(tags))
    proposal.why.encode()
    return proposal.why, tags


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
        # Behind its first report it has a checkpoint of its own, or had: the donor has gone on meanwhile.
        donor=record.donor if first or record.reports == 0 else None,
        seed=child_seed(seed, "trial", record.id),
    )
