"""Our own schedulers, through the suite that strangers use."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from offbeat.config_space import choice, optional, randint, require, uniform, when
from offbeat.optimizer.baselines import (
    ASHA,
    ASHABORE,
    ASHACQR,
    BOHB,
    BORE,
    CQR,
    DEHB,
    EHVI,
    MOASHA,
    MOBSTER,
    MOREA,
    NSGA2,
    PASHA,
    PB2,
    REA,
    TPE,
    AutomaticTerminationCriterion,
    BayesianOptimization,
    ConstrainedBayesianOptimization,
    CostASHA,
    CostAwareBayesianOptimization,
    DyHPO,
    GridSearch,
    HyperTune,
    LinearScalarization,
    MedianStoppingRule,
    MORandomScalarizationBayesOpt,
    PopulationBasedTraining,
    RandomSearch,
    SyncBOHB,
    SyncHyperband,
    SyncMOBSTER,
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


class TestCostASHA(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        # What it reports as its quality is its cost too, so that costs differ.
        return CostASHA(**arguments, resource_attr="epoch", max_t=9, cost_attr="cost", brackets=2)


class TestPASHA(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return PASHA(**arguments, resource_attr="epoch", max_t=9, reduction_factor=2)


class TestSyncHyperband(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return SyncHyperband(**arguments, resource_attr="epoch", max_t=9)


class TestSyncHyperbandTellingTheMaximum(SchedulerContract):
    trials = 16

    def make(self, config_space: Any, **arguments: Any) -> Scheduler:
        space = {**config_space, "epochs": 9}
        return SyncHyperband(space, **arguments, resource_attr="epoch", max_resource_attr="epochs", brackets=2)


class TestDEHB(SchedulerContract):
    trials = 16
    crash_stride = 7

    def make(self, **arguments: Any) -> Scheduler:
        return DEHB(**arguments, resource_attr="epoch", max_t=9)


class TestDEHBTellingTheMaximum(TestDEHB):
    config_space = {**TestGridSearchInOrder.config_space, "clip": optional(uniform(0, 1))}  # noqa: RUF012
    small_space = TestGridSearchInOrder.small_space

    def make(self, config_space: Any, **arguments: Any) -> Scheduler:
        space = {**config_space, "epochs": 9}
        options: dict[str, Any] = {"mutation_factor": 0.8, "crossover_probability": 0.3, "grace_period": 3}
        return DEHB(space, **arguments, **options, resource_attr="epoch", max_resource_attr="epochs")


class TestMedianStoppingRule(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        return MedianStoppingRule(**arguments, resource_attr="epoch", grace_population=3)


class TestMedianStoppingRuleAroundAPromotingScheduler(SchedulerContract):
    trials = 16

    def make(self, **arguments: Any) -> Scheduler:
        inner = ASHA(**arguments, resource_attr="epoch", max_t=9, type="promotion")
        return MedianStoppingRule(scheduler=inner, running_average=False, grace_time=2, grace_population=3)


class TestPopulationBasedTraining(SchedulerContract):
    trials = 16
    allows_duplicates = True  # a copy may be one of a configuration that was tried before
    ends_by_itself = True  # when every member has reached max_t

    def make(self, **arguments: Any) -> Scheduler:
        return PopulationBasedTraining(**arguments, resource_attr="epoch", max_t=9, perturbation_interval=2)


class TestPopulationBasedTrainingInTurns(SchedulerContract):
    trials = 16
    allows_duplicates = True
    ends_by_itself = True
    config_space = TestGridSearchInOrder.config_space

    def make(self, config_space: Any, **arguments: Any) -> Scheduler:
        space = {**config_space, "epochs": 9}
        options: dict[str, Any] = {"population_size": 6, "quantile_fraction": 0.5, "resample_probability": 0.5}
        return PopulationBasedTraining(space, **arguments, **options, resource_attr="epoch", max_resource_attr="epochs")


class TestPB2(SchedulerContract):
    trials = 16
    crash_stride = 5
    allows_duplicates = True
    ends_by_itself = True

    def make(self, **arguments: Any) -> Scheduler:
        return PB2(**arguments, resource_attr="epoch", max_t=9, perturbation_interval=1, quantile_fraction=0.5)


class TestPB2OverConditions(TestPB2):
    config_space = TestGridSearchInOrder.config_space


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
    crash_stride = 3

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
    crash_stride = 5

    def make(self, **arguments: Any) -> Scheduler:
        return BayesianOptimization(**arguments, num_init_random=2, backend="numpy")


class TestBayesianOptimizationOverConditions(TestBayesianOptimization):
    config_space = TestTPEOverConditions.config_space
    small_space = TestGridSearchInOrder.small_space
    crash_stride = 11


class TestAutomaticTermination(SchedulerContract):
    trials = 9
    crash_stride = 5

    def make(self, **arguments: Any) -> Scheduler:
        return AutomaticTerminationCriterion(**arguments, scheduler="random-search", threshold=1e-9, warm_up=5)


class TestAutomaticTerminationThatEnds(TestAutomaticTermination):
    ends_by_itself = True

    def make(self, **arguments: Any) -> Scheduler:
        options: dict[str, Any] = {"num_init_random": 3, "num_candidates": 12}
        return AutomaticTerminationCriterion(
            **arguments, scheduler="tpe", scheduler_options=options, threshold=1e3, warm_up=4
        )


class TestBOHB(SchedulerContract):
    trials = 16
    crash_stride = 5

    def make(self, **arguments: Any) -> Scheduler:
        return BOHB(**arguments, resource_attr="epoch", max_t=9, min_points=2, num_candidates=12)


class TestBOHBPromoting(TestBOHB):
    config_space = TestTPEOverConditions.config_space
    small_space = TestGridSearchInOrder.small_space

    def make(self, **arguments: Any) -> Scheduler:
        return BOHB(
            **arguments, resource_attr="epoch", max_t=9, type="promotion", brackets=2, min_points=2, num_candidates=12
        )


@needs_trees
class TestASHABORE(SchedulerContract):
    trials = 8
    crash_stride = 7

    def make(self, **arguments: Any) -> Scheduler:
        return ASHABORE(**arguments, resource_attr="epoch", max_t=9, num_init_random=3, num_candidates=20)


@needs_trees
class TestASHACQR(SchedulerContract):
    trials = 8
    crash_stride = 7

    def make(self, **arguments: Any) -> Scheduler:
        return ASHACQR(
            **arguments, resource_attr="epoch", max_t=9, type="promotion", num_init_random=3, num_candidates=20
        )


class TestConstrainedBayesianOptimization(TestBayesianOptimization):
    crash_stride = 7

    def make(self, **arguments: Any) -> Scheduler:
        bounds = {"latency": "<= 0.9", "accuracy": ">= -0.9"}
        return ConstrainedBayesianOptimization(**arguments, constraints=bounds, num_init_random=2, backend="numpy")


class TestCostAwareBayesianOptimization(TestBayesianOptimization):
    crash_stride = 7

    def make(self, **arguments: Any) -> Scheduler:
        return CostAwareBayesianOptimization(**arguments, cost_attr="seconds", num_init_random=2, backend="numpy")


class TestMOBSTER(SchedulerContract):
    trials = 5
    crash_stride = 13

    def make(self, **arguments: Any) -> Scheduler:
        return MOBSTER(**arguments, resource_attr="epoch", max_t=9, num_init_random=2, backend="numpy")


class TestMOBSTEROverConditions(TestMOBSTER):
    config_space = TestTPEOverConditions.config_space
    small_space = TestGridSearchInOrder.small_space
    crash_stride = 29


class TestMOBSTERPromoting(TestMOBSTER):
    crash_stride = 17

    def make(self, **arguments: Any) -> Scheduler:
        return MOBSTER(
            **arguments,
            resource_attr="epoch",
            max_t=9,
            type="promotion",
            num_init_random=2,
            backend="numpy",
            brackets=2,
        )


class TestHyperTune(TestMOBSTER):
    trials = 6
    crash_stride = 19

    def make(self, **arguments: Any) -> Scheduler:
        return HyperTune(**arguments, resource_attr="epoch", max_t=9, num_init_random=2, backend="numpy")


class TestASHAOverLearningCurves(TestMOBSTER):
    trials = 6
    crash_stride = 19

    def make(self, **arguments: Any) -> Scheduler:
        return ASHA(**arguments, resource_attr="epoch", max_t=9, searcher="learning-curves", searcher_data="all")


class TestDyHPO(SchedulerContract):
    trials = 6
    crash_stride = 23

    def make(self, **arguments: Any) -> Scheduler:
        return DyHPO(**arguments, resource_attr="epoch", max_t=5, num_init_random=2)


class TestSyncBOHB(TestBOHB):
    crash_stride = 9

    def make(self, **arguments: Any) -> Scheduler:
        return SyncBOHB(**arguments, resource_attr="epoch", max_t=9, min_points=2, num_candidates=12)


class TestSyncMOBSTER(TestMOBSTER):
    trials = 6
    crash_stride = 17

    def make(self, **arguments: Any) -> Scheduler:
        return SyncMOBSTER(
            **arguments, resource_attr="epoch", max_t=9, grace_period=3, num_init_random=2, backend="numpy"
        )


class TestMOASHA(SchedulerContract):
    trials = 16
    metric = ("loss", "latency")

    def make(self, **arguments: Any) -> Scheduler:
        return MOASHA(**arguments, resource_attr="epoch", max_t=9)


class TestMOASHAByAWeightedSum(TestMOASHA):
    metric = ("loss", "latency", "size")

    def make(self, config_space: Any, **arguments: Any) -> Scheduler:
        weights = {"loss": 1.0, "size": 0.5}
        space = {**config_space, "epochs": 9}
        return MOASHA(
            space,
            **arguments,
            time_attr="epoch",
            max_resource_attr="epochs",
            priority=weights,
            brackets=2,
            searcher="random",
        )


class TestNSGA2(SchedulerContract):
    trials = 16
    crash_stride = 3
    metric = ("loss", "latency")

    def make(self, **arguments: Any) -> Scheduler:
        return NSGA2(**arguments, population_size=4)


class TestNSGA2OverConditions(TestNSGA2):
    config_space = TestTPEOverConditions.config_space
    small_space = TestGridSearchInOrder.small_space
    crash_stride = 7

    def make(self, **arguments: Any) -> Scheduler:
        return NSGA2(**arguments, population_size=4, constraints={"size": "<= 0.5", "accuracy": ">= -0.9"})


class TestMOREA(SchedulerContract):
    trials = 16
    crash_stride = 3
    metric = ("loss", "latency")

    def make(self, **arguments: Any) -> Scheduler:
        return MOREA(**arguments, population_size=4, sample_size=3)


class TestEHVI(SchedulerContract):
    trials = 5
    crash_stride = 11
    metric = ("loss", "latency")

    def make(self, **arguments: Any) -> Scheduler:
        return EHVI(**arguments, num_init_random=2, backend="numpy")


class TestEHVIWithConstraints(TestEHVI):
    crash_stride = 17
    metric = ("loss", "latency", "size")

    def make(self, **arguments: Any) -> Scheduler:
        return EHVI(**arguments, num_init_random=2, backend="numpy", constraints={"accuracy": ">= -0.9"})


class TestMORandomScalarizationBayesOpt(SchedulerContract):
    trials = 5
    crash_stride = 11
    metric = ("loss", "latency")

    def make(self, **arguments: Any) -> Scheduler:
        return MORandomScalarizationBayesOpt(**arguments, num_init_random=2, backend="numpy")


class TestLinearScalarizationOfASHA(SchedulerContract):
    trials = 16
    metric = ("loss", "latency")

    def make(self, **arguments: Any) -> Scheduler:
        options = {"max_t": 9, "type": "promotion"}
        return LinearScalarization(**arguments, scheduler="asha", scheduler_options=options, resource_attr="epoch")


class TestLinearScalarizationOfREA(SchedulerContract):
    trials = 16
    crash_stride = 5
    metric = ("loss", "latency", "size")

    def make(self, **arguments: Any) -> Scheduler:
        options = {"population_size": 4, "sample_size": 3}
        weights = {"loss": 1.0, "size": 0.5}
        return LinearScalarization(**arguments, scheduler="rea", scheduler_options=options, weights=weights)
