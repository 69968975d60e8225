"""Figures without pyplot, colours that colour-blind readers tell apart, and axes that suit their values.

No black and no white is written down: text and background are matplotlib's settings (`rcParams`), and all other colours are
readable on light and on dark ground.
"""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Collection, Iterable, Sequence
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias

from offbeat.errors import MissingExtra
from offbeat.text import printable, shown

COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Okabe and Ito's palette, without the yellow that light ground swallows and the black that dark ground does."""

GREY: Final = "#8c8c8c"

DASHES: Final = ("-", "--", ":", "-.")

LARGEST: Final = 1e200
"""Values beyond are drawn there: matplotlib's own arithmetic overflows a little further out."""

Scale: TypeAlias = Literal["linear", "log", "symlog"]

_STEPS: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


def package(name: str) -> Any:
    """A module of matplotlib. Raises MissingExtra."""
    try:
        return import_module(f"matplotlib.{name}")
    except ImportError:
        raise MissingExtra("A plot", "plot") from None


def place(ax: Any, size: tuple[float, float]) -> tuple[Any, Any]:
    """Figure and axes: those given, or new ones of a size in inches."""
    if ax is not None:
        return ax.figure, ax
    figure = _new(size)
    return figure, figure.add_subplot()


def panels(ax: Any, rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    """Figure and axes in rows and columns, by rows; where axes are given, inside of these."""
    if ax is None:
        figure = _new(size)
        return figure, list(figure.subplots(rows, columns, squeeze=False).flat)
    ax.set_axis_off()
    width, height = 1 / columns, 1 / rows
    return ax.figure, [
        ax.inset_axes((column * width, 1 - (row + 1) * height, 0.8 * width, 0.7 * height))
        for row in range(rows)
        for column in range(columns)
    ]


def _new(size: tuple[float, float]) -> Any:
    package("figure")  # whoever lacks it is told so
    from offbeat_plugins.plots.picture import Picture

    return Picture(figsize=size, layout="constrained")


def text(value: object, most: int = 40) -> str:
    """A name as a label: printable, not longer than `most`, and no mathematics in it."""
    told = printable(shown(value) or str(value))
    if len(told) > most:
        kept = most - 1
        told = f"{told[: kept - kept // 3]}…{told[-(kept // 3) :]}"
    # Legends leave out what begins with an underscore.
    return (" " if told.startswith("_") else "") + told.replace("$", r"\$")


def title(ax: Any, told: str) -> None:
    """A title over the axes' left end, in as many lines as it needs."""
    ax.set_title(textwrap.fill(told, 96), loc="left", fontsize="medium")


def legend(ax: Any, handles: Sequence[Any] | None = None, **options: Any) -> None:
    """A legend beside the axes, where it covers nothing; none if there is nothing to tell apart."""
    own = ax.get_legend_handles_labels()[0] if handles is None else handles
    if own:
        ax.legend(
            handles=own, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, frameon=False, fontsize="small",
            **options,
        )  # fmt: skip


def colour(number: int) -> dict[str, Any]:
    """Colour and dashes of the line of this number; the first 24 differ."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}


def quiet(ax: Any, grid: Literal["x", "y", "both"] = "y") -> None:
    """No frame where nothing is read, and a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, color=GREY, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)


def drawable(values: Iterable[float]) -> list[float]:
    """The values, none further out than can be drawn; NaN stays."""
    return [value if math.isnan(value) else min(max(value, -LARGEST), LARGEST) for value in values]


