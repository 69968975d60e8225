"""Several step functions of time on one grid, and what they have in common at each moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from offbeat_plugins.plots import canvas

Numbers: TypeAlias = NDArray[np.float64]


def on_grid(lines: Sequence[Sequence[tuple[float, float]]], until: float, mode: str) -> tuple[Numbers, Numbers]:
    """All moments at which one of the lines takes a step, and `until`: times (t,), values (lines, t).

    Each line holds its value to the end; before its first one it is infinitely bad.
    """
    times = np.unique([at for line in lines for at, _ in line] + [until])
    worst = math.inf if mode == "min" else -math.inf
    table = np.full((len(lines), len(times)), worst)
    for row, line in zip(table, lines, strict=True):
        own = np.array([at for at, _ in line])
        known = np.searchsorted(own, times, side="right")
        values = np.array([worst, *(value for _, value in line)])
        row[:] = values[known]
    return times, table


def quantile(table: Numbers, q: float) -> Numbers:
    """The q-quantile of each column, linear between neighbours; infinite where one of the two that it needs is."""
    ordered = np.sort(table, axis=0)
    position = q * (len(ordered) - 1)
    below = int(position)
    share = position - below
    low: Numbers = ordered[below]
    if share == 0.0:
        return low
    high = ordered[below + 1]
    both = np.isfinite(low) & np.isfinite(high)
    mixed = np.where(both, low, 0.0) * (1 - share) + np.where(both, high, 0.0) * share
    answer: Numbers = np.where(both, mixed, np.where(np.isfinite(low), high, low))
    return answer


def mean_and_error(table: Numbers) -> tuple[Numbers, Numbers]:
    """Mean of each column and its standard error (0 for one row); NaN where a row has no value yet."""
    known = np.isfinite(table).all(axis=0)
    mean, error = np.full(table.shape[1], math.nan), np.full(table.shape[1], math.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        mean[known] = table[:, known].mean(axis=0)
        spread = table[:, known].std(axis=0, ddof=1) if len(table) > 1 else np.zeros(known.sum())
    error[known] = spread / math.sqrt(len(table))
    return mean, error


def draw_line(axes: Any, times: Numbers, values: Numbers, label: str, **look: Any) -> None:
    """The step function where it is finite."""
    known = np.isfinite(values)
    axes.step(times[known], canvas.drawable(values[known].tolist()), where="post", linewidth=2, label=label, **look)


def draw_band(axes: Any, times: Numbers, band: tuple[Numbers, Numbers], color: str, label: str | None = None) -> None:
    """The room between two step functions where both are finite."""
    lower, upper = band
    known = np.isfinite(lower) & np.isfinite(upper)
    axes.fill_between(
        times[known], canvas.drawable(lower[known].tolist()), canvas.drawable(upper[known].tolist()), step="post",
        color=color, alpha=0.2, linewidth=0, label=label,
    )  # fmt: skip
