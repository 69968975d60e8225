"""All verdicts on a script, as text and as JSON."""

from __future__ import annotations

import textwrap
from typing import Any

import msgspec

from offbeat.check.ending import ending
from offbeat.check.findings import Finding, Passed, Unchecked
from offbeat.check.program import Evidence
from offbeat.check.reporting import reporting
from offbeat.check.resuming import resuming
from offbeat.text import counted

WIDTH = 110


class Report(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        script: its path; steps: reports before each interruption.
        findings: problems first; passed: what is well; unchecked: what could not be looked at.
    """

    script: str
    steps: int
    findings: tuple[Finding, ...]
    passed: tuple[Passed, ...]
    unchecked: tuple[Unchecked, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Findings that matter."""
        return tuple(one for one in self.findings if one.level == "problem")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return {"problems": len(self.problems), **found}

    def text(self) -> str:
        """For people."""
        lines = [f"ok    {one.subject}: {one.text}" for one in self.passed]
        lines += [f"-     {one.subject}: not checked: {one.text}" for one in self.unchecked]
        shown: set[str] = set()
        for one in self.findings:
            lines += ["", *_finding(one, snippet=one.snippet not in shown)]
            shown.add(one.snippet)
        count, notes = len(self.problems), len(self.findings) - len(self.problems)
        lines += ["", f"{counted(count, 'problem')}, {counted(notes, 'note')}: {self.script}"]
        return "\n".join(lines)


def judged(evidence: Evidence) -> Report:
    """All verdicts on the runs; a finding that several runs show is told once."""
    verdicts = [*reporting(evidence), *ending(evidence), *resuming(evidence)]
    findings: dict[str, Finding] = {}
    for one in verdicts:
        if isinstance(one, Finding):
            findings.setdefault(one.code, one)
    passed = dict.fromkeys(one for one in verdicts if isinstance(one, Passed))
    return Report(
        str(evidence.plan.script),
        evidence.plan.steps,
        tuple(sorted(findings.values(), key=lambda one: one.level != "problem")),
        tuple(passed),
        tuple(one for one in verdicts if isinstance(one, Unchecked)),
    )


def _finding(one: Finding, *, snippet: bool) -> list[str]:
    head = "FAIL" if one.level == "problem" else "note"
    lines = _wrapped(f"{head}  {one.code}: {one.seen}", "      ")
    for label, told in (("Why", one.why), ("Who", one.needs), ("Fix", one.fix)):
        lines += _wrapped(f"      {label}: {told}", "           ")
    if one.snippet and not snippet:
        lines.append("           (as shown above)")
    elif one.snippet:
        lines += ["", textwrap.indent(one.snippet, " " * 11)]
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
