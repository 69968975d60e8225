"""What the tests of model-based schedulers share: a game of propose and observe with values of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from offbeat.decisions import Nothing
from offbeat.events import Event, ModelFitted, Suggested, TrialFailed, TrialFinished, TrialResult, TrialStarted
from offbeat.protocols import ProposalRequest
from offbeat.trial import Ledger, TrialId

Value = Callable[[Mapping[str, Any]], float | Mapping[str, Any] | None]


class Game:
    """A scheduler that is asked again and again; `late` trials are always running.

    Args:
        value: what a configuration reports at its end: its loss, or several metrics by name; None: it fails.

    Attributes:
        configs, whys, parents: of the trials.
        story: events so far; ended: the Nothing that was answered instead of a proposal, if one was.
    """

    def __init__(self, scheduler: Any, value: Value, *, late: int = 0) -> None:
        self.scheduler, self.value, self.late = scheduler, value, late
        self.ledger = Ledger("loss")
        self.configs: list[dict[str, Any]] = []
        self.whys: list[str] = []
        self.parents: list[int | None] = []
        self.story: list[Event] = []
        self.running: list[int] = []
        self.number = 0
        self.ended: Nothing | None = None

    @property
    def origins(self) -> list[str]:
        """Who made each trial: "initial", "random", "model" or "evolution"."""
        return [why.partition(" ")[0].rstrip(":") for why in self.whys]

    def tell(self, event: Event) -> None:
        self.story.append(event)
        observes = self.scheduler.observes
        if isinstance(event, TrialResult):
            self.ledger.count(event)
        else:
            self.ledger.apply(event)
        if observes is None or type(event) in observes:
            assert self.scheduler.observe(event, self.ledger) == ()

    def ask(self) -> Any:
        return self.scheduler.propose(ProposalRequest(self.number, 0, self.scheduler.seed), self.ledger)

    def start(self, config: dict[str, Any], **tags: Any) -> None:
        trial = TrialId(len(self.configs))
        self.tell(Suggested(0.0, self.number, "start", trial, config, tags=tags))
        self.tell(TrialStarted(0.0, trial, 0, trial))
        self.number += 1
        self.configs.append(config)
        self.running.append(trial)

    def end(self, place: int = 0) -> None:
        trial = TrialId(self.running.pop(place))
        value = self.value(self.configs[trial])
        if value is None:
            self.tell(TrialFailed(0.0, trial, 0, "exit status 1"))
            return
        metrics = dict(value) if isinstance(value, Mapping) else {"loss": value}
        self.tell(TrialResult(0.0, trial, 0, 0, 1, metrics))
        self.tell(TrialFinished(0.0, trial, 0))

    def play(self, count: int) -> Game:
        """So many more trials, or until there is nothing more to propose."""
        for _ in range(count):
            proposal = self.ask()
            if proposal is None or isinstance(proposal, Nothing):
                self.ended = proposal
                break
            assert self.scheduler.space.validate(proposal.config) == proposal.config
            self.whys.append(proposal.why)
            self.parents.append(proposal.tags.get("parent"))
            if proposal.fitted is not None:
                self.tell(ModelFitted(0.0, self.number, proposal.fitted.model, proposal.fitted.state))
            self.start(proposal.config, **proposal.tags)
            while len(self.running) > self.late:
                self.end()
        return self
