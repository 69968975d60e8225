"""The schedulers that come with offbeat, under the names of the literature; each is loaded when it is used.

They are found through their entry points like anybody's: nothing here runs a plugin's code before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offbeat.faces import face

if TYPE_CHECKING:
    from offbeat_plugins.schedulers.asha import ASHA
    from offbeat_plugins.schedulers.grid_search import GridSearch
    from offbeat_plugins.schedulers.median_stopping_rule import MedianStoppingRule
    from offbeat_plugins.schedulers.random_search import RandomSearch

PLUGINS: Final = {
    "ASHA": "asha",
    "GridSearch": "grid-search",
    "MedianStoppingRule": "median-stopping-rule",
    "RandomSearch": "random-search",
}
"""Class -> name of its entry point in `offbeat.schedulers`."""

__all__ = ["ASHA", "PLUGINS", "GridSearch", "MedianStoppingRule", "RandomSearch"]

if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt name is a type error
    __getattr__, __dir__ = face(globals(), "offbeat.schedulers", PLUGINS)
