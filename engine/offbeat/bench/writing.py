"""A page as Markdown or as one HTML file with everything in it, and the files of a comparison side by side."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

from offbeat.bench.comparison import Comparison
from offbeat.bench.files import told
from offbeat.bench.page import Block, Grid, Heading, Picture, Text, page
from offbeat.bench.tables import TABLES
from offbeat.errors import MissingExtra
from offbeat.registry import load
from offbeat.results.saving import save

PLOTS: Final = {
    "regret": ("bench-regret", "Regret over the budget: mean over benchmarks and seeds, bands of 95 %"),
    "rank": ("bench-rank", "Mean rank over the budget"),
}
"""File -> plugin in `offbeat.plots`, and what the picture shows."""

_BOLD: Final = re.compile(r"[*][*](.+?)[*][*]")

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}
th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}
figure{margin:1.5rem 0}figure svg{max-width:100%;height:auto}figcaption{color:#555}
"""


def write(comparison: Comparison, folder: Path) -> tuple[list[Path], str]:
    """Tables (CSV and JSON lines), pictures (SVG) and the page (Markdown, HTML) in a folder.

    Returns:
        The files, and why there are no pictures, "" if there are some.

    Raises:
        FolderUnwritable: the disk is full, or the folder cannot be made.
    """
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for name in TABLES:
            if name == "failures" and not comparison.failures:
                continue
            # The curves are hundred times as many rows as the runs: once is enough.
            forms = ("csv",) if name == "curves" else ("csv", "jsonl")
            files += [save(comparison.table(name), folder / f"{name}.{form}") for form in forms]
        drawn, why = pictures(comparison)
        for name, image in drawn.items():
            files.append(_written(folder / f"{name}.svg", image))
        blocks = page(comparison, [Picture(name, PLOTS[name][1]) for name in drawn])
        files.append(_written(folder / "comparison.md", markdown(blocks).encode()))
        files.append(_written(folder / "comparison.html", as_html(blocks, drawn).encode()))
    return files, why


def pictures(comparison: Comparison) -> tuple[dict[str, bytes], str]:
    """Each plot as SVG, and in one sentence why there is none."""
    drawn: dict[str, bytes] = {}
    if not comparison.groups:
        return drawn, "There is nothing to draw."
    try:
        for name, (plugin, _) in PLOTS.items():
            image = BytesIO()
            load("offbeat.plots", plugin)(comparison).savefig(image, format="svg", metadata={"Date": None})
            drawn[name] = image.getvalue()
    except MissingExtra as error:
        return {}, str(error)
    return drawn, ""


def _written(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    temporary.replace(path)
    return path


def markdown(blocks: Sequence[Block]) -> str:
    """The page as Markdown; pictures lie beside it."""
    lines: list[str] = []
    for block in blocks:
        match block:
            case Heading(level, text):
                lines += ["", f"{'#' * level} {text}", ""]
            case Text(text, item):
                lines += [f"- {text}"] if item else ["", text, ""]
            case Grid(heads, rows):
                lines += ["", _row(heads), _row(["---", *["---:"] * (len(heads) - 1)]), *map(_row, rows), ""]
            case Picture(name, text):
                lines += ["", f"![{text}]({name}.svg)", ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_html(blocks: Sequence[Block], images: Mapping[str, bytes]) -> str:
    """The page as one HTML file, pictures inside; it loads nothing."""
    body = "\n".join(_tags(blocks, images))
    title = next((block.text for block in blocks if isinstance(block, Heading)), "")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n'
    )


def _tags(blocks: Sequence[Block], images: Mapping[str, bytes]) -> Iterator[str]:
    listing = False
    for block in blocks:
        item = isinstance(block, Text) and block.item
        if item != listing:
            yield "<ul>" if item else "</ul>"
            listing = item
        match block:
            case Heading(level, text):
                yield f"<h{level}>{html.escape(text)}</h{level}>"
            case Text(text, _):
                tag = "li" if item else "p"
                marked = _BOLD.sub(r"<b>\1</b>", html.escape(text))
                yield f"<{tag}>{marked}</{tag}>"
            case Grid(heads, rows):
                head = "".join(f"<th>{html.escape(one)}</th>" for one in heads)
                lines = ("".join(f"<td>{html.escape(one)}</td>" for one in row) for row in rows)
                yield f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
            case Picture(name, text):
                svg = re.sub(r"^.*?(?=<svg)", "", images[name].decode(), flags=re.DOTALL)
                yield f"<figure>{_own_ids(svg, name)}<figcaption>{html.escape(text)}</figcaption></figure>"
    if listing:
        yield "</ul>"


def _own_ids(svg: str, name: str) -> str:
    """Names inside of a picture, set apart from those of the others on the page."""
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    return re.sub(r'(href="|url\()#', rf"\1#{name}-", svg)
