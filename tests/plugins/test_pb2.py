"""PB2 by itself: what it learns from, what it leaves to chance, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offbeat.config_space import choice, loguniform, uniform
from offbeat.errors import InvalidArgument, InvalidSpace
from offbeat.events import Suggested, TrialResult
from offbeat.optimizer.baselines import PB2
from offbeat_plugins.surrogates.time_varying import Points, highest

SPACE = {"x": uniform(0, 1), "kind": choice(["a", "b", "c"])}


def pb2(**options: Any) -> PB2:
    settings = {"resource_attr": "epoch", "max_t": 100, "perturbation_interval": 10, "random_seed": 1, **options}
    return PB2(settings.pop("space", SPACE), "loss", settings.pop("mode", "min"), **settings)


def value(config: Any, epoch: int) -> float:
    return float(10 - epoch * (0.01 + 0.05 * config["x"]))


def played(game: Any, scheduler: PB2, levels: int, interval: int = 10) -> Any:
    """Four members that are compared at the same levels; whoever is replaced goes on from its donor."""
    one = game(scheduler)
    for _ in range(4):
        one.start()
    for level in range(interval, interval * levels + 1, interval):
        for trial in list(scheduler._members):
            config = one.ledger[trial].config
            if one.report(trial, level, value(config, level)) == "stop":
                one.start()
    return one


class Play:
    """A ledger of members by hand."""

    def __init__(self, scheduler: PB2) -> None:
        from offbeat.trial import Ledger

        self.scheduler, self.ledger, self.number = scheduler, Ledger("loss"), 0
        self.answers: list[Any] = []

    def start(self) -> Any:
        from offbeat.events import TrialStarted
        from offbeat.protocols import ProposalRequest
        from offbeat.trial import TrialId

        answer: Any = self.scheduler.propose(ProposalRequest(self.number, 0, 1), self.ledger)
        self.answers.append(answer)
        trial = TrialId(len(self.ledger))
        for event in (
            Suggested(0.0, self.number, "start", trial, answer.config, None, answer.donor, answer.why, answer.tags),
            TrialStarted(0.0, trial, 0, self.number),
        ):
            self.ledger.apply(event)
            self.scheduler.observe(event, self.ledger)
        self.number += 1
        return answer

    def report(self, trial: Any, level: int, loss: float) -> str:
        event = TrialResult(0.0, trial, 0, level, level, {"epoch": level, "loss": loss})
        self.ledger.count(event)
        (decision,) = self.scheduler.observe(event, self.ledger)
        return type(decision).__name__.lower()


def test_it_learns_how_fast_each_member_gets_better_and_when() -> None:
    scheduler = pb2()
    one = played(Play, scheduler, 3)
    assert scheduler._improvements
    for found in scheduler._improvements:
        x = one.ledger[found.trial].config["x"]
        assert found.time in (2.0, 3.0)
        # A copy is compared with where its donor had been.
        if one.ledger[found.trial].donor is None:
            assert found.rate == pytest.approx(0.01 + 0.05 * x)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_copy_gets_the_numbers_of_the_highest_bound(mode: str) -> None:
    """By an oracle that is given the same past: the members' configurations, times, and who is under way."""
    sign = 1.0 if mode == "min" else -1.0
    scheduler = pb2(mode=mode, space={"x": uniform(0, 1), "rate": loguniform(1e-3, 1.0)})
    one = Play(scheduler)
    for _ in range(4):
        one.start()
    past: list[tuple[list[float], float, float]] = []

    def code(config: Any) -> list[float]:
        return [config["x"], np.log(config["rate"] / 1e-3) / np.log(1000.0)]

    def gain(config: Any) -> float:
        return float(0.01 + 0.05 * config["x"] + 0.02 * code(config)[1])

    copies = 0
    before = dict.fromkeys(range(4), 0.0)
    for level in range(10, 91, 10):
        # The slowest reports last, when all others are there to be compared with.
        gains = {trial: 10 * gain(one.ledger[trial].config) for trial in scheduler._members}
        for trial in sorted(gains, key=lambda trial: -gains[trial]):
            config = one.ledger[trial].config
            loss = 5.0 * (level == 10) + before[trial] - gains[trial]
            if level > 10:
                past.append((code(config), level / 10, gains[trial] / 10))
            before[trial] = loss
            if one.report(trial, level, sign * loss) != "stop":
                continue
            request = one.number
            members = [(one.ledger[t].config, m.next_level / 10) for t, m in scheduler._members.items()]
            answer = one.start()
            before[len(one.ledger) - 1] = before[answer.donor]
            if len(past) < 4:
                assert "interval" not in answer.why
                continue
            copies += 1
            known = Points(np.array([x for x, _, _ in past]), np.array([t for _, t, _ in past]))
            pending = Points(np.array([code(c) for c, _ in members]), np.array([t for _, t in members]))
            from offbeat.protocols import ProposalRequest
            from offbeat_plugins.schedulers.exploration import explored

            rng = ProposalRequest(request, 0, 1).rng("pbt")
            rng.integers(len(scheduler._good()))
            explored(scheduler.space, one.ledger[answer.donor].config, rng, 0.25)
            time = scheduler._members[answer.donor].next_level / 10
            x = highest(known, np.array([y for _, _, y in past]), pending, time, rng)
            # Sums in another order move the fit a little, and with it which of two near points is chosen.
            np.testing.assert_allclose(code(answer.config), x, atol=0.02)
            assert f"the model's choice for interval {time:g}" in answer.why
    assert copies >= 2


def test_what_has_no_order_is_left_to_chance() -> None:
    one = played(Play, pb2(resample_probability=1.0, perturbation_interval=5), 19, 5)
    chosen = [answer for answer in one.answers if "model's choice" in answer.why]
    assert len(chosen) >= 3
    assert len({answer.config["kind"] for answer in chosen}) > 1
    one = played(Play, pb2(resample_probability=0.0, perturbation_interval=5), 19, 5)
    for answer in one.answers:
        if "model's choice" in answer.why:
            assert answer.config["kind"] == one.ledger[answer.donor].config["kind"]


def test_it_goes_where_the_metric_gets_better_fastest() -> None:
    one = played(Play, pb2(), 9)
    chosen = [answer.config["x"] for answer in one.answers if "model's choice" in answer.why]
    assert np.mean(chosen[-3:]) > 0.8


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"space": {"kind": choice(["a", "b"])}}, InvalidSpace, "use PopulationBasedTraining"),
        ({"population_size": 1}, InvalidArgument, "nobody to copy from"),
        ({"quantile_fraction": 0.7}, InvalidArgument, "quantile_fraction=0.7"),
        ({"resource_attr": None}, InvalidArgument, "needs resource_attr="),
        ({"perturbation_interval": 100}, InvalidArgument, "not below max_t"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pb2(**options)
