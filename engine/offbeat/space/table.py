"""A space as an HTML table, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from offbeat.space.checks import shown
from offbeat.space.domain import Domain, shown_domain
from offbeat.space.entries import Conditional, Constraint


def html_table(entries: Mapping[str, Any], size: int | None) -> str:
    """A table with a row for each entry: name, what it is, its condition. Every text is escaped."""
    conditions = any(isinstance(entry, Conditional) for entry in entries.values())
    heads = ["name", "values", *(["if"] if conditions else [])]
    rows = [[name, *_cells(entry)][: len(heads)] for name, entry in entries.items()]
    count = "" if size is None else f"<caption>{size:,} configurations</caption>"
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{count}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(entry: Any) -> tuple[str, str]:
    if isinstance(entry, Conditional):
        return shown_domain(entry.domain), entry.condition.text
    if isinstance(entry, Constraint):
        return f"required: {entry.expression}", ""
    return (shown_domain(entry), "") if isinstance(entry, Domain) else (f"always {shown(entry)}", "")
