"""NumPy and LAPACK on one thread: the path without JAX, and the oracle of the other one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat_plugins.surrogates.arithmetic import RUNGS, Arithmetic

if TYPE_CHECKING:
    from numpy.typing import NDArray


@cache
def _lapack() -> tuple[Any, Any]:
    from scipy.linalg import get_lapack_funcs

    potrf, potri = get_lapack_funcs(("potrf", "potri"), dtype=np.float64)
    return potrf, potri


def inverted(covariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
    """See `Arithmetic`: Cholesky factor and inverse by LAPACK."""
    potrf, potri = _lapack()
    typical = float(np.diagonal(covariance).mean()) if len(covariance) else 0.0
    for rung in RUNGS if np.isfinite(typical) else ():
        tried = covariance.copy() if rung == 0.0 else covariance + (rung * typical) * np.eye(len(covariance))
        # A symmetric matrix in C order is itself in Fortran order; the copy is written over.
        factor, failed = potrf(tried.T, lower=1, clean=0, overwrite_a=1)
        if failed:
            continue
        logdet = 2.0 * float(np.log(np.diagonal(factor)).sum())
        half, failed = potri(factor, lower=1, overwrite_c=1)
        if not failed and np.isfinite(logdet):
            inverse = np.tril(half, -1)
            inverse += inverse.T
            np.fill_diagonal(inverse, np.diagonal(half))
            return inverse, logdet
    return np.zeros_like(covariance), np.inf


def _loop(condition: Callable[[Any], Any], body: Callable[[Any], Any], state: Any) -> Any:
    while condition(state):
        state = body(state)
    return state


@cache
def numpy_arithmetic() -> Arithmetic:
    """NumPy's; loads scipy.special."""
    from scipy.special import log_ndtr

    return Arithmetic(np, log_ndtr, inverted, _loop, lambda choice, new, old: new if choice else old)


@cache
def _controller() -> Any:
    try:
        import threadpoolctl
    except ImportError:
        return None
    import scipy.linalg  # noqa: F401 - only loaded libraries can be limited

    return threadpoolctl.ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS on one thread inside, where threadpoolctl is installed: more make it up to 400 times slower on a busy machine.

    Without threadpoolctl, set OPENBLAS_NUM_THREADS=1 before NumPy is loaded.
    """
    controller = _controller()
    if controller is None:
        yield
        return
    with controller.limit(limits=1, user_api="blas"):
        yield
