"""The scheduler around any searcher: plain or asynchronous answers, with a reason or without."""

from __future__ import annotations

import asyncio
from typing import Any

from offbeat.config_space import uniform
from offbeat.decisions import Start
from offbeat.events import LimitsChanged, Suggested, TrialResult
from offbeat.protocols import Objective, ProposalRequest
from offbeat.space import Space
from offbeat.trial import Ledger, TrialId
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity

SPACE = Space({"x": uniform(0, 1)})


class Searcher:
    """Answers what it was made with, in the way that `how` says."""

    def __init__(self, answer: Any, how: str) -> None:
        self.answer, self.how, self.seen = answer, how, list[Any]()

    def observe(self, event: Any, ledger: Any) -> None:
        self.seen.append(event)

    def propose(self, request: Any, ledger: Any) -> Any:
        return self.later() if self.how == "later" else self.answer

    async def later(self) -> Any:
        await asyncio.sleep(0)
        return self.answer


class Reasoning(Searcher):
    def suggest(self, request: Any, ledger: Any) -> Any:
        start = None if self.answer is None else Start(config=self.answer, why="because")
        if self.how == "now":
            return start

        async def later() -> Any:
            await asyncio.sleep(0)
            return start

        return later()


def asked(searcher: Any, **request: Any) -> Any:
    scheduler = SingleFidelity(SPACE, Objective.of("loss"), 3, searcher)
    answer = scheduler.propose(ProposalRequest(0, 0, 7, **request), Ledger("loss"))

    async def awaited() -> Any:
        assert answer is not None
        assert not isinstance(answer, Start)
        return await answer

    return asyncio.run(awaited()) if searcher.how == "later" and not isinstance(answer, Start | None) else answer


def test_all_ways_to_answer() -> None:
    config = {"x": 0.5}
    for how in ("now", "later"):
        assert asked(Searcher(config, how)) == Start(config=config)
        assert asked(Reasoning(config, how)) == Start(config=config, why="because")
        assert asked(Searcher(None, how)) is None
        assert asked(Reasoning(None, how)) is None


def test_nothing_is_asked_when_nothing_may_be_started() -> None:
    assert asked(Searcher({"x": 0.5}, "now"), may_start=False) is None


def test_the_searcher_says_what_it_wants_to_see() -> None:
    searcher = Searcher(None, "now")
    scheduler = SingleFidelity(SPACE, Objective.of("loss"), None, searcher)
    assert scheduler.observes is None
    searcher.observes = frozenset({Suggested, LimitsChanged})  # type: ignore[attr-defined]
    assert SingleFidelity(SPACE, Objective.of("loss"), 3, searcher).observes == {Suggested, LimitsChanged}
    event = TrialResult(0.0, TrialId(0), 0, 0, 1, {"loss": 1.0})
    assert scheduler.observe(event, Ledger("loss")) == ()
    assert searcher.seen == [event]


def test_a_seed_is_chosen_and_recorded() -> None:
    scheduler = SingleFidelity(SPACE, Objective.of("loss"), None, Searcher(None, "now"))
    assert scheduler.recorded_arguments == {"random_seed": scheduler.seed}
