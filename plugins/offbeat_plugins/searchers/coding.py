"""A space as surrogates see it: which columns of a code belong together, what moves freely, what is active when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from offbeat.space import Domain, Space
from offbeat.space.listing import values_of
from offbeat.space.nullable import Nullable
from offbeat_plugins.surrogates.blocks import Block, Layout

MENDED: Final = 128
"""Broken rows that are mended, of one call."""

LEVELS: Final = 1_000
"""Numeric domains of more values count as continuous: the nearest value is taken in the end."""


class Coding:
    """Configurations as rows for a surrogate, and back.

    A row is the space's own code (`Space.encode`), followed by one column for each hyperparameter that has a condition: 1
    where it is active.

    Args:
        space: of the configurations.

    Attributes:
        layout: what the columns mean. dimension: how many there are.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._conditional = tuple(space.conditions)
        self._read = frozenset[str]().union(
            *(one.names for one in (*space.conditions.values(), *space.constraints.values()))
        )
        self._active = {name: space.dimension + place for place, name in enumerate(self._conditional)}
        blocks = [block for name in space.domains for block in self._blocks(name)]
        self.layout = Layout([*blocks, *(Block("activity", free=False) for _ in self._conditional)])
        self.dimension = self.layout.dimension
        absent = any(type(domain) is Nullable for domain in space.domains.values())
        #: Whether every combination of valid blocks is the row of a configuration.
        self._free = not (space.conditions or space.constraints or absent)

    def _blocks(self, name: str) -> list[Block]:
        domain = self.space.domains[name]
        active, free = self._active.get(name), name not in self._read
        if type(domain) is Nullable:
            # The first column says whether there is a value: below a half there is none.
            gate = self.space.columns[name].start
            return [
                Block("discrete", levels=(0.25, 0.75), active=active, free=False),
                _block(domain.of, gate, free=free),
            ]
        return [_block(domain, active, free=free)]

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """(n, dimension) rows of valid configurations."""
        codes = self.space.encode(configs)
        if not self._conditional:
            return codes
        active = np.array([[name in config for name in self._conditional] for config in configs], dtype=float)
        return np.hstack([codes, active.reshape(len(configs), len(self._conditional))])

    def decode(self, rows: NDArray[np.float64]) -> list[dict[str, Any]]:
        """The configurations nearest to rows (n, dimension)."""
        return self.space.decode(rows[:, : self.space.dimension])

    def project(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of valid configurations, (n, dimension), near to rows (n, dimension).

        A row that breaks a constraint begins as the valid one of the same call that is nearest to it, and takes back its own
        values, one hyperparameter after the other, where that stays valid. Beyond MENDED such rows the others become copies
        of valid ones.
        """
        codes = rows[:, : self.space.dimension]
        configs = self.space.decode_valid(codes)
        broken = [place for place, config in enumerate(configs) if config is None]
        if len(broken) == len(configs):
            for place in broken[:1]:
                configs[place] = self.decode(rows[place : place + 1])[0]
            broken = broken[1:]
        whole = [config for config in configs if config is not None]
        if broken:
            for place, config in zip(broken, self._mended(codes[broken[:MENDED]], whole), strict=False):
                configs[place] = config
            for turn, place in enumerate(broken[MENDED:]):
                configs[place] = whole[turn % len(whole)]
        return self.encode([config for config in configs if config is not None])

    def _mended(self, codes: NDArray[np.float64], whole: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Valid configurations near to codes (n, space.dimension) of others, each begun from one of the whole ones."""
        known = self.space.encode(whole)
        apart = (codes**2).sum(axis=1)[:, None] - 2.0 * codes @ known.T + (known**2).sum(axis=1)[None, :]
        nearest = apart.argmin(axis=1)
        current, found = known[nearest], [whole[i] for i in nearest.tolist()]
        for columns in self.space.columns.values():
            tried = current.copy()
            tried[:, columns] = codes[:, columns]
            for row, config in enumerate(self.space.decode_valid(tried)):
                if config is not None:
                    current[row], found[row] = tried[row], config
        return found

    @property
    def projection(self) -> Any:
        """`project`, or None where valid blocks make a valid row."""
        return None if self._free else self.project


def _block(domain: Domain, active: int | None, *, free: bool) -> Block:
    if domain.width > 1:
        return Block("categorical", domain.width, active=active, free=free)
    if domain.size is not None and domain.size <= LEVELS:
        # Values that differ by less than a code can tell share one.
        levels = tuple(sorted({domain.encode(value)[0] for value in values_of(domain)}))
        return Block("discrete", levels=levels, active=active, free=free)
    return Block(active=active, free=free)
