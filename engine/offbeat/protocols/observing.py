"""What is told about an experiment while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from offbeat.events import Event, Limits
from offbeat.protocols.scheduling import LedgerView

if TYPE_CHECKING:
    from offbeat.home import ExperimentFolder


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event and its place in the journal, counted from 0."""

    seq: int
    event: Event


class ExperimentView(Protocol):
    """What observers may read: the folder, the specification and the live ledger (from the event loop only)."""

    @property
    def folder(self) -> ExperimentFolder: ...
    @property
    def spec(self) -> Any: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def ledger(self) -> LedgerView: ...
    @property
    def elapsed(self) -> float: ...


@runtime_checkable
class Observer(Protocol):
    """Is told about events and decides nothing. Entry-point group: `offbeat.reporters`; see `offbeat.hookspecs`.

    Beside `handle` it may have `start(experiment) -> int | None` (first sequence number wanted; None: this session's
    events), `finish()`, and the class attribute `latest_only = True` if it may miss events rather than lag behind.
    Plain methods run in a worker thread, coroutine methods in the event loop.
    """

    def handle(self, events: Sequence[Recorded]) -> Awaitable[None] | None:
        """Takes in events in journal order, in batches."""
        ...
