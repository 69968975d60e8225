"""Proposals made anew at the place in the journal at which they were made, and compared with the recorded ones.

A scheduler that answers at once has answered on the events before its `suggested`. One that takes its time (it returns an
awaitable, or wants to be asked ahead) was asked at its `proposal-requested`, or once more after a crash, and others' events
may have come in while it thought: it is asked at the request and, where that is not the recorded answer, behind those
events. Where neither is, nobody can say what it had seen; the recorded value is taken then, and counted.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from offbeat import events as ev
from offbeat.contained import told
from offbeat.decisions import Start
from offbeat.events import Suggested
from offbeat.protocols import LedgerView, ProposalRequest, Scheduler
from offbeat.replay.rebuilding import is_portable
from offbeat.space import Space
from offbeat.trial import Ledger
from offbeat.verdicts import suggested

TOLERANCE: Final = 1e-6
"""Of hyperparameters that a model proposed, on the scale of the unit cube: how far linear algebra may be off elsewhere."""

Verdict: TypeAlias = Literal["same", "near", "taken", "different"]


class Compared(NamedTuple):
    """What came of a proposal.

    Attributes:
        verdict: "same"; "near": within the tolerance; "taken": it cannot be made again, and the recorded one stands;
            "different".
        anew: the proposal that was made anew, if one was; why: one clause for "taken" and "different".
    """

    verdict: Verdict
    anew: Suggested | None = None
    why: str = ""


SAME: Final = Compared("same")

_NOT_ASKED: Final = object()


class Proposals:
    """Asks one scheduler again.

    Args:
        tolerance: see TOLERANCE.
    """

    def __init__(self, scheduler: Scheduler, seed: int, ledger: Ledger, tolerance: float = TOLERANCE) -> None:
        self._scheduler, self._seed, self._ledger, self._tolerance = scheduler, seed, ledger, tolerance
        self._space: Space = scheduler.space
        self._propose = scheduler.propose
        self._portable = is_portable(scheduler)
        self._runner: _Runner | None = None
        #: Whether it may take its time in a session, even where it answers at once here.
        self._awaits = bool(getattr(scheduler, "prefetch", 0))
        #: The open request, whether events came in since, the answer made at the request, and whether a model was fitted.
        self._request: ProposalRequest | None = None
        self._between = False
        self._early: Any = _NOT_ASKED
        self._modelled = False

    def close(self) -> None:
        """Ends the thread in which coroutines were awaited, if there was one."""
        if self._runner is not None:
            self._runner.close()

    def requested(self, event: ev.ProposalRequested, following: ev.Event | None) -> None:
        """A request was recorded; `following` is the event behind it."""
        self._request = ProposalRequest(event.number, event.slot, self._seed, event.may_start)
        self._early, self._modelled = _NOT_ASKED, False
        self._between = type(following) is not Suggested
        if self._between and self._awaits:
            self._early = self._asked(self._request)

    def fitted(self, event: ev.ModelFitted) -> None:
        """A model was fitted for the open request."""
        if self._request is not None and event.number == self._request.number:
            self._modelled = True

    def compared(self, event: Suggested) -> Compared:
        """A proposal that is about to be folded in."""
        request, self._request = self._request, None
        if request is None or request.number != event.number:
            return Compared("different", None, f"no proposal number {event.number} was asked for")
        if self._early is not _NOT_ASKED:
            early = self._weighed(event, request, self._early)
            if early.verdict != "different":
                return early
        answer = self._asked(request)
        # What comes by the thousand: a new configuration, the same to the bit.
        if (
            type(answer) is Start
            and event.kind == "start"
            and answer.config == event.config
            and answer.until == event.until
            and answer.tags == event.tags
            and answer.why == event.why
            and answer.donor == event.donor
            and request.may_start
            and event.trial == len(self._ledger.trials)
        ):
            return SAME
        best = self._weighed(event, request, answer)
        if best.verdict != "different":
            return best
        if self._between and self._awaits:
            return Compared("taken", best.anew, "other events came in while it was computed")
        if "fallback" in event.tags:
            return Compared("taken", best.anew, "the scheduler says that it fell back on something simpler")
        return best

    def _asked(self, request: ProposalRequest) -> Any:
        """The scheduler's answer, or what it raised."""
        try:
            answer: Any = self._propose(request, self._ledger)
            if type(answer) is not Start and inspect.isawaitable(answer):
                self._awaits = True
                self._runner = self._runner or _Runner()
                answer = self._runner.awaited(answer)
        except (Exception, SystemExit) as error:  # it is a stranger's
            return error
        return answer

    def _weighed(self, event: Suggested, request: ProposalRequest, answer: Any) -> Compared:
        if isinstance(answer, BaseException):
            return Compared("different", None, f"the scheduler raised {told(answer)[0]}")
        try:
            anew = suggested(request, answer, event.at, self._ledger, self._space)
        except Exception as error:  # an answer can be wrong in any way
            return Compared("different", None, f"the scheduler's answer cannot be carried out: {told(error)[0]}")
        if anew == event:
            return Compared("same")
        apart = _apart(event, anew)
        modelled = self._modelled or "model" in event.tags or not self._portable
        if modelled and set(apart) <= {"config", "tags", "why"}:
            distance = self._distance(event, anew)
            if distance is not None and distance <= self._tolerance:
                return Compared("near", anew)
            if distance is not None:
                why = f"{distance:.3g} apart on the unit cube, {self._tolerance:g} are allowed to a model"
                return Compared("different", anew, why)
        return Compared("different", anew, "the scheduler proposes something else: " + ", ".join(apart))

    def _distance(self, event: Suggested, anew: Suggested) -> float | None:
        """The largest difference of two configurations on the unit cube; None if they cannot be compared."""
        if event.config is None or anew.config is None or event.config.keys() != anew.config.keys():
            return None
        try:
            one, other = self._space.encode([event.config, anew.config])
        except Exception:  # the recorded one need not lie in the space
            return None
        return float(abs(one - other).max(initial=0.0))


def _apart(recorded: Suggested, anew: Suggested) -> list[str]:
    """Names of the fields that differ."""
    return [name for name in Suggested.__struct_fields__ if getattr(recorded, name) != getattr(anew, name)]


class _Runner:
    """An event loop in a thread of its own: a proposal may be awaited while the caller's loop runs."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="offbeat-verify")
        self._runner = asyncio.Runner()

    def awaited(self, answer: Awaitable[Any]) -> Any:
        """The answer. Raises what it raises."""

        async def wait() -> Any:
            return await answer

        return self._thread.submit(self._runner.run, wait()).result()

    def close(self) -> None:
        """Ends loop and thread."""
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()


def enqueued(event: Suggested, points: list[dict[str, Any]], ledger: LedgerView) -> Compared:
    """A configuration from outside: the scheduler was not asked, the instruction says what it has to be."""
    if not points:
        return Compared("different", None, "nothing was enqueued")
    if event.kind != "start" or event.config != points[0]:
        anew = Suggested(
            event.at, event.number, "start", event.trial, points[0], None, None, event.why, dict(event.tags)
        )
        return Compared("different", anew, "another configuration was enqueued")
    if event.trial != len(ledger):
        return Compared("different", None, f"the next trial is {len(ledger)}")
    return SAME
