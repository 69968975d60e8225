"""A Gaussian process over configurations for the coefficients of learning curves.

A curve is a short polynomial in the share of the way to its end that is left, counted in logarithms of the level:
z(t) = sum_k c_k r(t)^k, r(t) = 1 - log t / log t_max, so that c_0 is its end. Each coefficient is a constant, plus a
function of the configuration (Matern 5/2, one length for each coordinate of the encoded space), plus a deviation of the
trial's own; reports add noise. All are Gaussian, and so are the observations: a curve that was cut early says what it has
seen, shares strength with its neighbours for the rest, and biases nothing as long as it was cut for what was seen.

After Swersky, Snoek and Adams (2014), "Freeze-Thaw Bayesian Optimization" (curves as a process on top of one over
configurations); the coefficients' covariance is the linear model of coregionalisation with one kernel. Hyperparameters
are those of highest posterior density, under log-normal priors, by L-BFGS with the exact gradient.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

VAGUE: Final = 9.0
"""Prior variance of the constant part of each coefficient, where observations have variance 1."""

_LENGTH, _SIGNAL, _OWN, _NOISE = np.log(0.7), np.log(0.5), np.log(0.2), np.log(0.15)
_BOUNDS: Final = (-4.0, 3.0)


class Points(NamedTuple):
    """Observations.

    Attributes:
        codes: (trials, dimension), in the unit cube.
        trial: (points,), which row of `codes`, increasing, none missing; levels: (points,); z: (points,), scaled.
    """

    codes: NDArray[Any]
    trial: NDArray[Any]
    levels: NDArray[Any]
    z: NDArray[Any]


class CurveModel:
    """A model of curves that end at a level.

    Args:
        points: what was observed.
        top: the level at which curves end.
        terms: coefficients of a curve.

    Attributes:
        log_evidence: of the observations, with the priors of the hyperparameters.
        theta: hyperparameters, logarithms.
    """

    def __init__(self, points: Points, top: int, terms: int, theta: NDArray[Any] | None = None) -> None:
        self._points, self._top, self.terms = points, top, terms
        self._d = points.codes.shape[1]
        self._basis = self.basis(points.levels)
        self._starts = np.searchsorted(points.trial, np.arange(len(points.codes)))
        self._means = np.repeat([_LENGTH, _SIGNAL, _OWN, _NOISE], [self._d, terms, terms, 1])
        self.theta: NDArray[Any] = self._means.copy() if theta is None else theta
        self.log_evidence = -np.inf

    def basis(self, levels: NDArray[Any]) -> NDArray[Any]:
        """(levels, terms)."""
        left = 1.0 - np.log(levels) / np.log(self._top) if self._top > 1 else np.zeros(len(levels))
        return np.asarray(left[:, None] ** np.arange(self.terms))

    def fit(self, steps: int = 60) -> CurveModel:
        """Finds hyperparameters from the present ones on, and conditions on all observations."""
        squares = (self._points.codes[:, None] - self._points.codes[None]) ** 2
        found = minimize(
            self._loss,
            self.theta,
            args=(squares,),
            jac=True,
            method="L-BFGS-B",
            bounds=[_BOUNDS] * len(self.theta),
            options={"maxiter": steps},
        )
        self.theta = found.x
        return self.condition()

    def condition(self) -> CurveModel:
        """Takes the observations in, with hyperparameters as they are."""
        lengths, signal, own, noise = self._unpacked(self.theta)
        kernel = _matern(_distances(self._points.codes, self._points.codes, lengths))
        covariance, _, _ = self._covariance(kernel, signal, own, noise)
        self._factor = cho_factor(covariance, lower=True)
        weights = cho_solve(self._factor, self._points.z)
        half = 0.5 * float(self._points.z @ weights) + float(np.log(np.diag(self._factor[0])).sum())
        self.log_evidence = -half - 0.5 * len(weights) * float(np.log(2 * np.pi)) - self._penalty(self.theta)
        self._lengths, self._signal, self._own, self._noise = lengths, signal, own, noise
        n = len(self._points.codes)
        by_trial = [np.bincount(self._points.trial, column * weights, n) for column in self._basis.T]
        self._by_trial = np.stack(by_trial, axis=1)
        self._constant = VAGUE * self._by_trial.sum(axis=0)
        return self

    def coefficients(self, codes: NDArray[Any]) -> NDArray[Any]:
        """(configurations, terms): posterior means, without the trials' own deviations."""
        kernel = _matern(_distances(codes, self._points.codes, self._lengths))
        return np.asarray(self._constant + self._signal * (kernel @ self._by_trial))

    def curves(self, codes: NDArray[Any], levels: NDArray[Any]) -> NDArray[Any]:
        """(configurations, levels): posterior means."""
        return np.asarray(self.coefficients(codes) @ self.basis(levels).T)

    def spread(self, codes: NDArray[Any], levels: NDArray[Any]) -> NDArray[Any]:
        """(n,): standard deviation of a new trial's report, one level for each configuration."""
        basis = self.basis(levels)
        kernel = _matern(_distances(codes, self._points.codes, self._lengths))[:, self._points.trial]
        cross = kernel * ((basis * self._signal) @ self._basis.T) + VAGUE * basis @ self._basis.T
        prior = ((self._signal + self._own + VAGUE) * basis**2).sum(axis=1) + self._noise
        known = np.einsum("ij,ji->i", cross, cho_solve(self._factor, cross.T))
        return np.asarray(np.sqrt(np.maximum(prior - known, self._noise)))

    @property
    def deviations(self) -> NDArray[Any]:
        """Standard deviations of a trial's own coefficients."""
        return np.asarray(np.sqrt(self._own))

    @property
    def noise(self) -> float:
        """Standard deviation of a report."""
        return float(np.sqrt(self._noise))

    def _unpacked(self, theta: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], float]:
        """Lengths, then variances of coefficients between configurations and between trials, then of reports."""
        d, k = self._d, self.terms
        return (
            np.exp(theta[:d]),
            np.exp(2 * theta[d : d + k]),
            np.exp(2 * theta[d + k : d + 2 * k]),
            np.exp(2 * theta[-1]),
        )

    def _covariance(
        self, kernel: NDArray[Any], signal: NDArray[Any], own: NDArray[Any], noise: float
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Of the observations; the kernel between them; and which of them are of one trial."""
        trial = self._points.trial
        between, same = kernel[np.ix_(trial, trial)], trial[:, None] == trial[None]
        whole = between * ((self._basis * signal) @ self._basis.T) + VAGUE * self._basis @ self._basis.T
        whole += same * ((self._basis * own) @ self._basis.T)
        whole[np.diag_indices_from(whole)] += noise
        return whole, between, same

    def _penalty(self, theta: NDArray[Any]) -> float:
        return 0.5 * float(((theta - self._means) ** 2).sum())

    def _loss(self, theta: NDArray[Any], squares: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Minus the logarithm of the posterior density up to a constant, and its gradient."""
        lengths, signal, own, noise = self._unpacked(theta)
        scaled = np.sqrt(5 * (squares / lengths**2).sum(axis=-1))
        kernel = _matern(scaled)
        covariance, between, same = self._covariance(kernel, signal, own, noise)
        factor = cho_factor(covariance, lower=True)
        z, d, k = self._points.z, self._d, self.terms
        weights = cho_solve(factor, z)
        loss = 0.5 * float(z @ weights) + float(np.log(np.diag(factor[0])).sum()) + self._penalty(theta)
        outer = cho_solve(factor, np.eye(len(z))) - np.outer(weights, weights)
        each = outer * ((self._basis * signal) @ self._basis.T)
        by_trial = np.add.reduceat(np.add.reduceat(each, self._starts, axis=0), self._starts, axis=1)
        slope = by_trial * (5 / 3) * (1 + scaled) * np.exp(-scaled)
        gradient = theta - self._means
        gradient[:d] += 0.5 * np.einsum("ij,ijd->d", slope, squares) / lengths**2
        gradient[d : d + k] += signal * np.einsum(
            "ik,ij,jk->k", self._basis, outer * between, self._basis, optimize=True
        )
        gradient[d + k : d + 2 * k] += own * np.einsum(
            "ik,ij,jk->k", self._basis, outer * same, self._basis, optimize=True
        )
        gradient[-1] += noise * float(np.trace(outer))
        return loss, gradient


def _distances(one: NDArray[Any], other: NDArray[Any], lengths: NDArray[Any]) -> NDArray[Any]:
    """sqrt(5) times the distances between rows, each coordinate in its length."""
    a, b = one / lengths, other / lengths
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(5 * np.maximum(squares, 0.0)))


def _matern(scaled: NDArray[Any]) -> NDArray[Any]:
    """Matern 5/2 of distances times sqrt(5)."""
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))
