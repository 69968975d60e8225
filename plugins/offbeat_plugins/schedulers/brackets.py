"""Brackets of synchronous Hyperband (Li et al. 2017, "Hyperband: A Novel Bandit-Based Approach", algorithm 1).

A bracket is successive halving over a fixed number of slots: when the last slot of a rung has its outcome, the best trials
get the slots of the next one, or new trials do, where somebody else makes these better than the old ones (Awad et al. 2021,
"DEHB"). Nothing here knows of events. Lower is better: callers flip the sign for "max".
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from offbeat.arguments import require_count
from offbeat.errors import InvalidArgument
from offbeat.trial import TrialId
from offbeat_plugins.schedulers.rungs import require_factor


class Planned(NamedTuple):
    """A rung before anybody is there: how many slots at which resource level."""

    slots: int
    level: int


def hyperband(max_t: int, *, grace_period: int = 1, reduction_factor: float = 3) -> tuple[tuple[Planned, ...], ...]:
    """The rungs of each bracket, the one with the most trials first.

    With s the smallest number for which grace_period * reduction_factor ** s reaches `max_t`, bracket b has s - b + 1
    rungs. Rung i lies at round(grace_period * reduction_factor ** (b + i)), the last one at `max_t`, and has
    ceil((s + 1) / rungs * reduction_factor ** (rungs - 1 - i)) slots. Of rungs that fall onto one level the first is kept,
    at `max_t` the last. Raises InvalidArgument.
    """
    require_count("max_t", max_t)
    require_count("grace_period", grace_period)
    if grace_period >= max_t:
        raise InvalidArgument(
            f"grace_period={grace_period} leaves no rung below max_t={max_t}, so that no trial would ever be compared: "
            "choose a smaller grace_period, or RandomSearch."
        )
    require_factor(reduction_factor)
    # Fractions: a product of floats that should be a whole number may lie just above it, and would be rounded up.
    factor = Fraction(reduction_factor)
    steps = 0
    while grace_period * factor**steps < max_t:
        steps += 1
    brackets: list[tuple[Planned, ...]] = []
    for bracket in range(steps + 1):
        rungs = steps - bracket + 1
        kept: list[Planned] = []
        for place in range(rungs):
            last = place == rungs - 1
            level = max_t if last else round(grace_period * factor ** (bracket + place))
            slots = ceil(Fraction(steps + 1, rungs) * factor ** (rungs - 1 - place))
            if last or (level < max_t and (not kept or level > kept[-1].level)):
                kept.append(Planned(slots, level))
        brackets.append(tuple(kept))
    return tuple(brackets)


class Rung:
    """Slots of a bracket at one level.

    Attributes:
        slots: how many there are; trials: who has one, in the order of the slots.
        outcomes: value of each trial that has its outcome; None for one that ended without.
    """

    __slots__ = ("level", "outcomes", "slots", "trials")

    def __init__(self, slots: int, level: int) -> None:
        self.slots = slots
        self.level = level
        self.trials: list[TrialId] = []
        self.outcomes: dict[TrialId, float | None] = {}

    @property
    def settled(self) -> bool:
        """Whether every trial that has a slot has its outcome."""
        return len(self.outcomes) == len(self.trials)

    def ranked(self) -> list[tuple[float, TrialId]]:
        """Trials with a value, best first, equal ones in the order of their slots."""
        valued = [(value, trial) for trial in self.trials if (value := self.outcomes.get(trial)) is not None]
        return sorted(valued, key=lambda entry: entry[0])


class Bracket:
    """One bracket in progress.

    Args:
        kind: its number among the brackets of Hyperband.
        plan: its rungs.
        promotes: the best trials of a rung get the slots of the next; otherwise new trials do, at every rung.

    Attributes:
        rungs: with the slots that they have; place: index of the one in progress, `len(rungs)` once all is done.
    """

    __slots__ = ("_ended", "_waiting", "kind", "place", "promotes", "rungs")

    def __init__(self, kind: int, plan: Sequence[Planned], *, promotes: bool = True) -> None:
        self.kind = kind
        self.promotes = promotes
        self.rungs = [Rung(slots, level) for slots, level in plan]
        self.place = 0
        #: Who has a slot of the rung in progress and has not been resumed for it yet, in the order of the slots.
        self._waiting: list[TrialId] = []
        self._ended: set[TrialId] = set()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do or to wait for."""
        return self.place == len(self.rungs)

    @property
    def has_room(self) -> bool:
        """Whether a new trial can have a slot."""
        if self.done or (self.promotes and self.place > 0):
            return False
        return len(self.rung.trials) < self.rung.slots

    @property
    def waiting(self) -> Sequence[TrialId]:
        """Trials to resume, in the order of their slots."""
        return self._waiting

    @property
    def next_level(self) -> int | None:
        """The level above the rung in progress; None at the last one."""
        return self.rungs[self.place + 1].level if self.place + 1 < len(self.rungs) else None

    @property
    def rung(self) -> Rung:
        """The rung in progress."""
        return self.rungs[self.place]

    def may_go_on(self, trial: TrialId) -> bool:
        """Whether a trial that has no attempt waits to be resumed or can still have a slot of the next rung."""
        if self.done or not self.promotes or trial in self._ended:
            return False
        if trial in self._waiting:
            return True
        value = self.rung.outcomes.get(trial)
        if value is None or self.next_level is None:
            return False
        outcomes = self.rung.outcomes.items()
        better = sum(o is not None and o < value for other, o in outcomes if other not in self._ended)
        return better < self.rungs[self.place + 1].slots

    def enter(self, trial: TrialId) -> int:
        """Gives a new trial the next slot of the rung in progress; the level that it is to reach."""
        self.rung.trials.append(trial)
        return self.rung.level

    def resume(self, trial: TrialId) -> int:
        """A waiting trial goes on; the level that it is to reach. Raises ValueError if it does not wait."""
        self._waiting.remove(trial)
        return self.rung.level

    def expects(self, trial: TrialId) -> bool:
        """Whether an outcome of the trial is missing in the rung in progress."""
        return not self.done and trial in self.rung.trials and trial not in self.rung.outcomes

    def record(self, trial: TrialId, value: float | None) -> None:
        """The outcome of an expected trial: its value at the level, None if it has none."""
        self.rung.outcomes[trial] = value
        self._advance()

    def end(self, trial: TrialId) -> None:
        """A trial has ended for good. It never goes on, and nobody waits for it; values that it has are true and stay."""
        self._ended.add(trial)
        if trial in self._waiting:
            self._waiting.remove(trial)
        if self.expects(trial):
            self.record(trial, None)

    def close(self) -> None:
        """No more trials will enter a first rung: the slots of all rungs shrink in proportion to what it has."""
        if not (self.promotes and self.has_room):
            return
        planned, there = self.rungs[0].slots, len(self.rungs[0].trials)
        for rung in self.rungs:
            rung.slots = ceil(Fraction(rung.slots * there, planned))
        self._advance()

    def _advance(self) -> None:
        """Opens the next rung once every slot has its outcome; one that nobody can be promoted to ends the bracket."""
        while not self.done and not self.has_room and self.rung.settled:
            best = [trial for _, trial in self.rung.ranked() if trial not in self._ended]
            self.place += 1
            if self.promotes and not self.done:
                self.rung.trials = best[: self.rung.slots]
                self._waiting = list(self.rung.trials)
                if not self._waiting:
                    self.place = len(self.rungs)
