"""The searcher over whole curves: what its model is asked, what it is shown, what it finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.config_space import randint, uniform, when
from offbeat.errors import InvalidArgument
from offbeat.events import Suggested, TrialFailed, TrialResult, TrialStarted
from offbeat.optimizer.baselines import ASHA
from offbeat.protocols import Objective, ProposalRequest
from offbeat.space import Space
from offbeat.trial import Ledger, TrialId
from offbeat_plugins.searchers.learning_curves import MOST_LEVELS, LearningCurveSearcher

SPACE: dict[str, Any] = {"x": uniform(0, 1), "n": randint(1, 50)}


class Shown:
    """A scheduler of events; `asked` are the questions to the model."""

    def __init__(
        self, *, space: Any = SPACE, data: Any = "all", top: int = 27, mode: Any = "min", **options: Any
    ) -> None:
        space = Space.of(space)
        objective = Objective.of("loss", mode, resource_attr="epoch", max_t=top)
        self.searcher = LearningCurveSearcher(space, objective, points_to_evaluate=[], num_init_random=3, **options)
        self.scheduler = ASHA(
            space,
            "loss",
            mode,
            resource_attr="epoch",
            max_t=top,
            searcher=self.searcher,
            searcher_data=data,
            random_seed=5,
        )
        self.ledger, self.number = Ledger("loss"), 0
        self.asked: list[dict[str, Any]] = []
        thinking: Any = self.searcher._thinking
        then = thinking.then
        thinking.then = lambda question, made: self.asked.append(question) or then(question, made)

    def show(self, event: Any) -> None:
        if isinstance(event, TrialResult):
            self.ledger.count(event)
            # As the engine does: what is not due is not shown.
            if event.resource < self.scheduler.due.get(event.trial, 0):
                return
        else:
            self.ledger.apply(event)
        self.scheduler.observe(event, self.ledger)

    def curve(self, config: dict[str, Any], *values: float) -> None:
        trial = TrialId(self.number)
        self.show(Suggested(0.0, self.number, "start", trial, config, tags={"bracket": 0}))
        self.show(TrialStarted(0.0, trial, 0, self.number))
        for place, value in enumerate(values):
            self.show(TrialResult(0.0, trial, 0, place, place + 1, {"loss": value}))
        self.number += 1

    def ask(self) -> Any:
        return self.scheduler.propose(ProposalRequest(self.number, 0, 5), self.ledger)


def test_every_value_counts_where_all_are_shown() -> None:
    for data, levels in (("all", [1, 2, 3, 4]), ("rungs", [1, 3])):
        table = Shown(data=data)
        for number in range(4):
            table.curve({"x": number / 4, "n": 1 + number}, *(1.0 + number, 0.9, 0.8, 0.7)[: number + 1])
        table.curve({"x": 0.9, "n": 50})
        answer = table.ask()
        assert answer.why == "model: expected improvement where curves end, 4 of them and 1 that have not begun"
        question = table.asked[-1]
        assert np.allclose(question["levels"] * 27, levels)
        assert len(question["pending"]) == 1
        expected = np.full((4, 4), np.nan)
        for number in range(4):
            expected[number, : number + 1] = (1.0 + number, 0.9, 0.8, 0.7)[: number + 1]
        there = [level - 1 for level in levels]
        assert np.array_equal(question["values"], expected[:, there], equal_nan=True)


def test_failed_trials_leave_and_max_is_mirrored() -> None:
    low, high = Shown(), Shown(mode="max")
    for number in range(5):
        low.curve({"x": number / 5, "n": 3}, 1.0 + number, 0.5 * number)
        high.curve({"x": number / 5, "n": 3}, -1.0 - number, -0.5 * number)
    for table in (low, high):
        table.show(TrialFailed(0.0, TrialId(0), 0, "exit status 1"))
    assert low.ask().config == high.ask().config
    assert len(low.asked[-1]["codes"]) == 4


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    table = Shown(top=200)
    for number in range(3):
        table.curve({"x": number / 3, "n": 3}, *np.linspace(1.0, 0.1 * number, 101 + 7 * number))
    table.ask()
    question = table.asked[-1]
    assert question["values"].shape[1] == len(question["levels"]) <= MOST_LEVELS
    for number, row in enumerate(question["values"]):
        assert row[np.isfinite(row)][-1] == pytest.approx(0.1 * number)
    assert (np.diff(question["levels"]) > 0).all()


def test_it_follows_where_curves_go_not_where_they_are() -> None:
    """Curves of small x begin low and end high: at the level reached they look best."""
    table = Shown(space={"x": uniform(0, 1)}, top=30)
    levels = np.arange(1, 31)
    for x in np.linspace(0.02, 0.98, 12):
        whole = 1.0 - 0.8 * x + 3.0 * x / (1 + levels)
        table.curve({"x": float(x)}, *whole[: 30 if x < 0.5 else 14])
    answer = table.ask()
    assert answer.config["x"] > 0.85


def test_conditional_spaces_and_more_trials_than_the_model_takes() -> None:
    table = Shown(space={**SPACE, "deep": when(uniform(0, 1), "n > 25")}, max_size_data=16)
    for number in range(24):
        deep = {"deep": number / 30} if number > 12 else {}
        table.curve({"x": number / 24, "n": 1 + 2 * number, **deep}, *(1.0 / (1 + k) for k in range(1 + number % 5)))
    answer = table.ask()
    assert answer.why.startswith("model: expected improvement where curves end, 16 of them")
    assert table.scheduler.space.validate(answer.config) == answer.config


def test_a_simulated_run_repeats_and_ends_in_the_best_corner(simulation: Any) -> None:
    def run() -> tuple[float, dict[str, Any]]:
        tuner = Tuner(
            trial_backend=simulation.backend(),
            scheduler=ASHA(
                {"rate": uniform(0, 1), "pace": randint(1, 3), "epochs": 9},
                "loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=2,
                searcher="learning-curves", searcher_data="all",
            ),
            stop_criterion=StoppingCriterion(max_num_trials_started=14), n_workers=3, observers=[],
            home=simulation.fresh(), name="run",
        )  # fmt: skip
        tuner.run()
        best = tuner.best()
        assert best is not None
        return best.value, best.config

    found = run()
    assert found == run()
    assert found[0] < 0.02


def test_bad_arguments() -> None:
    objective = Objective.of("loss", resource_attr="epoch", max_t=9)
    with pytest.raises(InvalidArgument, match="refit_evidence=nan"):
        LearningCurveSearcher(Space.of(SPACE), objective, refit_evidence=float("nan"))
    with pytest.raises(InvalidArgument, match="max_t"):
        LearningCurveSearcher(Space.of(SPACE), Objective.of("loss"))
    with pytest.raises(InvalidArgument, match="Did you mean 'all'"):
        ASHA(SPACE, "loss", resource_attr="epoch", max_t=9, searcher_data="al")  # type: ignore[arg-type]
