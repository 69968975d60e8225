"""From journal to tables: what an experiment found, read without an engine, while it runs too."""

from __future__ import annotations

import os

from offbeat.home import ExperimentFolder, find
from offbeat.results.experiment import COUNTED, Experiment
from offbeat.results.listing import Listing, Skipped, list_experiments
from offbeat.results.pareto import Hypervolume, ParetoPoint
from offbeat.results.records import Best, Incumbent, Point, Session, Summary
from offbeat.results.table import COLUMNS, Column, Table, cell, result_row
from offbeat.results.trials import Trial, Trials, in_order

__all__ = [
    "COLUMNS",
    "COUNTED",
    "Best",
    "Column",
    "Experiment",
    "Hypervolume",
    "Incumbent",
    "Listing",
    "ParetoPoint",
    "Point",
    "Session",
    "Skipped",
    "Summary",
    "Table",
    "Trial",
    "Trials",
    "cell",
    "in_order",
    "list_experiments",
    "load",
    "result_row",
]


def load(
    experiment: ExperimentFolder | str | os.PathLike[str], home: str | os.PathLike[str] | None = None
) -> Experiment:
    """An experiment by name, path or folder, as its journal is now; takes no lock.

    Raises:
        ExperimentNotFound: there is none of this name.
        JournalError: the folder holds no experiment (yet), or its journal is damaged or too new; a listing skips it.
    """
    if isinstance(experiment, ExperimentFolder):
        return Experiment(experiment)
    path = os.fspath(experiment)
    if not isinstance(experiment, str) and os.sep not in path:
        path = os.path.join(os.curdir, path)  # noqa: PTH118 - Path would drop the "./" that makes it a path
    return Experiment(find(path, home))
