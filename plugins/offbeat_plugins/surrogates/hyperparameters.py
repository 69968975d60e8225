"""Hyperparameters of the process as one vector: its parts, where they may lie, what is thought likely, where to start.

theta = (log length scale of each group, log signal variance, log noise variance, then for an input warping log a and log b
of each group, then for a decaying kernel over resources log alpha, log beta and log g). Noise is `floor + exp(theta)`.
Priors are normal in these logarithms:

- length scales: centre sqrt(G) times `length_centre` (Hvarfner et al. 2024, arXiv:2402.02229: they have to grow with
  the root of the dimension, or every point is far from every other), deviation `length_spread`;
- signal variance: centre 1, deviation 1, targets being standardised;
- noise: centre `noise_centre`, deviation 2, wide: between a table without noise and one that is mostly noise;
- alpha, beta, g: centres 1, 0.5, 0.25, deviations 1, 1, 1.5;
- warping exponents: centre 1, deviation 0.5 (Snoek et al. 2014, arXiv:1402.0929).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from offbeat_plugins.surrogates.resources import ResourceKernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Prior:
    """Weak priors; see the head of this file.

    Attributes:
        length_centre, length_spread: of length scales at G = 1; a factor and a deviation of the logarithm.
        noise_centre: likely noise variance, in standardised targets.
        noise_floor: noise variance is never below; 1e-4 keeps the explicit inverse exact to about 1e-9 at n = 1,000.
        warp: whether inputs are warped.
    """

    length_centre: float = 1.5
    length_spread: float = 1.5
    noise_centre: float = 1e-3
    noise_floor: float = 1e-4
    warp: bool = False

    def __post_init__(self) -> None:
        for name in ("length_centre", "length_spread", "noise_centre", "noise_floor"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0.0 < value < float("inf")):
                raise ValueError(f"{name}={value!r} is not valid; give a positive number.")


class Parts(NamedTuple):
    """Where what lies in theta; hashable.

    Attributes:
        groups: G.
        warp: whether inputs are warped.
        resource: the kernel over resources (`resources`), "": none.
        level: the column of the resource.
    """

    groups: int
    warp: bool
    resource: ResourceKernel = ""
    level: int = -1

    @property
    def length(self) -> slice:
        """Log length scales."""
        return slice(0, self.groups)

    @property
    def signal(self) -> int:
        """Log signal variance."""
        return self.groups

    @property
    def noise(self) -> int:
        """Log noise variance above the floor."""
        return self.groups + 1

    @property
    def warp_a(self) -> slice:
        """Log a; only with warping."""
        return slice(self.groups + 2, 2 * self.groups + 2)

    @property
    def warp_b(self) -> slice:
        """Log b; only with warping."""
        return slice(2 * self.groups + 2, 3 * self.groups + 2)

    @property
    def rates(self) -> slice:
        """Log alpha, log beta and log g of a decaying resource kernel; empty without one."""
        return slice(self.size - 3, self.size) if self.decaying else slice(self.size, self.size)

    @property
    def decaying(self) -> bool:
        """Whether something is added to the kernel over configurations."""
        return self.resource in ("exp-decay", "freeze-thaw")

    @property
    def size(self) -> int:
        """How many there are."""
        before = 3 * self.groups + 2 if self.warp else self.groups + 2
        return before + 3 if self.decaying else before


class Bounds(NamedTuple):
    """Vectors over theta: where it may lie, centre and precision (1 / variance) of the normal priors."""

    lower: Any
    upper: Any
    centre: Any
    precision: Any


SPREADS: Final = {"signal": 1.0, "noise": 2.0, "warp": 0.5}


def bounds(where: Parts, prior: Prior) -> Bounds:
    """The prior as vectors."""
    groups, size = where.groups, where.size
    lower, upper, centre, spread = np.empty(size), np.empty(size), np.zeros(size), np.ones(size)
    middle = np.log(prior.length_centre) + 0.5 * np.log(groups)
    lower[where.length], upper[where.length] = np.log(0.01), np.log(300.0) + 0.5 * np.log(groups)
    centre[where.length], spread[where.length] = middle, prior.length_spread
    lower[where.signal], upper[where.signal], spread[where.signal] = np.log(1e-2), np.log(1e2), SPREADS["signal"]
    lower[where.noise], upper[where.noise] = np.log(prior.noise_floor) - 7.0, np.log(2.0)
    centre[where.noise], spread[where.noise] = np.log(prior.noise_centre), SPREADS["noise"]
    if where.decaying:
        rates = np.array([(-3.0, 3.0, 0.0, 1.0), (-5.0, 3.0, np.log(0.5), 1.0), (-7.0, 4.6, np.log(0.25), 1.5)])
        lower[where.rates], upper[where.rates], centre[where.rates], spread[where.rates] = rates.T
    for part in (where.warp_a, where.warp_b) if where.warp else ():
        lower[part], upper[part], spread[part] = np.log(0.25), np.log(4.0), SPREADS["warp"]
    return Bounds(lower, upper, np.clip(centre, lower, upper), 1.0 / spread**2)


def first_curvature(where: Parts, prior: Prior) -> NDArray[np.float64]:
    """(p, p): a first guess of the inverse Hessian, that of the prior, at most 0.1."""
    return np.diag(np.minimum(1.0 / bounds(where, prior).precision, 0.1))


def starts(where: Parts, prior: Prior, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """(count, p): the centre of the prior with noise a little higher, then draws from it, all within bounds.

    A start with little noise ends where every observation is an exact one more often than it should.
    """
    box = bounds(where, prior)
    out = np.repeat(box.centre[None], count, axis=0)
    out[:, where.noise] += 1.0
    out[1:] += rng.standard_normal((max(count - 1, 0), where.size)) / np.sqrt(box.precision)
    inside: NDArray[np.float64] = np.clip(out, box.lower + 1e-6, box.upper - 1e-6)
    return inside
