"""A journal folded again with its schedulers beside: each event is given with what was decided anew on it.

As `offbeat.state.State.fold`, but what the schedulers answer is kept and compared instead of thrown away; the recorded
value goes on into the fold, so that one difference does not bring about others. What results use up is not added up: nothing
in a past depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from offbeat import events as ev
from offbeat.contained import told
from offbeat.decisions import Continue, Decision, Pause, Stop
from offbeat.events import TrialResult
from offbeat.protocols import Scheduler
from offbeat.state import OBSERVED, State
from offbeat.trial import TrialId
from offbeat.verdicts import check_decisions, decided

_VERDICTS: Final[dict[type, str]] = {Continue: "continue", Stop: "stop", Pause: "pause"}

MISFITS: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)
"""What a fold raises for events that do not fit each other."""


class Turn(NamedTuple):
    """A scheduler and the number of the last event that it decided on, None: all."""

    scheduler: Scheduler
    last: int | None


class Decided(NamedTuple):
    """What a scheduler decided anew on a result."""

    verdict: str
    why: str
    others: tuple[Any, ...]


class SchedulerRaised(Exception):
    """A scheduler raised instead of deciding; the text says what."""


NOTHING: Final = Decided("continue", "", ())


class Refold:
    """The state of an experiment event by event.

    Args:
        spec: what the experiment is.
        turns: who decided up to which event, oldest first.

    Attributes:
        state: as the engine has it, whose scheduler is the last one.
        scheduler: the one that decides now.
        broken: what a scheduler raised; from then on nothing is decided anew.
    """

    def __init__(self, spec: ev.ExperimentSpec, turns: Sequence[Turn]) -> None:
        self.state = State(spec, turns[-1].scheduler, None)
        self.broken = ""
        self._turns = list(turns)
        self._take_turn()

    def _take_turn(self) -> None:
        """The next author's turn. Those that came before are not asked any more; those that come later watch."""
        self.scheduler, self._last = self._turns[0]
        self._observe = self.scheduler.observe
        self._trials = self.state.ledger.trials
        self._watching = [(turn.scheduler.observe, _observed(turn.scheduler)) for turn in self._turns[1:]]
        self._observed = _observed(self.scheduler)
        self._judges = TrialResult in self._observed
        self._due: Mapping[TrialId, int] = getattr(self.scheduler, "due", {})
        self._plain = not self._watching

    def take_in(self, event: ev.Event, seq: int) -> Decided | None:
        """Takes in any event: `result` or `fold`."""
        if isinstance(event, TrialResult):
            return self.result(event, seq)
        self.fold(event, seq)
        return None

    def fold(self, event: ev.Event, seq: int) -> None:
        """Takes in an event that is no result. Raises one of MISFITS for one that does not fit those before it."""
        state = self.state
        state.count += 1
        state.apply(event)
        kind = type(event)
        if kind in self._observed and not self.broken:
            try:
                self._observe(event, state.ledger)
            except BaseException as error:  # whatever a scheduler raises, SystemExit too
                self.broken = told(error)[0]
                raise SchedulerRaised(self.broken) from error
        if not self._plain:
            self._watch(event)
        if seq == self._last:
            self._hand_over()

    def result(self, event: TrialResult, seq: int) -> Decided | None:
        """Takes in a result and decides on it anew; None for one that no scheduler was shown, or if none can decide.

        Raises SchedulerRaised, once, with the result taken in, and one of MISFITS for a result that does not fit.
        """
        state, ledger = self.state, self.state.ledger
        state.count += 1
        ledger.count(event)
        found: Decided | None = None
        failure: BaseException | None = None
        if event.verdict != "late" and event.verdict != "repeat":  # noqa: PLR1714 - a tuple is slower
            state.waiting = False
            # In a run it was not asked either.
            if not self._judges or event.resource < self._due.get(event.trial, 0):
                found = NOTHING
            elif not self.broken:
                try:
                    found = self._decided(event)
                except BaseException as error:  # see `fold`
                    self.broken, failure = told(error)[0], error
            if not self._plain:
                self._watch(event)
        if event.verdict != "continue" or event.others:
            ledger.decide(event)
        if seq == self._last:
            self._hand_over()
        if failure is not None:
            raise SchedulerRaised(self.broken) from failure
        return found

    def _decided(self, event: TrialResult) -> Decided:
        """What the scheduler of this turn answers."""
        ledger = self.state.ledger
        # Metrics of its own, as in a live run, and nothing of the recorded decision.
        shown = TrialResult(
            event.at, event.trial, event.attempt, event.seq, event.resource, event.metrics.copy(), raw=event.raw
        )
        decisions: Sequence[Decision] = self._observe(shown, ledger)
        if not decisions:
            return NOTHING
        check_decisions(shown, decisions, ledger)
        if len(decisions) == 1 and (only := decisions[0]).trial == event.trial:
            return Decided(_VERDICTS[type(only)], only.why, ())
        anew, _ = decided(shown, decisions, ledger)
        return Decided(anew.verdict, anew.why, anew.others)

    def _watch(self, event: ev.Event) -> None:
        """Schedulers whose turn comes later are shown the past that they take over."""
        for observe, observed in self._watching:
            if type(event) in observed:
                shown: ev.Event = event
                if isinstance(event, TrialResult):
                    shown = TrialResult(
                        event.at, event.trial, event.attempt, event.seq, event.resource, event.metrics.copy(),
                        raw=event.raw,
                    )  # fmt: skip
                observe(shown, self.state.ledger)

    def _hand_over(self) -> None:
        self._turns.pop(0)
        self._take_turn()


def _observed(scheduler: Scheduler) -> frozenset[type[ev.Event]]:
    wanted = getattr(scheduler, "observes", None)
    return OBSERVED if wanted is None else OBSERVED & frozenset(wanted)
