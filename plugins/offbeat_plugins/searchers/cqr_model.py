"""What CQR predicts as a function of arrays: called in this process or in the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from offbeat_plugins.surrogates.columns import Column
from offbeat_plugins.surrogates.plain import FEW, numbers
from offbeat_plugins.surrogates.quantiles import conformal_quantiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FUNCTION: Final = "offbeat_plugins.searchers.cqr_model:quantiles"


def quantiles(
    *,
    columns: Sequence[Mapping[str, Any]],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    candidates: NDArray[np.float64],
    seed: int,
) -> NDArray[np.float64]:
    """Quantiles of what candidates may be worth, (m, levels of `surrogates.quantiles`), rising in each row.

    Args:
        columns: what the columns mean, each from its `to_json`.
        x: (n, columns) of what was measured.
        y: its values, (n,).
        candidates: (m, columns).
        seed: of what is random in fitting.
    """
    kinds = [Column.from_json(one) for one in columns]
    known, wanted = (numbers(rows, kinds, most=FEW) for rows in (x, candidates))
    return conformal_quantiles(known, y, wanted, seed)
