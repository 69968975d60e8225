"""What BORE learns from as a function of arrays: called in this process or in the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from offbeat_plugins.surrogates.class_probability import class_probability
from offbeat_plugins.surrogates.columns import Column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FUNCTION: Final = "offbeat_plugins.searchers.bore_model:probabilities"


def probabilities(
    *,
    classifier: str,
    columns: Sequence[Mapping[str, Any]],
    x: NDArray[np.float64],
    positive: NDArray[np.bool_],
    candidates: NDArray[np.float64],
    seed: int,
) -> NDArray[np.float64]:
    """How probable it is that candidates are good, (m,).

    Args:
        classifier: a name in `surrogates.class_probability.CLASSIFIERS`.
        columns: what the columns mean, each from its `to_json`.
        x: (n, columns) of what was measured or runs.
        positive: which of them are good, (n,).
        candidates: (m, columns).
        seed: of what is random in fitting.
    """
    kinds = [Column.from_json(one) for one in columns]
    return class_probability(classifier, x, positive, candidates, columns=kinds, seed=seed)
