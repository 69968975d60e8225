"""What a scheduler compared at its rungs: its state, folded again from the journal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from offbeat.describe import build
from offbeat.errors import OffbeatError
from offbeat.journal import read_journal
from offbeat.results.experiment import Experiment
from offbeat.state import State
from offbeat.trial import TrialId


class RungView(NamedTuple):
    """A rung as the scheduler has it.

    Attributes:
        level: its resource level; system: the bracket, where each has rungs of its own, else 0.
        entries: (value, trial), best first; cut: how many of them are good enough, 0: too few to judge.
        waiting: trials that are paused here.
    """

    level: int
    system: int
    entries: Sequence[tuple[float, TrialId]]
    cut: int
    waiting: Sequence[TrialId]


def scheduler_state(experiment: Experiment) -> State | None:
    """The engine's state before the first event, to be folded again.

    None where the journal cannot build the scheduler, or it has no `rung_table()`.
    """
    try:
        scheduler = build(experiment.spec.scheduler)
    except OffbeatError:
        return None
    return State(experiment.spec, scheduler, None) if hasattr(scheduler, "rung_table") else None


def rungs(experiment: Experiment) -> list[RungView]:
    """The rungs that were reached, from the lowest up; none for a scheduler without rungs, or that cannot be built again."""
    state = scheduler_state(experiment)
    if state is None:
        return []
    for recorded in islice(read_journal(experiment.folder), experiment.events):
        state.fold(recorded.event)
    table = state.scheduler.rung_table()  # type: ignore[attr-defined]
    return [
        RungView(row["level"], row.get("system", 0), row["entries"], row["cut"], row.get("waiting", ()))
        for row in sorted(table, key=lambda row: (row["level"], row.get("system", 0)))
        if row["entries"]
    ]
