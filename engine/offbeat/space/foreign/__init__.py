"""Spaces of other libraries: from ConfigSpace and Optuna, and to them (extra `spaces`)."""

from offbeat.space.foreign.configspace_export import to_configspace
from offbeat.space.foreign.configspace_import import from_configspace
from offbeat.space.foreign.optuna import from_optuna, to_optuna

__all__ = ["from_configspace", "from_optuna", "to_configspace", "to_optuna"]
