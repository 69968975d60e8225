"""`offbeat best NAME --checkpoint`: where the best trial's checkpoint lies, or a copy of it."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from offbeat.cli.output import print_json
from offbeat.errors import InvalidArgument

if TYPE_CHECKING:
    from offbeat.results import Best, Experiment


def show_checkpoint(experiment: Experiment, args: argparse.Namespace) -> int:
    """Prints the path, for scripts: nothing else goes to stdout. Raises InvalidArgument where there is no checkpoint."""
    from offbeat.cli.front import has_several

    if args.n not in (None, 1):
        raise InvalidArgument(f"-n {args.n}: --checkpoint is about the best trial alone; leave -n out.")
    if args.metric is None and has_several(experiment):
        raise InvalidArgument(
            f"{experiment.name!r} has several objectives and no single best trial: say by which one, --metric NAME."
        )
    best = experiment.best(args.metric)
    if best is None:
        raise InvalidArgument(f"No trial of {experiment.name!r} has reported anything yet: there is no best one.")
    source = _source(experiment, best)
    path = _copied(source, Path(args.checkpoint)) if args.checkpoint else source
    if args.json:
        print_json({"trial": best.trial.id, "metric": best.metric, "value": best.value, "checkpoint": str(path)})
    else:
        print(path)
    return 0


def _source(experiment: Experiment, best: Best) -> Path:
    source = best.checkpoints
    if source is None or not any(source.iterdir()):
        raise InvalidArgument(
            f"Trial {best.trial.id}, the best of {experiment.name!r}, has no checkpoint in "
            f"{experiment.folder.checkpoints(best.trial.id)}: scripts save theirs in the folder that "
            "offbeat.report.checkpoint_dir() gives."
        )
    return source


def _copied(source: Path, target: Path) -> Path:
    """A copy that is complete or not there at all."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidArgument(f"--checkpoint {str(target)!r} is there already and not an empty folder; name a new one.")
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.copying-{os.getpid()}")
    try:
        shutil.copytree(source, unfinished, symlinks=True)
        unfinished.replace(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target
