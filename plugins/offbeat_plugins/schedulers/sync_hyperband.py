"""Synchronous Hyperband (Li et al. 2017, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization").

Every rung of a bracket is complete before its best trials go on. While one bracket waits for its last results, free
workers are served by others: older brackets first, and a new one is opened where none has anything to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple

import msgspec

from offbeat.arguments import explained, require_count, seed_or_fresh
from offbeat.decisions import Continue, Decision, Pause, Proposal, Resume, Start, Stop
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.events import (
    Event,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialLost,
    TrialPaused,
    TrialResult,
    TrialStopped,
)
from offbeat.protocols import LedgerView, Mode, NonFinite, ProposalRequest, SchedulerContext, Searcher
from offbeat.space import Space
from offbeat.trial import Status, TrialId
from offbeat_plugins.schedulers.brackets import Bracket, Rung, hyperband
from offbeat_plugins.schedulers.multi_fidelity import multi_fidelity_objective
from offbeat_plugins.schedulers.searching import Answer, Searching, searcher_of

OBSERVES: Final = frozenset((Suggested, TrialResult, TrialPaused, TrialStopped, TrialFinished, TrialFailed, TrialLost))


class Slot(NamedTuple):
    """What the next new trial is for.

    Attributes:
        kind: its bracket's number among the brackets of Hyperband; level: which it has to reach.
        slots: how many there are at the level; below: the bracket's level below it, None at the bracket's lowest one.
        promotes: whether it can be promoted from there.
    """

    kind: int
    level: int
    slots: int
    below: int | None
    promotes: bool


@described
@explained
class SyncHyperband:
    """Halves the trials of a bracket again and again, each time when all of them have reached the level.

    A trial pauses at its level. Once every slot of the rung has its outcome, the best trials get the slots of the next
    rung, of equal ones the one with the earlier slot. A trial that failed, was stopped, or ended before its level has no
    value: it takes its slot's place in the count, never goes on, and never holds up the others. If fewer trials have a
    value than the next rung has slots, the rest of these stays empty. Whoever does not go on stays paused.

    A report between two levels counts at the lower one. A report that lies beyond the next level of the bracket as well
    says nothing about the trial at its own: it is stopped without a value.

    When no new trial may be started, or the space is exhausted, while a bracket has free slots in its first rung, all its
    rungs shrink in proportion, and the best of what is there go on.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run. With it a script
            ends by itself at each level. One that keeps no checkpoint begins anew when it is resumed, which costs time and
            changes nothing else: levels that it reported before do not count again.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        grace_period, reduction_factor: lowest level, and the factor between levels; see `brackets.hyperband`.
        brackets: how many of Hyperband's brackets take turns, from the one with most trials on; None: all. 1 is successive
            halving.
        searcher: name of a plugin in `offbeat.searchers`, or an object with its two methods.
        points_to_evaluate, allow_duplicates: for a searcher given by name, see RandomSearcher.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore".

    Raises InvalidArgument, InvalidSpace, UnknownPlugin.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
        grace_period: int = 1,
        reduction_factor: float = 3,
        brackets: int | None = None,
        searcher: str | Searcher = "random",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        self.space = Space.of(config_space)
        self.objective, self._max_t = multi_fidelity_objective(
            type(self).__name__,
            self.space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
            nonfinite=nonfinite,
        )
        self.seed = seed_or_fresh(random_seed)
        self.recorded_arguments = {"random_seed": self.seed}
        self._tells_maximum = max_resource_attr is not None
        (ranked,) = self.objective.metrics
        self._metric, self._sign = ranked.name, 1.0 if ranked.mode == "min" else -1.0
        self._plans = hyperband(self._max_t, grace_period=grace_period, reduction_factor=reduction_factor)
        if brackets is not None:
            require_count("brackets", brackets)
            if brackets > len(self._plans):
                raise InvalidArgument(
                    f"brackets={brackets}: from grace_period={grace_period} to max_t={self._max_t} there are "
                    f"{len(self._plans)}."
                )
            self._plans = self._plans[:brackets]

        self._searcher = searcher_of(searcher, self.space, self.objective, points_to_evaluate, allow_duplicates)
        self._searching = Searching(self._searcher)
        self.prefetch = self._searching.prefetch
        wanted = self._searching.observes
        #: None: the searcher is passed everything.
        self._passed_on = None if wanted is None else frozenset(wanted)
        self.observes = None if self._passed_on is None else OBSERVES | self._passed_on
        #: Trial -> resource level at which it is looked at next; see `offbeat.protocols.Scheduler`.
        self.due: dict[TrialId, int] = {}
        self._brackets: list[Bracket] = []
        self._open: list[Bracket] = []
        self._bracket: dict[TrialId, Bracket] = {}

    # --- observe: the fold

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Pauses a trial that has reached its level, and ends one at max_t; lets all else pass."""
        decisions: Sequence[Decision] = ()
        if type(event) is TrialResult:
            if event.resource < self.due[event.trial]:
                return ()
            decisions = (self._reached(event),)
        elif type(event) is Suggested:
            self._suggested(event)
        elif (trial := getattr(event, "trial", None)) is not None and ledger[trial].status.ended:
            self.due.pop(trial, None)
            self._bracket[trial].end(trial)
        self._open = [bracket for bracket in self._open if not bracket.done]
        if self._passed_on is None or type(event) in self._passed_on:
            self._searcher.observe(event, ledger)
        return decisions

    def _suggested(self, event: Suggested) -> None:
        trial = event.trial
        if event.kind == "start":
            bracket = self._bracket[trial] = self._entered(event.until)
            self.due[trial] = bracket.enter(trial)
        elif event.kind == "resume":
            bracket = self._bracket[trial]
            if event.tags.get("short"):
                bracket.close()
            if trial in bracket.waiting:
                self.due[trial] = bracket.resume(trial)
            else:
                # Somebody else's decision, in a journal that was begun under another scheduler: it runs on by itself.
                bracket.end(trial)
                self.due[trial] = self._max_t

    def _entered(self, level: int | None) -> Bracket:
        """The bracket that a new trial enters which was meant for a level.

        Slots may have become free in an older one since it was proposed. Trials that come from outside are meant for none.
        """
        with_room = [bracket for bracket in self._open if bracket.has_room]
        meant = next((bracket for bracket in with_room if bracket.rung.level == level), None)
        if meant is not None:
            return meant
        number = len(self._brackets)
        kind = number % len(self._plans)
        if with_room and level != self._plans[kind][0].level:
            return with_room[0]
        self._brackets.append(Bracket(kind, self._plans[kind], promotes=self._promotes(number)))
        self._open.append(self._brackets[-1])
        return self._brackets[-1]

    def _reached(self, event: TrialResult) -> Decision:
        trial, resource, bracket = event.trial, event.resource, self._bracket[event.trial]
        if not bracket.expects(trial):
            return self._ended(
                event, self._max_t, "reached max_t" if resource >= self._max_t else "its level is behind it"
            )
        above, rung = bracket.next_level, bracket.rung
        if above is not None and resource >= above:
            bracket.record(trial, None)
            return Stop(trial, f"level {rung.level}: no report before {resource}, which is beyond the next level too")
        value = self._sign * event.metrics[self._metric]
        why = self._valued(trial, rung, value)
        bracket.record(trial, value)
        if above is None or not bracket.promotes:
            return self._ended(event, rung.level, why)
        # Until it is resumed, nothing that it still says counts.
        self.due[trial] = self._max_t
        return Pause(trial, f"bracket {bracket.kind}, level {rung.level}: outcome {len(rung.outcomes)} of {rung.slots}")

    def _ended(self, event: TrialResult, level: int, why: str) -> Decision:
        """A trial has nothing more to do. One that was told its maximum ends by itself, perhaps while saving its model."""
        self.due[event.trial] = event.resource + 1
        return (Continue if event.resource == level and self._tells_maximum else Stop)(event.trial, why)

    # --- for schedulers that are built on it

    def _promotes(self, number: int) -> bool:
        """Whether the best trials of the number-th bracket, counted from 0, go on."""
        return True

    def _valued(self, trial: TrialId, rung: Rung, value: float) -> str:
        """Takes in a trial's value at a rung; says why it ends if it goes no further. Part of the fold."""
        return "reached max_t"

    def _new(
        self, slot: Slot, request: ProposalRequest, ledger: LedgerView
    ) -> Proposal | Awaitable[Proposal | None] | None:
        """A new trial for a slot; None if there is none."""
        return self._searching.ask(request, ledger, lambda answer: self._started(slot, answer, ledger))

    # --- propose: reads the fold

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """Resumes the next trial that has a slot in a higher rung, else starts a new one; None if there is neither."""
        for bracket in self._open:
            for trial in bracket.waiting:
                # A trial whose process is still ending is taken at a later request.
                if ledger[trial].status is Status.PAUSED:
                    rung, before = bracket.rung, bracket.rungs[bracket.place - 1]
                    why = (
                        f"bracket {bracket.kind}, level {before.level}: among the best {len(rung.trials)} of "
                        f"{len(before.trials)}"
                    )
                    return Resume(trial=trial, until=rung.level, why=why)
        if not request.may_start:
            return self._short(ledger)
        return self._new(self._next_slot(), request, ledger)

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """What the searcher needs while a session runs, if anything."""
        return self._searching.running(context)

    def _next_slot(self) -> Slot:
        """The slot of the next new trial: in the oldest bracket that has one, else in the one that will be opened."""
        bracket = next((bracket for bracket in self._open if bracket.has_room), None)
        if bracket is None:
            number = len(self._brackets)
            kind = number % len(self._plans)
            slots, level = self._plans[kind][0]
            return Slot(kind, level, slots, None, self._promotes(number))
        below = bracket.rungs[bracket.place - 1].level if bracket.place else None
        return Slot(bracket.kind, bracket.rung.level, bracket.rung.slots, below, bracket.promotes)

    def _started(self, slot: Slot, answer: Answer, ledger: LedgerView) -> Proposal | None:
        if answer is None:
            return self._short(ledger)
        start = answer if isinstance(answer, Start) else Start(config=answer)
        return msgspec.structs.replace(start, until=slot.level, tags={**start.tags, "bracket": slot.kind})

    def _short(self, ledger: LedgerView) -> Resume | None:
        """Nobody else will enter: the best of a first rung that has free slots goes on once all its outcomes are in."""
        bracket = self._open[-1] if self._open else None
        if bracket is None or not (bracket.promotes and bracket.has_room and bracket.rung.settled):
            return None
        best = next((trial for _, trial in bracket.rung.ranked() if not ledger[trial].status.ended), None)
        if best is not None and bracket.next_level is not None and ledger[best].status is Status.PAUSED:
            why = f"bracket {bracket.kind}, level {bracket.rung.level}: the best, since no new trial will be started"
            return Resume(trial=best, until=bracket.next_level, why=why, tags={"short": True, "bracket": bracket.kind})
        return None

    def checkpoint_chance(self, trial: TrialId, ledger: LedgerView) -> float:
        """1 for a trial that waits to go on or may still be among the best of its rung; else 0."""
        bracket = self._bracket.get(trial)
        return float(bracket is not None and bracket.may_go_on(trial))

    # --- for people

    def rung_table(self) -> list[dict[str, Any]]:
        """The rungs of all brackets, the first one's first, for `offbeat explain`.

        Each is {"level", "system": which bracket, counted from 0 as they were opened, "entries": [(value, trial), ...] best
        first, "cut": how many of them go on (0: outcomes are missing, or it is the last rung), "waiting": trials that
        pause there}.
        """
        table: list[dict[str, Any]] = []
        for number, bracket in enumerate(self._brackets):
            for place, rung in enumerate(bracket.rungs):
                goes_on = bracket.promotes and place + 1 < len(bracket.rungs)
                chosen = bracket.rungs[place + 1].trials if goes_on else []
                above = set(chosen).difference(bracket.waiting if place + 1 == bracket.place else ())
                entries = rung.ranked()
                table.append(
                    {
                        "level": rung.level,
                        "system": number,
                        "entries": [(self._sign * value, trial) for value, trial in entries],
                        "cut": len(chosen),
                        "waiting": [trial for _, trial in entries if goes_on and trial not in above],
                    }
                )
        return table
