"""MOBSTER: what its model is asked, at which level it expects improvement, what it keeps, and what it finds."""

from __future__ import annotations

from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.arguments import UnknownArgument
from offbeat.config_space import randint, uniform, when
from offbeat.decisions import Start
from offbeat.errors import InvalidArgument
from offbeat.events import ModelFitted, Suggested, TrialFailed, TrialPaused, TrialResult, TrialStarted, TrialStopped
from offbeat.optimizer.baselines import MOBSTER
from offbeat.protocols import ProposalRequest
from offbeat.trial import Ledger, TrialId

SPACE: dict[str, Any] = {"x": uniform(0, 1), "n": randint(1, 50)}


def quick(**options: Any) -> Any:
    defaults = {
        "resource_attr": "epoch", "max_t": 27, "random_seed": 5, "num_init_random": 3, "backend": "numpy",
        "points_to_evaluate": [],
    }  # fmt: skip
    return MOBSTER(options.pop("space", SPACE), "loss", **{**defaults, **options})


class Table:
    """The engine in miniature; `asked` are the questions to the model."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler, self.ledger, self.number = scheduler, Ledger("loss"), 0
        self.asked: list[dict[str, Any]] = []
        thinking = scheduler._searcher._thinking
        then = thinking.then
        thinking.then = lambda question, made: self.asked.append(question) or then(question, made)

    def show(self, event: Any) -> None:
        (self.ledger.count if isinstance(event, TrialResult) else self.ledger.apply)(event)
        for decision in self.scheduler.observe(event, self.ledger):
            kind = type(decision).__name__
            if kind in ("Stop", "Pause"):
                self.ledger[decision.trial].move(kind.lower())
                self.show((TrialStopped if kind == "Stop" else TrialPaused)(0.0, decision.trial, 0))

    def ask(self) -> Any:
        return self.scheduler.propose(ProposalRequest(self.number, 0, 5), self.ledger)

    def start(self) -> int:
        answer, trial = self.ask(), TrialId(len(self.ledger))
        assert isinstance(answer, Start)
        if answer.fitted is not None:
            self.show(ModelFitted(0.0, self.number, answer.fitted.model, answer.fitted.state))
        self.show(Suggested(0.0, self.number, "start", trial, answer.config, tags=answer.tags))
        self.show(TrialStarted(0.0, trial, 0, trial))
        self.number += 1
        return trial

    def report(self, trial: int, level: int, loss: float) -> None:
        self.show(TrialResult(0.0, TrialId(trial), 0, self.ledger[TrialId(trial)].next_seq, level, {"loss": loss}))


def started(count: int, **options: Any) -> Table:
    """So many running trials that have reported at level 1, each better than the one before."""
    table = Table(quick(**options))
    for trial in range(count):
        table.start()
        table.report(trial, 1, 9.0 - trial)
    return table


def test_values_stand_at_their_own_levels_and_running_trials_at_their_next_milestone() -> None:
    table = started(4)
    table.report(0, 3, 2.0)
    table.start()
    answer = table.ask()
    assert answer.why == "model: expected improvement at level 1, 5 results of 4 trials and 5 running"
    question = table.asked[-1]
    assert question["targets"].tolist() == [9.0, 8.0, 7.0, 6.0, 2.0]
    assert (question["codes"][:, -1] * 27).tolist() == pytest.approx([1, 1, 1, 1, 3])
    assert question["codes"][0, :-1].tolist() == question["codes"][4, :-1].tolist()
    assert (question["pending"][:, -1] * 27).tolist() == pytest.approx([9, 3, 3, 3, 1])


def test_stopped_paused_and_failed_trials_are_not_pending() -> None:
    table = started(4)
    table.start()
    table.report(4, 1, 99.0)
    table.show(TrialFailed(0.0, TrialId(0), 0, "exit status 1"))
    table.ask()
    assert table.asked[-1]["targets"].tolist() == [8.0, 7.0, 6.0, 99.0]
    assert len(table.asked[-1]["pending"]) == 3
    paused = started(4, type="promotion", grace_period=9)
    for trial in range(4):
        paused.report(trial, 9, 1.0 + trial)
    assert paused.scheduler._searcher._trials.pending.tolist() == []


@pytest.mark.parametrize(("rule", "expected"), [("bohb", 3), ("first", 1), ("final", 27)])
def test_the_level_of_the_acquisition(rule: Any, expected: int) -> None:
    table = started(4, acquisition_level=rule)
    for trial in range(2):
        table.report(trial, 3, 5.0 - trial)
    assert table.ask().why.startswith(f"model: expected improvement at level {1 if rule == 'bohb' else expected},")
    table.report(2, 3, 1.0)
    assert table.ask().why.startswith(f"model: expected improvement at level {expected},")
    assert table.asked[-1]["options"]["level"] == pytest.approx(expected / 27)


def test_a_trial_of_a_higher_bracket_is_pending_at_its_own_first_rung() -> None:
    table = started(3)
    trial = TrialId(3)
    table.show(Suggested(0.0, 3, "start", trial, {"x": 0.3, "n": 4}, tags={"bracket": 0}))
    table.show(TrialStarted(0.0, trial, 0, 3))
    table.ask()
    assert table.asked[-1]["pending"][-1, -1] * 27 == pytest.approx(1)
    high = started(0, brackets=3)
    for number in range(3):
        event = Suggested(0.0, number, "start", TrialId(number), {"x": number / 4, "n": 4}, tags={"bracket": 2})
        high.show(event)
        high.show(TrialStarted(0.0, TrialId(number), 0, number))
    assert [high.scheduler._searcher._next_milestone(row) for row in range(3)] == [9, 9, 9]


def test_each_fit_begins_from_the_journaled_state_of_the_one_before() -> None:
    table = started(5)
    assert [question["state"] is None for question in table.asked] == [True, False]
    table.ask()
    assert table.ask() == table.ask()
    assert table.asked[-1]["state"] == table.asked[-2]["state"] is not None


@pytest.mark.parametrize("kernel", ["exp-decay", "freeze-thaw", "product", "independent"])
def test_every_kernel_and_conditional_spaces(kernel: Any) -> None:
    space = {**SPACE, "deep": when(uniform(0, 1), "n > 25")}
    table = started(5, kernel=kernel, space=space)
    answer = table.ask()
    assert answer.why.startswith("model: ")
    assert table.scheduler.space.validate(answer.config) == answer.config


def test_no_trial_comes_beside_another_one() -> None:
    """Where the model takes one spot for the best again and again, although what is tried there is stopped early."""
    table = started(3, space={"x": uniform(0, 1), "y": uniform(0, 1)}, min_distance=0.05)
    for _ in range(25):
        trial = table.start()
        config = table.ledger[TrialId(trial)].config
        table.report(trial, 1, 9.0 - config["x"])
    found = [table.ledger[TrialId(trial)].config for trial in range(3, 28)]
    apart = [
        max(abs(one["x"] - other["x"]), abs(one["y"] - other["y"]))
        for place, one in enumerate(found)
        for other in found[:place]
    ]
    assert min(apart) > 0.05
    assert max(one["x"] for one in found) > 0.9


def test_equal_values_and_exhausted_spaces() -> None:
    table = Table(quick(space={"n": randint(1, 5)}))
    for trial in range(5):
        table.start()
        table.report(trial, 1, 1.0)
    assert table.ask() is None


def test_a_simulated_run_repeats_and_ends_in_the_best_corner(simulation: Any) -> None:
    def run() -> tuple[float, dict[str, Any]]:
        tuner = Tuner(
            trial_backend=simulation.backend(),
            scheduler=MOBSTER(
                {"rate": uniform(0, 1), "pace": randint(1, 3), "epochs": 9},
                "loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=2, backend="numpy",
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
    assert found[0] < 0.01


def test_the_call_of_the_talk() -> None:
    scheduler = MOBSTER({"epochs": 100, **SPACE}, metric="val_loss", resource_attr="epochs")
    assert scheduler.objective.max_t == 100
    assert scheduler.objective.resource_attr == "epochs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_distance": 1.0}, "min_distance"),
        ({"resource_attr": None}, "needs resource_attr="),
        ({"max_t": None}, "highest resource level"),
        ({"max_t": 3, "grace_period": 3}, "grace_period=3 leaves no rung"),
        ({"kernel": "exp-decy"}, "Did you mean 'exp-decay'"),
        ({"acquisition_level": "last"}, "acquisition_level='last'"),
        ({"num_init_random": 1}, "2 measured trials"),
        ({"metric": ["a", "b"]}, "one metric"),
        ({"max_size_data": 4}, "max_size_data=4"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        MOBSTER(**{"config_space": SPACE, "metric": "loss", "resource_attr": "epoch", "max_t": 9, **arguments})


def test_a_foreign_name_gets_ours() -> None:
    with pytest.raises(UnknownArgument, match="reduction_factor="):
        MOBSTER(SPACE, "loss", resource_attr="epoch", max_t=9, eta=3)  # type: ignore[call-arg]
