"""From another tool's trials to events, each of which passes the engine's own fold: an impossible history is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

from offbeat import events as ev
from offbeat.errors import InvalidArgument, InvalidConfig, OffbeatError
from offbeat.importing.foreign import Foreign, ForeignResult, ForeignTrial, Stretch
from offbeat.intake import Refusal, plain, short
from offbeat.protocols import LedgerView, Objective
from offbeat.space import Space
from offbeat.state import State
from offbeat.trial import IllegalMove, TrialId, TrialRecord

_UNSUITED: Final = (IllegalMove, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class _Absent:
    """Stands in the scheduler's place while events are folded: it decides nothing and is shown nothing."""

    observes: tuple[type[ev.Event], ...] = ()

    def __init__(self, space: Space, objective: Objective) -> None:
        self.space, self.objective, self.seed = space, objective, 0

    def observe(self, event: ev.Event, ledger: LedgerView) -> Sequence[Any]:
        return ()

    def propose(self, request: Any, ledger: LedgerView) -> None:
        return None


class _Step(NamedTuple):
    """Something that happened to a trial; in the order of time, then of trials, then of steps."""

    at: float
    trial: TrialId
    number: int
    what: Stretch | ForeignResult
    ends: bool
    last: bool
    again: bool


def events_of(foreign: Foreign, name: str) -> list[ev.Event]:
    """The whole journal of an imported experiment, closed.

    Values that are not finite are rejected and leave the trial alone; a level that was reported before is a repeat and does
    not count; a trial without any usable result has failed.

    Raises InvalidConfig that names the trial, InvalidArgument for a history that cannot be or has no usable result.
    """
    objective = Objective.of(
        list(foreign.objectives),
        list(foreign.objectives.values()),
        nonfinite="ignore",
        resource_attr=foreign.resource_attr,
        max_t=foreign.max_t,
    )
    trials = _valid(foreign)
    zero = trials[0].stretches[0].started
    steps = sorted(step for number, trial in enumerate(trials) for step in _steps(trial, TrialId(number), zero))
    began = foreign.epoch + zero if foreign.epoch is not None else 0.0
    history = _History(foreign, name, objective, _workers(steps), began)
    try:
        for step in steps:
            history.take(step, trials[step.trial])
    except _UNSUITED as error:
        if isinstance(error, OffbeatError):
            raise
        raise InvalidArgument(f"{foreign.source} tells of what cannot be: {error}.") from error
    if not history.state.usage.results:
        raise InvalidArgument(f"{foreign.source} has no result that could be used{history.first_refusal()}.")
    return history.closed()


def _valid(foreign: Foreign) -> list[ForeignTrial]:
    """The trials in the order of their starts, with configurations as the space has them."""
    found = []
    for trial in sorted(foreign.trials, key=lambda one: one.stretches[0].started):
        try:
            config = foreign.space.validate(trial.config)
        except InvalidConfig as error:
            raise InvalidConfig(f"Trial {trial.origin} does not lie in the space: {error} Say space=.") from None
        found.append(ForeignTrial(origin=trial.origin, config=config, stretches=trial.stretches, about=trial.about))
    return found


def _steps(trial: ForeignTrial, number: TrialId, zero: float) -> Iterator[_Step]:
    """Its starts, results and ends, with times that never go back."""
    now, place = 0.0, 0
    last_stretch = len(trial.stretches) - 1
    for n, stretch in enumerate(trial.stretches):
        last_result = len(stretch.results) - 1
        moments: list[tuple[float, Stretch | ForeignResult, bool, bool]] = [(stretch.started, stretch, False, False)]
        moments += [(result.at, result, False, i == last_result) for i, result in enumerate(stretch.results)]
        moments.append((stretch.ended, stretch, True, False))
        for at, what, ends, last in moments:
            if isfinite(at):
                now = max(now, at - zero)
            # What the last result ends by is the stretch's to say.
            yield _Step(now, number, place, what, ends, last, n < last_stretch)
            place += 1


def _workers(steps: Sequence[_Step]) -> int:
    """Most executions that were alive at once."""
    alive = most = 0
    for step in steps:
        if isinstance(step.what, Stretch):
            alive += -1 if step.ends else 1
            most = max(most, alive)
    return most


