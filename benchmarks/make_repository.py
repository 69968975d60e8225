"""Writes the development tables as a blackbox repository, so that benchmarks can name them.

    python benchmarks/make_repository.py DIR [--data ../shared/data] [--copy]

`DIR/fcnet` (tasks naval_propulsion, protein_structure; 62,208 configurations, 4 seeds) and `DIR/nasbench201` (cifar10;
15,625 configurations, up to 3 seeds, a missing one is NaN) have one resource level, the end of training, in layout
"shared-table". `DIR/lcbench` is a link to the network of the data, or with --copy a copy of it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from offbeat.blackbox import BlackboxRepository, TabularBlackbox
from offbeat.config_space import choice, logordinal, ordinal
from offbeat_plugins.blackboxes.tabular import grid

DATA = Path(__file__).parents[2] / "shared" / "data"

FCNET = ("naval_propulsion", "protein_structure")


def domain(entry: Mapping[str, Any]) -> Any:
    if entry["type"] == "cat":
        return choice(entry["values"])
    return (logordinal if entry["log"] else ordinal)(entry["values"])


def space_of(data: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Domains, and the configurations in the order of the rows."""
    entries = json.loads(str(data["space"]))
    return {entry["name"]: domain(entry) for entry in entries}, grid(
        {entry["name"]: entry["values"] for entry in entries}
    )


def fcnet(data: Path, task: str) -> TabularBlackbox:
    with np.load(data / f"fcnet_{task}.npz", allow_pickle=False) as found:
        space, configs = space_of(found)
        values = np.stack([found["val_loss"], found["train_time"]], axis=-1)[:, :, None, :]
    return TabularBlackbox(
        space, configs, values, objectives={"val_loss": "min", "train_time": None}, elapsed_attr="train_time"
    )


def nasbench201(data: Path) -> TabularBlackbox:
    with np.load(data / "nasbench201_cifar10.npz", allow_pickle=False) as found:
        space, configs = space_of(found)
        accuracy = found["val_acc"]
        once = [
            np.broadcast_to(found[name][:, None], accuracy.shape) for name in ("train_time", "latency", "model_size")
        ]
    # What is recorded once for a cell belongs to the seeds that were trained.
    values = np.where(np.isnan(accuracy)[..., None], np.nan, np.stack([accuracy, *once], axis=-1)).astype(np.float32)
    objectives: dict[str, Any] = {"val_acc": "max", "train_time": None, "latency": "min", "model_size": "min"}
    return TabularBlackbox(space, configs, values[:, :, None, :], objectives=objectives, elapsed_attr="train_time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--copy", action="store_true", help="copy the network of LCBench instead of linking to it")
    args = parser.parse_args()
    repository = BlackboxRepository(args.folder)
    print(repository.write("fcnet", {task: fcnet(args.data, task) for task in FCNET}))
    print(repository.write("nasbench201", {"cifar10": nasbench201(args.data)}))
    target = args.folder / "lcbench"
    if args.copy:
        shutil.copytree(args.data / "lcbench", target)
    else:
        target.symlink_to((args.data / "lcbench").absolute(), target_is_directory=True)
    print(target)


if __name__ == "__main__":
    main()
