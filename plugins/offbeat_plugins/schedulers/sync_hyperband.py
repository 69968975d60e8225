"""Synchronous Hyperband (Li et al. 2017, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization").

Every rung of a bracket is complete before its best trials go on. While one bracket waits for its last results, free
workers are served by others: older brackets first, and a new one is opened where none has anything to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final

from offbeat.arguments import explained, highest_level, one_name, require_count, seed_or_fresh
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
from offbeat.protocols import LedgerView, Mode, NonFinite, Objective, ProposalRequest, Searcher
from offbeat.registry import load
from offbeat.space import Space
from offbeat.trial import Status, TrialId
from offbeat_plugins.schedulers.brackets import Bracket, hyperband

OBSERVES: Final = frozenset((Suggested, TrialResult, TrialPaused, TrialStopped, TrialFinished, TrialFailed, TrialLost))


def synchronous_objective(
    name: str,
    space: Space,
    metric: str,
    mode: Mode,
    *,
    resource_attr: str | None,
    time_attr: str | None,
    max_resource_attr: str | None,
    max_t: int | None,
    nonfinite: NonFinite | Mapping[str, NonFinite],
) -> Objective:
    """The objective of a scheduler, of that name, which needs a resource and its maximum. Raises InvalidArgument."""
    resource = one_name(resource_attr, time_attr, name="resource_attr", alias_name="time_attr")
    if resource is None:
        raise InvalidArgument(
            f"{name} needs resource_attr=: the name under which the training script reports its progress, as in "
            "report(epoch=epoch + 1, ...) and resource_attr='epoch'."
        )
    top = highest_level(space, max_t, max_resource_attr)
    if top is None:
        raise InvalidArgument(
            f"{name} needs the highest resource level: pass max_t=..., or put a constant such as 'epochs': 81 into "
            "config_space and name it in max_resource_attr=."
        )
    objective = Objective.of(
        metric, mode, nonfinite=nonfinite, resource_attr=resource, max_resource_attr=max_resource_attr, max_t=top
    )
    if len(objective.metrics) > 1:
        raise InvalidArgument(f"metric={metric!r}: {name} ranks trials by one metric; give its name alone.")
    return objective


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
        self.objective = synchronous_objective(
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
        assert self.objective.max_t is not None
        self.seed = seed_or_fresh(random_seed)
        self.recorded_arguments = {"random_seed": self.seed}
        self._max_t = self.objective.max_t
        self._tells_maximum = max_resource_attr is not None
        ranked = self.objective.metrics[0]
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

        self._searcher: Searcher = (
            load("offbeat.searchers", searcher)(
                self.space, self.objective, points_to_evaluate=points_to_evaluate, allow_duplicates=allow_duplicates
            )
            if isinstance(searcher, str)
            else searcher
        )
        self._ask = getattr(self._searcher, "suggest", self._searcher.propose)
        wanted = getattr(self._searcher, "observes", None)
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
            if not self._open or not self._open[-1].has_room:
                kind = self._next_kind()
                self._brackets.append(Bracket(kind, self._plans[kind]))
                self._open.append(self._brackets[-1])
            self._bracket[trial] = self._open[-1]
            self.due[trial] = self._open[-1].enter(trial)
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

    def _next_kind(self) -> int:
        return len(self._brackets) % len(self._plans)

    def _reached(self, event: TrialResult) -> Decision:
        trial, resource, bracket = event.trial, event.resource, self._bracket[event.trial]
        ended = (Continue if resource == self._max_t and self._tells_maximum else Stop)(trial, "reached max_t")
        self.due[trial] = self._max_t
        if not bracket.expects(trial):
            return ended
        above, rung = bracket.next_level, bracket.rung
        if above is not None and resource >= above:
            bracket.record(trial, None)
            return Stop(trial, f"level {rung.level}: no report before {resource}, which is beyond the next level too")
        bracket.record(trial, self._sign * event.metrics[self._metric])
        if above is None:
            return ended
        return Pause(trial, f"bracket {bracket.kind}, level {rung.level}: outcome {len(rung.outcomes)} of {rung.slots}")

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
        answer = self._ask(request, ledger)
        if type(answer) is not dict and isawaitable(answer):
            return self._later(answer, ledger)
        return self._started(answer, ledger)

    async def _later(self, answer: Awaitable[dict[str, Any] | Start | None], ledger: LedgerView) -> Proposal | None:
        return self._started(await answer, ledger)

    def _started(self, answer: dict[str, Any] | Start | None, ledger: LedgerView) -> Proposal | None:
        if answer is None:
            return self._short(ledger)
        start = Start(config=answer) if isinstance(answer, dict) else answer
        room = self._open and self._open[-1].has_room
        kind = self._open[-1].kind if room else self._next_kind()
        return Start(
            config=start.config,
            until=self._plans[kind][0].level,
            why=start.why,
            tags={**start.tags, "bracket": kind},
            fitted=start.fitted,
        )

    def _short(self, ledger: LedgerView) -> Resume | None:
        """Nobody else will enter: the best of a first rung that has free slots goes on once all its outcomes are in."""
        if not self._open or not self._open[-1].has_room or not self._open[-1].rung.settled:
            return None
        bracket = self._open[-1]
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
                chosen = bracket.rungs[place + 1].trials if place + 1 < len(bracket.rungs) else []
                above = set(chosen).difference(bracket.waiting if place + 1 == bracket.place else ())
                entries = rung.ranked()
                table.append(
                    {
                        "level": rung.level,
                        "system": number,
                        "entries": [(self._sign * value, trial) for value, trial in entries],
                        "cut": len(chosen),
                        "waiting": [trial for _, trial in entries if rung.level < self._max_t and trial not in above],
                    }
                )
        return table
