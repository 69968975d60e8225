"""One suggestion's computing as one function of arrays: fit every output, add pending points, search the criterion.

Written once for both ways of computing: run as it is on NumPy, compiled as a whole by JAX, one program for each number of
padded rows (`program_jax.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from offbeat_plugins.acquisition.criterion import Aim, Roles, criterion
from offbeat_plugins.acquisition.search import Effort, Found, search
from offbeat_plugins.surrogates.arithmetic import Arithmetic
from offbeat_plugins.surrogates.hyperparameters import Bounds, Parts
from offbeat_plugins.surrogates.process import Columns, Posterior, Setting, fit, mean_at, posterior, with_pending


class Model(NamedTuple):
    """What is constant over an experiment, as arrays."""

    columns: Columns
    prior: Bounds
    floor: Any


class Observations(NamedTuple):
    """x (n, d), y (n, m) standardised with zeros in padded rows, mask (n,), feasible (n,): 1 where all constraints hold."""

    x: Any
    y: Any
    mask: Any
    feasible: Any


class Start(NamedTuple):
    """Where the fits begin and end: theta (m, p), curvature (m, p, p); at most `turns` evaluations, to `tolerance`.

    A start whose first step promises less than `entry` is left where it is.
    """

    theta: Any
    curvature: Any
    turns: Any
    tolerance: Any
    entry: Any


class Question(NamedTuple):
    """What is asked of the fitted model.

    pending (P, d), its mask (P,), normals (P, S) of the fantasies; aim, whose best value is filled in here; candidates
    (M, d), fixed (M, d), moves: see `search`.
    """

    pending: Any
    mask: Any
    normals: Any
    aim: Aim
    candidates: Any
    fixed: Any
    moves: tuple[Any, Any, Any]


class Fits(NamedTuple):
    """theta (m, p), curvature (m, p, p), negative log posterior (m,), evaluations (m,) and promise (m,) of every output.

    The promise is what another step would add to the log posterior.
    """

    theta: Any
    curvature: Any
    value: Any
    turns: Any
    promise: Any


class Shape(NamedTuple):
    """What a compiled program is specialised to beside the shapes of its arrays; `mixed`: levels are, see `resources`."""

    where: Parts
    roles: Roles
    effort: Effort
    sliding: bool
    mixed: bool


class Answer(NamedTuple):
    """The processes with pending points, the aim with its best value, what the search found."""

    processes: tuple[Posterior, ...]
    aim: Aim
    found: Found


def setting_of(ar: Arithmetic, model: Model, shape: Shape) -> Setting:
    """What the surrogates' functions take first."""
    return Setting(ar, model.columns, shape.where, model.prior, model.floor)


def fits(ar: Arithmetic, model: Model, seen: Observations, start: Start, shape: Shape) -> tuple[Fits, list[Posterior]]:
    """Hyperparameters and processes of every output, one after the other through the same code."""
    xp = ar.xp

    setting = setting_of(ar, model, shape)
    states = [
        fit(
            setting,
            start.theta[place],
            start.curvature[place],
            (seen.x, seen.y[:, place], seen.mask),
            turns=start.turns,
            tolerance=start.tolerance,
            entry=start.entry,
        )
        for place in range(seen.y.shape[1])
    ]
    processes = [posterior(setting, state.x[0], seen.x, state.aux) for state in states]
    return Fits(
        xp.stack([state.x[0] for state in states]),
        xp.stack([state.inverse[0] for state in states]),
        xp.stack([state.f[0] for state in states]),
        xp.stack([xp.asarray(state.turns) for state in states]),
        xp.stack([state.promise[0] for state in states]),
    ), processes


def answer(
    setting: Setting, seen: Observations, processes: list[Posterior], question: Question, shape: Shape
) -> Answer:
    """Pending points, then the search.

    The value to be improved on is the lowest mean at a feasible point, pending ones included, whose results are assumed. The
    mean and not the observation: noise makes the lowest observation too low, and improvement on it too rare.
    """
    xp = setting.ar.xp
    first = processes[0]
    # K alpha = y - c - noise alpha: the mean at an observed point needs no product.
    means = seen.y[:, :1] - first.noise * first.alpha
    if shape.mixed:
        # What is improved on is no level's own process.
        means = mean_at(setting, first, seen.x * (xp.arange(seen.x.shape[1]) != shape.where.level))
    best = xp.where((seen.feasible > 0.0)[:, None], means, xp.inf).min(axis=0)
    best = xp.where(xp.isfinite(best), best, xp.where(seen.mask[:, None] > 0.0, means, xp.inf).min(axis=0))
    if question.pending.shape[0]:
        grown = [
            with_pending(setting, process, question.pending, question.mask, question.normals) for process in processes
        ]
        processes = [process for process, _ in grown]
        likely = question.mask
        for place in range(shape.roles.constraints):
            likely = likely * (grown[shape.roles.objectives + place][1].mean(axis=1) <= question.aim.bounds[place])
        best = xp.minimum(best, xp.where(likely[:, None] > 0.0, grown[0][1], xp.inf).min(axis=0))
    aim = question.aim._replace(best=best)

    def value_of(x: Any, gradient: bool) -> tuple[Any, Any]:
        return criterion(setting, processes, x, aim, shape.roles, gradient=gradient)

    found = search(
        setting.ar,
        value_of,
        question.candidates,
        question.fixed,
        question.moves,
        effort=shape.effort,
        sliding=shape.sliding,
    )
    return Answer(tuple(processes), aim, found)
