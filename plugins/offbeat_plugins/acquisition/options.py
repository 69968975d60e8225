"""What goes into `suggest` and comes out: data, options, carried state, the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from offbeat_plugins.acquisition.criterion import ACQUISITIONS, SEVERAL, Acquisition
from offbeat_plugins.acquisition.search import Effort
from offbeat_plugins.surrogates.hyperparameters import Prior
from offbeat_plugins.surrogates.resources import RESOURCE_KERNELS, ResourceKernel
from offbeat_plugins.surrogates.targets import TRANSFORMS, Transform

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from offbeat_plugins.acquisition.program import Fits


@dataclass(frozen=True, slots=True)
class Data:
    """What is known, in order of time.

    Attributes:
        codes: (n, d) of the observed points; duplicates are fine.
        targets: (n,) or (n, m): the objectives, minimised, in any unit; then constraints, fulfilled where <= 0; then, with
            Options.cost, the natural logarithm of cost. All finite: leave failed trials out.
        pending: (P, d), points whose results are awaited, and others not to be suggested.
    """

    codes: ArrayLike
    targets: ArrayLike
    pending: ArrayLike = ()


@dataclass(frozen=True, slots=True)
class Options:
    """How a suggestion is made. Defaults are for one objective.

    Attributes:
        acquisition: "log-ei"; "ucb", the lower confidence bound of a minimised target; "thompson", one joint draw of the
            process at the candidates, which is then minimised. For several objectives: "log-ehvi", the logarithm of the
            expected hypervolume improvement; "chebyshev", confidence bounds scalarised with random weights.
        objectives: number of objective columns of the targets.
        reference: for "log-ehvi", a value for each objective that is just not acceptable any more, in the units of the
            targets; (): a little worse than the front, see `boxes.nadir_reference`.
        constraints: number of constraint columns of the targets.
        cost: whether the last column of the targets is the logarithm of cost; log EI then loses cost_exponent of it.
        kappa: deviations below the mean, of "ucb".
        transform: of the objective before the fit; see `surrogates.targets`. The power leaves symmetric targets nearly as they are
            and takes the skew from others, such as losses over decades.
        prior: of the hyperparameters, and whether inputs are warped.
        resource: kernel over the resource column of the layout, if it has one; see `surrogates.resources`.
        level: resource in (0, 1] at which points are suggested, and whose lowest mean is to be improved on, if anything was
            observed there.
        mixture: pairs of a level and its weight, for the kernel "independent": what is to be improved on is this sum of the
            levels' processes, in place of one level's.
        fantasies: 0: pending points count as having their posterior mean as result; k: improvement is averaged over k
            joint samples of their results.
        batch: how many points are wanted at once, each chosen with those before it pending.
        ranked: how many points the answer ranks after the batch, for callers that refuse some.
        capacity: observations that the exact process takes; of more, a subset (`surrogates.subset`).
        candidates: points drawn to begin with; 0: 1,024, halved above 256 observations and again above 640.
        centres: best observed points near which half of them lie.
        min_distance: what is suggested differs from every known point by more than this in some column of its code.
        moves: discrete changes tried at most in one step.
        effort: of the search.
        starts: for the hyperparameters when no state is carried.
        restart_growth: with a carried state, another start is tried whenever the data have grown by this factor.
        turns: evaluations of the log posterior at most, in one fit.
        tolerance: a fit ends when the next step promises less than this, in units of the log posterior; beyond 200
            observations in proportion more.
        evidence: a carried model stays as it is while the step that would improve it promises less than this, in units of
            the log posterior: a score test of whether the data since then tell of other hyperparameters. 0: it is refitted
            every time, to the tolerance.
        backend: "numpy", "jax", or "auto": JAX, if it is installed, up to 384 observations, where it is the faster one; beyond
            and without it NumPy.
        compile_cache: folder for compiled programs of JAX; None: none is kept.
    """

    acquisition: Acquisition = "log-ei"
    objectives: int = 1
    reference: Sequence[float] = ()
    constraints: int = 0
    cost: bool = False
    cost_exponent: float = 1.0
    kappa: float = 2.0
    transform: Transform = "power"
    prior: Prior = field(default_factory=Prior)
    resource: ResourceKernel = ""
    level: float = 1.0
    mixture: Sequence[tuple[float, float]] = ()
    fantasies: int = 0
    batch: int = 1
    ranked: int = 16
    capacity: int = 1008
    candidates: int = 0
    centres: int = 4
    min_distance: float = 0.0
    moves: int = 64
    effort: Effort = field(default_factory=Effort)
    starts: int = 2
    restart_growth: float = 1.5
    turns: int = 60
    tolerance: float = 1e-2
    evidence: float = 0.0
    backend: Literal["auto", "numpy", "jax"] = "auto"
    compile_cache: str | None = None

    def __post_init__(self) -> None:
        for name, valid in (
            ("acquisition", ACQUISITIONS),
            ("transform", TRANSFORMS),
            ("backend", BACKENDS),
            ("resource", RESOURCE_KERNELS),
        ):
            if getattr(self, name) not in valid:
                raise ValueError(f"{name}={getattr(self, name)!r} is not valid; give one of {', '.join(valid)}.")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r} is not valid; give a whole number of at least {least}.")
        if (self.acquisition in SEVERAL) is not (self.objectives > 1):
            raise ValueError(
                f"acquisition={self.acquisition!r} with objectives={self.objectives}: {' and '.join(SEVERAL)} are for "
                "several objectives, all others for one."
            )
        if len(self.reference) not in (0, self.objectives):
            raise ValueError(f"reference has {len(self.reference)} values for {self.objectives} objectives.")
        if self.mixture and self.resource != "independent":
            raise ValueError(f"mixture= is for resource='independent', not {self.resource!r}.")
        if not 0.0 <= self.evidence < float("inf"):
            raise ValueError(f"evidence={self.evidence!r} is not valid; give a number of at least 0.")
        if not 0.0 < self.level <= 1.0:
            raise ValueError(
                f"level={self.level!r} is not valid; give a share of the largest resource, above 0 and at most 1."
            )
        if not 0.0 <= self.min_distance < 1.0:
            raise ValueError(f"min_distance={self.min_distance!r} is not valid; give a number from 0, below 1.")
        if self.candidates % self.effort.starts:
            raise ValueError(
                f"candidates={self.candidates} has to be a multiple of effort.starts={self.effort.starts}."
            )

    @property
    def outputs(self) -> int:
        """Columns of the targets."""
        return self.objectives + self.constraints + self.cost

    @property
    def bounded(self) -> slice:
        """Which columns of the targets are constraints."""
        return slice(self.objectives, self.objectives + self.constraints)

    def candidates_for(self, n: int) -> int:
        """How many points are drawn with n observations."""
        if self.candidates:
            return self.candidates
        count = 1024 if n <= 256 else 512 if n <= 640 else 256
        return count - count % self.effort.starts


BACKENDS = ("auto", "numpy", "jax")

LEAST = {
    "objectives": 1,
    "constraints": 0,
    "fantasies": 0,
    "batch": 1,
    "ranked": 1,
    "capacity": 16,
    "candidates": 0,
    "centres": 0,
    "moves": 1,
    "starts": 1,
    "turns": 1,
}


@dataclass(frozen=True, slots=True)
class ModelState:
    """Hyperparameters of every output and what a fit learned of their curvature: the start of the next fit.

    Attributes:
        hyperparameters: (m, p) as lists.
        inverse_hessians: (m, p, p) as lists.
        restarted: number of observations when other starts were last tried.
        promise: (m,), what another step would have added to the log posterior of each.
    """

    hyperparameters: list[list[float]]
    inverse_hessians: list[list[list[float]]]
    restarted: int
    promise: list[float]

    def fits(self, outputs: int, size: int) -> bool:
        """Whether it is of a model with so many outputs and hyperparameters, all of them finite."""
        theta, curvature = self.theta(), self.curvature()
        return (
            theta.shape == (outputs, size)
            and curvature.shape == (outputs, size, size)
            and bool(np.isfinite(theta).all() and np.isfinite(curvature).all())
        )

    def theta(self) -> NDArray[np.float64]:
        """(m, p)."""
        return np.asarray(self.hyperparameters, dtype=np.float64)

    def curvature(self) -> NDArray[np.float64]:
        """(m, p, p)."""
        return np.asarray(self.inverse_hessians, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Numbers and lists only; `from_json` gives back the very same state."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ModelState:
        """The reverse of `to_json`. Raises ValueError that names what is missing."""
        missing = [one.name for one in fields(ModelState) if one.name not in data]
        if missing:
            raise ValueError(f"A model state lacks {', '.join(missing)}; it is no output of to_json().")
        return ModelState(**{one.name: data[one.name] for one in fields(ModelState)})


def fitted_before(fits: Fits, restarted: int) -> ModelState:
    """The state after these fits, in plain numbers."""
    return ModelState(
        np.asarray(fits.theta).tolist(),
        np.asarray(fits.curvature).tolist(),
        restarted,
        np.asarray(fits.promise).tolist(),
    )


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Points, best first.

    Attributes:
        codes: (k, d), valid, distinct, none observed or pending; k is 0 if nothing else was found. With Options.batch the
            first `batch` belong together.
        values: (k,) of the acquisition function, in logarithms for EI; infinite for all but the last point of a batch.
        state: for the next call; None if no model was fitted yet; the very object that was given if it was kept.
        diagnostics: JSON-able: "model" ("gp" or "none"), "points", "left_out", "pending", "evaluations",
            "promise" (that the first step of a kept model, or another one of a fit, would add to the log posterior),
            "negative_log_posterior", "hyperparameters" (of every output), "feasible", "backend".
    """

    codes: NDArray[np.float64]
    values: NDArray[np.float64]
    state: ModelState | None
    diagnostics: dict[str, Any]
