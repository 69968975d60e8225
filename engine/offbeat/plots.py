"""The plots that come with offbeat, each loaded when it is used: `from offbeat.plots import best_so_far`.

Each takes experiments, as `load_experiment` gives them or by name, and gives a matplotlib figure (`pip install
'offbeat[plot]'`) that no pyplot knows of; with `ax=` it draws there. `offbeat.registry.load("plots", name)` gives a
stranger's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offbeat.faces import face

if TYPE_CHECKING:
    from offbeat_plugins.plots.best import best_so_far as best_so_far
    from offbeat_plugins.plots.comparison import comparison as comparison
    from offbeat_plugins.plots.curves import learning_curves as learning_curves
    from offbeat_plugins.plots.parallel import parallel_coordinates as parallel_coordinates
    from offbeat_plugins.plots.pareto import pareto_front as pareto_front
    from offbeat_plugins.plots.rungs import rung_occupancy as rung_occupancy
    from offbeat_plugins.plots.slices import slices as slices
    from offbeat_plugins.plots.timeline import trials_over_time as trials_over_time

PLUGINS: Final = {
    "best_so_far": "best",
    "comparison": "comparison",
    "learning_curves": "curves",
    "parallel_coordinates": "parallel",
    "pareto_front": "pareto",
    "rung_occupancy": "rungs",
    "slices": "slices",
    "trials_over_time": "timeline",
}
"""Function -> name of its entry point in `offbeat.plots`."""

__all__ = ["PLUGINS", *PLUGINS]  # noqa: PLE0604 - the table is literal, a test compares it with the block above

if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt name is a type error
    __getattr__, __dir__ = face(globals(), "offbeat.plots", PLUGINS)
