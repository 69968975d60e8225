"""A game of propose and observe with synchronous schedulers, whose trials report what a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offbeat.config_space import uniform
from offbeat.decisions import Continue, Pause, Resume, Start, Stop
from offbeat.events import Event, Suggested, TrialPaused, TrialResult, TrialResumed, TrialStarted, TrialStopped
from offbeat.protocols import ProposalRequest
from offbeat.trial import Ledger, TrialId

SPACE: dict[str, Any] = {"lr": uniform(0, 1)}


class Game:
    """The engine in miniature: shows events, carries decisions out.

    Args:
        method: class of the scheduler; options: its arguments, over a space of one hyperparameter if there is no `space`.
    """

    def __init__(self, method: Callable[..., Any], **options: Any) -> None:
        mode = options.pop("mode", "min")
        self.sign = 1 if mode == "min" else -1
        defaults: dict[str, Any] = {
            "resource_attr": "epoch", "max_t": 9, "random_seed": 7, "points_to_evaluate": [],
        }  # fmt: skip
        space = options.pop("space", SPACE)
        self.scheduler = method(space, "loss", mode, **{**defaults, **options})
        self.ledger = Ledger("loss", minimise=mode == "min")
        self.number = 0
        self.why = ""
        self.whys: list[str] = []

    def show(self, event: Event) -> Any:
        self.ledger.count(event) if isinstance(event, TrialResult) else self.ledger.apply(event)
        return self.scheduler.observe(event, self.ledger)

    def ask(self, may_start: bool = True) -> str:
        """What the next worker does: "+4@3" starts trial 4 to level 3, "4@9" resumes it to level 9, "-" nothing."""
        request = ProposalRequest(self.number, 0, 7, may_start)
        given: Any = self.scheduler.propose(request, self.ledger)
        assert given == self.scheduler.propose(request, self.ledger), "a proposal changes nothing"
        self.number += 1
        if isinstance(given, Start):
            trial = TrialId(len(self.ledger))
            self.whys.append(given.why)
            self.show(Suggested(0.0, self.number, "start", trial, given.config, given.until, None, "", given.tags))
            self.show(TrialStarted(0.0, trial, 0, trial))
            return f"+{trial}@{given.until}"
        if isinstance(given, Resume):
            trial = given.trial
            self.show(Suggested(0.0, self.number, "resume", trial, None, given.until, None, given.why, given.tags))
            self.show(TrialResumed(0.0, trial, self.ledger[trial].attempt + 1, 100 + trial))
            return f"{trial}@{given.until}"
        self.show(Suggested(0.0, self.number, "nothing"))
        return "-"

    def report(self, number: int, resource: int, loss: float) -> str:
        trial = TrialId(number)
        record = self.ledger[trial]
        decisions = self.show(
            TrialResult(0.0, trial, record.attempt, record.next_seq, resource, {"loss": self.sign * loss})
        )
        if not decisions:
            return "-"
        (decision,) = decisions
        assert decision.trial == trial
        self.why = decision.why
        if isinstance(decision, Continue):
            return "C"
        assert isinstance(decision, Pause | Stop)
        pauses = isinstance(decision, Pause)
        record.move("pause" if pauses else "stop")
        self.show((TrialPaused if pauses else TrialStopped)(0.0, trial, record.attempt))
        return "P" if pauses else "S"

    def end(self, trial: int, kind: Callable[..., Event], *rest: Any) -> None:
        self.show(kind(0.0, TrialId(trial), self.ledger[TrialId(trial)].attempt, *rest))
