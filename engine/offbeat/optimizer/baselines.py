"""The schedulers that come with offbeat, under the names of the literature; each is loaded when it is used.

They are found through their entry points like anybody's: nothing here runs a plugin's code before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offbeat.faces import face

if TYPE_CHECKING:
    from offbeat_plugins.schedulers.asha import ASHA
    from offbeat_plugins.schedulers.asha_bore import ASHABORE
    from offbeat_plugins.schedulers.asha_cqr import ASHACQR
    from offbeat_plugins.schedulers.automatic_termination import AutomaticTerminationCriterion
    from offbeat_plugins.schedulers.bayesian_optimization import BayesianOptimization
    from offbeat_plugins.schedulers.bohb import BOHB
    from offbeat_plugins.schedulers.bore import BORE
    from offbeat_plugins.schedulers.constrained_bayesian_optimization import ConstrainedBayesianOptimization
    from offbeat_plugins.schedulers.cost_asha import CostASHA
    from offbeat_plugins.schedulers.cost_aware_bayesian_optimization import CostAwareBayesianOptimization
    from offbeat_plugins.schedulers.cqr import CQR
    from offbeat_plugins.schedulers.dehb import DEHB
    from offbeat_plugins.schedulers.dyhpo import DyHPO
    from offbeat_plugins.schedulers.ehvi import EHVI
    from offbeat_plugins.schedulers.grid_search import GridSearch
    from offbeat_plugins.schedulers.hyper_tune import HyperTune
    from offbeat_plugins.schedulers.linear_scalarization import LinearScalarization
    from offbeat_plugins.schedulers.median_stopping_rule import MedianStoppingRule
    from offbeat_plugins.schedulers.moasha import MOASHA
    from offbeat_plugins.schedulers.mobster import MOBSTER
    from offbeat_plugins.schedulers.morea import MOREA
    from offbeat_plugins.schedulers.nsga2 import NSGA2
    from offbeat_plugins.schedulers.pasha import PASHA
    from offbeat_plugins.schedulers.pb2 import PB2
    from offbeat_plugins.schedulers.pbt import PopulationBasedTraining
    from offbeat_plugins.schedulers.random_scalarization import MORandomScalarizationBayesOpt
    from offbeat_plugins.schedulers.random_search import RandomSearch
    from offbeat_plugins.schedulers.rea import REA
    from offbeat_plugins.schedulers.sync_bohb import SyncBOHB
    from offbeat_plugins.schedulers.sync_hyperband import SyncHyperband
    from offbeat_plugins.schedulers.sync_mobster import SyncMOBSTER
    from offbeat_plugins.schedulers.tpe import KDE, TPE

PLUGINS: Final = {
    "ASHA": "asha",
    "ASHABORE": "asha-bore",
    "ASHACQR": "asha-cqr",
    "AutomaticTerminationCriterion": "automatic-termination",
    "BOHB": "bohb",
    "BORE": "bore",
    "BayesianOptimization": "bayesian-optimization",
    "CQR": "cqr",
    "ConstrainedBayesianOptimization": "constrained-bayesian-optimization",
    "CostASHA": "cost-asha",
    "CostAwareBayesianOptimization": "cost-aware-bayesian-optimization",
    "DEHB": "dehb",
    "EHVI": "ehvi",
    "DyHPO": "dyhpo",
    "GridSearch": "grid-search",
    "HyperTune": "hyper-tune",
    "KDE": "kde",
    "LinearScalarization": "linear-scalarization",
    "MOASHA": "moasha",
    "MedianStoppingRule": "median-stopping-rule",
    "MOBSTER": "mobster",
    "MOREA": "morea",
    "MORandomScalarizationBayesOpt": "random-scalarization",
    "NSGA2": "nsga2",
    "PASHA": "pasha",
    "PB2": "pb2",
    "PopulationBasedTraining": "pbt",
    "RandomSearch": "random-search",
    "REA": "rea",
    "SyncBOHB": "sync-bohb",
    "SyncHyperband": "sync-hyperband",
    "SyncMOBSTER": "sync-mobster",
    "TPE": "tpe",
}
"""Class -> name of its entry point in `offbeat.schedulers`."""

__all__ = [
    "ASHA",
    "ASHABORE",
    "ASHACQR",
    "BOHB",
    "BORE",
    "CQR",
    "DEHB",
    "EHVI",
    "KDE",
    "MOASHA",
    "MOBSTER",
    "MOREA",
    "NSGA2",
    "PASHA",
    "PB2",
    "PLUGINS",
    "REA",
    "TPE",
    "AutomaticTerminationCriterion",
    "BayesianOptimization",
    "ConstrainedBayesianOptimization",
    "CostASHA",
    "CostAwareBayesianOptimization",
    "DyHPO",
    "GridSearch",
    "HyperTune",
    "LinearScalarization",
    "MORandomScalarizationBayesOpt",
    "MedianStoppingRule",
    "PopulationBasedTraining",
    "RandomSearch",
    "SyncBOHB",
    "SyncHyperband",
    "SyncMOBSTER",
]

if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt name is a type error
    __getattr__, __dir__ = face(globals(), "offbeat.schedulers", PLUGINS)
