"""DyHPO: who gets the next step, against improvement computed by hand; what is journaled; what it finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from offbeat import StoppingCriterion, Tuner
from offbeat.config_space import randint, uniform
from offbeat.decisions import Resume, Start
from offbeat.errors import InvalidArgument
from offbeat.events import ModelFitted, Suggested, TrialFailed, TrialPaused, TrialResult, TrialResumed, TrialStarted
from offbeat.optimizer.baselines import DyHPO
from offbeat.protocols import ProposalRequest
from offbeat.trial import Ledger, TrialId
from offbeat_plugins.acquisition.from_curves import learned, standardised_curves
from offbeat_plugins.acquisition.options import Options
from offbeat_plugins.searchers import dyhpo_model
from offbeat_plugins.surrogates.blocks import Layout
from offbeat_plugins.surrogates.learning_curves import continued

SPACE: dict[str, Any] = {"x": uniform(0, 1), "n": randint(1, 50)}


def quick(**options: Any) -> Any:
    defaults = {
        "resource_attr": "epoch", "max_t": 9, "random_seed": 5, "num_init_random": 3, "points_to_evaluate": [],
        "probability_sh": 0.0,
    }  # fmt: skip
    return DyHPO(options.pop("space", SPACE), "loss", **{**defaults, **options})


class Table:
    """Every trial pauses at each level, as the engine would have it."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler, self.ledger, self.number = scheduler, Ledger("loss"), 0
        self.asked: list[dict[str, Any]] = []
        thinking = scheduler._model._thinking
        scheduler._model._thinking = lambda question: self.asked.append(question) or thinking(question)

    def show(self, event: Any) -> None:
        (self.ledger.count if isinstance(event, TrialResult) else self.ledger.apply)(event)
        for decision in self.scheduler.observe(event, self.ledger):
            if type(decision).__name__ == "Pause":
                self.ledger[decision.trial].move("pause")
                self.show(TrialPaused(0.0, decision.trial, 0))

    def ask(self, **options: Any) -> Any:
        return self.scheduler.propose(ProposalRequest(self.number, 0, 5, **options), self.ledger)

    def begin(self, x: float, *values: float) -> int:
        trial = TrialId(len(self.ledger))
        self.show(Suggested(0.0, self.number, "start", trial, {"x": x, "n": 1 + trial}, tags={"bracket": 0}))
        self.show(TrialStarted(0.0, trial, 0, self.number))
        self.number += 1
        for place, value in enumerate(values):
            if place:
                self.show(Suggested(0.0, self.number, "resume", trial))
                self.show(TrialResumed(0.0, trial, 0, self.number))
                self.number += 1
            self.show(TrialResult(0.0, trial, 0, place, place + 1, {"loss": value}))
        return trial


def falling(count: int, **options: Any) -> Table:
    """So many paused trials; the one with the lowest x falls fastest."""
    table = Table(quick(**options))
    for number in range(count):
        x = (number + 0.5) / count
        table.begin(x, *(1.0 - 0.2 * (1 - x) * level for level in range(3)))
    return table


def test_the_step_goes_to_the_curve_that_promises_most() -> None:
    table = falling(6)
    answer = table.ask()
    assert isinstance(answer, Resume | Start)
    assert answer == table.ask()
    question = table.asked[-1]
    assert np.allclose(question["ahead"] * 9, 4)
    assert question["values"].shape == (6, 3)
    assert question["first"] == pytest.approx(1 / 9)
    only = table.scheduler.propose(ProposalRequest(table.number, 0, 5, may_start=False), table.ledger)
    assert only.trial == 0
    assert only.until == 4
    assert only.why == "model: most improvement by a step to level 4, 6 curves"


