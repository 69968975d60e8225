"""Mixed columns as plain numbers, for models that tell no number from a category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from offbeat_plugins.surrogates.columns import Column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FEW: Final = 16
"""Categories that trees are given one by one. They cut an order of more into pieces faster than they find one of many."""


def numbers(x: Array, columns: Sequence[Column], *, absent: float = 0.5, most: int | None = None) -> Array:
    """Rows (n, columns) as plain numbers, (n, at least columns).

    Args:
        x: rows.
        columns: what they mean.
        absent: what stands for a NaN that is no category; of one-hot categories none is set.
        most: categories are one-hot up to so many, and numbered from 0 to 1 above; None: always. Two are one number.
    """
    parts = []
    for i, column in enumerate(columns):
        k = column.categories
        if k > 2 and (most is None or k <= most):
            parts.append((x[:, i, None] == np.arange(k)).astype(float))
        else:
            parts.append(np.where(np.isnan(x[:, i]), absent, x[:, i] / max(k - 1, 1))[:, None])
    return np.concatenate(parts, axis=1)