def scale_of(values: Collection[float]) -> Scale:
    """The scale that shows all values: logarithmic where they are positive and the largest is 30 times the smallest.

    Of values with zeros or both signs, symmetric logarithmic where the largest is a thousand times the usual one.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "linear"
    low, high = min(finite), max(finite)
    if low > 0:
        return "log" if high / low > 30 else "linear"
    sizes = [abs(value) for value in finite if value]
    if not sizes:
        return "linear"
    return "symlog" if max(sizes) > 1000 * statistics.median(sizes) else "linear"


def suit(ax: Any, which: Literal["x", "y"], values: Collection[float]) -> Scale:
    """Gives an axis the scale and limits that suit the values, and says which scale that is."""
    finite = [value for value in drawable(values) if math.isfinite(value)]
    scale = scale_of(finite)
    axis = getattr(ax, f"{which}axis")
    limits = getattr(ax, f"set_{which}lim")
    if not finite:
        return scale
    low, high = min(finite), max(finite)
    # Matplotlib would work out limits of its own when the scale changes, and overflow where ours do not.
    getattr(ax, f"set_autoscale{which}_on")(False)
    if scale == "log":
        room = 0.04 * (math.log10(high) - math.log10(low))
        limits(10 ** max(math.log10(low) - room, -200), 10 ** (math.log10(high) + room))
        getattr(ax, f"set_{which}scale")("log")
        log_ticks(axis, low, high)
    elif scale == "symlog":
        usual = statistics.median(abs(value) for value in finite if value)
        getattr(ax, f"set_{which}scale")("symlog", linthresh=10 ** math.floor(math.log10(usual)))
        limits(low * (1.5 if low < 0 else 0.67) - usual * 0.1, high * (1.5 if high > 0 else 0.67) + usual * 0.1)
    else:
        room = 0.04 * (high / 2 - low / 2) * 2 or abs(high) * 0.1 or 0.5
        limits(low - room, high + room)
    return scale


def log_ticks(axis: Any, low: float, high: float) -> None:
    """Numbers at powers of ten; over few decades also at 2 and 5 times them, plainly written."""
    ticker = package("ticker")
    decades = math.log10(high) - math.log10(low)
    if decades <= 4:
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if decades <= 3 else (1.0, 3.0)))
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.4g}"))
        axis.set_minor_formatter(ticker.NullFormatter())


def seconds(ax: Any, until: float, name: str = "time") -> None:
    """An x axis of seconds from 0, written in the unit that suits its length."""
    unit, word = (1.0, "s") if until <= 300 else (60.0, "min") if until <= 3 * 3600 else (3600.0, "h")
    if until > 4 * 86400:
        unit, word = 86400.0, "days"
    ax.set_xlim(0, until * 1.01 if until > 0 else 1.0)
    step = _step(until)
    ticker = package("ticker")
    ax.xaxis.set_major_locator(ticker.MultipleLocator(step))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value / unit:.6g}"))
    ax.set_xlabel(f"{name} ({word})")


def _step(until: float) -> float:
    """Seconds between two ticks: four to ten of them, at round numbers of the unit."""
    least = until / 8
    if least <= 0:
        return 0.2
    if least < 1:
        power = 10.0 ** math.floor(math.log10(least))
        return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
    if least <= _STEPS[-1]:
        return float(next(step for step in _STEPS if step >= least))
    days = least / 86400
    power = 10.0 ** math.floor(math.log10(days))
    return 86400 * next(power * factor for factor in (1, 2, 5, 10) if power * factor >= days)


def tinted(values: Sequence[float], scale: Scale, name: str = "viridis") -> tuple[Any, Any]:
    """Colour map and norm for values; its darkest and lightest colours, which a ground may swallow, are left out."""
    colors = package("colors")
    whole = import_module("matplotlib").colormaps[name]
    part = colors.ListedColormap([whole(0.15 + 0.6 * i / 255) for i in range(256)])
    low, high = min(values), max(values)
    if low == high:
        low, high = low - (abs(low) or 1) * 0.5, high + (abs(high) or 1) * 0.5
    if scale == "log" and low > 0:
        return part, colors.LogNorm(low, high)
    if scale == "symlog":
        usual = statistics.median(abs(value) for value in values if value)
        return part, colors.SymLogNorm(linthresh=10 ** math.floor(math.log10(usual)), vmin=low, vmax=high)
    return part, colors.Normalize(low, high)
