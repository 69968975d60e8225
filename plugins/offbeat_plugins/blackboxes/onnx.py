"""Surrogates of learning curves as ONNX networks, in the files of YAHPO Gym (Pfisterer et al. 2022)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from offbeat.errors import InvalidArgument, MissingExtra, nearest
from offbeat.protocols import Mode
from offbeat.space import Space
from offbeat.space.constructors import lograndint, loguniform, randint, uniform
from offbeat.space.domain import Domain

SLOPE: Final = 1e-6
"""Seconds that a level takes at least: a modelled time may stand still or fall, and its running maximum does."""


class OnnxBlackbox:
    """A network that answers a whole curve in one call; deterministic, with one replicate.

    Reads `model.onnx` (inputs `x_cat`: the task's code, int32 (n, 1); `x_cont`: resource and hyperparameters, float32
    (n, d), unscaled), `encoding.json` (task -> code) and `config_space.json` (name, type, lower, upper, log).

    Args:
        folder: of the three files.
        dataset: the task.
        task_name: name of the task in the files.
        inputs: order of `x_cont`, the resource first; outputs: order of the network's answers, name -> mode.
        elapsed_attr: the output with the seconds of training so far: its running maximum is taken, and 1e-6 s a level
            added, since a network's time may fall.

    Raises InvalidArgument with the nearest name, FileNotFoundError, MissingExtra.
    """

    seeds = 1

    def __init__(
        self,
        folder: str | os.PathLike[str],
        dataset: str,
        *,
        task_name: str,
        inputs: Sequence[str],
        outputs: Mapping[str, Mode | None],
        elapsed_attr: str | None = "time",
    ) -> None:
        path = Path(folder)
        codes = json.loads((path / "encoding.json").read_text(encoding="utf-8"))[task_name]
        described = json.loads((path / "config_space.json").read_text(encoding="utf-8"))["hyperparameters"]
        entries = {entry["name"]: entry for entry in described}
        known = [str(task) for task in entries[task_name]["choices"]]
        if dataset not in known:
            raise InvalidArgument(f"dataset={dataset!r} is not in {path.name}. {nearest(str(dataset), known)}")
        for name in inputs:
            if name not in entries:
                raise InvalidArgument(f"inputs: {path.name} has no {name!r}. {nearest(name, entries)}")
        if elapsed_attr is not None and elapsed_attr not in outputs:
            raise InvalidArgument(f"elapsed_attr={elapsed_attr!r} is no output. {nearest(elapsed_attr, outputs)}")
        resource, *self._names = inputs
        self.space = Space({name: _domain(entries[name]) for name in self._names})
        self.levels = tuple(range(int(entries[resource]["lower"]), int(entries[resource]["upper"]) + 1))
        self.resource_attr = resource
        self.objectives: Mapping[str, Mode | None] = dict(outputs)
        self.elapsed_attr = elapsed_attr
        self._code = int(codes[dataset])
        self._session = _session(path / "model.onnx")

    def curve(self, config: Mapping[str, Any], seed: int = 0) -> Mapping[str, NDArray[Any]]:
        """Arrays over the levels."""
        return self.curves([config], [seed])[0]

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, NDArray[Any]]]:
        """All curves in one call of the network; the last digits may depend on how many are asked for at once."""
        del seeds
        n = len(self.levels)
        queries = np.empty((len(configs), n, 1 + len(self._names)), np.float32)
        queries[:, :, 0] = self.levels
        for i, config in enumerate(configs):
            for name in self._names:
                if name not in config:
                    raise InvalidArgument(f"The configuration lacks hyperparameter {name!r}. {nearest(name, config)}")
            queries[i, :, 1:] = [float(config[name]) for name in self._names]
        codes = np.full((len(configs) * n, 1), self._code, np.int32)
        (answers,) = self._session.run(None, {"x_cat": codes, "x_cont": queries.reshape(len(configs) * n, -1)})
        if answers.shape != (len(configs) * n, len(self.objectives)):
            raise InvalidArgument(
                f"The network answers {answers.shape[1:]} numbers for {len(self.objectives)} outputs."
            )
        found = answers.reshape(len(configs), n, -1).astype(np.float64)
        return [self._named(one) for one in found]

    def _named(self, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
        curve = {name: values[:, i] for i, name in enumerate(self.objectives)}
        if self.elapsed_attr is not None:
            seconds = np.maximum.accumulate(np.maximum(curve[self.elapsed_attr], 0.0))
            curve[self.elapsed_attr] = seconds + SLOPE * np.arange(1, len(seconds) + 1)
        return curve


def lcbench(folder: str | os.PathLike[str], dataset: str) -> OnnxBlackbox:
    """LCBench (Zimmer, Lindauer, Hutter 2021): networks on OpenML tasks, 52 epochs; accuracies in percent."""
    return OnnxBlackbox(
        folder,
        dataset,
        task_name="OpenML_task_id",
        inputs=(
            "epoch", "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout",
        ),
        outputs={
            "time": None,
            "val_accuracy": "max",
            "val_cross_entropy": "min",
            "val_balanced_accuracy": "max",
            "test_cross_entropy": "min",
            "test_balanced_accuracy": "max",
        },
    )  # fmt: skip


def _domain(entry: Mapping[str, Any]) -> Domain:
    lower, upper, log = entry["lower"], entry["upper"], bool(entry.get("log"))
    if entry["type"] == "uniform_int":
        return (lograndint if log else randint)(int(lower), int(upper))
    if entry["type"] == "uniform_float":
        return (loguniform if log else uniform)(float(lower), float(upper))
    raise InvalidArgument(
        f"{entry['name']!r} is of type {entry['type']!r}; only uniform_int and uniform_float are read."
    )


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("An ONNX surrogate", "blackbox") from None
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
