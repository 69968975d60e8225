"""Schedulers built again to look at a past with: what is missing is named, another version is noted."""

from __future__ import annotations

from typing import Any, NamedTuple

from offbeat import describe
from offbeat.errors import InvalidArgument, OffbeatError
from offbeat.events import IMPORTED, ComponentDescription, Event, ExperimentSpec
from offbeat.protocols import LedgerView, Objective, ProposalRequest, Scheduler
from offbeat.registry import find
from offbeat.space import Space


class Silent:
    """Stands in for a scheduler that cannot be had: knows what the experiment is about and decides nothing."""

    observes: frozenset[type[Event]] = frozenset()

    def __init__(self, spec: ExperimentSpec) -> None:
        self.space = Space.from_json(spec.space)
        told = (spec.scheduler.options or {}).get("max_resource_attr")
        self.objective = Objective(
            metrics=spec.metrics, resource_attr=spec.resource_attr, max_resource_attr=told, max_t=spec.max_t
        )
        self.seed = spec.seed

    def observe(self, event: Event, ledger: LedgerView) -> tuple[()]:
        """Nothing."""
        return ()

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> None:
        """Nothing."""


class Rebuilt(NamedTuple):
    """A scheduler in its initial state.

    Attributes:
        scheduler: a `Silent` one where it could not be had.
        problem: why not, empty if it could.
        note: that it is of another version than the recorded one, empty if not.
    """

    scheduler: Scheduler
    problem: str = ""
    note: str = ""


def rebuilt(description: ComponentDescription, spec: ExperimentSpec) -> Rebuilt:
    """The scheduler that a journal describes. Never raises: a past can be looked at without it."""
    if description.name == IMPORTED:
        origin = f"{description.distribution} {description.version}".strip()
        return Rebuilt(Silent(spec), f"it was imported from {origin}, whose decisions cannot be made again here")
    try:
        scheduler: Any = describe.build(description)
    except InvalidArgument:
        return Rebuilt(
            Silent(spec),
            f"the journal cannot describe the scheduler {description.name!r}; pass the same object as scheduler=...",
        )
    except OffbeatError as error:
        return Rebuilt(Silent(spec), f"the scheduler {description.name!r} cannot be had: {error}")
    except Exception as error:  # a stranger's constructor may raise anything
        text = f"{type(error).__name__}: {error}"
        return Rebuilt(Silent(spec), f"the scheduler {description.name!r} does not take its recorded options: {text}")
    return Rebuilt(scheduler, "", _other_version(scheduler, description))


def _other_version(scheduler: object, recorded: ComponentDescription) -> str:
    info = find(type(scheduler), recorded.group)
    if info is None or not recorded.version or (info.distribution, info.version) == _place(recorded):
        return ""
    return (
        f"the scheduler {recorded.name!r} was of {recorded.distribution} {recorded.version}, here it is of "
        f"{info.distribution} {info.version}"
    )


def _place(recorded: ComponentDescription) -> tuple[str, str]:
    return recorded.distribution, recorded.version


def is_portable(scheduler: object) -> bool:
    """Whether its proposals are the same on every machine: False if it or a part of it states `portable = False`."""
    parts = [scheduler, *getattr(scheduler, "__dict__", {}).values()]
    return all(getattr(part, "portable", True) is not False for part in parts)
