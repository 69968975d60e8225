"""One proposal of the learning-curve process as a function of arrays: called in this process or in the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat_plugins.acquisition.candidates import generator
from offbeat_plugins.acquisition.from_curves import learned, standardised_curves, suggest_from_curves
from offbeat_plugins.acquisition.options import ModelState, Options
from offbeat_plugins.searchers.gp_model import coding
from offbeat_plugins.surrogates.arithmetic_numpy import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

FUNCTION: Final = "offbeat_plugins.searchers.learning_curve_model:suggested"


def suggested(
    *,
    space: str,
    codes: NDArray[np.float64],
    values: NDArray[np.float64],
    levels: NDArray[np.float64],
    pending: NDArray[np.float64],
    seed: Sequence[int],
    state: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What to try next.

    Args:
        space: JSON of the space.
        codes: (n, d) of trials that have reported.
        values: (n, m) of theirs, NaN where there is none, at least one in a row.
        levels: (m,) shares of the largest resource, rising.
        pending: (p, d) of trials that have not reported.
        seed: of every random number drawn here.
        state: of the model before; None: there is none.
        options: of `acquisition.options.Options`, by name.

    Returns what `gp_model.suggested` does.
    """
    chosen = Options(**options)
    layout, project = coding(space, resource=False)
    before = None if state is None else ModelState.from_json(state)
    rng = generator(list(seed))
    curves = standardised_curves(codes, values, levels)
    with one_thread(), np.errstate(all="ignore"):
        known = learned(curves, layout, before, rng=rng, options=chosen)
        answer = suggest_from_curves(known, pending, layout, rng=rng, options=chosen, project=project)
    after = None if answer.state is before or answer.state is None else answer.state.to_json()
    return {"codes": answer.codes, "state": after, "diagnostics": answer.diagnostics}
