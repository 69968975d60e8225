"""BFGS within bounds, one evaluation per turn, for a batch of starts (Nocedal and Wright 2006, algorithm 6.1).

One turn evaluates the trial points, accepts or shortens each one's step, and gives every start its next trial. Loops are
the caller's: `while` here, `lax.while_loop` there, whose body then holds the objective once. A coordinate at its bound that
the gradient pushes outwards stays out of the direction; steps are cut off at the bounds.

Inverse Hessians go in and come out: carried from one problem to the next similar one, they save most evaluations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from offbeat_plugins.surrogates.arithmetic import Arithmetic

ARMIJO: Final = 1e-4
PATIENCE: Final = 8
"""Shortened steps in a row after which a start is given up, having reached what the arithmetic can tell apart."""


class State(NamedTuple):
    """k starts of p coordinates, at their best points so far.

    Attributes:
        x, f, g: (k, p), (k,), (k, p); point, value and gradient. A value that is not finite counts as infinite.
        inverse: (k, p, p), inverse Hessian.
        step: (k, p), the trial step, as far as it has been shortened.
        short: (k,), how often it has been shortened.
        promise: (k,), the decrease that the next step promises by the quadratic model.
        done: (k,) bool.
        turns: evaluations of the whole batch.
        aux: what the objective gave beside x's value, for the caller; of the whole batch.
    """

    x: Any
    f: Any
    g: Any
    inverse: Any
    step: Any
    short: Any
    promise: Any
    done: Any
    turns: Any
    aux: Any


class Box(NamedTuple):
    """Where to look and how far to go.

    Attributes:
        lower, upper: bounds, broadcast against (k, p); equal ones hold a coordinate fixed.
        cap: longest step in any coordinate.
        tolerance: a start is done when its next step promises a smaller decrease than this.
        entry: the same for the first step: with a higher one, a start that is nearly best is left where it is.
    """

    lower: Any
    upper: Any
    cap: float
    tolerance: float
    entry: Any


Objective = Callable[[Any], tuple[Any, Any, Any]]


def _direction(xp: Any, x: Any, g: Any, inverse: Any, box: Box) -> tuple[Any, Any]:
    """A descent step of each start, (k, p), no coordinate longer than the cap; and the decrease that it promises, (k,)."""
    lower, upper = box.lower, box.upper
    free = (upper > lower) & ~((x <= lower) & (g > 0.0)) & ~((x >= upper) & (g < 0.0))
    pull = xp.where(free, g, 0.0)
    step = -xp.where(free, (inverse @ pull[:, :, None])[:, :, 0], 0.0)
    promise = -0.5 * (step * g).sum(axis=1)
    longest = xp.abs(step).max(axis=1, keepdims=True)
    return step * xp.minimum(1.0, box.cap / xp.maximum(longest, 1e-300)), promise


def begin(ar: Arithmetic, x: Any, inverse: Any, aux: Any) -> State:
    """The state before any evaluation: the first turn evaluates x itself, so that the objective occurs in one place only.

    x (k, p), inverse (k, p, p), aux of the shapes that the objective gives.
    """
    xp = ar.xp
    f = xp.full(x.shape[0], xp.inf)
    return State(x, f, xp.zeros_like(x), inverse, xp.zeros_like(x), xp.zeros(f.shape, dtype=int), f, f < 0.0, 0, aux)


def turn(ar: Arithmetic, objective: Objective, state: State, box: Box) -> State:
    """One evaluation later.

    The objective takes (k, p) to values (k,), gradients (k, p) and aux, which is kept if the first start accepts.
    """
    xp = ar.xp
    x = xp.clip(state.x + state.step, box.lower, box.upper)
    f, g, aux = objective(x)
    moved = x - state.x
    slope = (moved * state.g).sum(axis=1)
    known = xp.isfinite(f) & xp.isfinite(g).all(axis=1)
    good = known & (f <= state.f + ARMIJO * slope) & ~state.done
    g = xp.where(known[:, None], g, 0.0)
    new_x, new_f = xp.where(good[:, None], x, state.x), xp.where(good, f, state.f)
    new_g = xp.where(good[:, None], g, state.g)
    inverse = _updated(xp, state.inverse, moved, g - state.g, good)
    # What a rejected value says of the curvature along the step gives the next length.
    rise = xp.where(known, f, xp.inf) - state.f - slope
    factor = xp.clip(xp.where(rise > 0.0, -slope / (2.0 * xp.where(rise > 0.0, rise, 1.0)), 0.1), 0.1, 0.5)
    step, promise = _direction(xp, new_x, new_g, inverse, box)
    short = xp.where(good, 0, state.short + 1)
    wanted = xp.where(state.turns == 0, box.entry, box.tolerance)
    done = state.done | xp.where(good, ~(promise > wanted), short >= PATIENCE)
    return State(
        new_x,
        new_f,
        new_g,
        inverse,
        xp.where(good[:, None], step, state.step * factor[:, None]),
        short,
        promise,
        done,
        state.turns + 1,
        ar.select(good[0], aux, state.aux),
    )


def _updated(xp: Any, inverse: Any, s: Any, y: Any, good: Any) -> Any:
    """The BFGS formula for the inverse, (k, p, p); unchanged where the curvature along the step is not clearly positive."""
    sy = (s * y).sum(axis=1)
    size = xp.sqrt((s * s).sum(axis=1) * (y * y).sum(axis=1))
    use = good & (sy > 1e-8 * size) & (sy > 0.0)
    rho = 1.0 / xp.where(use, sy, 1.0)
    hy = (inverse @ y[:, :, None])[:, :, 0]
    yhy = (y * hy).sum(axis=1)
    outer = s[:, :, None] * hy[:, None, :]
    twice = s[:, :, None] * s[:, None, :]
    change = (rho * (1.0 + rho * yhy))[:, None, None] * twice - rho[:, None, None] * (outer + outer.swapaxes(1, 2))
    return xp.where(use[:, None, None], inverse + change, inverse)


def minimise(ar: Arithmetic, objective: Objective, state: State, box: Box, turns: Any) -> State:
    """Turns until all starts are done, at most `turns` evaluations."""
    final: State = ar.loop(
        lambda one: (one.turns < turns) & ~one.done.all(),
        lambda one: turn(ar, objective, one, box),
        state._replace(x=ar.xp.clip(state.x, box.lower, box.upper)),
    )
    return final
