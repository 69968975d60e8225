"""The engine without its I/O: signals go in, events and commands come out.

The same object conducts real trials, simulated ones, and tests without any backend. Each method is one turn: it puts new
events into `events` and commands into `commands`, which the driver takes away. Nothing here waits, reads a clock, or
touches a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Final, Literal

from offbeat import events as ev
from offbeat.checkpoints import Checkpoints
from offbeat.contained import told
from offbeat.decisions import Decision
from offbeat.errors import BackendFailed, OffbeatError, PluginFailed, TooManyFailures, WatchedMetricMissing
from offbeat.filling import MAX_PROPOSAL_ERRORS, Filling
from offbeat.intake import Refusal, plain, short
from offbeat.limits import LimitWatch
from offbeat.plain import Plain
from offbeat.protocols import Attempt
from offbeat.signals import BackendBroken, Command, Ended, Garbled, Reported, Saved, Signal, StopTrial
from offbeat.state import State
from offbeat.stopping import Stopper, Verdict
from offbeat.trial import Status, TrialId, TrialRecord
from offbeat.verdicts import check_decisions, decided, start_command, too_many_failures

EARLY: Final = 1024
"""Reports of one attempt that wait for a straggler; beyond, it is taken as lost."""

SessionOutcome = Literal["done", "interrupted", "failed"]

_RUNNING: Final = Status.RUNNING
_COMMANDS: Final[dict[Status, Literal["", "stop", "pause"]]] = {
    Status.RUNNING: "", Status.STOPPING: "stop", Status.PAUSING: "pause",
}  # fmt: skip


class Conductor:
    """One session of an experiment.

    Args:
        state: folded up to the journal's end.
        stopper: when to end; None: when there is nothing left to try.
        delete_checkpoints: whether those that nobody needs any more are to be deleted, see `Checkpoints`.
        suspends: whether the backend leaves attempts as they are once nobody listens: an interruption leaves them alive for
            the next session, any other end is theirs too, without a command.

    Attributes:
        events, commands: what the turn produced; the driver empties both. only_plain: every number in the events was looked
            at before, or stands by itself under a name.
        plain: what is done where nothing is out of the ordinary.
        cut: attempts were told to end, and what they report from now on comes too late.
        filling: fills free slots; checkpoints: decides which are kept.
        early: reports that wait for one before them; draining: no new trials, for the reason in drained_by.
        limits: says until when, on the experiment's clock, `tick` has to be called.
        closing: (outcome, reason) once the end has begun; closed: the last event was produced.
        error: what the session failed with.
    """

    def __init__(
        self, state: State, stopper: Stopper | None, *, delete_checkpoints: bool = False, suspends: bool = False
    ) -> None:
        self.state = state
        self.ledger = state.ledger
        self.scheduler = state.scheduler
        self.stopper = stopper
        self.limits = LimitWatch(stopper, state.usage)
        self.events: list[ev.Event] = []
        self.commands: list[Command] = []
        self.only_plain = True
        self.closing: tuple[SessionOutcome, str] | None = None
        self.closed = False
        self.error: OffbeatError | None = None
        self._objective = state.scheduler.objective
        self.draining = False
        self.drained_by = ""
        self.cut = False
        self.delete_checkpoints = delete_checkpoints
        self._suspends = suspends
        self._watched_seen = False
        self.filling = Filling(self)
        self.checkpoints = Checkpoints(self)
        self.early: dict[TrialId, dict[int, Reported]] = {}
        self._shows_results = ev.TrialResult in state.observed
        self.plain = Plain(self)

    def record(self, event: ev.Event) -> None:
        """A new event: applied, handed to the driver, and shown to the scheduler."""
        state = self.state
        state.count += 1
        state.apply(event)
        self.events.append(event)
        kind = type(event)
        if kind not in ev.TIMES_ONLY and not (kind is ev.Suggested and event.config is None and not event.tags):  # type: ignore[attr-defined]
            self.only_plain = False
        if kind in state.observed:
            self.observe(event)

    def observe(self, event: ev.Event) -> Sequence[Decision]:
        """Shows the scheduler an event; what it answers, checked. What it raises ends the session."""
        try:
            decisions = self.scheduler.observe(event, self.ledger)
            if decisions:
                check_decisions(event, decisions, self.ledger)
        except BaseException as error:  # whatever a scheduler raises, SystemExit too, ends the session
            self.scheduler_failed(event.at, f"observe({ev.wire_name(event)})", error)
            return ()
        return decisions or ()

    # --- a session's beginning and end

    def open(self, at: float, host: ev.Host) -> None:
        """The session begins; the experiment's first one writes down what it is."""
        state = self.state
        spec = state.spec if state.session < 0 else None
        self.record(ev.ExperimentOpened(at, state.session + 1, spec, host))
        self.checkpoints.begin(at)

    def change_limits(self, at: float, limits: ev.Limits) -> None:
        """Other limits from here on; `stopper` is theirs already."""
        self.record(ev.LimitsChanged(at, limits))
        self.checkpoints.tidy(at)

    def alive(self) -> list[Attempt]:
        """Attempts that the last session left alive, as a backend may adopt them."""
        attempts = []
        for record in self.ledger.having(*_COMMANDS):
            start = start_command(record, self._objective, self.scheduler.space, self.state.spec.seed)
            told, told_at = _COMMANDS[record.status], record.told_at
            if not told and (refused := self.state.failing.get(record.id)) is not None:
                told, told_at = "stop", refused.at
            attempts.append(Attempt(start, record.attempt_at, record.next_seq, record.resource, told, told_at))
        return attempts

    def adopted(self, at: float, trials: Iterable[TrialId]) -> None:
        """The backend took charge of these attempts; the others that were alive are lost."""
        kept = set(trials)
        for record in self.ledger.having(*_COMMANDS):
            if record.id not in kept:
                self._over(record, at, "lost", "the engine ended while it ran", "")

    def close(self, at: float, outcome: SessionOutcome, reason: str, *, cut: bool = True) -> None:
        """Begins the end of the session: no new attempts; `cut` also ends those that run (they can be resumed).

        Where the backend suspends them, the session ends there and then: nothing that a crash could lose happens between
        an end and its being written down.
        """
        if self.closing is None:
            self.closing = (outcome, reason)
            self.limits.until = inf
        if cut and outcome == "interrupted" and self._suspends and not self.cut:
            self._record_end(at)
        elif cut and not self.cut:
            self.cut = True
            for trial in list(self.ledger.slots.values()):
                record = self.ledger[trial]
                if self._suspends:
                    self._over(record, at, "ended", "", "")
                elif record.status is _RUNNING:
                    self.commands.append(StopTrial(record.id, record.attempt))
        self._finish_if_idle(at)

    def abandon(self, at: float, reason: str) -> None:
        """Whatever still counts as alive is not: the backend was closed. Not so after the end of a suspended session."""
        if self.closed:
            return
        for trial in list(self.ledger.slots.values()):
            self._over(self.ledger[trial], at, "lost", reason, "")
        self._finish_if_idle(at)

    def note(self, event: ev.PluginFailed) -> None:
        """Writes down what befell an observer; nothing follows from it."""
        self.record(event)

    def fail(self, at: float, error: OffbeatError) -> None:
        """Ends the session with an error; the experiment can be resumed."""
        if self.error is None:
            self.error = error
        self.close(at, "failed", str(error))

    def _finish_if_idle(self, at: float) -> None:
        if self.closing is not None and not self.closed and not self.ledger.slots:
            self._record_end(at)

    def _record_end(self, at: float) -> None:
        assert self.closing is not None
        self.closed = True
        self.record(ev.ExperimentClosed(at, self.state.session, *self.closing))

    def scheduler_failed(self, at: float, where: str, error: BaseException) -> None:
        """The scheduler raised: the session ends, but for a proposal that can be asked for again."""
        name = self.state.spec.scheduler.name
        text = self._noted(at, "offbeat.schedulers", name, where, error)
        if not where.startswith("propose") or self.filling.errors >= MAX_PROPOSAL_ERRORS:
            self.fail(at, PluginFailed("scheduler", name, where, text))

    def _stopper_failed(self, at: float, where: str, error: BaseException) -> None:
        name = type(self.stopper).__name__
        text = self._noted(at, "offbeat.stoppers", name, where, error)
        self.fail(at, PluginFailed("stopping criterion", name, where, text))

    def _noted(self, at: float, group: str, name: str, where: str, error: BaseException) -> str:
        text, trace = told(error)
        self.record(ev.PluginFailed(at, group, name, where, text, trace))
        return text

    # --- signals

    def signal(self, signal: Signal, at: float) -> None:
        """Takes in one signal of the backend."""
        if type(signal) is Reported:
            self._reported(signal, at)
        elif type(signal) is Ended:
            record = self.ledger.trials.get(signal.trial)
            if record is not None and record.attempt == signal.attempt and record.status.occupies_slot:
                if self.early:
                    self._without_stragglers(record, at)
                self._over(record, at, signal.how, signal.reason, signal.detail)
                self._finish_if_idle(at)
                self.check_limits(at)
        elif type(signal) is Saved:
            self.checkpoints.saved(signal, at)
        elif type(signal) is Garbled:
            if signal.trial in self.ledger.trials:
                reason, sample, count = signal.reason, signal.sample, signal.count
                self.record(ev.ReportRejected(at, signal.trial, signal.attempt, reason, sample, count))
        elif type(signal) is BackendBroken:
            self.fail(at, BackendFailed(signal.reason))
            self.abandon(at, signal.reason)

    def _reported(self, signal: Reported, at: float) -> None:
        record = self.ledger.trials.get(signal.trial)
        if record is None or signal.attempt > record.attempt:
            return
        if signal.attempt < record.attempt:
            self._uncounted(record.id, signal, at, "late")
        elif signal.seq == record.next_seq:
            self._in_order(record, signal, at)
            if self.early:
                early = self.early.get(record.id)
                while early and (following := early.pop(record.next_seq, None)) is not None:
                    self._in_order(record, following, at)
        elif signal.seq > record.next_seq and record.status.occupies_slot:
            # A straggler is waited for, so that the scheduler sees each trial's reports in order.
            early = self.early.setdefault(record.id, {})
            early.setdefault(signal.seq, signal)
            if len(early) > EARLY:
                self._without_stragglers(record, at)

    def _without_stragglers(self, record: TrialRecord, at: float) -> None:
        """Reports that never came are not waited for any longer."""
        for _, early in sorted(self.early.pop(record.id, {}).items()):
            if early.seq >= record.next_seq:
                self._in_order(record, early, at)

    def _in_order(self, record: TrialRecord, signal: Reported, at: float) -> None:
        """The next report of an attempt."""
        if record.status is not _RUNNING or self.cut or record.id in self.state.failing:
            self._uncounted(record.id, signal, at, "late")
            return
        state = self.state
        checked = state.intake.check(signal.metrics, plain=signal.plain)
        if isinstance(checked, Refusal):
            self._refused(record, signal, checked, at)
            return
        metrics, resource, raw = checked
        trial, attempt, seq = record.id, signal.attempt, signal.seq
        if resource and resource <= record.resource:
            if attempt == 0:
                reason = f"{self._objective.resource_attr} went back from {record.resource} to {resource}"
                self._refused(record, signal, Refusal(reason), at)
            else:
                self._uncounted(trial, signal, at, "repeat", resource)
            return
        event = ev.TrialResult(at, trial, attempt, seq, resource, metrics, "continue", "", (), raw)
        state.count += 1
        state.waiting = False
        state.intake.learn(metrics)
        self.ledger.count(event)
        # Its place in the journal is taken before the scheduler is asked: what a failing one causes comes after it.
        place = len(self.events)
        self.events.append(event)
        self.only_plain = self.only_plain and signal.plain and raw is None
        if self._shows_results and resource >= state.due.get(trial, 0):
            # The scheduler gets metrics of its own: what it did to ours would go into the journal.
            shown = ev.TrialResult(at, trial, attempt, seq, resource, dict(metrics), "continue", "", (), raw)
            decisions = self.observe(shown)
            if decisions:
                self.decide(event, decisions, place)
        state.usage.apply(event)
        self.check_limits(at)

    def decide(self, event: ev.TrialResult, decisions: Sequence[Decision], place: int) -> None:
        """What the scheduler answered to a result goes into its record, and to the backend."""
        event, commands = decided(event, decisions, self.ledger)
        self.events[place] = event
        self.commands += commands
        self.ledger.decide(event)
        if event.others:
            self.checkpoints.tidy(event.at)

    def _uncounted(
        self, trial: TrialId, signal: Reported, at: float, verdict: Literal["late", "repeat"], resource: int = 0
    ) -> None:
        """A report that is written down and shown to nobody who decides."""
        if self.closed:
            return
        event = ev.TrialResult(at, trial, signal.attempt, signal.seq, resource, plain(signal.metrics), verdict)
        self.state.count += 1
        self.ledger.count(event)
        self.state.usage.apply(event)
        self.events.append(event)
        self.only_plain = False
        self.check_limits(at)

    def _refused(self, record: TrialRecord, signal: Reported, refusal: Refusal, at: float) -> None:
        sample = short(plain(signal.metrics))
        ends = refusal.ends_trial
        self.record(ev.ReportRejected(at, record.id, record.attempt, refusal.reason, sample, 1, signal.seq, ends))
        if refusal.error is not None and self.state.usage.results == 0:
            self.fail(at, refusal.error)
        elif ends:
            self.commands.append(StopTrial(record.id, record.attempt))

    def _over(self, record: TrialRecord, at: float, how: str, reason: str, detail: str) -> None:
        """An attempt has ended, one way or another: what that means depends on what the engine had decided."""
        trial, attempt = record.id, record.attempt
        failing = self.state.failing.get(trial)
        if record.status is Status.STOPPING:
            self.record(ev.TrialStopped(at, trial, attempt, record.told_by, record.reason))
        elif record.status is Status.PAUSING:
            self.record(ev.TrialPaused(at, trial, attempt))
        elif failing is not None:
            self._failed(record, at, failing.reason, detail, retry=False)
        elif how == "lost":
            self.record(ev.TrialLost(at, trial, attempt, reason or "contact was lost"))
        elif how == "failed":
            self._failed(record, at, reason, detail, retry=record.failures < self.state.limits.max_retries)
        elif how == "ended" or (self.cut and record.reports == 0):
            # The full reason stands in experiment-closed: it may count what came after, which differs after a crash.
            why = f"the session ended ({self.closing[0]})" if self.closing is not None else reason
            self.record(ev.TrialStopped(at, trial, attempt, "experiment", why))
        elif record.reports == 0 and not record.late:
            names = ", ".join(f"{spec.name}=..." for spec in self._objective.metrics)
            missing = f"ended without a usable report; the script has to call report({names})"
            self._failed(record, at, missing, detail, retry=False)
        else:
            self.record(ev.TrialFinished(at, trial, attempt))
            self._check_watched(record, at)
        self.checkpoints.tidy(at)

    def _failed(self, record: TrialRecord, at: float, reason: str, detail: str, *, retry: bool) -> None:
        self.record(ev.TrialFailed(at, record.id, record.attempt, reason, detail, retry))
        if retry:
            return
        usage = self.state.usage
        if too_many_failures(usage, self.state.limits):
            self.fail(at, TooManyFailures(usage.failed, usage.finished, f"{reason}\n{detail}".strip()))

    # --- limits

    def _check_watched(self, record: TrialRecord, at: float) -> None:
        """The first trial that has run to its end shows whether what the criterion waits for is ever reported."""
        if self.stopper is None or self._watched_seen or record.last is None:
            return
        self._watched_seen = True
        for name in self.stopper.watched_metrics:
            if self.state.usage.metrics[name].lowest is None:
                reported = [one for one in record.last if not one.startswith("st_")]
                self.fail(at, WatchedMetricMissing(name, reported))
                return

    def tick(self, at: float) -> None:
        """Time has passed: limits that depend on it alone are looked at."""
        usage = self.state.usage
        usage.elapsed = max(usage.elapsed, at)
        if self.closing is None:
            self._judge(self.limits.asked, at)

    def check_limits(self, at: float) -> None:
        """After a step: ends the session, or holds new trials back, if the criterion says so."""
        if self.closing is None:
            self._judge(self.limits.verdict, at)

    def _judge(self, ask: Callable[[], Verdict | None], at: float) -> None:
        """Does what the criterion says, or nothing if it says nothing new."""
        try:
            verdict = ask()
            if verdict is None:
                return
            reason = ""
            if verdict is not Verdict.GO_ON and self.stopper is not None:
                reason = str(self.stopper.reason(self.state.usage))
        except Exception as error:  # without its criterion a run would have no end: it ends here, resumable
            self._stopper_failed(at, "verdict", error)
            return
        if verdict is Verdict.END:
            self.close(at, "done", reason, cut=not self.state.limits.wait_for_trials)
        else:
            self.draining, self.drained_by = verdict is Verdict.NO_NEW_TRIALS, reason
