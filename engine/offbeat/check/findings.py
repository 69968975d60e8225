"""What is wrong with a script, as people are told it: what was seen, why it matters and to whom, how it is mended."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Level: TypeAlias = Literal["problem", "note"]
"""`problem`: some scheduler would decide wrongly, or work would be lost; `note`: worth knowing."""

RESUMING = "promotion-type ASHA, Hyperband and PBT, which pause trials; every scheduler after a crash or preemption"
STOPPING = "every scheduler that stops trials (ASHA, the median stopping rule), and every end of a run"
LEVELS = "every scheduler that compares trials at resource levels (ASHA, Hyperband, the median stopping rule)"
EVERY = "every scheduler"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.

    Attributes:
        code: its kind, for programs: the same in every version.
        seen: what was observed, with numbers.
        why: what comes of it; needs: which schedulers it concerns.
        fix: what to do in the script; snippet: how that looks, may be empty.
    """

    level: Level
    code: str
    seen: str
    why: str
    needs: str
    fix: str
    snippet: str = ""


class Passed(msgspec.Struct, frozen=True):
    """Something that was looked at and is well."""

    subject: str
    text: str


class Unchecked(msgspec.Struct, frozen=True):
    """Something that could not be looked at, and why."""

    subject: str
    text: str


Verdict: TypeAlias = Finding | Passed | Unchecked

SAVE = """\
from offbeat.report import checkpoint_dir

folder = Path(checkpoint_dir() or ".")
state = load(folder / "state") if (folder / "state").exists() else None   # your load
for epoch in range(state.epoch + 1 if state else 1, args.epochs + 1):
    ...
    save(folder / "state.new", epoch)        # your save: weights, optimizer, schedule, random generators, epoch
    os.replace(folder / "state.new", folder / "state")
    report(epoch=epoch, ...)                 # after saving: what was reported is never lost"""
