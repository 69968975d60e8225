"""Kernel densities over mixed columns: the two of the tree-structured Parzen estimator (Bergstra et al. 2011).

A density is a mixture with one kernel for each point and the uniform distribution of the whole space as one more. A kernel
is a product over columns, so that what goes together in the points goes together in what is drawn (Falkner et al. 2018):

- a place in [0, 1]: a normal distribution truncated to [0, 1], so that no mass is lost at a boundary;
- a place on a grid: the mass that this distribution has in the place's cell;
- a category: Aitchison & Aitken (1976), 1 - b for the point's own, b / (k - 1) for each of the k - 1 others;
- NaN: a kernel whose point lacks a column says nothing about it and has the uniform distribution there; where a candidate
  lacks it, the column is left out. Both are exact: each is the kernel's marginal.

Plain functions of arrays in NumPy; `parzen_jax` has the one that takes the time as a compiled program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from offbeat_plugins.surrogates.columns import Column

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST: Final = 5000
"""Points of a density. More of them are thinned out evenly: the order of candidates hardly changes, the time does."""

BLOCK: Final = 1000
"""Points that are looked at together, so that what is computed of them stays in the processor's cache."""

NARROWEST: Final = 0.01
"""Lowest bandwidth of a place: with nothing but equal points, candidates still differ."""

SHRINKAGE: Final = 4.0
"""How many points of a uniform distribution the standard deviation is made of, beside the real ones."""

_LOG_ROOT_TAU: Final = 0.5 * np.log(2.0 * np.pi)


class Mixture(NamedTuple):
    """A density.

    Attributes:
        points: centres of the kernels, (n, columns).
        shares: weights of the kernels and, last, of the uniform distribution, (n + 1,); their sum is 1.
        widths: by column, the bandwidth h of a place or b of a category, (columns,).
    """

    points: Array
    shares: Array
    widths: Array


def mixture(points: Array, columns: Sequence[Column], weights: Array | None = None, *, prior: float = 1.0) -> Mixture:
    """The density of points.

    Args:
        points: (n, columns); none gives the uniform distribution.
        columns: what they mean.
        weights: of the points, (n,), positive; None: equal ones.
        prior: weight of the uniform distribution, in points; above 0, so that no density is 0 anywhere.
    """
    n = len(points)
    shares = np.ones(n + 1)
    if weights is not None and n:
        shares[:-1] = weights * (n / weights.sum())
    shares[-1] = prior
    return Mixture(points, shares / shares.sum(), bandwidths(points, columns))


def bandwidths(points: Array, columns: Sequence[Column]) -> Array:
    """Bandwidth of each column, (columns,), from those of its values that are there.

    Places: Scott's rule (1992) s n^(-1 / (d + 4)) for d columns, but with a standard deviation s that is shrunk towards that
    of the uniform distribution, as if `SHRINKAGE` of the points came from there: a few points that happen to agree are no
    reason to look nowhere else. Never below `NARROWEST`. Categories: b = (k - 1) / (n + k), by which each kernel is Laplace's
    rule of succession for n times its own category.
    """
    there = np.isfinite(points)
    counts = there.sum(axis=0)
    known = np.maximum(counts, 1)
    values = np.where(there, points, 0.0)
    means = values.sum(axis=0) / known
    squares = (np.where(there, points - means, 0.0) ** 2).sum(axis=0)
    spread = np.sqrt((squares + SHRINKAGE / 12.0) / (counts + SHRINKAGE))
    widths: Array = np.maximum(spread * known ** (-1.0 / (len(columns) + 4)), NARROWEST)
    for i, column in enumerate(columns):
        if column.categories:
            widths[i] = (column.categories - 1) / (counts[i] + column.categories)
    return widths


def log_uniform(x: Array, columns: Sequence[Column]) -> Array:
    """Logarithm of the uniform density, or mass, of each entry, (m, columns); 0 for NaN."""
    logs = np.zeros(x.shape)
    for i, column in enumerate(columns):
        if column.categories:
            logs[:, i] = -np.log(column.categories)
        elif column.grid:
            logs[:, i] = np.log(np.diff(column.borders))[column.cells(x[:, i])]
    logs[~np.isfinite(x)] = 0.0
    return logs


def log_density(density: Mixture, columns: Sequence[Column], x: Array) -> Array:
    """Logarithm of the density at candidates x (m, columns), (m,)."""
    points, shares, widths = density
    uniform = log_uniform(x, columns)
    sums = [np.log(shares[-1]) + uniform.sum(axis=1)]
    for start in range(0, len(points), BLOCK):
        block = slice(start, start + BLOCK)
        part = Mixture(points[block], shares[:-1][block], widths)
        sums.append(_log_sum(part, columns, x, uniform))
    parts = np.stack(sums)
    top = parts.max(axis=0)
    return np.asarray(top + np.log(np.exp(parts - top).sum(axis=0)))


