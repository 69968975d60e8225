"""What to try next, given whole learning curves: improvement is expected of what curves end at.

The model is `surrogates.learning_curves`. Once it is fitted, what it knows of configurations is an ordinary process over
them, and the search is the one of `acquisition.suggestion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from offbeat_plugins.acquisition.candidates import candidates, unseen, valid
from offbeat_plugins.acquisition.criterion import Aim, Roles, criterion
from offbeat_plugins.acquisition.options import ModelState, Options, Suggestion
from offbeat_plugins.acquisition.program import Observations, Question, Shape, answer
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic
from offbeat_plugins.surrogates.hyperparameters import Parts, bounds, first_curvature, starts
from offbeat_plugins.surrogates.learning_curves import Asymptotes, Curves, Told, asymptotes, fit, told
from offbeat_plugins.surrogates.process import Columns, Posterior, Setting, features
from offbeat_plugins.surrogates.targets import standardised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from offbeat_plugins.acquisition.candidates import Project
    from offbeat_plugins.surrogates.blocks import Layout


class Known(NamedTuple):
    """A fitted model of curves, its data in standardised values.

    Attributes:
        setting, theta, curves, said, ends: see `surrogates.learning_curves`.
        state: for the next fit: the one that was given, if it was kept.
        diagnostics: "evaluations", "promise" and "negative_log_posterior" of the fit, see `Suggestion`.
    """

    setting: Setting
    theta: NDArray[np.float64]
    curves: Curves
    said: Told
    ends: Asymptotes
    state: ModelState
    diagnostics: Mapping[str, Any]


def standardised_curves(x: NDArray[np.float64], y: NDArray[np.float64], t: NDArray[np.float64]) -> Curves:
    """Curves of codes (n, d) and values (n, m), NaN where there is none: standardised, without what all curves do alike.

    The process believes in curves that deviate from a constant, with deviations that decay; most metrics also fall as
    training goes on. That trend is taken off first: from one level to the next by the median difference of the curves that have
    both, so that it does not matter which curves were cut off before. Improvement at one level is what it was.
    """
    steps = np.diff(y, axis=1)
    both = np.isfinite(steps)
    medians = [float(np.median(steps[both[:, k], k])) if both[:, k].any() else 0.0 for k in range(steps.shape[1])]
    level = y - np.concatenate([[0.0], np.cumsum(medians)])
    there = np.isfinite(y)
    whole = np.zeros_like(y)
    whole[there] = standardised(level[there])[0]
    return Curves(x, whole, there, t)


def learned(
    curves: Curves,
    layout: Layout,
    state: ModelState | None,
    *,
    rng: np.random.Generator,
    options: Options,
    look: bool = True,
) -> Known:
    """The model of these curves.

    A carried state is kept while a step promises less than `Options.evidence`, and without a `look` in any case; where there is
    none, `Options.starts` are tried on at most 100 curves, the longest.
    """
    where, prior = Parts(layout.groups, False, "freeze-thaw"), options.prior
    setting = Setting(numpy_arithmetic(), Columns.of(layout), where, bounds(where, prior), prior.noise_floor)
    tolerance = options.tolerance * max(1.0, len(curves.x) / 200)
    carried = state is not None and state.fits(1, where.size)
    if carried and state is not None:
        theta, curvature = state.theta()[0], state.curvature()[0]
        entry = max(options.evidence, tolerance)
    else:
        few = _longest(curves, 100)
        begins = starts(where, prior, rng, options.starts)
        tried = [
            fit(
                setting,
                one,
                first_curvature(where, prior),
                few,
                turns=options.turns,
                tolerance=tolerance,
                entry=tolerance,
            )
            for one in begins
        ]
        best = min(tried, key=lambda one: float(one.f[0]))
        theta, curvature, entry = best.x[0], best.inverse[0], tolerance
    if carried and not look and state is not None:
        said = told(setting, theta, curves)
        return Known(setting, theta, curves, said, asymptotes(setting, theta, curves.x, said), state, {})
    found = fit(setting, theta, curvature, curves, turns=options.turns, tolerance=tolerance, entry=entry)
    kept = carried and entry > tolerance and found.turns == 1
    after = ModelState([found.x[0].tolist()], [found.inverse[0].tolist()], len(curves.x), [float(found.promise[0])])
    theta = found.x[0]
    said = told(setting, theta, curves)
    diagnostics = {
        "evaluations": [int(found.turns)],
        "promise": [float(found.promise[0])],
        "negative_log_posterior": [float(found.f[0])],
    }
    now = state if kept and state is not None else after
    return Known(setting, theta, curves, said, asymptotes(setting, theta, curves.x, said), now, diagnostics)


def _longest(curves: Curves, count: int) -> Curves:
    if len(curves.x) <= count:
        return curves
    rows = np.sort(np.argsort(-curves.there.sum(axis=1), kind="stable")[:count])
    return Curves(curves.x[rows], curves.y[rows], curves.there[rows], curves.t)


def asymptote_process(known: Known, layout: Layout, options: Options) -> tuple[Setting, Posterior]:
    """What is known of the ends of curves, as an ordinary process over configurations."""
    where = Parts(layout.groups, False)
    theta, n = known.theta[: where.size], len(known.curves.x)
    columns, floor = Columns.of(layout), options.prior.noise_floor
    setting = Setting(numpy_arithmetic(), columns, where, bounds(where, options.prior), floor)
    ends, noise = known.ends, known.said.variance[:, None]
    z, constant = features(setting, theta, known.curves.x), np.array([ends.constant])
    return setting, Posterior(theta, z, np.zeros(n), ends.alpha[:, None], ends.inverse, constant, noise)


def suggest_from_curves(
    known: Known,
    pending: NDArray[np.float64],
    layout: Layout,
    *,
    rng: np.random.Generator,
    options: Options,
    project: Project | None,
) -> Suggestion:
    """Configurations whose curves may end lowest, best first.

    What is to be improved on is the lowest expected end of a curve that has begun; pending (P, d) are configurations whose
    curves have not, and count with their expectation.
    """
    curves, ends = known.curves, known.ends
    n = len(curves.x)
    setting, process = asymptote_process(known, layout, options)
    shape = Shape(
        setting.where, Roles(options.acquisition, 0, False), options.effort, bool(layout.sliding.any()), False
    )
    seen = Observations(curves.x, known.said.value[:, None], np.ones(n), np.ones(n))
    best = np.argsort(ends.mean, kind="stable")[: options.centres]
    drawn = candidates(rng, layout, curves.x[best], options.candidates_for(n), project)
    moves = layout.moves(rng, options.moves)
    aim = Aim(np.zeros(1), 1.0, np.zeros(0), 0.0, options.kappa)
    question = Question(
        pending, np.ones(len(pending)), np.zeros((len(pending), 1)), aim, drawn, layout.fixed(drawn),
        (moves.changed, moves.value, moves.needs),
    )  # fmt: skip
    result = answer(setting, seen, [process], question, shape)
    there = np.concatenate([curves.x, pending])
    fresh = unseen(drawn, there)
    rest = fresh[np.argsort(-np.asarray(result.found.scores)[fresh], kind="stable")][: options.ranked]
    pool = valid(layout, np.concatenate([np.asarray(result.found.x), drawn[rest]]), project)
    pool = pool[unseen(pool, there)]
    values, _ = criterion(setting, result.processes, pool, result.aim, shape.roles, gradient=False)
    values = np.where(np.isfinite(values), values, -np.inf)
    order = np.argsort(-values, kind="stable")[: options.ranked]
    told_of = {"model": "learning-curves", "curves": n, "points": int(curves.there.sum()), "pending": len(pending)}
    return Suggestion(pool[order], values[order], known.state, {**told_of, **known.diagnostics})
