"""Verify: every decision and every proposal of a journal made anew, and compared with what stands there.

What it proves: the bytes are those that were written, the events fit each other, and the schedulers that the journal names
decide and propose from the recorded reports and the seed exactly what is recorded. What it does not: that the reports are
true. A changed metric is found where a decision depends on it, and nowhere else.
"""

from __future__ import annotations

import os
from itertools import islice

from offbeat import events as ev
from offbeat.errors import InvalidArgument, JournalError
from offbeat.home import ExperimentFolder
from offbeat.journal import decision_digest, holder
from offbeat.protocols import Scheduler
from offbeat.replay.checking import Checking
from offbeat.replay.findings import Verification
from offbeat.replay.integrity import events_of, found, torn_bytes
from offbeat.replay.origin import authors, origin_of
from offbeat.replay.proposing import TOLERANCE
from offbeat.replay.rebuilding import Rebuilt, rebuilt
from offbeat.replay.refold import Turn
from offbeat.results.experiment import spec_of


def verify(
    experiment: ExperimentFolder | str | os.PathLike[str],
    home: str | os.PathLike[str] | None = None,
    *,
    scheduler: Scheduler | None = None,
    tolerance: float = TOLERANCE,
) -> Verification:
    """Makes every decision and proposal of an experiment anew; takes no lock, and changes nothing.

    Of an experiment that runs, what lies in the journal by now is verified.

    Args:
        experiment: name, path or folder.
        home: folder of experiments.
        scheduler: in its initial state, where the journal cannot describe it.
        tolerance: how far hyperparameters that a model proposed may be off, on the scale of the unit cube. Proposals count
            as a model's where the scheduler or a part of it states `portable = False`, where their tags have "model", or
            where a `model-fitted` event belongs to them; of those with the tag "fallback" the recorded value is taken.

    Raises:
        ExperimentNotFound: there is none.
        InvalidArgument: the tolerance is none.
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise InvalidArgument(f"tolerance={tolerance!r}: give a number from 0 to below 1.")
    folder = found(experiment, home)
    report = Verification(experiment=folder.name, tolerance=tolerance, notes=[])
    running = holder(folder) is not None
    try:
        spec = spec_of(folder)
        origin = origin_of(spec)
        turns = _turns(spec, scheduler, report)
    except JournalError as error:
        report.problem = str(error)
        return report
    checking = Checking(folder, spec, turns, report)
    try:
        report.digest = decision_digest(checking.events())
    except JournalError as error:
        report.problem = str(error)
    finally:
        checking.close()
    report.status = "running" if running else checking.outcome or "crashed"
    report.torn = 0 if running else torn_bytes(folder)
    if origin is not None and not report.problem and report.difference is None:
        _check_origin(folder, origin.event, origin.digest, report)
    report.verified = not report.problem and report.difference is None
    _remark(report)
    return report


def _turns(spec: ev.ExperimentSpec, scheduler: Scheduler | None, report: Verification) -> list[tuple[Turn, int]]:
    """Who decided what, with the seeds. What cannot be had is the report's problem."""
    turns: list[tuple[Turn, int]] = []
    for author in authors(spec):
        given = scheduler is not None and author.scheduler == spec.scheduler
        one = Rebuilt(scheduler) if given and scheduler is not None else rebuilt(author.scheduler, spec)
        report.problem = report.problem or one.problem
        if one.note:
            report.notes.append(one.note)
        turns.append((Turn(one.scheduler, author.last), author.seed))
    return turns


def _check_origin(folder: ExperimentFolder, last: int, digest: str, report: Verification) -> None:
    """The past that a fork shares with its source is the one that its specification names."""
    if report.events <= last:
        report.problem = f"a fork at event {last} has that event, and this journal ends before it"
    elif decision_digest(one.event for one in islice(events_of(folder), 1, last + 1)) != digest:
        report.problem = f"the events up to {last} are not those of the source: their digest is not {digest}"


def _remark(report: Verification) -> None:
    if report.status == "running":
        report.notes.append(f"it is running: what has happened up to event {report.events - 1} was looked at")
    elif report.status == "crashed" and report.events:
        report.notes.append(
            "its last session ended without saying so (a crash); a resume goes on behind the last event"
        )
    if report.torn:
        report.notes.append(
            f"{report.torn} bytes of an unfinished last line are no event; nothing was done because of them"
        )