def _log_sum(density: Mixture, columns: Sequence[Column], x: Array, uniform: Array) -> Array:
    """Logarithm of the weighted sum of kernels alone, one share for each, at each candidate, (m,)."""
    points, shares, widths = density
    gaps = np.asarray(np.isnan(points).any(axis=0) | np.isnan(x).any(axis=0))
    smooth = [i for i, column in enumerate(columns) if not (gaps[i] or column.categories or column.grid)]
    # All places at once: -|a - b|^2 / 2 and what belongs to a point alone are one product of matrices.
    h = widths[smooth]
    a, b = x[:, smooth] / h, points[:, smooth] / h
    own = np.log(shares) - (0.5 * b * b + log_mass(points[:, smooth], h)).sum(axis=1)
    left = np.column_stack([a, np.ones(len(x)), -0.5 * (a * a).sum(axis=1)])
    right = np.column_stack([b, own, np.ones(len(points))])
    # From here on in single precision: what is far below the largest kernel counts for nothing, what is near it is exact to
    # a millionth, and the time is half.
    logs = (left @ right.T).astype(np.float32)
    for i, column in enumerate(columns):
        if gaps[i]:
            logs += _with_gaps(column, points[:, i], widths[i], x[:, i], uniform[:, i])
        elif column.categories or column.grid:
            logs += _kernels(column, points[:, i], widths[i], x[:, i])
    top = logs.max(axis=1)
    logs -= top[:, None]
    np.exp(logs, out=logs)
    total: Array = (logs @ np.ones(len(points), np.float32)).astype(np.float64)
    return np.asarray(top + np.log(total))


def log_mass(points: Array, h: Array) -> Array:
    """Logarithm of what exp(-z^2 / 2) has to be divided by to be a density on [0, 1], z from points in widths h."""
    return np.asarray(np.log(ndtr((1.0 - points) / h) - ndtr(-points / h)) + np.log(h) + _LOG_ROOT_TAU)


def _kernels(column: Column, points: Array, width: Any, x: Array) -> NDArray[np.floating[Any]]:
    """Logarithm of each point's kernel at each candidate in one column without NaN, (m, n)."""
    if column.categories:
        k = column.categories
        if k == 1:
            return np.zeros((len(x), len(points)))
        same, other = np.float32(np.log1p(-width)), np.float32(np.log(width / (k - 1)))
        return np.asarray(np.where(x[:, None] == points[None, :], same, other))
    if column.grid:
        table = grid_table(column, width).astype(np.float32)
        return np.asarray(np.asarray(table[column.cells(x)].take(column.cells(points), axis=1)), dtype=np.float64)
    return np.asarray(-0.5 * ((x[:, None] - points[None, :]) / width) ** 2 - log_mass(points, width))


def grid_table(column: Column, width: Any) -> Array:
    """Logarithm of the mass in each cell (rows) of the kernel at each place (columns), (cells, places)."""
    edges = ndtr((column.borders[None, :] - column.places[:, None]) / width)
    # The cells of one place have the whole mass between them; what is too small to be a number is no zero either.
    return np.asarray(np.log(np.maximum(np.diff(edges, axis=1) / (edges[:, -1:] - edges[:, :1]), 1e-300)).T)


def _with_gaps(column: Column, points: Array, width: Any, x: Array, uniform: Array) -> Array:
    """The same where something is NaN."""
    there = np.isfinite(points)
    wanted = np.isfinite(x)
    logs = np.zeros((len(x), len(points)))
    logs[:, ~there] = uniform[:, None]
    logs[np.ix_(wanted, there)] = _kernels(column, points[there], width, x[wanted])
    return logs


def drawn(density: Mixture, columns: Sequence[Column], rng: Generator, count: int) -> Array:
    """Independent draws, (count, columns); none is NaN: where a kernel's point is, the draw is from the uniform one."""
    points, shares, widths = density
    u = rng.random((count, len(columns)))
    chosen = np.searchsorted(np.cumsum(shares)[:-1], rng.random(count), side="right")
    draws = np.empty_like(u)
    for i, column in enumerate(columns):
        draws[:, i] = column.placed(u[:, i])
        centres = np.append(points[:, i], np.nan)[chosen]
        here = np.isfinite(centres)
        draws[here, i] = _from_kernel(column, centres[here], widths[i], u[here, i])
    return draws


def _from_kernel(column: Column, centres: Array, width: Any, u: Array) -> Array:
    """The u-quantile of each centre's kernel."""
    if column.categories:
        # Of the part of u that leaves the centre, each other category has an equal share.
        leaves = u < width
        step = np.minimum(np.floor(u / width * (column.categories - 1)), column.categories - 2) + 1
        return np.where(leaves, (centres + step) % column.categories, centres)
    low, high = ndtr(-centres / width), ndtr((1.0 - centres) / width)
    placed: Array = column.placed(np.clip(centres + width * ndtri(low + (high - low) * u), 0.0, 1.0))
    return placed


def thinned(count: int, most: int = MOST) -> NDArray[np.intp]:
    """Places of at most so many of `count` points, evenly spaced."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.intp)
