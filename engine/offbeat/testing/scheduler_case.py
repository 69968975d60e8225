"""What the checks of a scheduler are made of: the case, its runs, and the journal read to a fresh scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from offbeat import events as ev
from offbeat.protocols import LedgerView, ProposalRequest, Scheduler
from offbeat.space import choice, loguniform, randint, uniform
from offbeat.state import State
from offbeat.stopping import StoppingCriterion
from offbeat.testing.histories import curves
from offbeat.testing.rehearsal import Rehearsal, Watched, answered
from offbeat.testing.scripted import Script, ScriptedBackend

SPACE: Final[Mapping[str, Any]] = {
    "lr": loguniform(1e-5, 1e-1),
    "momentum": uniform(0.0, 0.99),
    "width": randint(4, 64),
    "kind": choice(["a", "b", "c"]),
}
SMALL_SPACE: Final[Mapping[str, Any]] = {"width": randint(1, 4), "kind": choice(["a", "b", "c"])}

Make = Callable[..., Scheduler]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scheduler to check and what may be expected of it; see `SchedulerContract` for the meaning of the fields.

    Attributes:
        make: called as make(config_space=..., metric=..., mode=..., random_seed=...).
    """

    make: Make
    config_space: Mapping[str, Any] = field(default_factory=lambda: SPACE)
    small_space: Mapping[str, Any] | None = field(default_factory=lambda: SMALL_SPACE)
    metric: str | Sequence[str] = "loss"
    trials: int = 12
    n_workers: int = 3
    seed: int = 11
    allows_duplicates: bool = False
    mirrors: bool = True
    ends_by_itself: bool = False

    def scheduler(self, mode: str = "min", space: Mapping[str, Any] | None = None) -> Scheduler:
        """A fresh one."""
        return self.make(
            config_space=dict(self.config_space if space is None else space),
            metric=self.metric,
            mode=mode,
            random_seed=self.seed,
        )

    def rehearsal(
        self, script: Script | ScriptedBackend | None = None, scheduler: Scheduler | None = None, **options: Any
    ) -> Rehearsal:
        """A run that has not begun, on curves that suit the scheduler, a fresh one by default."""
        scheduler = self.scheduler() if scheduler is None else scheduler
        script = curves(scheduler.objective) if script is None else script
        return Rehearsal(scheduler, script, **{"stop_criterion": self.limit(), "n_workers": self.n_workers, **options})

    def limit(self) -> StoppingCriterion:
        """The budget of all runs."""
        return StoppingCriterion(max_num_trials_started=self.trials)


def replayed(scheduler: Scheduler, events: Iterable[ev.Event]) -> Iterator[tuple[Watched, State]]:
    """Folds events into a fresh scheduler as a resume does, and yields after each; nothing is proposed."""
    run = Rehearsal(scheduler, lambda start: ())
    state = run.conductor.state
    for event in events:
        state.fold(event)
        yield run.scheduler, state


def refolded(scheduler: Scheduler, events: Sequence[ev.Event]) -> tuple[Watched, State]:
    """The same, to the end; at least one event."""
    return list(replayed(scheduler, events))[-1]


def folded(scheduler: Scheduler, events: Sequence[ev.Event]) -> list[Any]:
    """What a fresh scheduler decides on results when a journal is read to it."""
    watched = refolded(scheduler, events)[0]
    return verdicts(watched)


def verdicts(watched: Watched) -> list[Any]:
    """What was answered to each result."""
    return [
        (event.trial, event.resource, given) for event, given in watched.decided if isinstance(event, ev.TrialResult)
    ]


def probe(scheduler: Scheduler, state: State, number: int) -> Any:
    """What would be proposed now for a request of this number."""
    return answered(scheduler.propose(ProposalRequest(number, 0, state.spec.seed), state.ledger))


def ledger_text(ledger: LedgerView) -> str:
    """Everything that plugins may read of trials."""
    names = ("id", "config", "status", "attempt", "resource", "reports", "until", "last", "best", "tags", "rejected")
    return repr([[getattr(view, name) for name in names] for view in ledger])


def ends_properly(case: Case, run: Rehearsal) -> Rehearsal:
    """The run is done, within its limit, and not for want of proposals while there was budget."""
    started = run.conductor.state.usage.started
    outcome, reason = run.outcome
    assert outcome == "done", f"the run ended as {outcome}: {reason}"
    assert started <= case.trials, f"{started} trials were started, the limit is {case.trials}"
    assert started == case.trials or case.ends_by_itself, (
        f"starved: only {started} of {case.trials} trials were started, then propose answered None although no trial "
        "ran and budget was left (set ends_by_itself = True if it is meant to)"
    )
    return run
