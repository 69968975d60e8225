"""F7 and F8 over our schedulers: unusable values, and reports that come twice, late or in disorder, by the thousand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offbeat import events as ev
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.testing import faults
from offbeat.testing.histories import adversarial, curves
from offbeat.testing.rehearsal import assert_same, decisions
from offbeat.testing.scheduler_case import Case, ends_properly

COUNT = 10_000
"""Sequences for each of three schedulers; a tenth of them in the default suite."""
POLICIES = ("fail", "worst", "ignore")

MAKERS: dict[str, Callable[..., Any]] = {
    "random": lambda **arguments: RandomSearch(**arguments, resource_attr="epoch"),
    "stopping": lambda **arguments: ASHA(**arguments, resource_attr="epoch", max_t=9),
    "promotion": lambda **arguments: ASHA(**arguments, resource_attr="epoch", max_t=9, type="promotion"),
}


def case(name: str, seed: int) -> Case:
    policy = POLICIES[seed % 3]
    return Case(make=lambda **a: MAKERS[name](**a, nonfinite=policy), trials=6, n_workers=1 + seed % 4, seed=seed)


def unusable_values(name: str, first: int, count: int) -> None:
    for seed in range(first, first + count):
        one = case(name, seed)
        script = adversarial(one.scheduler().objective, seed, spare=one.n_workers)
        run = ends_properly(one, one.rehearsal(script, max_retries=seed % 2).run())
        for event in run.events:
            if isinstance(event, ev.TrialResult) and event.verdict not in ("late", "repeat"):
                value = event.metrics["loss"]
                assert isinstance(value, int | float)
                assert value - value == 0
                assert type(event.metrics["epoch"]) is int
                assert event.metrics["epoch"] == event.resource >= 1


def disordered_reports(name: str, first: int, count: int) -> None:
    for seed in range(first, first + count):
        one = case(name, seed)
        base = faults.bursts(1 + seed % 3)(curves(one.scheduler().objective))
        operators = [faults.duplicated(seed), faults.stale(seed)]
        if one.n_workers == 1:
            operators.insert(0, faults.shuffled(seed))
        clean, noisy = (
            decisions(one.rehearsal(script).run().events) for script in (base, faults.apply(base, *operators))
        )
        assert_same(clean, noisy, f"{name}, seed {seed}")


@pytest.mark.parametrize("name", MAKERS)
def test_f7_unusable_values_reach_no_scheduler(name: str) -> None:
    unusable_values(name, 0, COUNT // 10)


@pytest.mark.parametrize("name", MAKERS)
def test_f8_disordered_reports_change_no_decision(name: str) -> None:
    disordered_reports(name, 0, COUNT // 10)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MAKERS)
def test_f7_campaign(name: str) -> None:
    unusable_values(name, COUNT // 10, COUNT - COUNT // 10)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MAKERS)
def test_f8_campaign(name: str) -> None:
    disordered_reports(name, COUNT // 10, COUNT - COUNT // 10)
