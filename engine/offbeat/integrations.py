"""Offbeat inside other libraries, under one roof; each name is loaded, with the library that it is for, when it is used.

They are found through their entry points like anybody's; a library that is missing is named with its install line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offbeat.faces import face

if TYPE_CHECKING:
    from offbeat_plugins.integrations.keras import KerasReporter as KerasReporter
    from offbeat_plugins.integrations.lightning import LightningReporter as LightningReporter
    from offbeat_plugins.integrations.optuna import OffbeatPruner as OffbeatPruner
    from offbeat_plugins.integrations.optuna import OffbeatSampler as OffbeatSampler
    from offbeat_plugins.integrations.sklearn import OffbeatSearchCV as OffbeatSearchCV
    from offbeat_plugins.integrations.xgboost import XGBoostReporter as XGBoostReporter

PLUGINS: Final = {
    "KerasReporter": "keras",
    "LightningReporter": "lightning",
    "OffbeatPruner": "optuna-pruner",
    "OffbeatSampler": "optuna-sampler",
    "OffbeatSearchCV": "sklearn",
    "XGBoostReporter": "xgboost",
}
"""Class -> name of its entry point in `offbeat.integrations`."""

__all__ = ["PLUGINS", *PLUGINS]  # noqa: PLE0604 - the table is literal, a test compares it with the block above

if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt name is a type error
    __getattr__, __dir__ = face(globals(), "offbeat.integrations", PLUGINS)
