"""The scheduler suite against schedulers that are wrong on purpose: a suite that lets them through is worth nothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from offbeat.decisions import Continue, Resume, Start, Stop
from offbeat.events import Suggested, TrialFailed, TrialResult
from offbeat.protocols import Objective
from offbeat.space import Space
from offbeat.testing import scheduler_checks as checks
from offbeat.trial import Status


class Honest:
    """Random search that stops a trial whose first value is above the median of the first values so far."""

    def __init__(self, config_space: Any, metric: Any, mode: Any = "min", random_seed: int = 0) -> None:
        self.space = Space.of(config_space)
        self.objective = Objective.of(metric, mode)
        self.seed = random_seed
        self.name = self.objective.metrics[0].name
        self.sign = 1 if self.objective.metrics[0].mode == "min" else -1
        self.first: dict[int, float] = {}
        self.seen: set[str] = set()

    def observe(self, event: Any, ledger: Any) -> Sequence[Any]:
        if isinstance(event, Suggested) and event.kind == "start":
            self.seen.add(self.space.key(event.config or {}))
        if isinstance(event, TrialResult) and event.trial not in self.first:
            value = self.value(event)
            self.first[event.trial] = value
            if value > sorted(self.first.values())[len(self.first) // 2]:
                return [Stop(event.trial, "above the median")]
        return ()

    def value(self, event: TrialResult) -> float:
        return float(self.sign * event.metrics[self.name])

    def propose(self, request: Any, ledger: Any) -> Any:
        if not request.may_start:
            return None
        rng = request.rng("honest")
        for _ in range(50):
            config = self.space.from_units(rng.random(self.space.width).tolist())
            if self.space.key(config) not in self.seen:
                return Start(config=config)
        return None


class Patient(Honest):
    async def propose(self, request: Any, ledger: Any) -> Any:
        return super().propose(request, ledger)


@pytest.mark.parametrize("scheduler", [Honest, Patient])
def test_honest_ones_pass(scheduler: Any) -> None:
    checks.check_scheduler(checks.Case(make=scheduler))


class DrawsGlobally(Honest):
    def propose(self, request: Any, ledger: Any) -> Any:
        return (
            Start(config=self.space.from_units(np.random.rand(self.space.width).tolist()))
            if request.may_start
            else None
        )


class SeedsGlobally(Honest):
    def propose(self, request: Any, ledger: Any) -> Any:
        np.random.seed(request.number)
        return DrawsGlobally.propose(self, request, ledger)  # type: ignore[arg-type]


class CountsItsProposals(Honest):
    asked = 0

    def propose(self, request: Any, ledger: Any) -> Any:
        self.asked += 1
        start = super().propose(request, ledger)
        return Start(config=start.config, tags={"asked": self.asked}) if start is not None else None


class KnowsWhatItProposed(Honest):
    """Keeps its own answers: after a crash it has never heard of them."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.asked: set[int] = set()

    def propose(self, request: Any, ledger: Any) -> Any:
        self.asked.add(request.number)
        start = super().propose(request, ledger)
        return Start(config=start.config, why=f"number {len(self.asked)}") if start is not None else None


class SharesState(Honest):
    runs = itertools.count()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.run = next(self.runs)

    def propose(self, request: Any, ledger: Any) -> Any:
        start = super().propose(request, ledger)
        return Start(config=start.config, tags={"run": self.run}) if start is not None else None


class LooksAtTheClock(Honest):
    def observe(self, event: Any, ledger: Any) -> Sequence[Any]:
        self.now = time.monotonic()
        return super().observe(event, ledger)


class GivesUp(Honest):
    def propose(self, request: Any, ledger: Any) -> Any:
        return super().propose(request, ledger) if len(ledger) < 4 else None


class WaitsForTheFailed(Honest):
    """Starts a trial only when all before it have reported: one that fails at once is waited for for ever."""

    def propose(self, request: Any, ledger: Any) -> Any:
        waiting = any(view.reports == 0 for view in ledger)
        return None if waiting and len(ledger) >= 3 else super().propose(request, ledger)


class StumblesOverFailures(Honest):
    def observe(self, event: Any, ledger: Any) -> Sequence[Any]:
        if isinstance(event, TrialFailed):
            self.first[event.trial + 1000]
        return super().observe(event, ledger)


class LeavesTheSpace(Honest):
    def propose(self, request: Any, ledger: Any) -> Any:
        start = super().propose(request, ledger)
        return Start(config={**start.config, "lr": 17.0}) if start is not None else None


class AnswersNonsense(Honest):
    def propose(self, request: Any, ledger: Any) -> Any:
        return {"lr": 0.1}


class DecidesNonsense(Honest):
    def observe(self, event: Any, ledger: Any) -> Any:
        super().observe(event, ledger)
        return ["stop"] if isinstance(event, TrialResult) else ()


class DecidesWithoutResult(Honest):
    def observe(self, event: Any, ledger: Any) -> Any:
        super().observe(event, ledger)
        return [Continue(event.trial)] if isinstance(event, Suggested) else ()


