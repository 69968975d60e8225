"""HTML for notebooks, made of escaped pieces: tables, facts, and a small plot; readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isfinite, log10
from typing import Any, Final

from offbeat.text import printable, shown

MOST: Final = 80
"""Letters of a value that a cell shows; the rest is in its tooltip."""

_CELL: Final = "padding:2px 10px 2px 0;border:none;background:transparent;vertical-align:top;"
_TABLE: Final = "border:none;border-collapse:collapse;font-size:inherit;color:inherit;"
_FAINT: Final = "opacity:0.65;"


class Html(str):
    """Text that is markup already; whatever is not is escaped."""

    __slots__ = ()


def text(value: object) -> Html:
    """A value as escaped text, short, with its full length as a tooltip."""
    if isinstance(value, Html):
        return value
    told = shown(value)
    if len(told) <= MOST:
        return Html(escape(told))
    return Html(f'<span title="{escape(told)}">{escape(told[: MOST - 1])}…</span>')


def element(tag: str, *content: object, style: str = "") -> Html:
    """An element around its content."""
    inner = "".join(text(one) for one in content)
    return Html(f'<{tag} style="{escape(style)}">{inner}</{tag}>' if style else f"<{tag}>{inner}</{tag}>")


def faint(value: object) -> Html:
    """Text in the background."""
    return element("span", value, style=_FAINT)


def card(*parts: object) -> Html:
    """The whole of what an object shows of itself."""
    return element("div", *parts, style="font-size:13px;line-height:1.5;max-width:960px;overflow-x:auto;")


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Names beside values."""
    rows = [
        element(
            "tr",
            element("td", faint(name), style=f"{_CELL}text-align:left;white-space:nowrap;"),
            element("td", value, style=f"{_CELL}text-align:left;"),
        )
        for name, value in pairs
    ]
    return element("table", *rows, style=f"{_TABLE}margin:4px 0;")


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Html:
    """Rows under heads; a column of numbers is set to the right."""
    right = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(heads))]
    line = "border-bottom:1px solid rgba(128,128,128,0.4);"
    head = [
        element(
            "th", name, style=f"{_CELL}{line}text-align:{'right' if r else 'left'};font-weight:600;white-space:nowrap;"
        )
        for name, r in zip(heads, right, strict=True)
    ]
    body = [element("tr", *(_value(value, right=r) for value, r in zip(row, right, strict=True))) for row in rows]
    return element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *body),
        style=f"{_TABLE}margin:6px 0;",
    )


def _value(value: object, *, right: bool) -> Html:
    return element("td", value, style=f"{_CELL}text-align:{'right' if right else 'left'};white-space:nowrap;")


def bar(share: float) -> Html:
    """How far something is, from 0 to 1."""
    width = 100 * min(max(share, 0.0), 1.0) if isfinite(share) else 0.0
    inner = f'<div style="width:{abs(width):.1f}%;height:100%;background:#3b82c4;border-radius:3px;"></div>'
    return Html(
        '<div style="display:inline-block;vertical-align:middle;width:180px;height:8px;border-radius:3px;'
        f'background:rgba(128,128,128,0.25);">{inner}</div>'
    )


def plot(
    points: Sequence[tuple[float, float]],
    *,
    steps: bool = False,
    until: float | None = None,
    x_name: str = "",
    y_name: str = "",
    width: int = 420,
    height: int = 90,
) -> Html:
    """A curve as SVG, its extremes written at its sides; empty without points.

    Args:
        points: (x, y), x ascending; those that are not finite are left out.
        steps: each value holds until the next one.
        until: where the last step ends.
        x_name: what x is.
        y_name: what y is.
        width: of the plot without its labels, in pixels.
        height: likewise.

    Values that are all positive and span more than two decades are drawn on a logarithmic scale.
    """
    known = [(float(x), float(y)) for x, y in points if isfinite(x) and isfinite(y)]
    if not known:
        return Html("")
    end = known[-1][0] if until is None else max(until, known[-1][0])
    xs, ys = [x for x, _ in known], [y for _, y in known]
    low, high = min(ys), max(ys)
    logarithmic = low > 0 and high / low > 100
    bend = log10 if logarithmic else float
    bottom, top = bend(low), bend(high)
    # Halves first: the span of the largest floats is larger than any.
    span, reach = (top / 2 - bottom / 2) or 0.5, (end / 2 - xs[0] / 2) or 0.5
    left, margin = 4.0, 8.0
    room_x, room_y = width - 2 * left, height - 2 * margin

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x / 2 - xs[0] / 2) / reach
        up = (bend(y) / 2 - bottom / 2) / span if top > bottom else 0.5
        return left + room_x * across, margin + room_y * (1 - up)

    corners: list[tuple[float, float]] = []
    for x, y in _thinned(known, 2 * width):
        px, py = place(x, y)
        if steps and corners:
            corners.append((px, corners[-1][1]))
        corners.append((px, py))
    if steps:
        corners.append((place(end, ys[-1])[0], corners[-1][1]))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    last_x, last_y = corners[-1]
    scale = " (log)" if logarithmic else ""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(printable(y_name))} over {escape(printable(x_name))}">'
        f'<polyline points="{path}" fill="none" stroke="#3b82c4" stroke-width="1.6" stroke-linejoin="round"/>'
        f'<circle cx="{last_x:.1f}" cy="{last_y:.1f}" r="2.6" fill="#3b82c4"/></svg>'
    )
    side = element(
        "div",
        element("div", high),
        element("div", low),
        style=f"display:flex;flex-direction:column;justify-content:space-between;height:{height}px;text-align:right;"
        f"padding-right:6px;min-width:56px;{_FAINT}",
    )
    below = element(
        "div",
        element("span", xs[0]),
        element("span", Html(f"{text(y_name)}{scale} over {text(x_name)}")),
        element("span", end),
        style=f"display:flex;justify-content:space-between;width:{width}px;{_FAINT}",
    )
    picture = element("div", Html(svg), below)
    return element("div", side, picture, style="display:flex;margin:6px 0;")


def _thinned(points: Sequence[tuple[float, float]], most: int) -> Sequence[tuple[float, float]]:
    """At most about `most` points, the first and the last among them, the extremes of each stretch kept."""
    if len(points) <= most:
        return points
    size = -(-2 * len(points) // most)
    kept: list[tuple[float, float]] = [points[0]]
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=_y), max(stretch, key=_y)})
    kept.append(points[-1])
    return kept


def _y(point: tuple[float, float]) -> float:
    return point[1]


def tuned(config: dict[str, Any], constants: Iterable[str] = ()) -> str:
    """`lr=0.051, layers=3`: a configuration in one line, without constants."""
    left_out = set(constants)
    return ", ".join(f"{name}={shown(value)}" for name, value in config.items() if name not in left_out)
