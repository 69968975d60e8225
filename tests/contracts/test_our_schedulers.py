"""Our own schedulers, through the suite that strangers use."""

from __future__ import annotations

from typing import Any

from offbeat.optimizer.baselines import ASHA, MedianStoppingRule, RandomSearch
from offbeat.protocols import Scheduler
from offbeat.testing.scheduler_suite import SchedulerContract


class TestRandomSearch(SchedulerContract):
    def make(self, **arguments: Any) -> Scheduler:
        return RandomSearch(**arguments)


class TestRandomSearchOverSeveralMetrics(SchedulerContract):
    metric = ("loss", "seconds")

    def make(self, **arguments: Any) -> Scheduler:
        return RandomSearch(**arguments, resource_attr="epoch")


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


class TestMedianStoppingRule(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return MedianStoppingRule(**arguments, resource_attr="epoch", grace_population=3)


class TestMedianStoppingRuleAroundAPromotingScheduler(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        inner = ASHA(**arguments, resource_attr="epoch", max_t=9, type="promotion")
        return MedianStoppingRule(scheduler=inner, running_average=False, grace_time=2, grace_population=3)
