"""A whole experiment in memory: the engine's own conductor, a scheduler, a scripted backend; no disk, no clock.

It is the quickest way to see what a scheduler does, and what the conformance checks are made of: a run can be broken
off after any event and taken up by another object, since `events` is exactly what the journal would hold.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Iterable, Sequence
from math import inf
from typing import Any, Final

import msgspec

from offbeat import events as ev
from offbeat.conductor import Conductor
from offbeat.decisions import Decision, Proposal
from offbeat.protocols import LedgerView, ProposalRequest, Scheduler
from offbeat.state import State
from offbeat.stopping import as_stopper
from offbeat.testing.scripted import Script, ScriptedBackend, ScriptedSession

MAX_EVENTS: Final = 20_000
"""Events after which a run that nothing ends counts as endless."""

_encode: Final = msgspec.json.Encoder().encode


class Watched:
    """A scheduler and a record of what it was shown and what it answered.

    Attributes:
        decided: (event, decisions) of every `observe`; proposed: (request, answer) of every proposal that was made.
        raised: what the scheduler raised, if anything; the engine itself keeps only the text.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.inner = scheduler
        self.objective, self.space, self.seed = scheduler.objective, scheduler.space, scheduler.seed
        self.decided: list[tuple[ev.Event, tuple[Decision, ...]]] = []
        self.proposed: list[tuple[ProposalRequest, Proposal | None]] = []
        self.raised: Exception | None = None

    def observe(self, event: ev.Event, ledger: LedgerView) -> Sequence[Decision]:
        """Passes the event on; an event that comes back changed is an AssertionError."""
        before = _encode(event)
        try:
            decisions = self.inner.observe(event, ledger)
        except Exception as error:
            self.raised = error
            raise
        if _encode(event) != before:
            self.raised = AssertionError(f"observe changed the event it was shown: {before.decode()} became {event}")
        self.decided.append((event, tuple(decisions or ())))
        return decisions

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | None:
        """Asks, and awaits the answer where it has to be awaited."""
        try:
            answer = answered(self.inner.propose(request, ledger))
        except Exception as error:
            self.raised = error
            raise
        self.proposed.append((request, answer))
        return answer


class Rehearsal:
    """One session of an experiment.

    Args:
        scheduler: in its initial state.
        script: what trials do, or a ScriptedBackend.
        journal: events of earlier sessions; they are folded in, and the run goes on behind them.
        stop_criterion, n_workers, max_failures, max_retries, asynchronous: as for `Tuner`.

    Attributes:
        events: the journal so far; scheduler: the scheduler, watched; conductor, session: the engine's parts.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        script: Script | ScriptedBackend,
        *,
        journal: Iterable[ev.Event] = (),
        stop_criterion: Any = None,
        n_workers: int = 3,
        max_failures: int | float | None = None,
        max_retries: int = 0,
        asynchronous: bool = True,
    ) -> None:
        self.scheduler = Watched(scheduler)
        self.backend = script if isinstance(script, ScriptedBackend) else ScriptedBackend(script)
        stopper = as_stopper(stop_criterion) if stop_criterion is not None else None
        objective = scheduler.objective
        spec = ev.ExperimentSpec(
            name="rehearsal",
            seed=scheduler.seed,
            metrics=objective.metrics,
            resource_attr=objective.resource_attr,
            max_t=objective.max_t,
            space=scheduler.space.to_json(),
            scheduler=ev.ComponentDescription("offbeat.schedulers", type(scheduler).__name__),
            backend=ev.ComponentDescription("offbeat.backends", "scripted"),
            limits=ev.Limits(
                n_workers=n_workers, max_failures=max_failures, max_retries=max_retries, asynchronous=asynchronous
            ),
        )
        state = State(spec, self.scheduler, stopper)
        self.events: list[ev.Event] = []
        for event in journal:
            state.fold(event)
            self.events.append(event)
        self.now = self.events[-1].at if self.events else 0.0
        self.conductor = Conductor(state, stopper)
        self.session = ScriptedSession(self.backend, self.now)
        self._begun = False

    @property
    def outcome(self) -> tuple[str, str]:
        """How the session ended, and why; ("", "") while it runs."""
        return self.conductor.closing or ("", "")

    def step(self) -> bool:
        """One turn of the engine; False once the session is closed.

        Raises:
            AssertionError: nothing will ever happen again although the session is open.
            Exception: whatever the scheduler raised.
        """
        conductor = self.conductor
        if conductor.closed:
            return False
        if not self._begun:
            self._begun = True
            conductor.open(self.now, ev.Host())
            if alive := conductor.alive():
                conductor.adopted(self.now, self.session.adopt(alive))
            conductor.tick(self.now)
        else:
            signals = self.session.receive_nowait()
            if not signals:
                limit = conductor.limits.until
                if limit == inf:
                    names = ", ".join(map(str, conductor.ledger.slots.values()))
                    raise AssertionError(
                        f"deadlock: trials {names} are alive and silent for ever, and nobody ends them"
                    )
                self.now = max(self.now, limit)
                conductor.tick(self.now)
            for signal in signals:
                self.now = max(self.now, getattr(signal, "at", None) or 0.0)
                conductor.signal(signal, self.now)
        self._fill()
        if self.scheduler.raised is not None:
            raise self.scheduler.raised
        if conductor.error is not None:
            raise conductor.error
        return not conductor.closed

    def run(self, max_events: int = MAX_EVENTS) -> Rehearsal:
        """Runs to the session's end and answers itself. Raises what `step` does."""
        while self.step():
            if len(self.events) > max_events:
                raise AssertionError(f"the run did not end within {max_events} events; the last: {self.events[-1]}")
        return self

    def _fill(self) -> None:
        conductor = self.conductor
        while (request := conductor.filling.next_request(self.now)) is not None:
            try:
                answer = self.scheduler.propose(request, conductor.ledger)
            except Exception as error:  # as in the driver; `step` raises it again
                conductor.filling.proposal_failed(request, error, self.now)
                break
            conductor.filling.proposed(request, answer, self.now)
        self.events += conductor.events
        conductor.events.clear()
        commands, conductor.commands = conductor.commands, []
        for command in commands:
            self.session.submit(command)


def answered(answer: Proposal | Awaitable[Proposal | None] | None) -> Proposal | None:
    """The answer itself, awaited on a loop of its own where it is a coroutine. Not to be called from a running loop."""
    if not inspect.isawaitable(answer):
        return answer

    async def awaited() -> Proposal | None:
        return await answer

    return asyncio.run(awaited())


def decisions(events: Iterable[ev.Event]) -> list[tuple[Any, ...]]:
    """What was decided, in order, without times, sessions and what no scheduler is shown: to compare two runs by."""
    found: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, ev.Suggested):
            proposal = (event.trial, event.config, event.until, event.donor, event.tags)
            found.append(("suggested", event.number, event.kind, *proposal, event.why))
        elif isinstance(event, ev.TrialResult) and event.verdict not in ("late", "repeat"):
            found.append(("result", event.trial, event.resource, event.verdict, event.why, event.others, event.metrics))
    return found


def assert_same(expected: Sequence[Any], found: Sequence[Any], what: str) -> None:
    """Raises an AssertionError that shows the first difference of two sequences."""
    for place, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one != other:
            raise AssertionError(f"{what}: the first difference is at {place}:\n  expected {one}\n  found    {other}")
    if len(expected) != len(found):
        longer = expected if len(expected) > len(found) else found
        rest = longer[min(len(expected), len(found))]
        raise AssertionError(
            f"{what}: {len(expected)} expected, {len(found)} found; the first that only one has: {rest}"
        )
