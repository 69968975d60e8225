"""A Gaussian process over configurations for the coefficients of learning curves.

A curve is a sum of powers of the share of the way to its end that is left, counted in logarithms of the level:
z(t) = sum_k c_k r(t)^p_k, r(t) = 1 - log t / log t_max, p = 0, 1, 2, 8, so that c_0 is its end, and the last term the
first levels' own: what makes a good beginning is not what makes a good end. Each coefficient is a constant, plus a function
of the configuration (Matern 5/2, one length for each coordinate of the encoded space; the last one has lengths of its own),
plus a deviation of the trial's own; reports add noise. All are Gaussian, and so are the observations: a curve that was cut
early says what it has seen, shares strength with its neighbours for the rest, and biases nothing as long as it was cut for
what was seen.

After Swersky, Snoek and Adams (2014), "Freeze-Thaw Bayesian Optimization" (curves as a process on top of one over
configurations); the coefficients' covariance is a linear model of coregionalisation with two kernels. Hyperparameters
are those of highest posterior density, under log-normal priors, by L-BFGS with the exact gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

VAGUE: Final = 9.0
"""Prior variance of the constant part of each coefficient, where observations have variance 1."""

POWERS: Final = (0, 1, 2, 8)
"""Of the terms of a curve; fewer terms are the first ones."""

_KERNEL_OF: Final = (0, 0, 0, 1)
"""Which kernel the function of each coefficient has."""

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
        theta: hyperparameters, logarithms.
    """

    def __init__(self, points: Points, top: int, terms: int, theta: NDArray[Any] | None = None) -> None:
        self._points, self._top, self.terms = points, top, terms
        self._d = points.codes.shape[1]
        self._basis = self.basis(points.levels)
        self._starts = np.searchsorted(points.trial, np.arange(len(points.codes)))
        #: The terms of each kernel.
        self._groups = [
            [k for k in range(terms) if _KERNEL_OF[k] == kernel] for kernel in sorted(set(_KERNEL_OF[:terms]))
        ]
        counts = [self._d * len(self._groups), terms, terms, 1]
        self._means = np.repeat([_LENGTH, _SIGNAL, _OWN, _NOISE], counts)
        self.theta: NDArray[Any] = self._means.copy() if theta is None else theta

    def basis(self, levels: NDArray[Any]) -> NDArray[Any]:
        """(levels, terms)."""
        left = 1.0 - np.log(levels) / np.log(self._top) if self._top > 1 else np.zeros(len(levels))
        return np.asarray(left[:, None] ** np.array(POWERS[: self.terms]))

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
        self._lengths, self._signal, self._own, self._noise = self._unpacked(self.theta)
        between = self._between(self._points.codes)
        covariance = self._covariance(between, self._signal, self._own, self._noise)
        self._factor = cho_factor(covariance, lower=True)
        weights = cho_solve(self._factor, self._points.z)
        n = len(self._points.codes)
        by_trial = [np.bincount(self._points.trial, column * weights, n) for column in self._basis.T]
        self._by_trial = np.stack(by_trial, axis=1)
        self._constant = VAGUE * self._by_trial.sum(axis=0)
        return self

    def coefficients(self, codes: NDArray[Any]) -> NDArray[Any]:
        """(configurations, terms): posterior means, without the trials' own deviations."""
        found = np.tile(self._constant, (len(codes), 1))
        for lengths, terms in zip(self._lengths, self._groups, strict=True):
            kernel = _matern(_distances(codes, self._points.codes, lengths))
            found[:, terms] += self._signal[terms] * (kernel @ self._by_trial[:, terms])
        return found

    def curves(self, codes: NDArray[Any], levels: NDArray[Any]) -> NDArray[Any]:
        """(configurations, levels): posterior means."""
        return np.asarray(self.coefficients(codes) @ self.basis(levels).T)

    def spread(self, codes: NDArray[Any], levels: NDArray[Any]) -> NDArray[Any]:
        """(n,): standard deviation of a new trial's report, one level for each configuration."""
        basis = self.basis(levels)
        cross = VAGUE * basis @ self._basis.T
        for kernel, terms in zip(self._between(codes), self._groups, strict=True):
            cross += kernel * ((basis[:, terms] * self._signal[terms]) @ self._basis[:, terms].T)
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
        """Lengths (kernels, dimension), then variances of coefficients by configuration and by trial, then of reports."""
        n, k = self._d * len(self._groups), self.terms
        lengths = np.exp(theta[:n]).reshape(len(self._groups), self._d)
        return lengths, np.exp(2 * theta[n : n + k]), np.exp(2 * theta[n + k : n + 2 * k]), float(np.exp(2 * theta[-1]))

    def _between(self, codes: NDArray[Any]) -> list[NDArray[Any]]:
        """Each kernel, between configurations and the observations."""
        return [
            _matern(_distances(codes, self._points.codes, lengths))[:, self._points.trial] for lengths in self._lengths
        ]

    def _covariance(
        self, between: Sequence[NDArray[Any]], signal: NDArray[Any], own: NDArray[Any], noise: float
    ) -> NDArray[Any]:
        """Of the observations, from kernels between configurations and them."""
        trial, basis = self._points.trial, self._basis
        whole = VAGUE * basis @ basis.T + (trial[:, None] == trial[None]) * ((basis * own) @ basis.T)
        for kernel, terms in zip(between, self._groups, strict=True):
            whole += kernel[trial] * ((basis[:, terms] * signal[terms]) @ basis[:, terms].T)
        whole[np.diag_indices_from(whole)] += noise
        return np.asarray(whole)

    def _loss(self, theta: NDArray[Any], squares: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Minus the logarithm of the posterior density up to a constant, and its gradient."""
        lengths, signal, own, noise = self._unpacked(theta)
        scaled = [np.sqrt(5 * (squares / one**2).sum(axis=-1)) for one in lengths]
        trial, basis, z, d, k = self._points.trial, self._basis, self._points.z, self._d, self.terms
        between = [_matern(one)[:, trial] for one in scaled]
        factor = cho_factor(self._covariance(between, signal, own, noise), lower=True)
        weights = cho_solve(factor, z)
        loss = 0.5 * float(z @ weights) + float(np.log(np.diag(factor[0])).sum())
        loss += 0.5 * float(((theta - self._means) ** 2).sum())
        outer = cho_solve(factor, np.eye(len(z))) - np.outer(weights, weights)
        gradient = theta - self._means
        at = d * len(self._groups)
        for g, terms in enumerate(self._groups):
            each = outer * ((basis[:, terms] * signal[terms]) @ basis[:, terms].T)
            by_trial = np.add.reduceat(np.add.reduceat(each, self._starts, axis=0), self._starts, axis=1)
            slope = by_trial * (5 / 3) * (1 + scaled[g]) * np.exp(-scaled[g])
            gradient[g * d : (g + 1) * d] += 0.5 * np.einsum("ij,ijd->d", slope, squares) / lengths[g] ** 2
            pulled = (outer * between[g][trial]) @ basis[:, terms]
            gradient[[at + term for term in terms]] += signal[terms] * (basis[:, terms] * pulled).sum(axis=0)
        pulled = (outer * (trial[:, None] == trial[None])) @ basis
        gradient[at + k : at + 2 * k] += own * (basis * pulled).sum(axis=0)
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
