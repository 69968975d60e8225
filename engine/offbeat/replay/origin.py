"""Where an experiment comes from: a fork names its source, and who decided in the past that it shares with it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from offbeat.errors import JournalError
from offbeat.events import ComponentDescription, ExperimentSpec

KEY: Final = "forked"
"""Entry of a fork's metadata."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a fork's specification keeps of its source.

    Attributes:
        experiment: name of the source; folder: where it lay.
        event: number of the last event that both have.
        digest: decision digest of the events from 1 up to it; event 0, which says what the experiment is, differs.
        scheduler, seed: of the source, which decided until then.
        before: where the source itself came from.
    """

    experiment: str
    folder: str
    event: int
    digest: str
    scheduler: ComponentDescription
    seed: int
    before: Origin | None = None


class Author(NamedTuple):
    """A scheduler that decided up to an event, None: to the end."""

    scheduler: ComponentDescription
    seed: int
    last: int | None = None


def origin_of(spec: ExperimentSpec) -> Origin | None:
    """Where a fork comes from, None for an experiment that is none. Raises JournalError for what cannot be read."""
    found: Any = spec.metadata.get(KEY)
    if found is None:
        return None
    try:
        return msgspec.convert(found, Origin)
    except msgspec.ValidationError as error:
        raise JournalError(
            f"{spec.name}: what its metadata say under {KEY!r} is no origin of a fork: {error}"
        ) from None


def authors(spec: ExperimentSpec) -> list[Author]:
    """Who decided what, oldest first; neighbours that are the same count as one."""
    found: list[Author] = []
    scheduler, seed, last, origin = spec.scheduler, spec.seed, None, origin_of(spec)
    while True:
        first = 0 if origin is None else origin.event + 1
        # A fork of a fork may go back behind the first one: then nothing is left of what came between.
        if (last is None or first <= last) and not (found and found[0][:2] == (scheduler, seed)):
            found.insert(0, Author(scheduler, seed, last))
        if origin is None:
            return found
        last = origin.event if last is None else min(last, origin.event)
        scheduler, seed, origin = origin.scheduler, origin.seed, origin.before
