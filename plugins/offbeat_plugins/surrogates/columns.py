"""What a column of numbers means to a model: a place on an axis, maybe one of a few, or a category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """One column. NaN in it says that there is nothing, as for a hyperparameter that is inactive.

    Attributes:
        categories: how many values without an order there are, 0 .. categories - 1; 0 for a place in [0, 1].
        grid: the places that are possible, rising; empty: all.
    """

    categories: int = 0
    grid: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The column as JSON."""
        return {"categories": self.categories, "grid": list(self.grid)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The column that `to_json` described."""
        return cls(data["categories"], tuple(data["grid"]))

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """The grid as an array."""
        return np.array(self.grid)

    @cached_property
    def borders(self) -> NDArray[np.float64]:
        """Borders of the cells around the places, (len(grid) + 1,), from 0 to 1."""
        places = self.places
        return np.concatenate([[0.0], (places[1:] + places[:-1]) / 2, [1.0]])

    def placed(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """What numbers in [0, 1] mean in this column: the category or the place in whose cell they lie."""
        if self.categories:
            return np.minimum(np.floor(x * self.categories), self.categories - 1)
        return self.places[self.cells(x)] if self.grid else x

    def cells(self, x: NDArray[np.float64]) -> NDArray[np.intp]:
        """Which cells of the grid numbers in [0, 1] lie in."""
        return np.searchsorted(self.borders[1:-1], x, side="right")
