"""One walk over a journal: each event is compared with what follows from those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec

from offbeat import events as ev
from offbeat.errors import JournalError
from offbeat.home import ExperimentFolder
from offbeat.journal import decision_digest
from offbeat.protocols import Recorded
from offbeat.replay.findings import Difference, Verification
from offbeat.replay.integrity import events_of
from offbeat.replay.proposing import Compared, Proposals, enqueued
from offbeat.replay.refold import MISFITS, Decided, Refold, SchedulerRaised, Turn
from offbeat.replay.telling import name_of, trial_of


class Checking:
    """One walk over a journal.

    Args:
        turns: who decided up to which event, and with which seed.
        report: is filled in.

    Attributes:
        outcome: of the last session, empty while it is open.
    """

    def __init__(
        self, folder: ExperimentFolder, spec: ev.ExperimentSpec, turns: list[tuple[Turn, int]], report: Verification
    ) -> None:
        self.outcome = ""
        self._folder, self._spec, self._report = folder, spec, report
        self._refold = Refold(spec, [turn for turn, _ in turns])
        ledger = self._refold.state.ledger
        self._proposals = [
            (turn.last, Proposals(turn.scheduler, seed, ledger, report.tolerance)) for turn, seed in turns
        ]
        #: What is compared of an event, by its type: a table, since there are hundreds of thousands of them.
        self._compare: dict[type[ev.Event], Callable[[int, Any, ev.Event | None], None]] = {
            ev.ProposalRequested: self._requested,
            ev.Suggested: self._suggested,
            ev.TrialStarted: self._started,
            ev.TrialResumed: self._started,
            ev.TrialStopped: self._stopped,
            ev.ModelFitted: self._fitted,
        }
        #: Without a scheduler nothing is compared, only whether the events fit each other is looked at.
        self._mute = bool(report.problem)
        #: Behind the first misfit only the bytes are looked at.
        self._blind = False

    def close(self) -> None:
        """Ends what proposals were awaited in."""
        for _, proposals in self._proposals:
            proposals.close()

    def events(self) -> Iterator[ev.Event]:
        """Gives the events to whoever counts them; each is checked behind that, so that no scheduler has touched it yet."""
        report, check, result = self._report, self._check, self._result
        for recorded, following in _with_next(events_of(self._folder)):
            seq, event = recorded.seq, recorded.event
            yield event
            report.events += 1
            if type(event) is ev.ExperimentOpened:
                self.outcome = ""
            elif type(event) is ev.ExperimentClosed:
                self.outcome = event.outcome
            if self._blind:
                continue
            try:
                if self._mute:
                    self._only_fold(seq, event)
                elif type(event) is ev.TrialResult:
                    result(seq, event, following)
                else:
                    check(seq, event, following)
            except SchedulerRaised as error:
                self._raised(seq, event, following, str(error))
            except MISFITS as error:
                report.problem = f"event {seq}, {name_of(event)}, does not fit those before it: {error}"
                self._blind = True
            if seq == self._proposals[0][0]:
                self._proposals.pop(0)[1].close()
        report.trials = len(self._refold.state.ledger)

    def _check(self, seq: int, event: ev.Event, following: ev.Event | None) -> None:
        """Compares and folds in an event that is no result."""
        compare = self._compare.get(type(event))
        if compare is not None:
            compare(seq, event, following)
        self._refold.fold(event, seq)

    def _only_fold(self, seq: int, event: ev.Event) -> None:
        """Folds in any event, whatever is decided on it."""
        if type(event) is ev.TrialResult and event.verdict not in ("late", "repeat"):
            self._report.results += 1
        with suppress(SchedulerRaised):
            self._refold.take_in(event, seq)

    def _result(self, seq: int, event: ev.TrialResult, following: ev.Event | None) -> None:
        report = self._report
        found = self._refold.result(event, seq)
        if found is None:
            return
        attr = self._spec.resource_attr
        report.results += 1
        if attr is not None and event.metrics.get(attr) != event.resource:
            recorded = {"resource": event.resource, attr: event.metrics.get(attr)}
            self._differs(seq, event, recorded, {}, "the resource level is not the one that was reported")
        elif found.verdict == event.verdict and found.why == event.why and found.others == event.others:
            report.decisions += 1
        elif not _scheduler_failed(following):
            self._different_decision(seq, event, found)

    def _different_decision(self, seq: int, event: ev.TrialResult, found: Decided) -> None:
        recorded = {"verdict": event.verdict, "why": event.why, "others": [list(one) for one in event.others]}
        anew = {"verdict": found.verdict, "why": found.why, "others": [list(one) for one in found.others]}
        names = [name for name in recorded if recorded[name] != anew[name]]
        if event.verdict != found.verdict:
            why = f"{event.verdict!r} is recorded, the scheduler decides {found.verdict!r}"
            why += f", because: {found.why}" if found.why else ""
        elif event.why != found.why:
            why = f"the reason {event.why!r} is recorded, the scheduler gives {found.why!r}"
        else:
            why = "other decisions on other trials are recorded than the scheduler makes"
        anew_event = ev.TrialResult(
            event.at, event.trial, event.attempt, event.seq, event.resource, event.metrics,
            found.verdict, found.why, found.others, event.raw,  # type: ignore[arg-type]
        )  # fmt: skip
        self._differs(
            seq, event, {name: recorded[name] for name in names}, {name: anew[name] for name in names}, why, anew_event
        )

    def _requested(self, seq: int, event: ev.ProposalRequested, following: ev.Event | None) -> None:
        state = self._refold.state
        # Ahead of a free worker there is no slot to compare with.
        slot = ev.AHEAD if event.slot == ev.AHEAD else state.ledger.free_slot()
        for name, recorded, anew in (("number", event.number, state.next_number), ("slot", event.slot, slot)):
            if recorded != anew:
                self._differs(seq, event, {name: recorded}, {name: anew}, f"{name} {anew} is next, not {recorded}")
                return
        if not self._refold.broken:
            self._proposals[0][1].requested(event, following)

    def _suggested(self, seq: int, event: ev.Suggested, _following: ev.Event | None) -> None:
        report, state = self._report, self._refold.state
        if self._refold.broken:
            return
        if "enqueued" in event.tags:
            compared = enqueued(event, state.points, state.ledger)
        else:
            compared = self._proposals[0][1].compared(event)
        if compared.verdict in ("same", "near"):
            report.proposals += 1
            report.near += compared.verdict == "near"
        elif compared.verdict == "taken":
            if not report.taken:
                report.notes.append(f"event {seq}: the recorded proposal was taken, since {compared.why}")
            report.taken += 1
        else:
            self._different_proposal(seq, event, compared)

    def _different_proposal(self, seq: int, event: ev.Suggested, compared: Compared) -> None:
        anew = compared.anew
        if anew is None:
            self._differs(seq, event, {"config": event.config}, {}, compared.why)
            return
        names = [name for name in event.__struct_fields__ if getattr(event, name) != getattr(anew, name)]
        recorded = {name: getattr(event, name) for name in names}
        recomputed = {name: getattr(anew, name) for name in names}
        if event.config is not None and anew.config is not None and "config" in names:
            keys = [key for key in {**event.config, **anew.config} if event.config.get(key) != anew.config.get(key)]
            recorded["config"] = {key: event.config.get(key) for key in keys}
            recomputed["config"] = {key: anew.config.get(key) for key in keys}
        self._differs(seq, event, recorded, recomputed, compared.why, anew)

    def _started(self, seq: int, event: Any, _following: ev.Event | None) -> None:
        state = self._refold.state
        record = state.ledger[event.trial]
        slot = state.ledger.free_slot()
        if event.attempt != record.attempt + 1:
            anew = record.attempt + 1
            self._differs(seq, event, {"attempt": event.attempt}, {"attempt": anew}, f"attempt {anew} is next")
        elif event.slot != slot:
            self._differs(seq, event, {"slot": event.slot}, {"slot": slot}, f"worker {slot} is the free one")

    def _stopped(self, seq: int, event: ev.TrialStopped, _following: ev.Event | None) -> None:
        record = self._refold.state.ledger[event.trial]
        if event.by == "scheduler" and event.why != record.reason:
            why = "the reason is not the one of the decision"
            self._differs(seq, event, {"why": event.why}, {"why": record.reason}, why)

    def _fitted(self, _seq: int, event: ev.ModelFitted, _following: ev.Event | None) -> None:
        self._proposals[0][1].fitted(event)

    def _raised(self, seq: int, event: ev.Event, following: ev.Event | None, error: str) -> None:
        """The scheduler raised: as it did then, or only now."""
        report = self._report
        if _scheduler_failed(following):
            report.notes.append(f"event {seq}: the scheduler raised {error}, as it did then; nothing was decided since")
            report.problem = (
                f"the scheduler fails at event {seq} ({error}), so that what came behind it cannot be made anew"
            )
            return
        self._differs(seq, event, {}, {}, f"the scheduler raises {error}")

    def _differs(  # noqa: PLR0917 - one line of a report
        self,
        seq: int,
        event: ev.Event,
        recorded: dict[str, Any],
        recomputed: dict[str, Any],
        why: str,
        anew: ev.Event | None = None,
    ) -> None:
        report = self._report
        report.differences += 1
        if report.difference is not None:
            return
        difference = Difference(
            event=seq,
            what=name_of(event),
            trial=trial_of(event),
            recorded=recorded,
            recomputed=recomputed,
            why=why,
        )
        if anew is not None:
            past = [one.event for one in islice(events_of(self._folder), seq)]
            difference = msgspec.structs.replace(
                difference,
                digest_recorded=decision_digest([*past, event]),
                digest_recomputed=decision_digest([*past, anew]),
            )
        report.difference = difference


def _scheduler_failed(following: ev.Event | None) -> bool:
    """Whether the next event says that the scheduler failed: what stands before it was not decided by it."""
    return type(following) is ev.PluginFailed and following.group == "offbeat.schedulers"


def _with_next(events: Iterator[Recorded]) -> Iterator[tuple[Recorded, ev.Event | None]]:
    """Each event with the one behind it, None behind the last; what `events` raises comes behind the last one too."""
    before: Recorded | None = None
    failure: JournalError | None = None
    try:
        for recorded in events:
            if before is not None:
                yield before, recorded.event
            before = recorded
    except JournalError as error:
        failure = error
    if before is not None:
        yield before, None
    if failure is not None:
        raise failure