class ResumesTheDead(Honest):
    def propose(self, request: Any, ledger: Any) -> Any:
        ended = ledger.having(Status.FINISHED, Status.STOPPED)
        return Resume(trial=ended[0].id) if ended else super().propose(request, ledger)


class IgnoresTheLimit(Honest):
    def propose(self, request: Any, ledger: Any) -> Any:
        return Start(config=self.space.from_units(request.rng("x").random(self.space.width).tolist()))


class RepeatsItself(Honest):
    def propose(self, request: Any, ledger: Any) -> Any:
        if not request.may_start or len(ledger) > 20:
            return None
        return Start(config=self.space.from_units(request.rng("x").random(self.space.width).tolist()))


class ReadsTheVerdict(Honest):
    def observe(self, event: Any, ledger: Any) -> Sequence[Any]:
        super().observe(event, ledger)
        if isinstance(event, TrialResult) and (event.verdict == "stop" or self.first[event.trial] > 1.5):
            return [Stop(event.trial, event.verdict)]
        return ()


class CountsByTrial(Honest):
    def observe(self, event: Any, ledger: Any) -> Sequence[Any]:
        super().observe(event, ledger)
        return [Stop(event.trial)] if isinstance(event, TrialResult) and event.trial % 3 == 1 else ()


class TakesTheFirstMetric(Honest):
    def value(self, event: TrialResult) -> float:
        return float(self.sign * next(iter(event.metrics.values())))


class ReadsTimes(Honest):
    def observe(self, event: Any, ledger: Any) -> Sequence[Any]:
        super().observe(event, ledger)
        return [Stop(event.trial)] if isinstance(event, TrialResult) and event.at > 9 else ()


class IgnoresTheMode(Honest):
    def value(self, event: TrialResult) -> float:
        return float(event.metrics[self.name])


class ChangesEvents(Honest):
    def observe(self, event: Any, ledger: Any) -> Sequence[Any]:
        if isinstance(event, TrialResult):
            event.metrics["mine"] = 1.0
        return super().observe(event, ledger)


class ChangesTheLedger(Honest):
    def propose(self, request: Any, ledger: Any) -> Any:
        for view in ledger:
            view.tags["asked"] = request.number
        return super().propose(request, ledger)


class HasNoSeed(Honest):
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seed = None  # type: ignore[assignment]


class IsForTheFuture(Honest):
    api_version = 2


BAD = [
    (DrawsGlobally, checks.check_repeats),
    (DrawsGlobally, checks.check_reads_no_global_state),
    (SeedsGlobally, checks.check_reads_no_global_state),
    (CountsItsProposals, checks.check_replay_rebuilds_the_state),
    (KnowsWhatItProposed, checks.check_replay_rebuilds_the_state),
    (KnowsWhatItProposed, checks.check_survives_a_crash_at_every_event),
    (SharesState, checks.check_repeats),
    (LooksAtTheClock, checks.check_reads_no_global_state),
    (GivesUp, checks.check_lives_with_failures),
    (WaitsForTheFailed, checks.check_lives_when_every_trial_fails),
    (StumblesOverFailures, checks.check_lives_when_every_trial_fails),
    (LeavesTheSpace, checks.check_answers_are_typed_and_in_the_space),
    (AnswersNonsense, checks.check_answers_are_typed_and_in_the_space),
    (DecidesNonsense, checks.check_answers_are_typed_and_in_the_space),
    (DecidesWithoutResult, checks.check_answers_are_typed_and_in_the_space),
    (ResumesTheDead, checks.check_answers_are_typed_and_in_the_space),
    (IgnoresTheLimit, checks.check_obeys_limits),
    (RepeatsItself, checks.check_exhausts_a_small_space),
    (ReadsTheVerdict, checks.check_ignores_what_is_not_its_business),
    (CountsByTrial, checks.check_ignores_what_is_not_its_business),
    (TakesTheFirstMetric, checks.check_ignores_what_is_not_its_business),
    (ReadsTimes, checks.check_ignores_what_is_not_its_business),
    (IgnoresTheMode, checks.check_mirrors),
    (ChangesEvents, checks.check_answers_are_typed_and_in_the_space),
    (ChangesTheLedger, checks.check_replay_rebuilds_the_state),
    (HasNoSeed, checks.check_is_a_scheduler),
    (IsForTheFuture, checks.check_is_a_scheduler),
]


@pytest.mark.parametrize(("scheduler", "check"), BAD, ids=lambda value: value.__name__)
def test_bad_ones_are_caught(scheduler: Any, check: Any) -> None:
    with pytest.raises(Exception) as caught:
        check(checks.Case(make=scheduler))
    assert str(caught.value)


def test_every_check_is_a_test_of_the_suite() -> None:
    from offbeat.testing.scheduler_suite import SchedulerContract

    for check in checks.CHECKS:
        assert hasattr(SchedulerContract, check.__name__.replace("check_", "test_", 1)), check.__name__
        assert check.__doc__
