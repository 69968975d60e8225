"""Every hook on one page: what the bus calls on observers, and what pluggy checks when one is registered.

A method counts as an implementation if its name is one of these; it takes only the arguments that it names. A public
method whose name is nearly one of these is refused, since it would never be called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import pluggy

from offbeat.protocols import ExperimentView, Recorded

hookspec = pluggy.HookspecMarker("offbeat")


class ObserverHooks:
    """What an observer (entry-point group `offbeat.reporters`) may implement.

    Plain methods run in a worker thread, coroutine methods in the engine's event loop. One that raises is switched off
    for the rest of the session, and the journal says so as `plugin-failed`.
    """

    @hookspec
    def start(self, experiment: ExperimentView) -> int | None:
        """A session begins. Answer the first sequence number wanted (0: all from the beginning); None: this session's."""

    @hookspec
    def handle(self, events: Sequence[Recorded]) -> Awaitable[None] | None:
        """Events in journal order, in batches as large as the observer is slow."""

    @hookspec
    def finish(self) -> None:
        """The session is over and every event was handled."""
