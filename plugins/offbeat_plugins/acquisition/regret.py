"""How far the best value found may still be from the minimum of the space, by a Gaussian process.

Makarova et al. 2022, "Automatic Termination for Hyperparameter Optimization" (AutoML-Conf, arXiv:2104.08166), section 4: with
f between its confidence bounds, the simple regret of what was evaluated so far is at most

    min over evaluated points of (mean + sqrt(beta) deviation)  -  min over the space of (mean - sqrt(beta) deviation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log, pi
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat_plugins.acquisition.candidates import generator, valid
from offbeat_plugins.acquisition.criterion import Aim
from offbeat_plugins.acquisition.options import Data, Options
from offbeat_plugins.acquisition.program import Observations, setting_of
from offbeat_plugins.acquisition.solvers import solver
from offbeat_plugins.acquisition.suggestion import Call
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic, one_thread
from offbeat_plugins.surrogates.process import predict
from offbeat_plugins.surrogates.targets import finite_targets, standardised

if TYPE_CHECKING:
    from offbeat_plugins.acquisition.candidates import Project
    from offbeat_plugins.surrogates.blocks import Layout

FEWEST: Final = 20
"""Points that the model is fitted to, at least, where there are so many."""

DELTA: Final = 0.1
"""The bounds hold everywhere with probability 1 - DELTA, if the model is right."""


def schedule(count: int, groups: int) -> float:
    """The paper's beta after `count` evaluations in a space of `groups` hyperparameters.

    2 log(groups count^2 pi^2 / (6 DELTA)), over 5 as Srinivas et al. (2010, section 6) scale it for experiments.
    """
    return 2.0 * log(groups * count**2 * pi**2 / (6.0 * DELTA)) / 5.0


@dataclass(frozen=True, slots=True)
class RegretBound:
    """A bound and what it is made of, in the unit of the targets.

    Attributes:
        bound: upper - lower, not negative.
        upper: smallest upper confidence bound of an evaluated point; lower: smallest lower one of any point.
        beta: square of the deviations that the bounds are away from the mean; points: how many the model was fitted to.
        theta: (p,) logarithms of its hyperparameters, see `surrogates.hyperparameters`.
    """

    bound: float
    upper: float
    lower: float
    beta: float
    points: int
    theta: tuple[float, ...]


def regret_bound(
    data: Data,
    layout: Layout,
    seed: int | Sequence[int],
    *,
    beta: float | None = None,
    top: float = 0.5,
    options: Options | None = None,
    project: Project | None = None,
) -> RegretBound | None:
    """The bound on the regret of the best of the observed points; None where the targets that count are all equal.

    Args:
        data: codes (n, d), one target each (n,), minimised; pending points are not looked at.
        layout: the blocks of the codes.
        seed: of every random number drawn here.
        beta: see `RegretBound`; None: `schedule`.
        top: share of the observations that the model is fitted to, the best ones and FEWEST at least: the bounds matter
            where values are low, and one process seldom describes the rest as well.
        options: how the model is computed (`backend`, `prior`, `capacity`, and what a search costs).
        project: as for `suggest`.

    Raises ValueError for wrong shapes or numbers that are not finite, and without observations.
    """
    codes = layout.codes(data.codes)
    targets = finite_targets(data.targets, len(codes))[:, 0]
    if not len(codes):
        raise ValueError("A regret needs an observation: there is none.")
    if beta is None:
        beta = schedule(len(codes), layout.groups)
    deviations = float(np.sqrt(beta))
    given = options or Options()
    chosen = Options(
        acquisition="ucb", kappa=deviations, transform="standardise", prior=given.prior, capacity=given.capacity,
        effort=given.effort, starts=given.starts, backend=given.backend, compile_cache=given.compile_cache,
    )  # fmt: skip
    best = np.argsort(targets, kind="stable")[: min(max(FEWEST, ceil(top * len(codes))), given.capacity)]
    x, (y, centre, scale) = codes[best], standardised(targets[best])
    if not y.any():
        return None
    with one_thread(), np.errstate(all="ignore"):
        call = Call(layout, chosen, project, generator(seed), solver(chosen, len(x)))
        ones = np.ones(len(x))
        seen = Observations(x, y[:, None], ones, ones)
        aim = Aim(np.zeros(1), 1.0, np.zeros(0), 0.0, deviations)
        start, _ = call.start(seen, 0, None)
        question = call.question(np.zeros((0, layout.dimension)), x[: chosen.centres], aim, len(x))
        fits, answer = call.solve(call.model, seen, start, question, call.shape)
        theta = np.asarray(fits.theta)[0]
        setting = setting_of(numpy_arithmetic(), call.model, call.shape)
        process: Any = type(answer.processes[0])(*map(np.asarray, answer.processes[0]))
        near = question.candidates[np.argsort(-np.asarray(answer.found.scores), kind="stable")[: chosen.ranked]]
        points = np.concatenate([x, valid(layout, np.concatenate([np.asarray(answer.found.x), near]), project)])
        found = predict(setting, process, points)
    mean, spread = found.mean[:, 0], deviations * np.sqrt(found.variance)
    upper, lower = float((mean + spread)[: len(x)].min()), float((mean - spread).min())
    return RegretBound(
        max(0.0, (upper - lower) * scale), upper * scale + centre, lower * scale + centre, float(beta), len(x),
        tuple(theta.tolist()),
    )  # fmt: skip
