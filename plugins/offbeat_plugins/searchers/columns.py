"""Configurations as rows of numbers with one column a hyperparameter, for models that tell numbers from categories.

The unit cube has a coordinate for each category of a choice, and 0.5 where there is nothing; here a choice is one column,
and what is absent is NaN. Densities and trees can make use of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat.space import Choice, Domain, ListChoice, Nullable, Space, values_of
from offbeat_plugins.surrogates.columns import Column

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

LISTED: Final = 64
"""Up to so many ordered values, their places are told to the model, which then knows what lies between two: nothing."""


class Columns:
    """The columns of a space.

    A number, an ordinal, a range is one column that holds its code in the unit cube; a choice is one that holds the index of
    its value. An optional hyperparameter has a choice, 0 for None and 1 for a value, and then the columns of the value, NaN
    for None. So is whatever is inactive. A hyperparameter with a single value has no column.

    Args:
        space: whose configurations these are.

    Attributes:
        kinds: what each column holds.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._free = not space.conditions and not space.constraints
        kinds: list[Column] = []
        self._parts: list[tuple[str, _Part]] = []
        for name, domain in space.domains.items():
            part = _Part(domain, len(kinds))
            kinds += part.kinds
            self._parts.append((name, part))
        self.kinds = tuple(kinds)

    @property
    def width(self) -> int:
        """How many columns."""
        return len(self.kinds)

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Rows of complete, valid configurations, (len(configs), width)."""
        rows = np.full((len(configs), self.width), np.nan)
        for name, part in self._parts:
            if part.kinds:
                put, columns = part.encode, part.columns
                for row, config in zip(rows, configs, strict=True):
                    if name in config:
                        row[columns] = put(config[name])
        return rows

    def decode(self, rows: NDArray[np.float64]) -> list[dict[str, Any]]:
        """The configurations nearest to rows (n, width); where a column is NaN that is needed, the middle is taken.

        Conditions and constraints are honoured as by `Space.decode`.
        """
        codes = np.full((len(rows), self._space.dimension), 0.5)
        for name, part in self._parts:
            codes[:, self._space.columns[name]] = part.codes(rows)
        return self._space.decode(codes)

    def settled(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of configurations that exist: what is inactive taken out, constraints fulfilled.

        Codes of numbers with many values stay as they are where nothing depends on them.
        """
        if not self._free:
            return self.encode(self.decode(rows))
        for _, part in self._parts:
            if part.optional:
                rows[rows[:, part.first] == 0, part.first + 1 : part.columns.stop] = np.nan
        return rows

    def random(self, rng: Generator, count: int) -> NDArray[np.float64]:
        """Rows of independent draws from the space's own distribution, (count, width)."""
        if not self._free:
            width = self._space.width
            return self.encode([self._space.from_units(us) for us in rng.random((count, width)).tolist()])
        rows = rng.random((count, self.width))
        for i, kind in enumerate(self.kinds):
            rows[:, i] = kind.placed(rows[:, i])
        for _, part in self._parts:
            if part.optional:
                none = rng.random(count) < part.none
                rows[:, part.first] = ~none
                rows[none, part.first + 1 : part.columns.stop] = np.nan
        return rows


class _Part:
    """The columns of one hyperparameter, from `first` on."""

    def __init__(self, domain: Domain, first: int) -> None:
        self.first = first
        self.optional = isinstance(domain, Nullable)
        self.none = domain.none if isinstance(domain, Nullable) else 0.0
        self._width = domain.width
        inner = domain.of if isinstance(domain, Nullable) else domain
        self._place: Callable[[Any], tuple[float, ...]] = inner.encoder()
        kinds = []
        if inner.size != 1:
            if isinstance(inner, Choice | ListChoice):
                kinds.append(Column(categories=inner.size))
                places = {_known(value): (float(i),) for i, value in enumerate(inner.values)}
                self._place = lambda value: places[_known(value)]
            elif inner.size is not None and inner.size <= LISTED:
                kinds.append(Column(grid=tuple(inner.encode(value)[0] for value in values_of(inner))))
            else:
                kinds.append(Column())
        self._has_value = bool(kinds)
        self.kinds = (Column(categories=2), *kinds) if self.optional else tuple(kinds)
        self.columns = slice(first, first + len(self.kinds))

    def encode(self, value: Any) -> tuple[float, ...]:
        """What stands in the columns for a value."""
        if not self.optional:
            return self._place(value)
        if value is None:
            return (0.0,) + (np.nan,) * self._has_value
        return (1.0, *(self._place(value) if self._has_value else ()))

    def codes(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates in the unit cube, (n, domain.width)."""
        codes = np.full((len(rows), self._width), 0.5)
        inner = codes[:, 1:] if self.optional else codes
        if self.optional:
            codes[:, 0] = np.where(rows[:, self.first] == 0, 0.25, 0.75)
        if self._has_value:
            column = rows[:, self.first + self.optional]
            there = np.flatnonzero(np.isfinite(column))
            if self.kinds[-1].categories > 2:
                inner[there] = 0.0
                inner[there, column[there].astype(np.intp)] = 1.0
            elif self.kinds[-1].categories == 2:
                inner[there, 0] = 0.25 + 0.5 * column[there]
            else:
                inner[there, 0] = column[there]
        return codes


def _known(value: Any) -> Any:
    """A value as the key of a dictionary; lists are none."""
    return repr(value) if isinstance(value, list) else value