class _History:
    """The events so far and their fold."""

    def __init__(self, foreign: Foreign, name: str, objective: Objective, workers: int, began: float) -> None:
        self._foreign = foreign
        self._events: list[ev.Event] = []
        self._now = 0.0
        self._suggested = 0
        self._refusal = ""
        self._stretch: dict[TrialId, Stretch] = {}
        spec = _specification(foreign, name, objective, workers)
        self.state = State(spec, _Absent(foreign.space, objective), None)
        self._record(ev.ExperimentOpened(0.0, 0, spec, ev.Host(wall_time=began)))

    def take(self, step: _Step, trial: ForeignTrial) -> None:
        """Writes down what a step means."""
        self._now = step.at
        what = step.what
        if isinstance(what, ForeignResult):
            self._result(step, what)
        elif step.ends:
            self._end(step, what)
        else:
            self._stretch[step.trial] = what
            self._begin(step, trial)

    def closed(self) -> list[ev.Event]:
        """All events, ending with that of the experiment."""
        for trial in list(self.state.ledger.slots.values()):
            attempt = self.state.ledger[trial].attempt
            why = f"still running when it was imported from {self._foreign.tool}"
            self._record(ev.TrialStopped(self._now, trial, attempt, "experiment", why))
        origin = f"{self._foreign.tool} {self._foreign.version}".strip()
        self._record(ev.ExperimentClosed(self._now, 0, "done", f"imported from {origin}: {self._foreign.source}"))
        return self._events

    def first_refusal(self) -> str:
        """Why the first unusable report was none, as the end of a sentence."""
        return f"; the first one: {self._refusal.rstrip('.')}" if self._refusal else ""

    def _record(self, event: ev.Event) -> None:
        self._events.append(event)
        self.state.fold(event)

    def _begin(self, step: _Step, trial: ForeignTrial) -> None:
        ledger, at, number = self.state.ledger, self._now, step.trial
        record = ledger.trials.get(number)
        if record is None or number in ledger.paused:
            if record is None:
                tags = {"origin": trial.origin, **trial.about}
                self._record(ev.Suggested(at, self._suggested, "start", number, trial.config, tags=tags))
            else:
                self._record(ev.Suggested(at, self._suggested, "resume", number))
            self._suggested += 1
        record = ledger[number]
        begin = ev.TrialResumed if record.resuming else ev.TrialStarted
        self._record(begin(at, number, record.attempt + 1, ledger.free_slot()))

    def _result(self, step: _Step, result: ForeignResult) -> None:
        at, number = self._now, step.trial
        record = self.state.ledger[number]
        attempt, seq = record.attempt, record.next_seq
        checked = self.state.intake.check(dict(result.metrics))
        if isinstance(checked, Refusal):
            self._refusal = self._refusal or checked.reason
            sample = short(plain(result.metrics))
            self._record(ev.ReportRejected(at, number, attempt, checked.reason, sample, 1, seq))
            return
        metrics, resource, raw = checked
        kept = raw if result.raw is None else plain(result.raw)
        if resource and resource <= record.resource:
            self._record(ev.TrialResult(at, number, attempt, seq, resource, metrics, "repeat", raw=kept))
            return
        stretch = self._stretch[number]
        verdict: ev.Verdict = "continue"
        if step.last and stretch.how in ("stopped", "paused"):
            verdict = "stop" if stretch.how == "stopped" else "pause"
        why = stretch.why if verdict != "continue" else ""
        self._record(ev.TrialResult(at, number, attempt, seq, resource, metrics, verdict, why, raw=kept))

    def _end(self, step: _Step, stretch: Stretch) -> None:
        at, number = self._now, step.trial
        record = self.state.ledger[number]
        if stretch.how == "open" and not step.again:
            return
        if stretch.how == "stopped":
            self._stopped(record, stretch.why)
        elif stretch.how == "failed" or (stretch.how == "finished" and not record.reports and not step.again):
            reason = stretch.why or ("failed" if stretch.how == "failed" else "ended without a usable report")
            self._record(ev.TrialFailed(at, number, record.attempt, reason, retry=step.again))
        elif stretch.how == "paused" and record.status.value == "pausing":
            self._record(ev.TrialPaused(at, number, record.attempt))
        elif step.again or stretch.how == "paused":
            # It went on later, without a result that a pause could have followed on.
            self._record(ev.TrialLost(at, number, record.attempt, stretch.why or "went on as another execution"))
        else:
            self._record(ev.TrialFinished(at, number, record.attempt))

    def _stopped(self, record: TrialRecord, why: str) -> None:
        by: Any = "scheduler"
        if record.status.value == "running":
            # Its last report was none that counts: the stop stands by itself.
            self._record(ev.Instructed(self._now, "stop", record.id, why=why))
            by = "user"
        self._record(ev.TrialStopped(self._now, record.id, record.attempt, by, why))


def _specification(foreign: Foreign, name: str, objective: Objective, workers: int) -> ev.ExperimentSpec:
    origin: dict[str, Any] = {"distribution": foreign.tool, "version": foreign.version}
    return ev.ExperimentSpec(
        name=name,
        seed=0,
        metrics=objective.metrics,
        resource_attr=objective.resource_attr,
        max_t=objective.max_t,
        space=foreign.space.to_json(),
        scheduler=ev.ComponentDescription("offbeat.schedulers", ev.IMPORTED, **origin),
        backend=ev.ComponentDescription("offbeat.backends", ev.IMPORTED, **origin),
        limits=ev.Limits(n_workers=max(workers, 1)),
        metadata={
            "imported": {
                "tool": foreign.tool,
                "version": foreign.version,
                "source": foreign.source,
                "digest": foreign.digest,
                "name": foreign.name,
                "notes": list(foreign.notes),
            }
        },
    )
