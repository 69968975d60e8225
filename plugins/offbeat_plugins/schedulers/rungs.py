"""Rungs of successive halving: levels, what is recorded at them, and who is good enough to go on.

Sources: Li et al. 2018, "A System for Massively Parallel Hyperparameter Tuning" (ASHA), for the paper's rule; the
quantile rule is that of the asynchronous Hyperband in common use. Inside, lower is better: callers flip the sign for
"max", so that mirrored data gives mirrored decisions to the last bit.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf, isfinite, isinf
from typing import Final, Literal, TypeAlias

from offbeat.arguments import require_count
from offbeat.errors import InvalidArgument
from offbeat.trial import TrialId

Rule: TypeAlias = Literal["quantile", "paper"]

SMALLEST_FACTOR: Final = 1.1
"""Below this, neighbouring rungs compare nearly the same values."""


def require_factor(reduction_factor: object) -> None:
    """Raises InvalidArgument unless it is a finite number from `SMALLEST_FACTOR` up."""
    if (
        isinstance(reduction_factor, bool)
        or not isinstance(reduction_factor, int | float)
        or not isfinite(reduction_factor)
        or reduction_factor < SMALLEST_FACTOR
    ):
        raise InvalidArgument(
            f"reduction_factor={reduction_factor!r}: give a number from {SMALLEST_FACTOR} up; 3 is usual."
        )


def rung_levels(
    max_t: int,
    *,
    grace_period: int = 1,
    reduction_factor: float = 3,
    rung_increment: int | None = None,
    levels: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Increasing resource levels below `max_t` at which trials are compared.

    An explicit list `levels` (at least two; a last one equal to `max_t` is dropped) wins over equal steps of
    `rung_increment` from `grace_period`, which win over the geometric `round(grace_period * reduction_factor ** k)`.
    Raises InvalidArgument.
    """
    if levels is not None:
        return _explicit(levels, max_t)
    require_count("grace_period", grace_period)
    if grace_period >= max_t:
        raise InvalidArgument(
            f"grace_period={grace_period} leaves no rung below max_t={max_t}, so that no trial would ever be compared: "
            "choose a smaller grace_period, or RandomSearch."
        )
    if rung_increment is not None:
        require_count("rung_increment", rung_increment)
        return tuple(range(grace_period, max_t, rung_increment))
    require_factor(reduction_factor)
    found: list[int] = []
    steps = 0
    while (level := round(grace_period * reduction_factor**steps)) < max_t:
        # A small factor rounds to the same level twice (1, 1.2, 1.44 ...).
        if not found or level > found[-1]:
            found.append(level)
        steps += 1
    return tuple(found)


def _explicit(levels: Sequence[int], max_t: int) -> tuple[int, ...]:
    given = list(levels)
    for level in given:
        require_count("rung_levels (each)", level)
    if len(given) < 2 or any(low >= high for low, high in pairwise(given)):
        raise InvalidArgument(
            f"rung_levels={given!r}: give at least two whole numbers, each larger than the one before."
        )
    if given[-1] > max_t:
        raise InvalidArgument(
            f"rung_levels={given!r} goes beyond max_t={max_t}: raise max_t or drop the levels above it."
        )
    return tuple(given[:-1] if given[-1] == max_t else given)


def bracket_shares(levels: Sequence[int], brackets: int) -> tuple[float, ...]:
    """Probability of each bracket b, proportional to S / ((S - b) r_b); bracket b skips the b lowest rungs.

    levels: all S resource levels r_0, r_1 ..., `max_t` as the last. The weights are the shares of starts that Hyperband
    (Li et al. 2017) gives its brackets. Raises InvalidArgument for more than S brackets.
    """
    require_count("brackets", brackets)
    size = len(levels)
    if brackets > size:
        raise InvalidArgument(f"brackets={brackets}: with rungs at {list(levels[:-1])} there can be at most {size}.")
    weights = [size / ((size - b) * levels[b]) for b in range(brackets)]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