@pytest.mark.parametrize("horizon", ["step", "end"])
def test_waiting_trials_are_ranked_by_expected_improvement(horizon: Any) -> None:
    """By the textbook formula, on predictions that other tests hold against conditioning by hand."""
    rng = np.random.default_rng(0)
    x, t = rng.random((7, 2)), np.arange(1, 5) / 9
    y = rng.standard_normal((7, 1)) + 0.3 * rng.standard_normal((7, 4)) - 2.0 * t
    y[np.arange(4) >= rng.integers(1, 5, 7)[:, None]] = np.nan
    known = learned(
        standardised_curves(x, y, t), Layout.continuous(2), None, rng=np.random.default_rng(1), options=Options()
    )
    reached = np.isfinite(y).sum(axis=1)
    ahead = np.where(np.arange(7) == 3, np.nan, (reached + 1) / 9)
    at = np.where(np.isfinite(ahead), 1.0, np.nan) if horizon == "end" else ahead
    row, score = dyhpo_model._best_waiting(known, at)
    there = np.where(known.curves.there, known.curves.y, np.inf)
    expected = np.full(7, -np.inf)
    for one in range(7):
        if one == 3:
            continue
        mean, variance = continued(
            known.setting, known.theta, known.curves, (known.said, known.ends), np.full(7, at[one])
        )
        column = round(9 * at[one]) - 1
        best = there[:, column].min() if column < 4 else there.min()
        deviation = np.sqrt(variance[one])
        z = (best - mean[one]) / deviation
        expected[one] = np.log(deviation * (z * norm.cdf(z) + norm.pdf(z)))
    assert row == expected.argmax()
    assert score == pytest.approx(expected.max(), rel=1e-6)


def test_the_common_trend_is_taken_off_whoever_was_cut_off() -> None:
    rng = np.random.default_rng(0)
    worth, trend = rng.standard_normal((9, 1)), np.array([0.0, -3.0, -4.0, -4.5])
    y = worth + trend
    whole = standardised_curves(np.zeros((9, 1)), y, np.arange(1.0, 5))
    assert np.allclose(whole.y, whole.y[:, :1])
    y[np.argsort(worth[:, 0])[3:], 2:] = np.nan
    cut = standardised_curves(np.zeros((9, 1)), y, np.arange(1.0, 5))
    assert np.allclose(np.where(cut.there, cut.y, cut.y[:, :1]), cut.y[:, :1])


def test_the_model_is_looked_at_when_there_is_a_tenth_more_and_journaled_then() -> None:
    table = falling(6)
    answer = table.ask()
    assert answer.fitted is not None
    assert answer.fitted.state["looked_at"] == 18
    table.show(ModelFitted(0.0, table.number, answer.fitted.model, answer.fitted.state))
    table.number += 1
    assert table.ask().fitted is None
    table.begin(0.31, 0.9, 0.8)
    again = table.ask()
    assert again.fitted is not None
    assert again.fitted.state["looked_at"] == 20


def test_successive_halving_and_failed_trials() -> None:
    table = falling(6, probability_sh=1.0)
    answer = table.ask()
    assert answer.why == "rung 3: 1st of 6, cut at 4"
    assert table.asked == []
    table = falling(6)
    trial = TrialId(0)
    table.show(Suggested(0.0, table.number, "resume", trial))
    table.show(TrialResumed(0.0, trial, 0, table.number))
    table.number += 1
    table.show(TrialFailed(0.0, trial, 0, "exit status 1"))
    only = table.scheduler.propose(ProposalRequest(table.number, 0, 5, may_start=False), table.ledger)
    assert only.trial != 0
    assert len(table.asked[-1]["codes"]) == 5


def test_an_exhausted_space_goes_on_with_what_waits() -> None:
    table = Table(quick(space={"n": randint(1, 4)}))
    for number in range(4):
        trial = TrialId(number)
        table.show(Suggested(0.0, number, "start", trial, {"n": number + 1}, tags={"bracket": 0}))
        table.show(TrialStarted(0.0, trial, 0, number))
        table.show(TrialResult(0.0, trial, 0, 0, 1, {"loss": float(number)}))
        table.number += 1
    assert isinstance(table.ask(), Resume)


def test_a_simulated_run_repeats_and_ends_in_the_best_corner(simulation: Any) -> None:
    def run() -> tuple[float, dict[str, Any]]:
        tuner = Tuner(
            trial_backend=simulation.backend(),
            scheduler=DyHPO(
                {"rate": uniform(0, 1), "pace": randint(1, 3), "epochs": 9},
                "loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=2,
            ),
            stop_criterion=StoppingCriterion(max_num_evaluations=60), n_workers=3, observers=[],
            home=simulation.fresh(), name="run",
        )  # fmt: skip
        tuner.run()
        best = tuner.best()
        assert best is not None
        return best.value, best.config

    found = run()
    assert found == run()
    assert found[0] < 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resource_attr": None}, "needs resource_attr="),
        ({"probability_sh": 1.5}, "probability_sh=1.5"),
        ({"horizon": "ned"}, "Did you mean 'end'"),
        ({"rung_increment": 0}, "rung_increment"),
        ({"metric": ["a", "b"]}, "one metric"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        DyHPO(**{"config_space": SPACE, "metric": "loss", "resource_attr": "epoch", "max_t": 9, **arguments})
