"""What a plugin supplies. Nothing here has to be inherited from: having the methods is enough.

A stranger's plugin imports from `offbeat`, declares an entry point in one of the groups below, and is found by name.
"""

from __future__ import annotations

from typing import Final

from offbeat.protocols.exchanging import Exporter, Importer, Plot
from offbeat.protocols.executing import Attempt, Backend, BackendContext, BackendSession, SimulatedSession
from offbeat.protocols.objective import Mode, NonFinite, Objective
from offbeat.protocols.observing import ExperimentView, Observer, Recorded
from offbeat.protocols.recorded import Blackbox
from offbeat.protocols.scheduling import LedgerView, ProposalRequest, Scheduler, SchedulerContext, Searcher, TrialView

__all__ = [
    "API_VERSION",
    "GROUPS",
    "OUTWARD",
    "Attempt",
    "Backend",
    "BackendContext",
    "BackendSession",
    "Blackbox",
    "ExperimentView",
    "Exporter",
    "Importer",
    "LedgerView",
    "Mode",
    "NonFinite",
    "Objective",
    "Observer",
    "Plot",
    "ProposalRequest",
    "Recorded",
    "Scheduler",
    "SchedulerContext",
    "Searcher",
    "SimulatedSession",
    "TrialView",
]

API_VERSION: Final = 1
"""Plugins may state `api_version`; one that states another than this is refused by name."""

GROUPS: Final = (
    "offbeat.schedulers", "offbeat.searchers", "offbeat.backends", "offbeat.reporters", "offbeat.stoppers",
    "offbeat.blackboxes", "offbeat.blackbox_types", "offbeat.exporters", "offbeat.importers", "offbeat.plots",
)  # fmt: skip
"""Groups of plugins that the engine loads by name."""

OUTWARD: Final = ("offbeat.integrations",)
"""Groups of classes for other libraries: listed only when asked for, since whoever loads one loads that library."""
