"""Maximising a criterion over a mixed space: best of drawn candidates, then gradients and single changes in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from offbeat_plugins.surrogates import bfgs
from offbeat_plugins.surrogates.arithmetic import Arithmetic

Criterion = Callable[[Any, bool], tuple[Any, Any]]
"""(codes (q, d), whether a gradient is wanted) to values (q,) and gradients (q, d); larger is better."""


class Effort(NamedTuple):
    """How much is spent on one search.

    Attributes:
        starts: candidates that are improved; the best of every `starts`-th candidate is one.
        rounds: of gradient steps followed by the best single discrete change.
        turns: evaluations in a round of gradient steps.
    """

    starts: int = 4
    rounds: int = 2
    turns: int = 10


class Found(NamedTuple):
    """Scores of the candidates (M,), improved points (starts, d) and their values (starts,)."""

    scores: Any
    x: Any
    values: Any


def search(
    ar: Arithmetic,
    value_of: Criterion,
    candidates: Any,
    fixed: Any,
    moves: tuple[Any, Any, Any],
    *,
    effort: Effort,
    sliding: bool,
) -> Found:
    """Improves the best candidates.

    Args:
        ar: how to compute.
        value_of: what to maximise.
        candidates: (M, d) valid codes, M a multiple of effort.starts.
        fixed: (M, d) bool, columns of each that gradients leave alone.
        moves: single discrete changes: columns changed and values (T, d), activity column needed (T,) or -1.
        effort: how much.
        sliding: whether any column may be moved by gradients at all.
    """
    xp = ar.xp
    scores, _ = value_of(candidates, False)
    k = effort.starts
    # Strided strata keep starts apart, where the k best would often be one spot.
    rows = scores.reshape(-1, k).argmax(axis=0) * k + xp.arange(k)
    x, value, still = candidates[rows], scores[rows], fixed[rows]

    def improved(state: Any) -> Any:
        left, x, value = state
        if sliding:
            x, value = _climbed(ar, value_of, x, still, effort.turns)
        if len(moves[0]):
            x, value = _changed(ar, value_of, x, value, moves)
        return left - 1, x, value

    rounds = effort.rounds if sliding or len(moves[0]) else 0
    _, x, value = ar.loop(lambda state: state[0] > 0, improved, (rounds, x, value))
    return Found(scores, x, value)


def _climbed(ar: Arithmetic, value_of: Criterion, x: Any, still: Any, turns: int) -> tuple[Any, Any]:
    xp = ar.xp

    def objective(points: Any) -> tuple[Any, Any, tuple[()]]:
        value, gradient = value_of(points, True)
        return -value, -gradient, ()

    lower, upper = xp.where(still, x, 0.0), xp.where(still, x, 1.0)
    inverse = xp.zeros((*x.shape, x.shape[1])) + 0.02 * xp.eye(x.shape[1])
    box = bfgs.Box(lower, upper, 0.2, 1e-4, 1e-4)
    state = bfgs.minimise(ar, objective, bfgs.begin(ar, x, inverse, ()), box, turns)
    return state.x, -state.f


def _changed(ar: Arithmetic, value_of: Criterion, x: Any, value: Any, moves: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """The best single change of each point, where it is better than none."""
    xp = ar.xp
    changed, to, needs = moves
    possible = (needs < 0)[None, :] | (x[:, xp.maximum(needs, 0)] >= 0.5)
    mask = changed[None] * possible[:, :, None]
    near = x[:, None, :] * (1.0 - mask) + to[None] * possible[:, :, None]
    tried, _ = value_of(near.reshape(-1, x.shape[1]), False)
    tried = tried.reshape(x.shape[0], -1)
    pick = tried.argmax(axis=1)
    own = xp.arange(x.shape[0])
    better = tried[own, pick] > value
    return xp.where(better[:, None], near[own, pick], x), xp.where(better, tried[own, pick], value)
