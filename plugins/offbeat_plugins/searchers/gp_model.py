"""What is asked of Gaussian processes, as functions of arrays: called in this process or in the model's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat.space import Space
from offbeat_plugins.acquisition.options import Data, ModelState, Options
from offbeat_plugins.acquisition.regret import regret_bound
from offbeat_plugins.acquisition.suggestion import suggest
from offbeat_plugins.searchers.coding import Coding
from offbeat_plugins.surrogates.blocks import Block, Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

FUNCTION: Final = "offbeat_plugins.searchers.gp_model:suggested"
REGRET: Final = "offbeat_plugins.searchers.gp_model:regret"


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
    """What to try next.

    Args:
        space: JSON of the space.
        codes: (n, d) of what was measured, see `Coding`; with a resource in the options it is one more column.
        targets: (n, m), as `acquisition.suggestion` takes them.
        pending: (p, d) of what runs.
        seed: of every random number drawn here.
        state: of the model before, from its `to_json`; None: there is none.
        options: of `acquisition.options.Options`, by name.

    Returns {"codes": (k, d), best first; "state": JSON of the model, or None where it is the one given or there is none;
    "diagnostics": JSON}.
    """
    chosen = Options(**options)
    layout, project = coding(space, resource=bool(chosen.resource))
    before = None if state is None else ModelState.from_json(state)
    answer = suggest(Data(codes, targets, pending), layout, list(seed), before, chosen, project=project)
    after = None if answer.state is None or answer.state is before else answer.state.to_json()
    return {"codes": answer.codes, "state": after, "diagnostics": answer.diagnostics}


def regret(
    *,
    space: str,
    codes: NDArray[np.float64],
    targets: NDArray[np.float64],
    seed: Sequence[int],
    beta: float | None,
    top: float,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """How far the best target may be from the minimum; see `acquisition.regret.regret_bound`.

    Returns {"bound", "upper", "lower", "beta", "points"}; {} where there is no bound.
    """
    layout, project = coding(space, resource=False)
    chosen = Options(**options)
    found = regret_bound(Data(codes, targets), layout, list(seed), beta=beta, top=top, options=chosen, project=project)
    names = ("bound", "upper", "lower", "beta", "points")
    return {} if found is None else {name: getattr(found, name) for name in names}


@lru_cache(maxsize=4)
def coding(space: str, *, resource: bool) -> tuple[Layout, Any]:
    """The layout of a space in JSON, with one more column where a resource is, and its projection or None."""
    of_space = Coding(Space.from_json(json.loads(space)))
    if not resource:
        return of_space.layout, of_space.projection

    def project(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.hstack([of_space.project(rows[:, :-1]), rows[:, -1:]])

    layout = Layout([*of_space.layout.blocks, Block("resource")])
    return layout, project if of_space.projection is not None else None
