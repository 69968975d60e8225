"""Results of other tools as experiments: read by a plugin, written into a journal like any other.

An importer (`offbeat.importers`) describes what it found as a `Foreign`; `history` turns that into events, each of which
passes the engine's own fold; `writing` puts them into a folder that appears as a whole or not at all. Such an experiment
can be shown, exported, compared and learned from. It cannot be resumed: nothing tells what its tool would have done next.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from offbeat.errors import BrokenPlugin, InvalidArgument, OffbeatError
from offbeat.importing.foreign import Foreign, ForeignResult, ForeignTrial, Modes, Outcome, Stretch, Wanted, digest_of
from offbeat.importing.writing import written
from offbeat.results import Experiment
from offbeat.results import load as load_experiment
from offbeat.space import Space

__all__ = [
    "Foreign",
    "ForeignResult",
    "ForeignTrial",
    "Modes",
    "Outcome",
    "Stretch",
    "Wanted",
    "digest_of",
    "import_experiment",
]


def import_experiment(
    tool: str,
    source: str | os.PathLike[str],
    *,
    name: str | None = None,
    study: str | None = None,
    metric: str | Sequence[str] | None = None,
    mode: Literal["min", "max"] | Sequence[Literal["min", "max"]] | None = None,
    resource_attr: str | None = None,
    space: Any = None,
    home: str | os.PathLike[str] | None = None,
) -> Experiment:
    """Reads another tool's results and writes them into a new experiment.

    Args:
        tool: name of a plugin in `offbeat.importers`: "optuna", "ray", "syne-tune".
        source: where its results lie: a folder, a file, or the address of a storage.
        name: of the new experiment; default: what the tool calls it.
        study: which one, where the source holds several.
        metric: the objective, or a list of them, where the source does not say it or another one is wanted.
        mode: "min" or "max", one for all or one for each; likewise.
        resource_attr: what counts the progress of a trial; likewise.
        space: hyperparameters by name, or a Space, instead of what the source says or its values suggest.
        home: folder of experiments instead of `$OFFBEAT_HOME` or `~/offbeat`.

    Raises:
        UnknownPlugin, MissingExtra.
        InvalidArgument, InvalidSpace, InvalidConfig: the source is none, or lacks something that has to be said.
        ExperimentExists: nothing was written. So it is with every other error.
    """
    from offbeat.registry import load

    importer = load("offbeat.importers", tool)()
    wanted = Wanted(
        study=study,
        metrics=None if metric is None else (metric,) if isinstance(metric, str) else tuple(metric),
        modes=None if mode is None else (mode,) if isinstance(mode, str) else tuple(mode),
        resource_attr=resource_attr,
        space=None if space is None else Space.of(space),
    )
    try:
        foreign = importer.read(os.fspath(source), wanted)
    except (OffbeatError, OSError):
        raise
    except Exception as error:
        raise BrokenPlugin("offbeat.importers", tool, f"{type(error).__name__}: {error}") from error
    if not isinstance(foreign, Foreign):
        raise BrokenPlugin("offbeat.importers", tool, f"it answers a {type(foreign).__name__}, which is no Foreign")
    if not foreign.trials:
        raise InvalidArgument(f"{foreign.source} has no trial that was started: there is nothing to import.")
    return load_experiment(written(foreign, name, home))