PIECE: Final = 700
"""Entries of a piece of a ranking when it is cut: insertion moves no more than twice as many, few pieces are walked over."""


class Ranking:
    """Trials by value, best (lowest) first, equal values in order of arrival. Insertion keeps the order, nothing sorts.

    A sequence of the values; `items` has the trials with them. Kept in pieces, so that an insertion among a million entries
    costs little more than one among a thousand.

    Attributes:
        size: how many there are; changes: how often a trial was taken in or out.
    """

    __slots__ = ("_lasts", "_starts", "_trials", "_values", "changes", "size")

    def __init__(self) -> None:
        self.size = 0
        self.changes = 0
        self._values: list[list[float]] = [[]]
        self._trials: list[list[TrialId]] = [[]]
        #: Highest value of each piece but the last, which takes everything above; entries before each piece.
        self._lasts: list[float] = []
        self._starts = [0]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: int) -> float:
        piece = bisect_right(self._starts, place) - 1
        return self._values[piece][place - self._starts[piece]]

    def items(self) -> Iterator[tuple[float, TrialId]]:
        """Values and trials, best first."""
        for values, trials in zip(self._values, self._trials, strict=True):
            yield from zip(values, trials, strict=True)

    def add(self, value: float, trial: TrialId) -> int:
        """Takes in a trial, behind those of the same value; answers how many values are strictly lower."""
        lasts, starts = self._lasts, self._starts
        piece = bisect_right(lasts, value) if lasts else 0
        values = self._values[piece]
        place = bisect_right(values, value)
        before = values[place - 1] if place else lasts[piece - 1] if piece else None
        lower = starts[piece] + place if before != value else self.below(value)
        values.insert(place, value)
        self._trials[piece].insert(place, trial)
        self.size += 1
        self.changes += 1
        for later in range(piece + 1, len(starts)):
            starts[later] += 1
        if len(values) > 2 * PIECE:
            self._cut(piece)
        return lower

    def up_to_quantile(self, q: float) -> int:
        """How many values are not above their own q-quantile, see `linear_quantile`; there are at least two."""
        position = q * (self.size - 1)
        below = int(position)
        piece = bisect_right(self._starts, below) - 1 if self._lasts else 0
        values, place = self._values[piece], below - self._starts[piece]
        low = values[place]
        high = values[place + 1] if place + 1 < len(values) else self[below + 1]
        share, step = position - below, high - low
        limit = low + step * share if share < 0.5 else high - step * (1.0 - share)
        # Between two neighbours, as nearly always, it needs no search.
        return below + 1 if low <= limit < high and step < inf else self.up_to(linear_quantile(self, q))

    def _moved(self, piece: int, by: int) -> None:
        self.size += by
        self.changes += 1
        starts = self._starts
        for later in range(piece + 1, len(starts)):
            starts[later] += by

    def _cut(self, piece: int) -> None:
        values, trials = self._values[piece], self._trials[piece]
        self._values[piece : piece + 1] = [values[:PIECE], values[PIECE:]]
        self._trials[piece : piece + 1] = [trials[:PIECE], trials[PIECE:]]
        self._lasts.insert(piece, values[PIECE - 1])
        self._starts.insert(piece + 1, self._starts[piece] + PIECE)

    def below(self, value: float) -> int:
        """How many values are strictly lower."""
        piece = bisect_left(self._lasts, value)
        return self._starts[piece] + bisect_left(self._values[piece], value)

    def up_to(self, value: float) -> int:
        """How many values are not higher."""
        piece = bisect_right(self._lasts, value)
        return self._starts[piece] + bisect_right(self._values[piece], value)

    def place(self, value: float, trial: TrialId) -> int:
        """How many trials rank before this one, earlier ones of its value included. ValueError if it is not there."""
        found = self._find(value, trial)
        if found is None:
            raise ValueError(f"trial {trial} is not here with {value}")
        piece, place = found
        return self._starts[piece] + place

    def remove(self, value: float, trial: TrialId) -> None:
        """Takes a trial out; nothing happens if it is not there."""
        found = self._find(value, trial)
        if found is not None:
            piece, place = found
            del self._values[piece][place], self._trials[piece][place]
            self._moved(piece, -1)

    def _find(self, value: float, trial: TrialId) -> tuple[int, int] | None:
        """Equal values may lie in several pieces."""
        for piece in range(bisect_left(self._lasts, value), len(self._values)):
            values, trials = self._values[piece], self._trials[piece]
            low = bisect_left(values, value)
            high = bisect_right(values, value, low)
            for place in range(low, high):
                if trials[place] == trial:
                    return piece, place
            if high < len(values):
                return None
        return None


