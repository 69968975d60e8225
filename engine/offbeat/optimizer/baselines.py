"""The schedulers that come with offbeat, under the names of the literature; each is loaded when it is used.

They are found through their entry points like anybody's: nothing here runs a plugin's code before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offbeat.faces import face

if TYPE_CHECKING:
    from offbeat_plugins.schedulers.asha import ASHA
    from offbeat_plugins.schedulers.bayesian_optimization import BayesianOptimization
    from offbeat_plugins.schedulers.bore import BORE
    from offbeat_plugins.schedulers.cqr import CQR
    from offbeat_plugins.schedulers.grid_search import GridSearch
    from offbeat_plugins.schedulers.median_stopping_rule import MedianStoppingRule
    from offbeat_plugins.schedulers.random_search import RandomSearch
    from offbeat_plugins.schedulers.rea import REA
    from offbeat_plugins.schedulers.sync_hyperband import SyncHyperband
    from offbeat_plugins.schedulers.tpe import KDE, TPE

PLUGINS: Final = {
    "ASHA": "asha",
    "BORE": "bore",
    "BayesianOptimization": "bayesian-optimization",
    "CQR": "cqr",
    "GridSearch": "grid-search",
    "KDE": "kde",
    "MedianStoppingRule": "median-stopping-rule",
    "RandomSearch": "random-search",
    "REA": "rea",
    "SyncHyperband": "sync-hyperband",
    "TPE": "tpe",
}
"""Class -> name of its entry point in `offbeat.schedulers`."""

__all__ = [
    "ASHA",
    "BORE",
    "CQR",
    "KDE",
    "PLUGINS",
    "REA",
    "TPE",
    "BayesianOptimization",
    "GridSearch",
    "MedianStoppingRule",
    "RandomSearch",
    "SyncHyperband",
]

if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt name is a type error
    __getattr__, __dir__ = face(globals(), "offbeat.schedulers", PLUGINS)
