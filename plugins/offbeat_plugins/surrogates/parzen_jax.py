"""`parzen.log_density` with its kernels summed by a compiled program (JAX): at thousands of points, half the time.

The number of points is filled up to the next of a few, so that a run compiles few programs. Single precision whatever the
setting of JAX; the logarithm agrees with NumPy's to 1e-3, which hardly ever changes an order of candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from offbeat_plugins.surrogates.columns import Column
from offbeat_plugins.surrogates.parzen import MOST, Mixture, grid_table, log_mass, log_uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

POINTS: Final = (64, 512, 2048, MOST)
"""Numbers of points that there are programs for; above the last, its multiples."""


class _Terms(NamedTuple):
    """What the program sums for m candidates and n points; widths, masses and tables are small and made by NumPy.

    Attributes:
        x, points: places on an axis, (m, a) and (n, a), in bandwidths.
        masses: what kernels on an axis are divided by, logarithms (n, a).
        own: by column of categories, those of candidates (m,), of points (n,), logarithms for the same and another one and
            for a point that has none, (3,).
        cells: by column with a grid, the table with a row and a column more for NaN, and the cells of both.
        shares: logarithms (n,), -inf for what only fills up.
        prior: logarithm of the uniform part, (m,).
    """

    x: Any
    points: Any
    masses: Any
    own: tuple[tuple[Any, Any, Any], ...]
    cells: tuple[tuple[Any, Any, Any], ...]
    shares: Any
    prior: Any


def log_density(density: Mixture, columns: Sequence[Column], x: Array) -> Array:
    """Logarithm of the density at candidates x (m, columns), (m,)."""
    points, shares, widths = density
    n = len(points)
    size = next((size for size in POINTS if size >= n), -(-n // MOST) * MOST)
    filled = np.full((size, points.shape[1]), np.nan)
    filled[:n] = points
    log_shares = np.full(size, -np.inf)
    log_shares[:n] = np.log(shares[:-1])
    smooth = [i for i, column in enumerate(columns) if not (column.categories or column.grid)]
    own, cells = [], []
    for i, column in enumerate(columns):
        if column.categories:
            k = column.categories
            same, other = (np.log1p(-widths[i]), np.log(widths[i] / (k - 1))) if k > 1 else (0.0, 0.0)
            own.append((_single(x[:, i]), _single(filled[:, i]), _single(np.array([same, other, -np.log(k)]))))
        elif column.grid:
            table = np.zeros((len(column.grid) + 1,) * 2)
            table[:-1, :-1] = grid_table(column, widths[i])
            table[:-1, -1] = np.log(np.diff(column.borders))
            cells.append((_single(table), _cells(column, x[:, i]), _cells(column, filled[:, i])))
    h = widths[smooth]
    terms = _Terms(
        x=_single(x[:, smooth] / h),
        points=_single(filled[:, smooth] / h),
        masses=_single(log_mass(filled[:, smooth], h)),
        own=tuple(own),
        cells=tuple(cells),
        shares=_single(log_shares),
        prior=_single(np.log(shares[-1]) + log_uniform(x, columns).sum(axis=1)),
    )
    return np.asarray(_program()(terms), dtype=np.float64)


def _single(array: Array) -> NDArray[np.float32]:
    return array.astype(np.float32)


def _cells(column: Column, values: Array) -> NDArray[np.int32]:
    return np.where(np.isnan(values), len(column.grid), column.cells(values)).astype(np.int32)


@cache
def _program() -> Any:
    def log_sum(terms: _Terms) -> Any:
        logs = jnp.broadcast_to(terms.shares, (terms.x.shape[0], terms.shares.shape[0]))
        for i in range(terms.x.shape[1]):
            a, b = terms.x[:, i, None], terms.points[None, :, i]
            kernel = -0.5 * jnp.square(a - b) - terms.masses[None, :, i]
            # One is NaN: the uniform density of a place, whose logarithm is 0, or the column is left out.
            logs += jnp.where(jnp.isnan(a) | jnp.isnan(b), 0.0, kernel)
        for mine, theirs, (same, other, nothing) in terms.own:
            kernel = jnp.where(mine[:, None] == theirs[None, :], same, other)
            kernel = jnp.where(jnp.isnan(theirs)[None, :], nothing, kernel)
            logs += jnp.where(jnp.isnan(mine)[:, None], 0.0, kernel)
        for table, mine, theirs in terms.cells:
            logs += table[mine][:, theirs]
        top = jnp.maximum(logs.max(axis=1), terms.prior)
        return top + jnp.log(jnp.exp(logs - top[:, None]).sum(axis=1) + jnp.exp(terms.prior - top))

    return jax.jit(log_sum)
