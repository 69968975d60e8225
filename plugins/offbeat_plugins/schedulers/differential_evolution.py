"""Differential evolution, rand/1 with binomial crossover (Storn & Price 1997), as DEHB uses it (Awad et al. 2021).

Plain functions of codes, which are points of the unit cube; lower values are better. Every random number is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from offbeat.trial import TrialId

Code: TypeAlias = Sequence[float]


class Member(NamedTuple):
    """Who holds a place in a population: a trial, its code, and its value at the population's level."""

    trial: TrialId
    code: Code
    value: float


class Population:
    """The members of one resource level, which children challenge in turns.

    Args:
        size: number of places.

    Attributes:
        places: members by place, None where nobody has a value yet.
        turn: the place that the next child challenges.
    """

    __slots__ = ("places", "turn")

    def __init__(self, size: int) -> None:
        self.places: list[Member | None] = [None] * size
        self.turn = 0

    @property
    def members(self) -> list[Member]:
        """Those who are there, by place."""
        return [member for member in self.places if member is not None]

    def best(self, count: int) -> list[Member]:
        """The best of them, best first, of equal ones the earlier place."""
        return sorted(self.members, key=lambda member: member.value)[:count]

    def challenged(self) -> int:
        """The place whose turn it is; afterwards it is the next one's."""
        place = self.turn
        self.turn = (place + 1) % len(self.places)
        return place

    def offer(self, place: int, child: Member) -> Member | None:
        """A child takes a place that is empty, or whose member is not better. Who loses: that member, the child, or nobody."""
        holder = self.places[place]
        if holder is not None and holder.value < child.value:
            return child
        self.places[place] = child
        return holder


def drawn(pool: Sequence[Member], us: Sequence[float]) -> list[Member]:
    """Different members of a pool, one for each number in [0, 1); as many as the pool has at least."""
    left = list(pool)
    return [left.pop(int(u * len(left))) for u in us]


def parents(
    pool: Sequence[Member], everyone: Iterable[Member], target: Member | None, us: Sequence[float]
) -> list[Member] | None:
    """Three different trials in random order: of the pool, where it is too small with others; None if there are no three.

    The target is among them only where there are no three without it.

    Args:
        pool: members of one population.
        everyone: members of all of them, read only if they are needed.
        target: whom their child will challenge.
        us: three numbers in [0, 1).
    """
    own = [member for member in pool if target is None or member.trial != target.trial]
    if len(own) >= len(us):
        return drawn(own, us)
    trials = {member.trial: member for member in (*everyone, *pool)}
    if len(trials) < len(us):
        return None
    taken = {member.trial for member in own}
    if target is not None and len(trials) > len(us):
        taken.add(target.trial)
    others = [member for trial, member in trials.items() if trial not in taken]
    chosen = drawn(others, us[len(own) :])
    for member, u in zip(own, us, strict=False):
        chosen.insert(int(u * (len(chosen) + 1)), member)
    return chosen


def mutant(base: Code, one: Code, other: Code, factor: float, fill: Code) -> list[float]:
    """The mutant base + factor * (one - other); coordinates of it outside of [0, 1] are replaced by `fill`'s."""
    moved = (b + factor * (x - y) for b, x, y in zip(base, one, other, strict=True))
    return [m if 0.0 <= m <= 1.0 else f for m, f in zip(moved, fill, strict=True)]


def mask(us: Sequence[float], probability: float, forced: int) -> list[bool]:
    """Which hyperparameters a child has from its mutant: those whose u is below; if that is none, the forced one."""
    chosen = [u < probability for u in us]
    if not any(chosen):
        chosen[forced] = True
    return chosen


def crossed(mutated: Code, target: Code, chosen: Sequence[bool], blocks: Sequence[slice]) -> list[float]:
    """The mutant's coordinates for the chosen hyperparameters, the target's for the others.

    blocks: which coordinates belong to each: those of a categorical move together.
    """
    child = list(target)
    for block, own in zip(blocks, chosen, strict=True):
        if own:
            child[block] = mutated[block]
    return child
