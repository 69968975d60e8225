"""The two ways to run a suggestion's program, behind one face."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final, Protocol

from offbeat_plugins.acquisition.options import Options
from offbeat_plugins.acquisition.program import (
    Answer,
    Fits,
    Model,
    Observations,
    Question,
    Shape,
    Start,
    answer,
    fits,
    setting_of,
)
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic


class Solver(Protocol):
    """Runs fits, and fits with a search. Arrays in are NumPy's, float64, without padding; out they are array-like."""

    @property
    def name(self) -> str:
        """What diagnostics call it."""
        ...

    def fit(self, model: Model, seen: Observations, start: Start, question: Question, shape: Shape) -> Fits:
        """Hyperparameters only. Of the question only shapes are looked at: compiled programs are specialised to them."""
        ...

    def __call__(
        self, model: Model, seen: Observations, start: Start, question: Question, shape: Shape
    ) -> tuple[Fits, Answer]:
        """Hyperparameters, processes and what a search found."""
        ...


class NumpySolver:
    """The program as it is, on NumPy and LAPACK."""

    name = "numpy"

    def fit(self, model: Model, seen: Observations, start: Start, question: Question, shape: Shape) -> Fits:
        """See `Solver`."""
        return fits(numpy_arithmetic(), model, seen, start, shape)[0]

    def __call__(
        self, model: Model, seen: Observations, start: Start, question: Question, shape: Shape
    ) -> tuple[Fits, Answer]:
        """See `Solver`."""
        ar: Any = numpy_arithmetic()
        found, processes = fits(ar, model, seen, start, shape)
        return found, answer(setting_of(ar, model, shape), seen, processes, question, shape)


FASTER: Final = 384
"""Up to so many observations JAX's programs are faster; beyond, LAPACK's factorisation is, and XLA's products are no match."""


def solver(options: Options, n: int) -> Solver:
    """The solver that options ask for, with n observations. Raises ImportError if it is JAX's and JAX is missing."""
    wanted = options.backend
    if wanted == "auto":
        wanted = "jax" if n <= FASTER and find_spec("jax") is not None else "numpy"
    if wanted == "numpy":
        return NumpySolver()
    from offbeat_plugins.acquisition.program_jax import JaxSolver

    return JaxSolver(options.compile_cache)
