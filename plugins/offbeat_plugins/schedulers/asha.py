"""Asynchronous successive halving (Li et al. 2018, "A System for Massively Parallel Hyperparameter Tuning").

Two types. "stopping": a trial that reaches a rung is compared with those that were there before, and goes on or is
stopped. "promotion", the paper's: every trial pauses at each rung; a free worker resumes the best paused trial that is
good enough, from the highest rung down, and starts a new one only if there is none. Brackets as in Hyperband (Li et al.
2017), drawn at random for each new trial.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import accumulate, pairwise
from typing import Any, Final, Literal

import msgspec

from offbeat.arguments import explained, seed_or_fresh
from offbeat.decisions import Continue, Decision, Pause, Proposal, Resume, Start, Stop
from offbeat.describe import described
from offbeat.errors import InvalidArgument, nearest
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
from offbeat.seeds import Rows
from offbeat.space import Space
from offbeat.trial import Status, TrialId
from offbeat_plugins.schedulers import rungs
from offbeat_plugins.schedulers.multi_fidelity import multi_fidelity_objective
from offbeat_plugins.schedulers.promotion_chance import promotion_chance
from offbeat_plugins.schedulers.rungs import Rule, Rung
from offbeat_plugins.schedulers.searching import Answer, Searching, searcher_of

_PAUSED: Final = Status.PAUSED

STOPPING: Final = frozenset((Suggested, TrialResult))
PROMOTION: Final = STOPPING | {TrialPaused, TrialStopped, TrialFinished, TrialFailed, TrialLost}
"""Events that the rungs are built from; who waits at them is known from the ends of trials."""


@described
@explained
class ASHA:
    """Gives many configurations a little of the resource and the best ones more.

    A report above a rung that was skipped (a script that reports every k epochs) counts at the highest rung that it has
    passed; the rungs below stay without a value of that trial.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run. With it a script
            ends by itself at each rung of the promotion type and at max_t, and need not be stopped there.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        type: "stopping" or "promotion"; see the module.
        grace_period, reduction_factor: rungs at grace_period * reduction_factor ** k below max_t.
        rung_increment: rungs in equal steps from grace_period instead; rung_levels: an explicit list instead.
        brackets: bracket b skips the b lowest rungs. rung_system_per_bracket: compare trials within their bracket only.
        rule: "quantile": good enough are values up to the (level / next level) quantile of the rung, at two entries or
            more; "paper": the best floor(n / reduction_factor) of n entries, nothing being judged while that is none.
        searcher: name of a plugin in `offbeat.searchers`, or an object with its two methods. One with a model is asked
            ahead of a free worker; what it has proposed then starts before a trial that is promoted meanwhile.
        searcher_data: which results the searcher is shown: "rungs", those that are looked at here, or "all".
        points_to_evaluate, allow_duplicates: for a searcher given by name, see RandomSearcher.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore".

    Once the space is exhausted and no trial is alive, the promotion type resumes the best paused trial of the highest
    rung although it missed its cut, one at a time: paused trials alone never hold up a run that has budget left. Such a
    run ends when every trial has reached max_t, or by its limits.

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
        type: Literal["stopping", "promotion"] = "stopping",  # noqa: A002 - the name that users know
        grace_period: int = 1,
        reduction_factor: float = 3,
        brackets: int = 1,
        rung_levels: Sequence[int] | None = None,
        rung_increment: int | None = None,
        rung_system_per_bracket: bool = False,
        rule: Rule = "quantile",
        searcher: str | Searcher = "random",
        searcher_data: Literal["rungs", "all"] = "rungs",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        self.space = Space.of(config_space)
        self.objective, top = multi_fidelity_objective(
            "ASHA",
            self.space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
            nonfinite=nonfinite,
            several="MOASHA takes several.",
        )
        (ranked,) = self.objective.metrics
        if type not in ("stopping", "promotion"):
            raise InvalidArgument(f"type={type!r} is not valid. {nearest(str(type), ('stopping', 'promotion'))}")
        if searcher_data not in ("rungs", "all"):
            raise InvalidArgument(
                f"searcher_data={searcher_data!r} is not valid. {nearest(str(searcher_data), ('rungs', 'all'))}"
            )
        if rule not in ("quantile", "paper"):
            raise InvalidArgument(f"rule={rule!r} is not valid. {nearest(str(rule), ('quantile', 'paper'))}")
        self.seed = seed_or_fresh(random_seed)
        self.recorded_arguments = {"random_seed": self.seed}

        self._metric = ranked.name
        self._minimise = ranked.mode == "min"
        self._promotes = type == "promotion"
        self._tells_maximum = max_resource_attr is not None
        self._max_t = top
        self._levels = rungs.rung_levels(
            top,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            rung_increment=rung_increment,
            levels=rung_levels,
        )
        #: Level of each rung, then max_t: where a trial is looked at next.
        self._milestones = (*self._levels, top)
        shares = rungs.bracket_shares(self._milestones, brackets)
        self._bracket_ends = tuple(accumulate(shares))[:-1]
        self._bracket_rows: tuple[int, Rows] | None = None
        #: One list of rungs that all brackets share, or one for each bracket.
        self._systems = [
            [Rung(level, above, rule) for level, above in pairwise(self._milestones)]
            for _ in range(brackets if rung_system_per_bracket else 1)
        ]
        self._from_the_top: list[Rung] = []
        self.promote_up_to(top)

        self._searcher = searcher_of(searcher, self.space, self.objective, points_to_evaluate, allow_duplicates)
        self._searching = Searching(self._searcher)
        self.prefetch = self._searching.prefetch
        wanted = self._searching.observes
        #: None: the searcher is passed everything.
        self._passed_on = None if wanted is None else frozenset(wanted)
        own = PROMOTION if self._promotes else STOPPING
        self.observes = None if self._passed_on is None else own | self._passed_on
        self._shows_all = searcher_data == "all"
        self._passes_results = self._passed_on is None or TrialResult in self._passed_on
        #: Trial -> resource level at which it is looked at next.
        self._due: dict[TrialId, int] = {}
        #: See `offbeat.protocols.Scheduler`: empty, so that results below are shown too, where the searcher wants them.
        self.due: dict[TrialId, int] = {} if self._shows_all else self._due
        self._bracket: dict[TrialId, int] = {}
        #: Paused trials that were not promoted yet, where they wait and with which value.
        self._waiting: dict[TrialId, tuple[Rung, float]] = {}
        self._alive: set[TrialId] = set()

    # --- observe: the fold

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Decides on a result that has reached a rung or max_t; lets all others pass."""
        if type(event) is TrialResult:
            trial, resource = event.trial, event.resource
            due = self._due[trial]
            if resource < due:
                if self._shows_all and self._passes_results:
                    self._searcher.observe(event, ledger)
                return ()
            value: float = event.metrics[self._metric]
            decision = self._reached(trial, resource, due, value if self._minimise else -value)
            if self._passes_results:
                self._searcher.observe(event, ledger)
            return (decision,)
        if type(event) is Suggested:
            self._suggested(event)
        elif (about := getattr(event, "trial", None)) is not None:
            self._follow(about, ledger[about].status)
        self._pass_on(event, ledger)
        return ()

    def _pass_on(self, event: Event, ledger: LedgerView) -> None:
        if self._passed_on is None or type(event) in self._passed_on:
            self._searcher.observe(event, ledger)

    def _suggested(self, event: Suggested) -> None:
        trial = event.trial
        if event.kind == "nothing":
            return
        if event.kind == "start":
            bracket = int(event.tags.get("bracket", 0))
            self._due[trial] = self._milestones[bracket]
            if len(self._systems) > 1:
                self._bracket[trial] = bracket
        else:
            self._forget(trial)
        if self._promotes:
            self._alive.add(trial)

    def _follow(self, trial: TrialId, status: Status) -> None:
        """A trial that has ended is never promoted; its entries stay, since they are true."""
        if status.ended:
            self._forget(trial)
            self._due.pop(trial, None)
        if status.ended or status is _PAUSED:
            self._alive.discard(trial)

    def _forget(self, trial: TrialId) -> None:
        rung, value = self._waiting.pop(trial, (None, 0.0))
        if rung is not None:
            rung.waiting.remove(value, trial)

    def _reached(self, trial: TrialId, resource: int, due: int, value: float) -> Decision:
        levels = self._levels
        index = bisect_right(levels, resource) - 1
        # What is due now was not recorded yet; after the last rung only max_t is left.
        self._due[trial] = self._milestones[index + 1]
        rung: Rung | None = None
        better = cut = size = 0
        if index >= 0 and levels[index] >= due:
            rung = self._systems[self._bracket[trial] if self._bracket else 0][index]
            better, cut, size = rung.judge(value, trial)
        if resource >= self._max_t or rung is None:
            # A script that was told its maximum is about to end by itself, perhaps while saving its model.
            ends_itself = resource == self._max_t and self._tells_maximum
            return (Continue if ends_itself else Stop)(trial, "reached max_t")
        if self._promotes:
            rung.waiting.add(value, trial)
            self._waiting[trial] = (rung, value)
            return Pause(trial, standing(rung.level, better, size, cut))
        if cut == 0:
            return Continue(trial, f"rung {rung.level}: {ordinal(better + 1)} of {size}, too few to judge")
        return (Continue if better < cut else Stop)(trial, standing(rung.level, better, size, cut))

    # --- propose: reads the fold

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """Resumes a trial that is good enough (promotion), else starts a new one; None if there is neither."""
        if self._promotes and (resumed := self._promotion(ledger)) is not None:
            return resumed
        if not request.may_start:
            return None
        return self._searching.ask(request, ledger, lambda answer: self._start(answer, request, ledger))

    def foresee(self, request: ProposalRequest, ledger: LedgerView) -> Sequence[Proposal] | None:
        """What `propose` will answer to this request and those after it, as far as the searcher can say.

        Nothing for the promotion type, where it depends on results.
        """
        if self._promotes:
            return None
        answers = self._searching.foresee(request, ledger)
        if answers is None:
            return None
        return [
            self._begun(answer, self._draw_bracket(request.seed, number))
            for number, answer in enumerate(answers, request.number)
            if answer is not None
        ]

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """What the searcher needs while a session runs, if anything."""
        return self._searching.running(context)

    def checkpoint_chance(self, trial: TrialId, ledger: LedgerView) -> float:
        """How likely a trial is to be promoted; 0 for one that does not wait at a rung."""
        waiting = self._waiting.get(trial)
        if waiting is None:
            return 0.0
        rung, value = waiting
        better = rung.better_than(value)
        return 1.0 if better < rung.cut() else promotion_chance(better, len(rung.entries), rung.quantile)

    def _promotion(self, ledger: LedgerView) -> Resume | None:
        for rung in self._from_the_top:
            for value, trial in rung.promotable():
                # A trial whose process is still ending is taken at a later request.
                if ledger[trial].status is _PAUSED:
                    why = standing(rung.level, rung.better_than(value), len(rung.entries), rung.cut())
                    return Resume(trial=trial, until=rung.next_level, why=why)
        return None

    def _start(self, answer: Answer, request: ProposalRequest, ledger: LedgerView) -> Proposal | None:
        if answer is None:
            return self._last_resort(ledger)
        return self._begun(answer, self._draw_bracket(request.seed, request.number))

    def _begun(self, answer: dict[str, Any] | Start, bracket: int) -> Start:
        """A new trial in a bracket."""
        if self._promotes:
            until: int | None = self._milestones[bracket]
        else:
            until = self._max_t if self._tells_maximum else None
        if isinstance(answer, Start):
            return msgspec.structs.replace(answer, until=until, tags={**answer.tags, "bracket": bracket})
        return Start(config=answer, until=until, tags={"bracket": bracket})

    def _last_resort(self, ledger: LedgerView) -> Resume | None:
        """No configuration is left: while a trial is alive it may decide who goes on, then the best paused one does."""
        if self._alive:
            return None
        for rung in self._from_the_top:
            for _, trial in rung.waiting.items():
                if ledger[trial].status is _PAUSED:
                    why = f"rung {rung.level}: the best of the paused trials, since no configuration is left to try"
                    return Resume(trial=trial, until=rung.next_level, why=why)
        return None

    def _draw_bracket(self, seed: int, number: int) -> int:
        if not self._bracket_ends:
            return 0
        if self._bracket_rows is None or self._bracket_rows[0] != seed:
            self._bracket_rows = (seed, Rows(seed, "asha-bracket", 1))
        return bisect_right(self._bracket_ends, self._bracket_rows[1].row(number)[0])

    # --- for schedulers that are built on it

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs of the lowest bracket, from the lowest up."""
        return tuple(self._systems[0])

    def promote_up_to(self, level: int) -> None:
        """From now on trials are promoted to this level at most; a later call may raise it."""
        self._from_the_top = [
            rung
            for same_level in reversed(list(zip(*self._systems, strict=True)))
            for rung in same_level
            if rung.next_level <= level
        ]

    # --- for people

    def rung_table(self) -> list[dict[str, Any]]:
        """The rungs from the lowest up, for `offbeat explain`.

        Each is {"level", "system": bracket, if each has rungs of its own, else 0, "entries": [(value, trial), ...] best
        first, "cut": how many of them are good enough (0: too few to judge), "waiting": paused trials, best first}.
        """
        sign = 1 if self._minimise else -1
        return [
            {
                "level": rung.level,
                "system": system,
                "entries": [(sign * v, t) for v, t in rung.entries.items()],
                "cut": rung.cut(),
                "waiting": [trial for _, trial in rung.waiting.items()],
            }
            for system, column in enumerate(self._systems)
            for rung in column
        ]


_ENDINGS: Final = tuple(
    "th" if not 1 <= last % 10 <= 3 or 11 <= last <= 13 else ("st", "nd", "rd")[last % 10 - 1] for last in range(100)
)


def standing(level: int, better: int, size: int, cut: int) -> str:
    """Where a trial stands at a rung: `rung 9: 7th of 9, cut at 3`."""
    place = better + 1
    return f"rung {level}: {place}{_ENDINGS[place % 100]} of {size}, cut at {cut}"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th ... 11th ... 21st."""
    return f"{number}{_ENDINGS[number % 100]}"
