"""The straight road: what the conductor does where nothing is out of the ordinary, written out.

Nearly every result is one more value of a trial that runs on or is stopped, nearly every proposal one more configuration,
nearly every end that of a trial which was stopped or has finished. Simulations live on these three, so `take` carries a
signal through all that follows from it, with as few calls as can be, and `fill` does so for a free slot. Both look first
whether things are as usual and leave what is not to others; what they do is, event for event and field for field, what
`Conductor` and the folds do on their way through the general case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from offbeat.contained import Raised
from offbeat.decisions import Continue, Decision, Pause, Stop
from offbeat.events import (
    ProposalRequested,
    Suggested,
    TrialFinished,
    TrialPaused,
    TrialResult,
    TrialStarted,
    TrialStopped,
    Verdict,
)
from offbeat.foresight import Foresight, Ready, is_usual
from offbeat.protocols import ProposalRequest
from offbeat.signals import BackendBroken, Command, Ended, Passing, PauseTrial, Reported, Signal, StartTrial, StopTrial
from offbeat.trial import Status, TrialId, TrialRecord
from offbeat.verdicts import check_decisions

if TYPE_CHECKING:
    from offbeat.conductor import Conductor

# Asking an Enum for its member takes as long as ten look-ups of a name.
_RUNNING: Final = Status.RUNNING
_STOPPING: Final = Status.STOPPING
_PAUSING: Final = Status.PAUSING
_STOPPED: Final = Status.STOPPED
_PAUSED: Final = Status.PAUSED
_FINISHED: Final = Status.FINISHED
_DECISIONS: Final = frozenset((Continue, Stop, Pause))

TAKEN: Final = BackendBroken("")
"""Every signal that was given was taken in."""

_MANY: Final = range(32)

ROOM: Final = 64
"""Results on which nobody decides that are taken in at once."""

PassOn: TypeAlias = Callable[[float, Passing | None], Signal | TrialResult | Passing | None]
"""See `offbeat.protocols.SimulatedSession`."""

Asked: TypeAlias = tuple[ProposalRequest, Any]
"""A request and the scheduler's answer, maybe `Raised`, or awaitable."""


