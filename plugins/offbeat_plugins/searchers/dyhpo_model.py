"""One decision of DyHPO's model as a function of arrays: called in this process or in the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat_plugins.acquisition.candidates import candidates, generator, unseen
from offbeat_plugins.acquisition.from_curves import Known, asymptote_process, learned, standardised_curves
from offbeat_plugins.acquisition.functions import log_expected_improvement
from offbeat_plugins.acquisition.options import ModelState, Options
from offbeat_plugins.searchers.gp_model import coding
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic, one_thread
from offbeat_plugins.surrogates.learning_curves import continued
from offbeat_plugins.surrogates.process import predict, with_pending
from offbeat_plugins.surrogates.resources import added_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from offbeat_plugins.surrogates.blocks import Layout

FUNCTION: Final = "offbeat_plugins.searchers.dyhpo_model:decided"

DRAWN: Final = 128
"""New configurations that are compared with what waits."""

RANKED: Final = 16

GROWTH: Final = 1.1
"""The hyperparameters are looked at again when there are so many times as many values."""


def decided(
    *,
    space: str,
    codes: NDArray[np.float64],
    values: NDArray[np.float64],
    levels: NDArray[np.float64],
    pending: NDArray[np.float64],
    ahead: NDArray[np.float64],
    first: float,
    horizon: str,
    seed: Sequence[int],
    state: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Who gets the next step: a curve that waits, or a new one.

    Args:
        space: JSON of the space.
        codes: (n, d) of trials that have reported.
        values: (n, m) of theirs, NaN where there is none, at least one in a row.
        levels: (m,) shares of the largest resource, rising.
        pending: (p, d) of trials that have not reported.
        ahead: (n,) the level that each would be trained to next; NaN for a trial that does not wait.
        first: the level that a new one would be trained to; 0: none may start.
        horizon: where improvement counts: "step", the level that the step leads to, over the lowest value there; "end", the
            largest resource, over the lowest value of all.
        seed: of every random number drawn here.
        state: of the model before; None: there is none.
        options: of `acquisition.options.Options`, by name.

    Returns {"row": of the waiting trial with the largest improvement, -1 if a new one has a larger or nobody waits; "codes":
    (k, d) new ones, best first; "state": JSON of the model, None where it is the one given}.
    """
    chosen = Options(**options)
    layout, project = coding(space, resource=False)
    before = None if state is None else ModelState.from_json(state)
    rng, count = generator(list(seed)), int(np.isfinite(values).sum())
    look = state is None or count >= GROWTH * state["looked_at"]
    with one_thread(), np.errstate(all="ignore"):
        curves = standardised_curves(codes, values, levels)
        known = learned(curves, layout, before, rng=rng, options=chosen, look=look)
        row, most = _best_waiting(known, np.where(np.isfinite(ahead), 1.0, np.nan) if horizon == "end" else ahead)
        found = np.zeros((0, layout.dimension))
        if first > 0.0:
            best = np.argsort(known.ends.mean, kind="stable")[: chosen.centres]
            drawn = candidates(rng, layout, curves.x[best], DRAWN, project)
            drawn = drawn[unseen(drawn, np.concatenate([curves.x, pending]))]
            level = np.full(len(drawn), 1.0 if horizon == "end" else first)
            at, variance = _expected(known, drawn, pending, layout=layout, options=chosen)
            variance = variance + added_variance(np, known.theta, known.setting.where, level)
            scores = _improvement(at - incumbents(known, level), variance)
            found = drawn[np.argsort(-scores, kind="stable")[:RANKED]]
            if len(scores) and scores.max() > most:
                row = -1
    after = {**known.state.to_json(), "looked_at": count} if look else None
    return {"row": row, "codes": found, "state": after}


def _best_waiting(known: Known, ahead: NDArray[np.float64]) -> tuple[int, float]:
    """The waiting trial that promises most by its next level, and the logarithm of the improvement; -1 if there is none."""
    waits = np.isfinite(ahead)
    if not waits.any():
        return -1, -np.inf
    mean, variance = continued(
        known.setting, known.theta, known.curves, (known.said, known.ends), np.where(waits, ahead, 1.0)
    )
    scores = np.where(waits, _improvement(mean - incumbents(known, ahead), variance), -np.inf)
    return int(scores.argmax()), float(scores.max())


def _expected(
    known: Known, drawn: NDArray[np.float64], pending: NDArray[np.float64], *, layout: Layout, options: Options
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance (q,) of what new configurations (q, d) are worth apart from their curves."""
    setting, process = asymptote_process(known, layout, options)
    if len(pending):
        process, _ = with_pending(setting, process, pending, np.ones(len(pending)), np.zeros((len(pending), 1)))
    at = predict(setting, process, drawn)
    return at.mean[:, 0], at.variance


def _improvement(over: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the expected improvement by means (q,) above what is to be improved on."""
    scored = log_expected_improvement(
        np, numpy_arithmetic().log_ndtr, over[:, None], np.maximum(variance, 1e-12), np.zeros(1)
    ).value
    finite: NDArray[np.float64] = np.where(np.isfinite(scored), scored, -np.inf)
    return finite


def incumbents(known: Known, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(q,) what is to be improved on at levels (q,): the lowest value there, where there is none the lowest of all."""
    y = np.where(known.curves.there, known.curves.y, np.inf)
    lowest = y.min(axis=0)
    same = np.abs(levels[:, None] - known.curves.t[None, :]) < 1e-9
    out: NDArray[np.float64] = np.where(same.any(axis=1), np.where(same, lowest, np.inf).min(axis=1), lowest.min())
    return out
