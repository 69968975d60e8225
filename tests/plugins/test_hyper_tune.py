"""Hyper-Tune: when levels are weighted, what the journal keeps of it, how brackets follow from it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.config_space import randint, uniform, when
from offbeat.decisions import Start
from offbeat.errors import InvalidArgument
from offbeat.events import ModelFitted, Suggested, TrialResult, TrialStarted
from offbeat.optimizer.baselines import HyperTune
from offbeat.protocols import ProposalRequest
from offbeat.trial import Ledger, TrialId

SPACE: dict[str, Any] = {"x": uniform(0, 1), "n": randint(1, 50)}


def quick(**options: Any) -> Any:
    defaults = {
        "resource_attr": "epoch", "max_t": 27, "random_seed": 5, "num_init_random": 3, "backend": "numpy",
        "points_to_evaluate": [], "type": "stopping",
    }  # fmt: skip
    return HyperTune(options.pop("space", SPACE), "loss", **{**defaults, **options})


def told(count: int, above: int, *, sign: float = 1.0, **options: Any) -> tuple[Any, Ledger]:
    """A scheduler that has seen so many trials at level 1, the last `above` of them at level 3; what came of x."""
    scheduler, ledger = quick(**options), Ledger("loss")

    def show(event: Any) -> None:
        (ledger.count if isinstance(event, TrialResult) else ledger.apply)(event)
        scheduler.observe(event, ledger)

    for number in range(count):
        trial, x = TrialId(number), (number * 0.618) % 1.0
        show(Suggested(0.0, number, "start", trial, {"x": x, "n": 1 + number}, tags={"bracket": 0}))
        show(TrialStarted(0.0, trial, 0, number))
        show(TrialResult(0.0, trial, 0, 0, 1, {"loss": x}))
        if number >= count - above:
            show(TrialResult(0.0, trial, 0, 1, 3, {"loss": sign * x}))
    return scheduler, ledger


def test_levels_are_weighted_as_soon_as_a_second_one_has_six_values() -> None:
    few, ledger = told(12, 5)
    answer = few.propose(ProposalRequest(12, 0, 5), ledger)
    assert isinstance(answer, Start)
    assert answer.why.startswith("model: expected improvement at level 3, 17 results")
    assert answer.fitted is not None
    assert answer.fitted.state["levels"] == answer.fitted.state["weights"] == []
    enough, ledger = told(12, 6)
    answer = enough.propose(ProposalRequest(12, 0, 5), ledger)
    assert answer.why.startswith("model: expected improvement of levels 1, 3 weighted by their ranking, 18 results")
    assert [round(share * 27) for share in answer.fitted.state["levels"]] == [1, 3]
    assert sum(answer.fitted.state["weights"]) == pytest.approx(1.0)
    assert answer == enough.propose(ProposalRequest(12, 0, 5), ledger)


def test_a_low_level_that_misleads_loses_its_weight_and_its_bracket() -> None:
    drawn = {}
    for sign in (1.0, -1.0):
        scheduler, ledger = told(24, 12, sign=sign)
        answer = scheduler.propose(ProposalRequest(24, 0, 5), ledger)
        scheduler.observe(ModelFitted(0.0, 24, answer.fitted.model, answer.fitted.state), ledger)
        weights = scheduler._model.weights(25)
        assert list(weights) == [1, 3]
        drawn[sign] = Counter(scheduler._draw_bracket(5, number) for number in range(25, 425))
        expected = weights[1] / (weights[1] + weights[3] / 3)
        assert drawn[sign][0] / 400 == pytest.approx(expected, abs=0.08)
        assert set(drawn[sign]) <= {0, 1}
    assert drawn[1.0][0] > 200 > 40 > drawn[-1.0][0]


def test_until_then_brackets_are_hyperbands() -> None:
    scheduler, ledger = told(12, 5)
    shares = Counter(scheduler._draw_bracket(5, number) for number in range(2000))
    weights = [4 / (4 * 1), 4 / (3 * 3), 4 / (2 * 9)]
    for bracket, weight in enumerate(weights):
        assert shares[bracket] / 2000 == pytest.approx(weight / sum(weights), abs=0.04)
    assert scheduler._model.weights(12) == {}
    assert len(ledger) == 12


def test_values_between_milestones_count_for_the_one_that_was_passed() -> None:
    scheduler, ledger = told(1, 0)
    state = {"levels": [2 / 27, 4 / 27, 5 / 27], "weights": [0.5, 0.2, 0.3]}
    scheduler.observe(ModelFitted(0.0, 1, "gaussian-process", state), ledger)
    assert scheduler._model.weights(2) == {1: 0.5, 3: 0.5}


def test_conditional_spaces() -> None:
    scheduler, ledger = told(12, 6, space={**SPACE, "deep": when(uniform(0, 1), "n > 60")})
    answer = scheduler.propose(ProposalRequest(12, 0, 5), ledger)
    assert scheduler.space.validate(answer.config) == answer.config


def test_a_simulated_run_repeats_and_ends_in_the_best_corner(simulation: Any) -> None:
    def run() -> tuple[float, dict[str, Any]]:
        tuner = Tuner(
            trial_backend=simulation.backend(),
            scheduler=HyperTune(
                {"rate": uniform(0, 1), "pace": randint(1, 3), "epochs": 9},
                "loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=2, backend="numpy",
            ),
            stop_criterion=StoppingCriterion(max_num_trials_started=16), n_workers=3, observers=[],
            home=simulation.fresh(), name="run",
        )  # fmt: skip
        tuner.run()
        best = tuner.best()
        assert best is not None
        return best.value, best.config

    found = run()
    assert found == run()
    assert found[0] < 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resource_attr": None}, "needs resource_attr="),
        ({"max_t": 3, "grace_period": 3}, "grace_period=3 leaves no rung"),
        ({"brackets": 9}, "brackets=9"),
        ({"refit_evidence": -1.0}, "refit_evidence=-1.0"),
        ({"num_init_random": 1}, "2 measured trials"),
        ({"metric": ["a", "b"]}, "one metric"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        HyperTune(**{"config_space": SPACE, "metric": "loss", "resource_attr": "epoch", "max_t": 9, **arguments})
