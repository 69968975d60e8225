"""What differs between NumPy and JAX: the array module, factorisation, loops. All formulas are written once against it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

RUNGS: Final = (0.0, 1e-8, 1e-6, 1e-4, 1e-2)
"""What is added to the diagonal, as a share of its mean, until a factorisation succeeds."""


class Arithmetic(NamedTuple):
    """A way of computing.

    Attributes:
        xp: array module.
        log_ndtr: logarithm of the normal distribution function.
        inverted: symmetric positive definite (n, n) to inverse and log determinant. Climbs RUNGS where it is not quite
            positive definite. Where none helps, or numbers are not finite: zeros and infinity; a search for hyperparameters
            turns back there, and a prediction from it is the prior.
        loop: (condition, body, state) -> state, as lax.while_loop.
        select: (choice () bool, new, old) -> one of two trees of arrays.
    """

    xp: Any
    log_ndtr: Callable[[Any], Any]
    inverted: Callable[[Any], tuple[Any, Any]]
    loop: Callable[[Callable[[Any], Any], Callable[[Any], Any], Any], Any]
    select: Callable[[Any, Any, Any], Any]