def linear_quantile(ordered: Sequence[float] | Ranking, q: float) -> float:
    """The q-quantile of increasing values, bit for bit as `numpy.quantile(..., method="linear")` has it."""
    position = q * (len(ordered) - 1)
    below = int(position)
    low = ordered[below]
    share = position - below
    if share == 0.0:
        return low
    high = ordered[below + 1]
    step = high - low
    if isinf(step):
        return low * (1.0 - share) + high * share
    # NumPy interpolates from the nearer end.
    return low + step * share if share < 0.5 else high - step * (1.0 - share)


class Rung:
    """What trials had reached at one resource level, and the cut between those that go on and those that do not.

    Args:
        level: the resource level; next_level: the one above, `max_t` for the top rung.
        rule: "quantile": a trial goes on if its value is not above the `level / next_level` quantile of all values so
            far, its own included; one entry alone is not judged. "paper": the best `floor(n * level / next_level)` of n
            entries go on, i.e. floor(n / reduction_factor); as long as that is none, nothing is judged.
    """

    __slots__ = ("_known", "_nobody", "entries", "level", "next_level", "quantile", "rule", "waiting")

    def __init__(self, level: int, next_level: int, rule: Rule = "quantile") -> None:
        self.level = level
        self.next_level = next_level
        self.quantile = level / next_level
        self.rule = rule
        self.entries = Ranking()
        self.waiting = Ranking()
        #: The cut at so many entries, of which none ever goes; entries and changes of who waits at which nobody met it.
        self._known = (0, 0)
        self._nobody = (0, 0)

    def cut(self) -> int:
        """How many of the entries are good enough, ties with the last of them included; 0: too few entries to judge."""
        size = self.entries.size
        known, cut = self._known
        if known != size:
            if self.rule == "paper":
                # Whole numbers: n * (1/3) may fall short of the integer that it should be.
                cut = size * self.level // self.next_level
            else:
                cut = self.entries.up_to_quantile(self.quantile) if size > 1 else 0
            self._known = size, cut
        return cut

    def judge(self, value: float, trial: TrialId) -> tuple[int, int, int]:
        """Takes in a trial; (entries strictly better than it, `cut()`, entries)."""
        better = self.entries.add(value, trial)
        return better, self.cut(), self.entries.size

    def better_than(self, value: float) -> int:
        """How many entries are strictly better."""
        return self.entries.below(value)

    def promotable(self) -> Iterator[tuple[float, TrialId]]:
        """Waiting trials that meet the cut, best first.

        Under the paper's rule exactly the best `cut()` entries do, the earlier of two equal ones first.
        """
        waiting = self.waiting
        # Asked at every proposal, and nearly always in vain.
        if not waiting.size or (self.entries.size, waiting.changes) == self._nobody:
            return iter(())
        return self._meeting_the_cut()

    def _meeting_the_cut(self) -> Iterator[tuple[float, TrialId]]:
        waiting = self.waiting
        state = self.entries.size, waiting.changes
        cut, found = self.cut(), False
        for value, trial in waiting.items():
            rank = self.entries.place(value, trial) if self.rule == "paper" else self.better_than(value)
            if rank >= cut:
                break
            found = True
            yield value, trial
        if not found:
            self._nobody = state
