"""Free slots: queued attempts are started, configurations from outside tried, the scheduler asked for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from offbeat import events as ev
from offbeat.decisions import Proposal, Resume, Start
from offbeat.protocols import ProposalRequest
from offbeat.trial import TrialId, TrialRecord
from offbeat.verdicts import model_fitted, start_command, suggested

if TYPE_CHECKING:
    from offbeat.conductor import Conductor

MAX_PROPOSAL_ERRORS: Final = 3
"""A proposal changes nothing, so a failed one is asked for again; after so many in a row the session ends."""


class Filling:
    """The part of one conductor that fills its free slots.

    Attributes:
        asked: a proposal is on its way; errors: how many failed in a row.
    """

    def __init__(self, conductor: Conductor) -> None:
        self.asked = False
        self.errors = 0
        self._conductor = conductor

    def next_request(self, at: float, most: int | None = None) -> ProposalRequest | None:
        """Fills free slots with queued attempts; then asks for the next proposal, if one is wanted now.

        At most one request is open at a time, so that each proposal sees the one before it as pending. The driver carries
        the request to the scheduler and comes back with `proposed` or `proposal_failed`. `most`: how many attempts may be
        alive then, instead of the number of workers.
        """
        conductor = self._conductor
        state, slots = conductor.state, conductor.ledger.slots
        workers = state.limits.n_workers if most is None else most
        while conductor.closing is None and len(slots) < workers:
            if slots and not (state.limits.asynchronous or state.filling):
                return None
            if state.queue and (queued := self._queued()) is not None:
                self._start(queued, at)
                continue
            if self.asked:
                return None
            if state.held and len(slots) + len(state.held) >= workers:
                return None
            if state.request is None:
                if state.points and not conductor.draining:
                    self._try_point(at)
                    continue
                if state.waiting or (conductor.draining and not conductor.ledger.paused):
                    if not slots and not state.held:
                        conductor.close(at, "done", self._nothing_left(), cut=False)
                    return None
                slot, prefix = conductor.ledger.free_slot(), state.count
                conductor.record(ev.ProposalRequested(at, state.next_number, slot, prefix, not conductor.draining))
            request = state.request
            if request is None:
                return None
            return self._ask(request)
        return self._ahead(at) if most is None else None

    def _ahead(self, at: float) -> ProposalRequest | None:
        """A request whose answer will wait for the next free slot, so that the slot does not wait for the answer."""
        conductor, state = self._conductor, self._conductor.state
        limits = state.limits
        if len(state.queue) >= limits.prefetch or not limits.asynchronous or limits.approval:
            return None
        if self.asked or state.waiting or state.points or conductor.closing is not None or conductor.draining:
            return None
        if state.request is None:
            conductor.record(ev.ProposalRequested(at, state.next_number, ev.AHEAD, state.count))
        return None if state.request is None else self._ask(state.request)

    def _ask(self, request: ev.ProposalRequested) -> ProposalRequest:
        self.asked = True
        return ProposalRequest(request.number, request.slot, self._conductor.state.spec.seed, request.may_start)

    def _try_point(self, at: float) -> None:
        """The next configuration from outside, as an answer that the scheduler was not asked for."""
        conductor = self._conductor
        state, trial = conductor.state, TrialId(len(conductor.ledger))
        number, config = state.next_number, state.points[0]
        conductor.record(ev.ProposalRequested(at, number, conductor.ledger.free_slot(), state.count))
        why, tags = "enqueued from outside", {"enqueued": True}
        conductor.record(ev.Suggested(at, number, "start", trial, config, None, None, why, tags))

    def proposed(self, request: ProposalRequest, proposal: Proposal | None, at: float) -> None:
        """The scheduler's answer; a wrong one counts as a failed proposal."""
        conductor = self._conductor
        try:
            event = suggested(request, proposal, at, conductor.ledger, conductor.scheduler.space)
            fitted = proposal.fitted if isinstance(proposal, Start | Resume) else None
            model = None if fitted is None else model_fitted(request, fitted, at)
        except Exception as error:  # an answer can be wrong in any way
            self.proposal_failed(request, error, at)
            return
        self.asked = False
        self.errors = 0
        if model is not None:
            conductor.record(model)
        conductor.record(event)

    def proposal_failed(self, request: ProposalRequest, error: BaseException, at: float) -> None:
        """The scheduler raised, hung or answered nonsense; the same request will be made again."""
        conductor = self._conductor
        self.asked = False
        self.errors += 1
        conductor.scheduler_failed(at, f"propose(number={request.number})", error)

    def _queued(self) -> TrialRecord | None:
        """The trial that has waited longest for an attempt; one that was never started may not be, once draining."""
        conductor = self._conductor
        for trial in conductor.state.queue:
            record = conductor.ledger[trial]
            if (record.attempt >= 0 or not conductor.draining) and trial not in conductor.state.held:
                return record
        return None

    def _start(self, record: TrialRecord, at: float) -> None:
        conductor = self._conductor
        slot, attempt = conductor.ledger.free_slot(), record.attempt + 1
        kind: Any = ev.TrialResumed if record.resuming else ev.TrialStarted
        place = len(conductor.commands)
        conductor.record(kind(at, record.id, attempt, slot))
        # A scheduler that failed on this event has ended the session: its stop comes after the start.
        start = start_command(
            record, conductor.scheduler.objective, conductor.scheduler.space, conductor.state.spec.seed
        )
        conductor.commands.insert(place, start)
        conductor.checkpoints.tidy(at)
        conductor.check_limits(at)

    def _nothing_left(self) -> str:
        conductor = self._conductor
        if conductor.draining:
            return conductor.drained_by
        if conductor.state.waiting_for:
            return conductor.state.waiting_for
        paused = len(conductor.ledger.paused)
        rest = f"; {paused} trials stay paused" if paused else ""
        return f"the scheduler has nothing more to propose (search space exhausted){rest}"
