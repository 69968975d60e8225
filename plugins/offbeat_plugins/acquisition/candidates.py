"""Points to choose from: spread over the space, and near the best ones known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from offbeat_plugins.surrogates.blocks import Layout

    Project = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """Codes (n, d) to the nearest valid ones (n, d): conditions and constraints of a space, activity columns set."""


def generator(seed: int | Sequence[int]) -> np.random.Generator:
    """A counter-based generator of this seed; the same numbers on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))


def spread(rng: np.random.Generator, count: int, width: int) -> NDArray[np.float64]:
    """(count, width) numbers in [0, 1) that fill the cube more evenly than independent ones.

    Up to 5 columns a Kronecker sequence with the powers of the generalised golden ratio, shifted at random: as even as
    Sobol's, without scipy.stats, whose import takes half a second. Beyond that a Latin hypercube: every column by itself is
    even, which is what a thousand points can do there.
    """
    if width > 5:
        strata = rng.permuted(np.tile(np.arange(count)[:, None], (1, width)), axis=0)
        latin: NDArray[np.float64] = (strata + rng.random((count, width))) / count
        return latin
    root = 2.0
    for _ in range(40):
        root = (1.0 + root) ** (1.0 / (width + 1))
    steps = root ** -np.arange(1.0, width + 1)
    out: NDArray[np.float64] = (rng.random(width) + np.arange(1.0, count + 1)[:, None] * steps) % 1.0
    return out


def nearby(rng: np.random.Generator, layout: Layout, centres: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """`count` changed copies of the centres (c, d) in turn, not snapped.

    Each changes every block with a probability of its own, at least one: numbers by a normal step whose deviation is
    drawn between 0.005 and 0.3 on a logarithmic scale, categoricals by another draw.
    """
    out = centres[np.arange(count) % len(centres)].copy()
    share = np.exp(rng.uniform(np.log(1.0 / layout.groups), 0.0, count))
    touched = rng.random((count, layout.groups)) < share[:, None]
    touched[np.arange(count), rng.integers(layout.groups, size=count)] = True
    deviation = np.exp(rng.uniform(np.log(0.005), np.log(0.3), (count, 1)))
    step = deviation * rng.standard_normal((count, layout.groups))
    drawn = layout.draw(rng.random((count, layout.groups)))
    touched_columns = touched[:, layout.group]
    numbers = np.array([block.kind in ("continuous", "discrete") for block in layout.blocks])[layout.group]
    # Steps over the edge come back by reflection, or corners would hold far too many.
    moved = np.abs(out + step[:, layout.group]) % 2.0
    moved = np.minimum(moved, 2.0 - moved)
    return np.where(touched_columns, np.where(numbers, moved, drawn), out)


def candidates(
    rng: np.random.Generator,
    layout: Layout,
    centres: NDArray[np.float64],
    count: int,
    project: Project | None,
) -> NDArray[np.float64]:
    """(count, d) valid codes, alternately spread over the space and near the centres (c, d); all spread if c is 0."""
    near = count // 2 if len(centres) else 0
    out = np.empty((count, layout.dimension))
    out[: count - near] = layout.draw(spread(rng, count - near, layout.groups))
    if near:
        out[count - near :] = nearby(rng, layout, centres, near)
        out = out.reshape(2, near, layout.dimension).swapaxes(0, 1).reshape(count, layout.dimension)
    return valid(layout, out, project)


def valid(layout: Layout, codes: NDArray[np.float64], project: Project | None) -> NDArray[np.float64]:
    """Codes snapped and, with a projection, projected. Raises ValueError if that answers another shape or no numbers."""
    snapped = layout.snap(codes)
    if project is None:
        return snapped
    projected = layout.codes(project(snapped), "codes from project()")
    if len(projected) != len(codes):
        raise ValueError(f"project() answered {len(projected)} rows to {len(codes)}; it has to keep their number.")
    return projected


def unseen(codes: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows of codes that are in `seen` in no place and among themselves for the first time, ascending.

    Equal means equal to 9 digits: decoding and encoding a value again costs the last ones.
    """
    known = {row.tobytes() for row in _rounded(seen)}
    out = []
    for place, row in enumerate(_rounded(codes)):
        key = row.tobytes()
        if key not in known:
            known.add(key)
            out.append(place)
    return np.asarray(out, dtype=np.intp)


def apart(codes: NDArray[np.float64], seen: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """(n,) whether a row differs from every row of `seen` by more than `least` in some column."""
    if not least or not len(codes) or not len(seen):
        return np.ones(len(codes), dtype=bool)
    from scipy.spatial import KDTree

    distance, _ = KDTree(seen).query(codes, p=np.inf, distance_upper_bound=least * (1.0 + 1e-9))
    far: NDArray[np.bool_] = np.isinf(np.asarray(distance))
    return far


def _rounded(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    # Adding 0 turns -0.0, which has other bytes, into 0.0.
    return np.round(codes, 9) + 0.0
