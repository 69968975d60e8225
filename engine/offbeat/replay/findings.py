"""What a verification has found: the report, and the first place at which it disagrees with the journal."""

from __future__ import annotations

from typing import Any

import msgspec

from offbeat.replay.proposing import TOLERANCE
from offbeat.text import counted


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first place at which the journal says something else than what was computed from it.

    Attributes:
        event: its number, from 0; what: its wire name; trial: whose, if anybody's.
        recorded, recomputed: the fields that differ; empty where there is nothing to compare.
        why: one sentence.
        digest_recorded, digest_recomputed: decision digests of the events up to and with this one, in both versions; equal
            where the difference does not count as a decision.
    """

    event: int
    what: str
    trial: int | None
    recorded: dict[str, Any]
    recomputed: dict[str, Any]
    why: str
    digest_recorded: str = ""
    digest_recomputed: str = ""


class Verification(msgspec.Struct, kw_only=True):
    """What came of it.

    Attributes:
        verified: everything that was looked at agrees, and everything could be looked at.
        status: "running", what the last session ended with, or "crashed".
        events, trials, results: how many the journal holds; results without late and repeated ones.
        decisions, proposals: how many were made anew and are the same (or near enough).
        near: proposals of models that differ within the tolerance; taken: recorded proposals that nobody can make again.
        difference: the first one; differences: how many there are.
        problem: what kept it from being verified to the end: damage, events that do not fit, a plugin that is missing.
        digest: decision digest of the recorded events, as `offbeat.journal.decision_digest` has it.
        torn: bytes of an unfinished last line, which are no event.
        notes: what else a reader should know.
    """

    experiment: str
    verified: bool = False
    status: str = ""
    events: int = 0
    trials: int = 0
    results: int = 0
    decisions: int = 0
    proposals: int = 0
    near: int = 0
    taken: int = 0
    tolerance: float = TOLERANCE
    difference: Difference | None = None
    differences: int = 0
    problem: str = ""
    digest: str = ""
    torn: int = 0
    notes: list[str] = []

    def sentence(self) -> str:
        """What is proven, or what is wrong, in plain words."""
        if self.difference is not None:
            one = self.difference
            whose = f" of trial {one.trial}" if one.trial is not None else ""
            more = f" ({self.differences} differences in all)" if self.differences > 1 else ""
            return f"Not verified: event {one.event}, {one.what}{whose}: {one.why}.{more}"
        if self.problem:
            return f"Not verified: {self.problem}"
        beside = ""
        if self.near:
            beside += f", {self.near} of them within {self.tolerance:g} (models)"
        if self.taken:
            beside += f"; {self.taken} more cannot be made again and were taken as recorded"
        return (
            f"Verified: the journal is whole, and from its reports and seed the same {counted(self.decisions, 'decision')} "
            f"and {counted(self.proposals, 'proposal')} follow{beside}. That the reports are true it does not prove."
        )