class Plain:
    """The straight road of one conductor.

    Attributes:
        now: time of the last signal that was taken in here.
    """

    def __init__(self, conductor: Conductor) -> None:
        self.now = 0.0
        state, scheduler = conductor.state, conductor.scheduler
        objective = scheduler.objective
        first, *others = objective.metrics
        self._conductor, self._state, self._ledger, self._usage = conductor, state, state.ledger, state.usage
        self._trials, self._slots = state.ledger.trials, state.ledger.slots
        self._metric, self._minimise = first.name, first.mode == "min"
        self._resource_attr = objective.resource_attr or ""
        self._seed = state.spec.seed
        self._foresight = Foresight(scheduler, self._seed)
        self._observe, self._propose = scheduler.observe, scheduler.propose
        self._shows_results = TrialResult in state.observed
        self._due = state.due
        self._passing = Passing(
            [], self._due if self._shows_results else None, 0, 0.0, self._resource_attr, self._metric
        )
        self._shows_suggested = Suggested in state.observed
        self._shows_started = TrialStarted in state.observed
        self._shows_ends = frozenset((TrialStopped, TrialPaused, TrialFinished)) & state.observed
        #: Whether results are more than a value at a level to anybody but the scheduler.
        self._special = bool(others or state.usage.metrics or first.nonfinite == "worst")

    def take(self, pass_on: PassOn, submit: Callable[[Command], bool], fill: Callable[[], bool]) -> Signal | None:
        """Takes in some signals of a session in simulated time, each with all that follows from it, and moves `now` on.

        Args:
            pass_on: see `offbeat.protocols.SimulatedSession`.
            submit: carries a command out. False: the loop is to be left at once.
            fill: sees to free slots, and submits what comes of it; likewise.

        Answers a signal that is not as usual, with nothing done about it; None where there was none up to the next limit by
        time; `TAKEN` otherwise.
        """
        conductor, state, ledger = self._conductor, self._state, self._ledger
        watch, slots, n_workers = conductor.limits, self._slots, state.limits.n_workers
        events, commands = conductor.events, conductor.commands
        if conductor.cut or conductor.early or state.failing or self._special or conductor.checkpoints.managed:
            return cast("Signal | None", pass_on(watch.until, None))
        shows_results, trials, due, observe = self._shows_results, self._trials, self._due, self._observe
        now, until, slack = self.now, watch.until, watch.slack
        passing = self._passing
        passing.events = events
        #: Results since the counts were last written down, which nobody looks at meanwhile.
        taken = 0
        try:
            for _ in _MANY:
                passing.room = min(ROOM, slack - taken) if len(slots) >= n_workers else 0
                passing.since = now
                mark = len(events)
                signal = pass_on(until, passing)
                event: TrialResult | None = None
                if type(signal) is TrialResult:
                    event = signal
                elif type(signal) is Reported:
                    if len(events) > mark:
                        now = self._counted(events, mark)
                        taken += len(events) - mark
                        mark = len(events)
                    event = self._result(signal, now)
                    if event is None:
                        return signal
                    events.append(event)
                if len(events) > mark:
                    now = self._counted(events, mark)
                    taken += len(events) - mark
                if event is None:
                    if type(signal) is Passing:
                        continue
                    if type(signal) is not Ended or (at := signal.at) is None:
                        return cast("Signal | None", signal)
                    if at > now:  # noqa: PLR1730 - `max` takes twice the time
                        now = at
                    self._count(taken, now, slack - taken)
                    taken = 0
                    if not self._end(signal, now):
                        slack = watch.slack
                        return signal
                    if self._start_foreseen(now):
                        if going := all(map(submit, commands)):
                            commands.clear()
                    else:
                        going = fill()
                    until, slack = watch.until, watch.slack
                    if going:
                        continue
                    return TAKEN
                trial, attempt, level, metrics = event.trial, event.attempt, event.resource, event.metrics
                if shows_results and level >= due.get(trial, 0):
                    try:
                        # The scheduler gets metrics of its own: what it did to ours would go into the journal.
                        decisions = observe(TrialResult(now, trial, attempt, event.seq, level, metrics.copy()), ledger)
                        alone: Decision | None = None
                        if type(decisions) is tuple and len(decisions) == 1:
                            (only,) = decisions
                            if (
                                type(only) in _DECISIONS
                                and only.trial == trial
                                and type(only.why) is str
                                and only.why.isascii()
                            ):
                                alone = only
                        if decisions and alone is None:
                            check_decisions(event, decisions, ledger)
                    except BaseException as error:  # whatever a scheduler raises, SystemExit too, ends the session
                        self._count(taken, now, slack - taken)
                        taken, slack = 0, watch.slack
                        conductor.scheduler_failed(now, "observe(trial-result)", error)
                        return TAKEN
                    if alone is not None:
                        kind, why = type(alone), alone.why
                        if kind is Continue:
                            if why:
                                events[-1] = TrialResult(
                                    now, trial, attempt, event.seq, level, metrics, "continue", why
                                )
                        else:
                            verdict: Verdict = "stop" if kind is Stop else "pause"
                            events[-1] = TrialResult(now, trial, attempt, event.seq, level, metrics, verdict, why)
                            record = trials[trial]
                            record.status, record.reason = _STOPPING if kind is Stop else _PAUSING, why
                            record.told_at = now
                            commands.append((StopTrial if kind is Stop else PauseTrial)(trial, attempt))
                    elif decisions:
                        conductor.decide(event, decisions, len(events) - 1)
                if taken > slack or now >= until:
                    # Of the steps that need no look at the criterion, this one is not yet taken off.
                    self._count(taken, now, slack - taken + 1)
                    taken = 0
                    conductor.check_limits(now)
                    until, slack = watch.until, watch.slack
                    if conductor.closing is not None:
                        return TAKEN
                if len(slots) < n_workers:
                    self._count(taken, now, slack - taken)
                    taken = 0
                    going = fill()
                    until, slack = watch.until, watch.slack
                    if not going:
                        return TAKEN
                if commands:
                    for command in commands:
                        if not submit(command):
                            return TAKEN
                    commands.clear()
            return TAKEN
        finally:
            self._count(taken, now, slack - taken)

    def _result(self, signal: Reported, now: float) -> TrialResult | None:
        """The result that a report is if all about it is as usual."""
        trial, attempt, metrics, at = signal.trial, signal.attempt, signal.metrics, signal.at
        record = self._trials.get(trial)
        level, value = metrics.get(self._resource_attr), metrics.get(self._metric)
        if (
            record is None
            or at is None
            or not signal.plain
            or signal.seq != record.next_seq
            or record.status is not _RUNNING
            or attempt != record.attempt
            or type(level) is not int
            or level <= record.resource
            or (type(value) is not float and type(value) is not int)
            or "st_worker_cost" in metrics
        ):
            return None
        return TrialResult(max(now, at), trial, attempt, signal.seq, level, metrics)

    def _counted(self, events: list[Any], first: int) -> float:
        """Folds in usual results from a place on; answers the time of the last one."""
        trials, metric, minimise = self._trials, self._metric, self._minimise
        for event in events[first:]:
            record, metrics = trials[event.trial], event.metrics
            record.next_seq = event.seq + 1
            record.reports += 1
            record.resource = event.resource
            record.last = metrics
            best = record.best
            if best is None or (metrics[metric] < best[metric] if minimise else metrics[metric] > best[metric]):
                record.best = metrics
        return cast("float", events[-1].at)

    def _count(self, taken: int, now: float, slack: int) -> None:
        """Writes down so many results, the time of the last one, and how many more need no look at the criterion."""
        state, usage = self._state, self._usage
        self.now = now
        if taken:
            state.count += taken
            state.waiting = False
            usage.results += taken
            usage.elapsed = now
        self._conductor.limits.slack = slack

    def fill(self, clock: Callable[[], float]) -> Asked | None:
        """Asks for new trials and starts them while slots are free and everything is as usual.

        None once it is not, or nothing is wanted: `Filling` knows what to do then. An answer that is no usual one comes back
        with its request, which is open.
        """
        conductor, state, ledger, trials = self._conductor, self._state, self._ledger, self._trials
        slots, limits = self._slots, state.limits
        while len(slots) < limits.n_workers and self._asks_as_usual():
            requested = self._request(clock(), ledger.free_slot())
            request = ProposalRequest(requested.number, requested.slot, self._seed)
            try:
                proposal: Any = self._propose(request, ledger)
            except BaseException as error:  # whatever it raises, SystemExit too, is a failed proposal
                proposal = Raised(error)
            if not is_usual(proposal):
                conductor.filling.asked = True
                state.request = requested
                return request, proposal
            at = clock()
            try:
                ready = self._foresight.ready(proposal, TrialId(len(trials)))
            except Exception as error:  # an answer can be wrong in any way
                state.request = requested
                conductor.filling.proposal_failed(request, error, at)
                return None
            if not self._start(requested, ready, at):
                return None
        return None

    def _start_foreseen(self, at: float) -> bool:
        """Fills free slots with what the scheduler has foreseen. False: there is more to do, or less; ask others."""
        conductor, state, ledger, trials = self._conductor, self._state, self._ledger, self._trials
        slots, limits, foresight = self._slots, state.limits, self._foresight
        while len(slots) < limits.n_workers:
            if not self._asks_as_usual():
                return False
            ready = foresight.answer(state.next_number, TrialId(len(trials)), ledger)
            if ready is None or not self._start(self._request(at, ledger.free_slot()), ready, at):
                return False
        return conductor.closing is None and not limits.prefetch

    def _asks_as_usual(self) -> bool:
        """Whether a free slot means no more than the next proposal."""
        conductor, state = self._conductor, self._state
        limits = state.limits
        return (
            limits.asynchronous
            and conductor.closing is None
            and not conductor.draining
            and state.request is None
            and not state.waiting
            and not state.queue
            and not state.points
            and not limits.approval
            and not state.held
            and not self._shows_started
            and not conductor.checkpoints.managed
        )

    def _request(self, at: float, slot: int) -> ProposalRequested:
        state, usage = self._state, self._usage
        number, count = state.next_number, state.count
        requested = ProposalRequested(at, number, slot, count, True)
        self._conductor.events.append(requested)
        state.count, state.next_number = count + 1, number + 1
        if at > usage.elapsed:  # noqa: PLR1730 - `max` takes twice the time
            usage.elapsed = at
        return requested

    def _start(self, requested: ProposalRequested, ready: Ready, at: float) -> bool:
        """Starts the trial that an answer means; False if the scheduler failed when it was shown it."""
        conductor, state, ledger, usage, trials = self._conductor, self._state, self._ledger, self._usage, self._trials
        events, slot = conductor.events, requested.slot
        conductor.filling.errors = 0
        config, until, why, tags, script_config, seed = ready
        trial = TrialId(len(trials))
        suggested = Suggested(at, requested.number, "start", trial, config, until, None, why, tags)
        state.count += 1
        if at > usage.elapsed:  # noqa: PLR1730 - `max` takes twice the time
            usage.elapsed = at
        record = trials[trial] = TrialRecord(trial, config, until, None, tags)
        events.append(suggested)
        if self._shows_suggested:
            try:
                if decisions := self._observe(suggested, ledger):
                    check_decisions(suggested, decisions, ledger)
            except BaseException as error:  # whatever a scheduler raises, SystemExit too, ends the session
                state.queue[trial] = None
                conductor.scheduler_failed(at, "observe(suggested)", error)
                return False
        events.append(TrialStarted(at, trial, 0, slot))
        state.count += 1
        record.status, record.attempt, record.slot = _RUNNING, 0, slot
        record.attempt_at = record.started_at = at
        ledger.occupy(slot, trial)
        state.filling = state.filling and len(self._slots) < state.limits.n_workers
        usage.started += 1
        conductor.commands.append(StartTrial(trial=trial, attempt=0, config=script_config, slot=slot, seed=seed))
        self._look_at_limits(at)
        return True

    def _look_at_limits(self, at: float) -> None:
        """After a step: asks the criterion if its answer may be another than before."""
        limits = self._conductor.limits
        if limits.slack > 0 and at < limits.until:
            limits.slack -= 1
        else:
            self._conductor.check_limits(at)

    def _end(self, signal: Ended, at: float) -> bool:
        """The end of an attempt that was stopped or paused by the scheduler, or of one that has finished."""
        conductor, state, trial = self._conductor, self._state, signal.trial
        record = self._trials.get(trial)
        if (
            record is None
            or (attempt := signal.attempt) != record.attempt
            or conductor.closing is not None
            or conductor.early
            or state.failing
            or conductor.checkpoints.managed
            or self._special
        ):
            return False
        usage = self._usage
        event: TrialStopped | TrialPaused | TrialFinished
        status = record.status
        if status is _STOPPING and record.told_by == "scheduler":
            event = TrialStopped(at, trial, attempt, "scheduler", record.reason)
            record.status = _STOPPED
            self._ledger.vacate(record, at, record.reason)
            usage.stopped += 1
            usage.finished += 1
        elif status is _PAUSING:
            event = TrialPaused(at, trial, attempt)
            record.status = _PAUSED
            self._ledger.paused.add(trial)
            self._ledger.vacate(record, at, record.reason)
        elif status is _RUNNING and signal.how == "finished" and record.reports:
            event = TrialFinished(at, trial, attempt)
            record.status = _FINISHED
            self._ledger.vacate(record, at, "ran to its end")
            usage.completed += 1
            usage.finished += 1
        else:
            return False
        if at > usage.elapsed:  # noqa: PLR1730 - `max` takes twice the time
            usage.elapsed = at
        state.count += 1
        state.waiting = False
        state.filling = state.filling or not self._slots
        conductor.events.append(event)
        if type(event) in self._shows_ends:
            conductor.observe(event)
        self._look_at_limits(at)
        return True
