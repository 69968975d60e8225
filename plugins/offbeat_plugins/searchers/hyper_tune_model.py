"""One proposal of Hyper-Tune's model as a function of arrays: called in this process or in the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat_plugins.acquisition.candidates import generator
from offbeat_plugins.acquisition.options import Data, ModelState, Options
from offbeat_plugins.acquisition.suggestion import suggest
from offbeat_plugins.searchers.gp_model import coding
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic, one_thread
from offbeat_plugins.surrogates.hyperparameters import Parts, bounds, starts
from offbeat_plugins.surrogates.process import Columns, Setting
from offbeat_plugins.surrogates.ranking import ranking_weights
from offbeat_plugins.surrogates.subset import whole_curves
from offbeat_plugins.surrogates.targets import transformed_by_level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from offbeat_plugins.surrogates.blocks import Layout

FUNCTION: Final = "offbeat_plugins.searchers.hyper_tune_model:suggested"

ENOUGH: Final = 6
"""Values that a level has to have to be part of the sum."""


def suggested(
    *,
    space: str,
    codes: NDArray[np.float64],
    targets: NDArray[np.float64],
    pending: NDArray[np.float64],
    seed: Sequence[int],
    state: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What to try next, and how well each level ranks.

    As `gp_model.suggested`; the state has "levels" and "weights" too, (L,) each, as soon as a second level has `ENOUGH`
    values. It is never None: the weights follow from all values.
    """
    chosen = Options(**options)
    layout, project = coding(space, resource=True)
    before = None if state is None else ModelState.from_json(state)
    rng = generator([*seed, 1])
    levels, weights = level_weights(layout, chosen, codes, targets, before, rng=rng)
    if levels:
        chosen = replace(chosen, mixture=tuple(zip(levels, weights, strict=True)))
    answer = suggest(Data(codes, targets, pending), layout, list(seed), before, chosen, project=project)
    after = None if answer.state is None else {**answer.state.to_json(), "levels": levels, "weights": weights}
    return {"codes": answer.codes, "state": after, "diagnostics": answer.diagnostics}


def level_weights(
    layout: Layout,
    options: Options,
    codes: NDArray[np.float64],
    targets: NDArray[np.float64],
    state: ModelState | None,
    *,
    rng: np.random.Generator,
) -> tuple[list[float], list[float]]:
    """Levels with `ENOUGH` values, lowest first, and their weights; both empty while there are fewer than two.

    The hyperparameters are those of the state, at first those that are likely before anything is known.
    """
    kept = whole_curves(codes, layout.resource, options.capacity)
    x, raw = codes[kept], np.asarray(targets, dtype=np.float64).reshape(len(codes))[kept]
    at, counts = np.unique(x[:, layout.resource], return_counts=True)
    levels = at[counts >= ENOUGH].tolist()
    if len(levels) < 2:
        return [], []
    where = Parts(layout.groups, options.prior.warp, "independent", layout.resource)
    known = state is not None and state.fits(1, where.size)
    theta = state.theta()[0] if known and state is not None else starts(where, options.prior, rng, 1)[0]
    setting = Setting(
        numpy_arithmetic(),
        Columns.of(layout, "independent", [1.0]),
        where,
        bounds(where, options.prior),
        options.prior.noise_floor,
    )
    y = transformed_by_level(raw, x[:, layout.resource], options.transform)
    rows = [x[:, layout.resource] == level for level in levels]
    with one_thread():
        weights = ranking_weights(setting, theta, [(x[here], y[here]) for here in rows], rng)
    return levels, weights.tolist()
