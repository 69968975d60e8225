"""What a scheduler does with its searcher: asks it for the reason too, lends it the session, waits where it has to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from inspect import isawaitable
from typing import Any, TypeAlias, TypeVar

from offbeat.decisions import Start
from offbeat.foresight import foresee_of
from offbeat.protocols import LedgerView, Objective, ProposalRequest, SchedulerContext, Searcher
from offbeat.registry import load
from offbeat.space import Space

T = TypeVar("T")

Answer: TypeAlias = dict[str, Any] | Start | None
"""A configuration, alone or with why it was chosen; None: there is none."""


def searcher_of(
    searcher: str | Searcher,
    space: Space,
    objective: Objective,
    points_to_evaluate: Sequence[Mapping[str, Any]] | None,
    allow_duplicates: bool,
) -> Searcher:
    """The searcher itself, or the plugin of that name. Raises UnknownPlugin, and what its constructor raises."""
    if not isinstance(searcher, str):
        return searcher
    made: Searcher = load("offbeat.searchers", searcher)(
        space, objective, points_to_evaluate=points_to_evaluate, allow_duplicates=allow_duplicates
    )
    return made


class Searching:
    """A searcher as its scheduler sees it.

    Args:
        searcher: any; `observes`, `prefetch`, `running` and `suggest` are used where it has them.

    Attributes:
        observes: which events it wants to be shown, None: all.
        prefetch: how many proposals it wants to be asked for ahead of a free worker.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.observes = getattr(searcher, "observes", None)
        self.prefetch = int(getattr(searcher, "prefetch", 0))
        self._ask: Callable[[ProposalRequest, LedgerView], Any] = getattr(searcher, "suggest", searcher.propose)
        self._foresee = foresee_of(searcher, "suggest" if hasattr(searcher, "suggest") else "propose")
        self._running = getattr(searcher, "running", None)

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """What it needs while a session runs, if anything."""
        return nullcontext() if self._running is None else self._running(context)

    def foresee(self, request: ProposalRequest, ledger: LedgerView) -> Sequence[Answer] | None:
        """What it will answer to this request and those after it, as far as it can say; None: it never can."""
        return None if self._foresee is None else self._foresee(request, ledger)

    def ask(self, request: ProposalRequest, ledger: LedgerView, made: Callable[[Answer], T]) -> T | Awaitable[T]:
        """What `made` makes of the answer, an awaitable of it where the searcher takes its time."""
        answer = self._ask(request, ledger)
        if type(answer) is not dict and isawaitable(answer):
            return _later(answer, made)
        return made(answer)


async def _later(answer: Awaitable[Answer], made: Callable[[Answer], T]) -> T:
    return made(await answer)
