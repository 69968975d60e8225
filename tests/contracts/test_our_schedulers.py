"""Our own schedulers, through the suite that strangers use."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from offbeat.config_space import choice, optional, randint, require, uniform, when
from offbeat.optimizer.baselines import (
    ASHA,
    BORE,
    CQR,
    REA,
    TPE,
    BayesianOptimization,
    GridSearch,
    MedianStoppingRule,
    RandomSearch,
    SyncHyperband,
)
from offbeat.protocols import Scheduler
from offbeat.testing.scheduler_suite import SchedulerContract

needs_trees = pytest.mark.skipif(
    find_spec("sklearn") is None, reason="needs scikit-learn: pip install 'offbeat[trees]'"
)


class TestRandomSearch(SchedulerContract):
    def make(self, **arguments: Any) -> Scheduler:
        return RandomSearch(**arguments)


class TestRandomSearchOverSeveralMetrics(SchedulerContract):
    metric = ("loss", "seconds")

    def make(self, **arguments: Any) -> Scheduler:
        return RandomSearch(**arguments, resource_attr="epoch")


class TestGridSearch(SchedulerContract):
    def make(self, **arguments: Any) -> Scheduler:
        return GridSearch(**arguments)


class TestGridSearchInOrder(SchedulerContract):
    config_space = {  # noqa: RUF012 - as every setting of a suite
        "kind": choice(["a", "b", "c"]),
        "width": when(randint(1, 9), "kind == 'b'"),
        "rate": uniform(0, 1),
        "rule": require("width * rate < 5"),
    }
    small_space = {"on": choice([True, False]), "x": when(randint(1, 3), "on")}  # noqa: RUF012

    def make(self, **arguments: Any) -> Scheduler:
        return GridSearch(**arguments, shuffle_config=False, num_samples=3)


class TestRandomSearchOverConditions(SchedulerContract):
    config_space = TestGridSearchInOrder.config_space
    small_space = TestGridSearchInOrder.small_space

    def make(self, **arguments: Any) -> Scheduler:
        return RandomSearch(**arguments)


class TestAshaOverConditions(TestRandomSearchOverConditions):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return ASHA(**arguments, resource_attr="epoch", max_t=9)


class TestAshaStopping(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return ASHA(**arguments, resource_attr="epoch", max_t=9, type="stopping")


class TestAshaPromotion(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return ASHA(**arguments, resource_attr="epoch", max_t=9, type="promotion", brackets=2, rule="paper")


class TestAshaPromotionTellingTheMaximum(SchedulerContract):
    trials = 16

    def make(self, config_space: Any, **arguments: Any) -> Scheduler:
        space = {**config_space, "epochs": 9}
        return ASHA(space, **arguments, resource_attr="epoch", max_resource_attr="epochs", type="promotion")


class TestSyncHyperband(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return SyncHyperband(**arguments, resource_attr="epoch", max_t=9)


class TestSyncHyperbandTellingTheMaximum(SchedulerContract):
    trials = 16

    def make(self, config_space: Any, **arguments: Any) -> Scheduler:
        space = {**config_space, "epochs": 9}
        return SyncHyperband(space, **arguments, resource_attr="epoch", max_resource_attr="epochs", brackets=2)


class TestMedianStoppingRule(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return MedianStoppingRule(**arguments, resource_attr="epoch", grace_population=3)


class TestMedianStoppingRuleAroundAPromotingScheduler(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        inner = ASHA(**arguments, resource_attr="epoch", max_t=9, type="promotion")
        return MedianStoppingRule(scheduler=inner, running_average=False, grace_time=2, grace_population=3)


class TestTPE(SchedulerContract):
    trials = 16
    crash_stride = 5

    def make(self, **arguments: Any) -> Scheduler:
        return TPE(**arguments, num_init_random=4, num_candidates=12)


class TestTPEOverConditions(TestTPE):
    trials = 10
    config_space = {  # noqa: RUF012
        **TestGridSearchInOrder.config_space,
        "clip": optional(uniform(0, 1)),
        "sizes": choice([[8], [8, 8], [16]]),
    }
    small_space = TestGridSearchInOrder.small_space


class TestREA(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return REA(**arguments, population_size=4, sample_size=3)


class TestREAOverConditions(TestREA):
    config_space = TestTPEOverConditions.config_space
    small_space = TestGridSearchInOrder.small_space


@needs_trees
class TestBORE(SchedulerContract):
    trials = 8
    crash_stride = 7

    def make(self, **arguments: Any) -> Scheduler:
        return BORE(**arguments, num_init_random=3, num_candidates=20)


@needs_trees
class TestCQR(SchedulerContract):
    trials = 8
    crash_stride = 7

    def make(self, **arguments: Any) -> Scheduler:
        return CQR(**arguments, num_init_random=3, num_candidates=20)


class TestBayesianOptimization(SchedulerContract):
    trials = 6
    crash_stride = 3

    def make(self, **arguments: Any) -> Scheduler:
        return BayesianOptimization(**arguments, num_init_random=2, backend="numpy")


class TestBayesianOptimizationOverConditions(TestBayesianOptimization):
    config_space = TestTPEOverConditions.config_space
    small_space = TestGridSearchInOrder.small_space
    crash_stride = 7
