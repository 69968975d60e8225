"""What the columns of a matrix of codes mean, and how a kernel and a search treat them.

A code matrix is (n, d) float64 in the unit cube. Its columns come in blocks, left to right: a continuous column; a
discrete one, of which only some levels are valid; a categorical, one-hot over as many columns as it has values; an
activity column, 1 where a conditional hyperparameter has a value and 0 where it has none; a resource column, at most one,
how far the point was trained, over the most that is possible (`resources`).

Absent values. The columns of an inactive hyperparameter hold one fixed code (0.5 by custom) and its activity column
says 0. Two inactive points therefore do not differ in it, and an inactive point differs from every active one by at
least the activity column, which has a length scale of its own: a Euclidean embedding, so that any isotropic kernel
stays positive definite. None-able hyperparameters are the same with their own "is None" column in that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

KINDS: Final = ("continuous", "discrete", "categorical", "activity", "resource")

FEW: Final = 16
"""A discrete column with up to so many levels is searched level by level; with more it moves like a continuous one."""


@dataclass(frozen=True, slots=True)
class Block:
    """Columns that belong together.

    Attributes:
        kind: "continuous", "discrete", "categorical", "activity" or "resource".
        width: number of columns; more than one for a categorical only.
        levels: valid codes of a discrete column, ascending.
        active: the column that says whether this block has a value here (at least 0.5: yes); None: always.
        free: no condition and no constraint reads it, so a search may change it and nothing else. What is not free is
            changed by drawing whole points and projecting them.
    """

    kind: Literal["continuous", "discrete", "categorical", "activity", "resource"] = "continuous"
    width: int = 1
    levels: tuple[float, ...] = ()
    active: int | None = None
    free: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r} is not valid; give one of {', '.join(KINDS)}.")
        if self.width < 1 or (self.width > 1) is not (self.kind == "categorical"):
            raise ValueError(
                f"A {self.kind} block of width {self.width}: categoricals have 2 or more columns, others 1."
            )
        if bool(self.levels) is not (self.kind == "discrete"):
            raise ValueError(
                f"A {self.kind} block with {len(self.levels)} levels: discrete blocks have them, no others."
            )
        if any(a >= b for a, b in zip(self.levels, self.levels[1:], strict=False)):
            raise ValueError("Levels of a discrete block have to ascend.")


@final
class Layout:
    """The blocks of a code matrix, checked and compiled.

    Args:
        blocks: left to right.

    Attributes:
        dimension: d.
        groups: G; every block is one, with one length scale.
        group: (d,) int, the group of each column.
        weight: (d,) float; 1, but sqrt(1/2) for one-hot columns, so that two different values are 1 apart.
        sliding: (d,) bool, columns that a gradient may move.
        warped: (d,) bool, columns that an input warping applies to.
        resource: the column of the resource; -1: none.

    Raises ValueError for no blocks, or an `active` that is no column.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        if not blocks:
            raise ValueError("A layout needs at least one block.")
        self.blocks = tuple(blocks)
        widths = [block.width for block in blocks]
        self.starts = tuple(int(start) for start in np.cumsum([0, *widths[:-1]]))
        self.dimension, self.groups = sum(widths), len(blocks)
        self.group = np.repeat(np.arange(self.groups), widths)
        self.weight = np.ones(self.dimension)
        self.sliding = np.zeros(self.dimension, dtype=bool)
        self.warped = np.zeros(self.dimension, dtype=bool)
        for block, start in zip(self.blocks, self.starts, strict=True):
            if block.active is not None and not 0 <= block.active < self.dimension:
                raise ValueError(f"active={block.active} is not a column; there are {self.dimension}.")
            if block.kind == "categorical":
                self.weight[start : start + block.width] = np.sqrt(0.5)
            elif block.kind == "resource":
                # Not a distance between configurations; kernels over resources read the column themselves.
                self.weight[start] = 0.0
            self.warped[start] = block.kind == "continuous" or len(block.levels) > 2
            self.sliding[start] = block.free and (block.kind == "continuous" or len(block.levels) > FEW)
        resources = [start for block, start in zip(self.blocks, self.starts, strict=True) if block.kind == "resource"]
        if len(resources) > 1:
            raise ValueError(f"A layout has one resource column, not {len(resources)}.")
        self.resource = resources[0] if resources else -1
        self._levels = {
            start: np.asarray(block.levels)
            for block, start in zip(self.blocks, self.starts, strict=True)
            if block.kind == "discrete"
        }
        self._conditional = tuple(
            (slice(start, start + block.width), block.active)
            for block, start in zip(self.blocks, self.starts, strict=True)
            if block.active is not None
        )

    @staticmethod
    def continuous(dimension: int) -> Layout:
        """`dimension` continuous columns."""
        return Layout([Block()] * dimension)

    def codes(self, codes: ArrayLike, what: str = "codes") -> NDArray[np.float64]:
        """Codes as (n, d) float64. Raises ValueError for another shape or numbers that are not finite."""
        array = np.ascontiguousarray(codes, dtype=np.float64)
        if array.size == 0:
            return np.zeros((0, self.dimension))
        if array.ndim != 2 or array.shape[1] != self.dimension:
            raise ValueError(f"{what} have shape {array.shape}; this layout needs (n, {self.dimension}).")
        if not np.isfinite(array).all():
            raise ValueError(f"{what} hold a number that is not finite; leave such points out.")
        return array

    def snap(self, codes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The nearest valid codes of each block by itself: clipped, on a level, one-hot; conditions are not looked at."""
        out = np.clip(codes, 0.0, 1.0)
        for block, start in zip(self.blocks, self.starts, strict=True):
            if block.kind == "discrete":
                levels = self._levels[start]
                column = out[:, start]
                above = np.searchsorted(levels, column).clip(1, max(len(levels) - 1, 1))
                low, high = levels[above - 1], levels[np.minimum(above, len(levels) - 1)]
                out[:, start] = np.where(column - low <= high - column, low, high)
            elif block.kind == "categorical":
                part = slice(start, start + block.width)
                values = out[:, part].argmax(axis=1)
                out[:, part] = 0.0
                out[np.arange(len(out)), start + values] = 1.0
            elif block.kind == "activity":
                out[:, start] = out[:, start] >= 0.5
        return out

    def draw(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Codes from numbers in [0, 1), one a group, (n, G): every level and every value has equal chances."""
        out = np.zeros((len(uniforms), self.dimension))
        for column, (block, start) in enumerate(zip(self.blocks, self.starts, strict=True)):
            u = uniforms[:, column]
            if block.kind == "continuous":
                out[:, start] = u
            elif block.kind == "discrete":
                out[:, start] = self._levels[start][(u * len(block.levels)).astype(int)]
            elif block.kind == "categorical":
                out[np.arange(len(out)), start + (u * block.width).astype(int)] = 1.0
            elif block.kind == "activity":
                out[:, start] = u >= 0.5
            else:
                out[:, start] = 1.0
        return out

    def fixed(self, codes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n, d) bool: columns that a gradient must leave alone in each row."""
        out = np.broadcast_to(~self.sliding, codes.shape).copy()
        for part, active in self._conditional:
            out[:, part] |= (codes[:, active] < 0.5)[:, None]
        return out

    def moves(self, rng: np.random.Generator, limit: int) -> Moves:
        """Changes of one free block to one of its levels or values: all of them, or `limit` drawn from them."""
        columns: list[tuple[int, int, Any, int | None]] = []
        for block, start in zip(self.blocks, self.starts, strict=True):
            if block.free and block.kind == "discrete" and len(block.levels) <= FEW:
                columns += [(start, 1, (level,), block.active) for level in block.levels]
            elif block.free and block.kind == "categorical":
                # Rows of an identity matrix would need width squared numbers for a categorical of many values.
                columns += [(start, block.width, value, block.active) for value in range(block.width)]
        if len(columns) > limit:
            columns = [columns[i] for i in sorted(rng.choice(len(columns), limit, replace=False))]
        changed = np.zeros((len(columns), self.dimension))
        value = np.zeros((len(columns), self.dimension))
        needs = np.full(len(columns), -1)
        for row, (start, width, what, active) in enumerate(columns):
            changed[row, start : start + width] = 1.0
            if width == 1:
                value[row, start] = what[0]
            else:
                value[row, start + what] = 1.0
            needs[row] = -1 if active is None else active
        return Moves(changed, value, needs)


@dataclass(frozen=True, slots=True)
class Moves:
    """Discrete changes of a point.

    Attributes:
        changed: (moves, d), 1 in the columns that a move sets.
        value: (moves, d), what it sets them to.
        needs: (moves,), the activity column without which it says nothing; -1: none.
    """

    changed: NDArray[np.float64]
    value: NDArray[np.float64]
    needs: NDArray[np.int64]
