"""Allowed configurations where the one that was drawn, decoded or completed breaks a constraint.

All of it is a function of the numbers that were given: the further rows are those of a counter-based generator whose
key is their digest. A row that breaks a constraint is thrown away and the next one is taken, so that draws have the
space's own distribution among what is allowed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any, Final, final

from offbeat.errors import InvalidConfig, InvalidSpace
from offbeat.seeds import Rows
from offbeat.space.checks import shown
from offbeat.space.structure import Structure

BOXES: Final = 1000
"""Draws around a given point, each from a larger box than the one before."""

REDRAWS: Final = 1000
"""Draws before a space that can be listed is listed."""

MOST_REDRAWS: Final = 100_000
"""Draws before a space that cannot be listed counts as empty."""

Config = dict[str, Any]


@final
class Search:
    """Finds allowed configurations.

    Args:
        structure: with constraints.
        drawn: from as many numbers in [0, 1) as there are hyperparameters, a value for each of them.
        width: how many.
        decoded: from a code, a value for each of them.
    """

    def __init__(
        self,
        structure: Structure,
        drawn: Callable[[Sequence[float]], Config],
        width: int,
        decoded: Callable[[Sequence[float]], Config],
    ) -> None:
        self._structure = structure
        self._drawn = drawn
        self._width = width
        self._decoded = decoded

    def check_not_empty(self) -> None:
        """Raises InvalidSpace if nothing fulfils the constraints, or nothing is found by drawing."""
        if not self._structure.listable:
            self.after([0.5] * self._width)
        elif next(self._structure.decisions(), None) is None:
            raise self._empty()

    def after(self, us: Sequence[float]) -> Config:
        """The first allowed configuration among the draws that follow a row. Raises InvalidSpace if there is none."""
        found = self._first(self._draws(us), {})
        if found is None:
            raise self._empty()
        return self._settled(found)

    def near(self, values: Mapping[str, Any], code: Sequence[float], fixed: Mapping[str, Any]) -> Config:
        """An allowed configuration that keeps the fixed values, and as many of the others as it can.

        It is the first that is allowed among draws from growing boxes around a code (the last ones hold the whole
        space, then draws are from all of it); one name after the other then takes back its own value where it may.

        Args:
            values: of every hyperparameter.
            code: theirs, in the unit cube.
            fixed: those to keep.

        Raises InvalidConfig if there is none, InvalidSpace if nothing was fixed.
        """
        found = self._first(chain(self._boxes(code), self._draws(code)), fixed)
        if found is None and not fixed:
            raise self._empty()
        if found is None:
            raise InvalidConfig(
                f"No configuration with {shown(dict(fixed))} was found; what has to hold: {self._structure.told_all()}. "
                "Give other values, or fewer."
            )
        for name, value in values.items():
            closer = {**found, name: value}
            if self._is_allowed(closer, fixed):
                found = closer
        return self._settled(found)

    def _empty(self) -> InvalidSpace:
        """The error for constraints that nothing fulfils."""
        structure = self._structure
        tried = f"{MOST_REDRAWS} draws did not fulfil" if not structure.listable else "no combination of values fulfils"
        return InvalidSpace(f"The space is empty: {tried} {structure.told_all()}. Loosen it, or widen the domains.")

    def _first(self, candidates: Iterator[Config], fixed: Mapping[str, Any]) -> Config | None:
        """The first that is allowed, still with a value for every hyperparameter."""
        for values in candidates:
            values.update(fixed)
            if self._is_allowed(values, fixed):
                return values
        return None

    def _is_allowed(self, values: Config, fixed: Mapping[str, Any]) -> bool:
        config = dict(values)
        return self._structure.settle(config) and fixed.keys() <= config.keys()

    def _settled(self, values: Config) -> Config:
        self._structure.settle(values)
        return values

    def _boxes(self, code: Sequence[float]) -> Iterator[Config]:
        rows = _rows(code, "boxes", len(code))
        for k in range(1, BOXES + 1):
            size = k / BOXES
            yield self._decoded([c + (2.0 * x - 1.0) * size for c, x in zip(code, rows.row(k), strict=True)])

    def _draws(self, numbers: Sequence[float]) -> Iterator[Config]:
        rows = _rows(numbers, "redraws", self._width)
        listable = self._structure.listable
        for k in range(1, (REDRAWS if listable else MOST_REDRAWS) + 1):
            yield self._drawn(rows.row(k))
        if listable:
            # So few are allowed that they are listed: each with the same chance, and the others if it does not do.
            decisions = list(self._structure.decisions())
            start = int(_rows(numbers, "listed", 1).row(0)[0] * len(decisions))
            for k in range(len(decisions)):
                yield self._drawn(rows.row(REDRAWS + 1)) | decisions[(start + k) % len(decisions)]


def _rows(numbers: Sequence[float], purpose: str, width: int) -> Rows:
    digest = blake2b(struct.pack(f"<{len(numbers)}d", *numbers), digest_size=16).digest()
    return Rows(int.from_bytes(digest, "little"), purpose, width)
