"""The process over whole curves against the plain one over all values, and against conditioning by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from offbeat_plugins.surrogates import process
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic
from offbeat_plugins.surrogates.blocks import Block, Layout
from offbeat_plugins.surrogates.hyperparameters import Parts, Prior, bounds, first_curvature, starts
from offbeat_plugins.surrogates.learning_curves import Curves, asymptotes, continued, fit, negative_log_posterior, told
from offbeat_plugins.surrogates.process import Columns, Setting

T = np.array([1, 2, 4, 5, 9]) / 9
WHERE = Parts(2, False, "freeze-thaw", 2)
PRIOR = bounds(WHERE, Prior())


def setting() -> Setting:
    return Setting(numpy_arithmetic(), Columns.of(Layout.continuous(2)), WHERE, PRIOR, 1e-4)


def curves(seed: int, *, gaps: bool) -> Curves:
    rng = np.random.default_rng(seed)
    there = np.arange(5) < rng.integers(1, 6, 9)[:, None]
    if gaps:
        there &= rng.random(there.shape) < 0.6
        there[:, 2] |= ~there.any(axis=1)
    x = rng.random((9, 2))
    y = ((x - 0.4) ** 2).sum(axis=1)[:, None] + 0.3 / (1 + 9 * T) + 0.05 * rng.standard_normal((9, 5))
    return Curves(x, np.where(there, y, 7.0), there, T)


def flat(some: Curves) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same values as rows of the plain process."""
    row, place = np.nonzero(some.there)
    return np.column_stack([some.x[row], some.t[place]]), some.y[row, place]


def covariance(theta: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """By hand, from the formulas alone."""
    length, (alpha, beta, g) = np.exp(theta[:2]), np.exp(theta[4:])
    r = np.sqrt(5 * (((a[:, None, :2] - b[None, :, :2]) / length) ** 2).sum(axis=2))
    same = (a[:, None, :2] == b[None, :, :2]).all(axis=2)
    decay = g * (beta / (beta + a[:, None, 2] + b[None, :, 2])) ** alpha
    out: NDArray[np.float64] = np.exp(theta[2]) * (1 + r + r * r / 3) * np.exp(-r) + same * decay
    return out


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_plain_process_number_for_number(seed: int, gaps: bool) -> None:
    some = curves(seed, gaps=gaps)
    x, y = flat(some)
    plain = Setting(
        numpy_arithmetic(), Columns.of(Layout([Block(), Block(), Block("resource")]), "freeze-thaw", T),
        Parts(3, False, "freeze-thaw", 2), bounds(Parts(3, False, "freeze-thaw", 2), Prior()), 1e-4,
    )  # fmt: skip
    for theta in starts(WHERE, Prior(), np.random.default_rng(seed), 3):
        value, gradient = negative_log_posterior(setting(), theta, some)
        # The plain one has a length scale of the resource too, which says nothing: at its own prior's centre.
        longer = np.insert(theta, 2, plain.prior.centre[2])
        expected, slopes, _ = process.negative_log_posterior(plain, longer, x, y, np.ones(len(y)))
        priors = [
            0.5 * ((one - box.centre) ** 2 * box.precision).sum()
            for one, box in ((theta, PRIOR), (longer, plain.prior))
        ]
        assert value - priors[0] == pytest.approx(expected - priors[1], abs=1e-7)
        ours = gradient - (theta - PRIOR.centre) * PRIOR.precision
        theirs = slopes - (longer - plain.prior.centre) * plain.prior.precision
        assert np.allclose(ours, np.delete(theirs, 2), atol=1e-6)


@pytest.mark.parametrize("gaps", [False, True])
def test_curves_go_on_as_conditioning_by_hand_says(gaps: bool) -> None:
    some = curves(4, gaps=gaps)
    x, y = flat(some)
    theta = starts(WHERE, Prior(), np.random.default_rng(1), 2)[1]
    said = told(setting(), theta, some)
    known = asymptotes(setting(), theta, some.x, said)
    ahead = np.linspace(0.15, 1.0, 9)
    mean, variance = continued(setting(), theta, some, (said, known), ahead)
    k = covariance(theta, x, x) + (1e-4 + np.exp(theta[3])) * np.eye(len(y))
    solved = np.linalg.solve(k, np.column_stack([y, np.ones(len(y))]))
    constant = solved[:, 0].sum() / (1 + solved[:, 1].sum())
    assert known.constant == pytest.approx(constant)
    ask = np.column_stack([some.x, ahead])
    cross = covariance(theta, ask, x)
    assert np.allclose(mean, constant + cross @ np.linalg.solve(k, y - constant), atol=1e-8)
    own = np.diagonal(covariance(theta, ask, ask))
    assert np.allclose(variance, own - (cross * np.linalg.solve(k, cross.T).T).sum(axis=1), atol=1e-8)


def test_the_fit_is_a_maximum_and_the_order_of_curves_does_not_matter() -> None:
    some = curves(2, gaps=True)
    start, first = starts(WHERE, Prior(), np.random.default_rng(0), 1)[0], first_curvature(WHERE, Prior())
    found = fit(setting(), start, first, some, turns=200, tolerance=1e-9, entry=1e-9)
    best = float(found.f[0])
    for step in 1e-3 * np.eye(WHERE.size):
        for moved in (found.x[0] + step, found.x[0] - step):
            assert negative_log_posterior(setting(), moved, some)[0] >= best - 1e-9
    order = np.random.default_rng(3).permutation(9)
    other = Curves(some.x[order], some.y[order], some.there[order], some.t)
    assert negative_log_posterior(setting(), found.x[0], other)[0] == pytest.approx(best, abs=1e-9)
