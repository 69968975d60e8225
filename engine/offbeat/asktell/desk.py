"""Ask and tell without any I/O: the engine's conductor with one worker for each trial that is out.

A trial is handed out by `next` and comes back by what is told: the report is a signal like any backend's, and a trial that
is to stop or pause has ended at that moment, since whoever told it will hear so. Decisions are those that a `Tuner` with
the same events makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final, Literal

from offbeat import events as ev
from offbeat.asktell.incumbent import Incumbent
from offbeat.asktell.trial import AllOut, AskedTrial, Decision, TrialNotOut
from offbeat.conductor import Conductor
from offbeat.contained import Raised
from offbeat.errors import InvalidArgument
from offbeat.intake import Refusal, as_number
from offbeat.protocols import ProposalRequest
from offbeat.report import checked
from offbeat.signals import Ended, Reported, StartTrial
from offbeat.trial import Status, TrialId, TrialRecord
from offbeat.verdicts import start_command

_WAITING: Final = frozenset({Status.QUEUED, Status.INTERRUPTED})


class Desk:
    """Hands trials out and takes results in; each method is one turn of the conductor, at a time that it is given.

    Args:
        conductor: of an open session, with the limits that hold.
        incumbent: the best result so far, which is kept up.
    """

    def __init__(self, conductor: Conductor, incumbent: Incumbent) -> None:
        self.conductor = conductor
        self.ledger = conductor.ledger
        self.incumbent = incumbent
        self._metrics = tuple(spec.name for spec in conductor.scheduler.objective.metrics)
        self._limits = conductor.state.limits
        self._request: ProposalRequest | None = None
        self._started: StartTrial | None = None
        #: Trials that are to end, of which whoever has them has not heard yet.
        self._recalled = {record.id for record in self.ledger.having(Status.STOPPING, Status.PAUSING)}

    def take(self) -> Sequence[ev.Event]:
        """What was recorded since the last call."""
        events, self.conductor.events = self.conductor.events, []
        return events

    @property
    def out(self) -> list[AskedTrial]:
        """Trials that are out, by id."""
        return [self._asked(record) for record in self.ledger.having(Status.RUNNING, Status.STOPPING, Status.PAUSING)]

    @property
    def full(self) -> bool:
        """Whether no further trial may be handed out."""
        return self._started is None and len(self.ledger.slots) >= self._limits.n_workers

    # --- asking

    def next(self, at: float) -> AskedTrial | ProposalRequest | None:
        """A trial to hand out; or a request to carry to the scheduler, to come back with `answered`; or nothing for now.

        A request that never came back, because whoever carried it gave up, is given out again. Raises AllOut.
        """
        conductor = self.conductor
        if self.full and conductor.closing is None:
            trials = ", ".join(str(trial.id) for trial in self.out)
            raise AllOut(
                f"All {self._limits.n_workers} trials that may be out at once are out ({trials}): complete or fail one first, "
                "or open the study with a larger n_workers."
            )
        if at >= conductor.limits.until:
            conductor.tick(at)
        if self._request is not None and conductor.closing is None:
            return self._request
        if self._started is None:
            # One more than trials that are out: so that a single one is started, and asked for when it is wanted.
            self._request = conductor.filling.next_request(at, len(self.ledger.slots) + 1)
            self._obey()
        start, self._started = self._started, None
        if start is None:
            return self._request
        record = self.ledger[start.trial]
        if start.trial in self._recalled:  # the study has come to its end meanwhile
            self._end(record, "ended", "", at)
            return None
        return self._asked(record, start)

    def answered(self, request: ProposalRequest, answer: Any, at: float) -> None:
        """The scheduler's answer, or `Raised`."""
        self._request = None
        if self.conductor.closing is not None:
            return
        if isinstance(answer, Raised):
            self.conductor.filling.proposal_failed(request, answer.error, at)
        else:
            self.conductor.filling.proposed(request, answer, at)
        self._obey()  # it may have started the trial at once

    def _asked(self, record: TrialRecord, start: StartTrial | None = None) -> AskedTrial:
        conductor = self.conductor
        if start is None:
            start = start_command(
                record, conductor.scheduler.objective, conductor.scheduler.space, conductor.state.spec.seed
            )
        donor = None if start.resume or start.donor is None else int(start.donor)
        return AskedTrial(
            int(record.id), record.attempt, start.config, record.until, start.resume, record.resource, donor, start.seed,
            record.slot,
        )  # fmt: skip

    def _obey(self) -> None:
        """What the conductor commands: a start is handed out, an end waits for the trial's next word."""
        for command in self.conductor.commands:
            if isinstance(command, StartTrial):
                self._started = command
            else:
                self._recalled.add(command.trial)
        self.conductor.commands.clear()

    # --- telling

    def tell(self, trial: AskedTrial | int, metrics: dict[str, Any], at: float) -> Decision:
        """One result. Raises TrialNotOut; InvalidArgument, TypeError or ValueError for a result that cannot be used."""
        record = self._find(trial)
        values = checked(metrics)
        conductor = self.conductor
        if record.id not in self._recalled:
            self._check(record, values)
        place = len(conductor.events)
        conductor.signal(Reported(record.id, record.attempt, record.next_seq, values), at)
        self._obey()
        event = conductor.events[place]
        if isinstance(event, ev.TrialResult):
            self.incumbent.add(event)
        return self._end(record, "ended", "", at) if record.id in self._recalled else "continue"

    def complete(self, trial: AskedTrial | int, metrics: dict[str, Any], at: float) -> None:
        """The trial ran to its end, with a last result if metrics are given. Raises what `tell` raises."""
        record = self._find(trial)
        if metrics and self.tell(trial, metrics, at) != "continue":
            return
        if record.id not in self._recalled and record.reports == 0:
            names = ", ".join(f"{name}=..." for name in self._metrics)
            raise InvalidArgument(
                f"Nothing was told about trial {record.id} yet: tell(trial, {names}) or complete(trial, {names}), or "
                "fail(trial, reason) if there is nothing to tell."
            )
        self._end(record, "finished", "", at)

    def fail(self, trial: AskedTrial | int, reason: str, at: float) -> None:
        """The trial ended badly. Raises TrialNotOut."""
        self._end(self._find(trial), "failed", _text(reason) or "no reason was told", at)

    def lost(self, trial: AskedTrial | int, reason: str, at: float) -> None:
        """Whoever had the trial is gone: it will be handed out again. Raises TrialNotOut."""
        self._end(self._find(trial), "lost", _text(reason) or "whoever had it is gone", at)

    def _end(
        self, record: TrialRecord, how: Literal["ended", "finished", "failed", "lost"], reason: str, at: float
    ) -> Decision:
        self._recalled.discard(record.id)
        self.conductor.signal(Ended(record.id, record.attempt, how, reason), at)
        self._obey()
        return "pause" if record.status is Status.PAUSED else "stop"

    def _find(self, trial: AskedTrial | int) -> TrialRecord:
        """The record of a trial that is out. Raises TrialNotOut."""
        number = trial.id if isinstance(trial, AskedTrial) else trial
        record = self.ledger.trials.get(TrialId(number)) if isinstance(number, int) else None
        if record is None:
            have = f"trials 0 to {len(self.ledger) - 1} were" if len(self.ledger) else "no trial was"
            raise TrialNotOut(f"There is no trial {number!r}: {have} handed out so far.")
        if record.status.occupies_slot:
            if not isinstance(trial, AskedTrial) or trial.attempt == record.attempt:
                return record
            raise TrialNotOut(
                f"Trial {number} was handed out again since, as attempt {record.attempt}; attempt {trial.attempt} does not "
                "count any more."
            )
        if record.status is Status.PAUSED:
            raise TrialNotOut(f"Trial {number} is paused: ask() hands it out again if it is to go on.")
        if record.status in _WAITING:
            raise TrialNotOut(f"Trial {number} was given back and waits to be handed out again by ask().")
        raise TrialNotOut(f"Trial {number} has ended: {record.status.value} ({record.reason}).")

    def _check(self, record: TrialRecord, values: dict[str, Any]) -> None:
        """Raises InvalidArgument, with nothing recorded, for what no policy for values that are not finite is about."""
        found = self.conductor.state.intake.check(values)
        if isinstance(found, Refusal):
            numbers = [as_number(values[name]) if name in values else None for name in self._metrics]
            if found.error is None and all(n is not None for n in numbers) and not all(map(isfinite, numbers)):  # type: ignore[arg-type]
                return
            raise InvalidArgument(f"This result of trial {record.id} was not taken: {found.reason}")
        level = found[1]
        if level and level <= record.resource and record.attempt == 0:
            name = self.conductor.scheduler.objective.resource_attr
            raise InvalidArgument(
                f"This result of trial {record.id} was not taken: {name} went back from {record.resource} to {level}."
            )

    # --- the end

    def close(self, at: float) -> None:
        """Ends the session; trials that are out are given back, to be handed out again when the study is resumed."""
        conductor = self.conductor
        if conductor.closed:
            return
        conductor.close(at, "interrupted", "the study was closed")
        for trial in list(self.ledger.slots.values()):
            conductor.signal(Ended(trial, self.ledger[trial].attempt, "ended"), at)
        self._obey()


def _text(reason: object) -> str:
    """A reason as the journal can hold it."""
    return str(reason)[:2000].encode(errors="replace").decode()
