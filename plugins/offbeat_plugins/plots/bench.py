"""Comparisons of schedulers over the budget: regret with its uncertainty, and ranks, a panel for each group of benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from math import isfinite
from typing import Any, Final

from offbeat.bench import Comparison
from offbeat.bench import statistics as st
from offbeat.bench.comparison import Group
from offbeat.bench.runs import POINTS
from offbeat.errors import MissingExtra

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette; own methods have colours, with other dashes once they are used up."""

DASHES: Final = ("-", "--", "-.", ":")

GREY: Final = "#8c8c8c"

RECORDED: Final = 6
"""Recorded methods that are drawn: those that got to the end and ended best; the tables have all of them."""

RESAMPLES: Final = 500

Values = tuple[Any, Any, Any]
"""Mean, lower and upper end over the places, of one method."""


def regret(comparison: Comparison) -> Any:
    """Mean regret over the share of the budget, with bands of 95 %; recorded methods in grey. A matplotlib figure.

    Raises MissingExtra.
    """
    return _figure(comparison, _regrets, lambda group: group.scale)


def rank(comparison: Comparison) -> Any:
    """Mean rank over the share of the budget, as `regret`; ranks among all methods of the group."""
    return _figure(comparison, _ranks, lambda _group: "mean rank")


def _figure(comparison: Comparison, values: Callable[[Group], dict[str, Values]], label: Callable[[Group], str]) -> Any:
    try:
        figure_type = import_module("matplotlib.figure").Figure
    except ImportError:
        raise MissingExtra("A plot", "plot") from None
    groups = comparison.groups
    columns = min(2, len(groups))
    rows = -(-len(groups) // columns)
    figure = figure_type(figsize=(8.5 * columns, 4.2 * rows), layout="constrained")
    looks = _looks([method for group in groups for method in group.own])
    for number, group in enumerate(groups):
        axes = figure.add_subplot(rows, columns, number + 1)
        _panel(axes, group, values(group), looks)
        axes.set_ylabel(label(group))
        many = len(group.values.benchmarks) > 2
        axes.set_title(f"{group.name} ({len(group.values.benchmarks)} benchmarks)" if many else group.title, loc="left")
    return figure


def _looks(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The same colour for a method in every panel."""
    once = list(dict.fromkeys(methods))
    return {
        method: {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i // len(COLOURS) % len(DASHES)]}
        for i, method in enumerate(once)
    }


def _panel(axes: Any, group: Group, values: dict[str, Values], looks: dict[str, dict[str, Any]]) -> None:
    import numpy as np

    share = np.arange(1, POINTS + 1) / POINTS
    for method in group.own:
        mean, low, high = values[method]
        axes.plot(share, mean, label=method, linewidth=2, zorder=3, **looks[method])
        axes.fill_between(share, low, high, color=looks[method]["color"], alpha=0.15, linewidth=0, zorder=2)
    ends = {method: float(values[method][0][-1]) for method in values if method in group.recorded}
    others = sorted((method for method, end in ends.items() if isfinite(end)), key=lambda method: ends[method])
    for number, method in enumerate(others[:RECORDED]):
        look = {"color": GREY, "linestyle": DASHES[number % len(DASHES)], "linewidth": 1 + number // len(DASHES)}
        axes.plot(share, values[method][0], label=method, zorder=1, **look)
    axes.set_xscale("log")
    axes.set_xticks([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0], ["1 %", "2 %", "5 %", "10 %", "20 %", "50 %", "100 %"])
    axes.minorticks_off()
    axes.set_xlim(0.01, 1)
    axes.set_xlabel("share of the budget")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))


def _regrets(group: Group) -> dict[str, Values]:
    import numpy as np

    found = {}
    for i, method in enumerate(group.values.methods):
        by_place = np.moveaxis(group.values.array[i], -1, 0)
        by_place = by_place[..., np.isfinite(by_place).any((0, 1))]
        n = by_place.shape[-1]
        low, high = st.interval(st.resampled(by_place, st.draws(n, RESAMPLES)), n)
        found[method] = (st.mean_over_tasks(by_place), low, high)
    return found


def _ranks(group: Group) -> dict[str, Values]:
    import numpy as np

    places = [group.ranks(group.values.array[..., place], RESAMPLES) for place in range(POINTS)]
    mean, low, high = np.moveaxis(np.array(places), 0, -1)
    return {method: (mean[i], low[i], high[i]) for i, method in enumerate(group.values.methods)}
