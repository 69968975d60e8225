"""Surrogates of learning curves as ONNX networks, in the files of YAHPO Gym (Pfisterer et al. 2022)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec.structs import asdict
from numpy.typing import NDArray

from offbeat.errors import DamagedBlackbox, InvalidArgument, MissingExtra, nearest
from offbeat.protocols import Mode
from offbeat.space import Space
from offbeat_plugins.blackboxes.repository.scenarios import SCENARIOS
from offbeat_plugins.blackboxes.yahpo_space import entries_of

SLOPE: Final = 1e-6
"""Seconds that a level takes at least: a modelled time may stand still or fall, and its running maximum does."""

STEPS: Final = 20
"""Resource levels of a fidelity that is a fraction: 1/20, 2/20 ... of its highest value."""

ABSENT: Final = "#na#"
"""Code of an inactive categorical hyperparameter; inactive numbers are 0."""

MODELS: Final = (
    ("model.onnx", "encoding.json"), ("new_model.onnx", "encoding.json"), ("model_v2.onnx", "encoding_v2.json"),
)  # fmt: skip
"""Network and codes, the first pair of which the network is there."""


class OnnxBlackbox:
    """A network that answers a whole curve in one call; deterministic, with one replicate.

    Reads `model.onnx` (inputs `x_cat`: codes of the task and of categorical hyperparameters, int32 (n, c); `x_cont`:
    fidelities and numeric hyperparameters, float32 (n, d), unscaled), `encoding.json` (name -> value -> code) and
    `config_space.json` (name, type, lower, upper, log, choices; conditions).

    Args:
        folder: of the three files.
        dataset: the task.
        task_name: name of the task in the files; None where they have none, and dataset says nothing.
        inputs: order of `x_cont`; outputs: order of the network's answers, name -> mode.
        elapsed_attr: the output with the seconds of training so far: its running maximum is taken, and 1e-6 s a level
            added, since a network's time may fall.
        categories: order of `x_cat`; None: the task alone.
        resource_attr: the fidelity that is the resource; None: the first of `fidelities`, else of `inputs`. One of whole
            numbers has a level for each, one of fractions 20 levels.
        fidelities: names that are no hyperparameters; all but the resource are at their highest.

    Raises InvalidArgument with the nearest name, DamagedBlackbox, FileNotFoundError, MissingExtra.
    """

    seeds = 1

    def __init__(
        self,
        folder: str | os.PathLike[str],
        dataset: str,
        *,
        task_name: str | None,
        inputs: Sequence[str],
        outputs: Mapping[str, Mode | None],
        elapsed_attr: str | None = "time",
        categories: Sequence[str] | None = None,
        resource_attr: str | None = None,
        fidelities: Sequence[str] = (),
    ) -> None:
        path = Path(folder)
        model, codes = next((pair for pair in MODELS if (path / pair[0]).is_file()), MODELS[0])
        encoding = _json(path / codes)
        described = _json(path / "config_space.json")
        entries = {entry["name"]: entry for entry in described["hyperparameters"]}
        if task_name is not None:
            known = [str(task) for task in entries[task_name]["choices"]]
            if dataset not in known:
                raise InvalidArgument(f"dataset={dataset!r} is not in {path.name}. {nearest(str(dataset), known)}")
        self._names = tuple(inputs)
        self._categories = ((task_name,) if task_name else ()) if categories is None else tuple(categories)
        for name in (*self._names, *self._categories):
            if name not in entries:
                raise InvalidArgument(f"inputs: {path.name} has no {name!r}. {nearest(name, entries)}")
        if elapsed_attr is not None and elapsed_attr not in outputs:
            raise InvalidArgument(f"elapsed_attr={elapsed_attr!r} is no output. {nearest(elapsed_attr, outputs)}")
        fidelities = tuple(fidelities) or self._names[:1]
        resource = fidelities[0] if resource_attr is None else resource_attr
        if resource not in fidelities:
            raise InvalidArgument(
                f"resource_attr={resource!r} is no fidelity of {path.name}. {nearest(resource, fidelities)}"
            )
        asked = {*self._names, *self._categories} - {task_name, *fidelities}
        self.space = Space(entries_of(described, asked))
        conditions = self.space.conditions
        self._needed = [one for one in (*self._names, *self._categories) if one in asked and one not in conditions]
        self.levels, self._amounts = _levels(entries[resource])
        self.resource_attr = resource
        self.objectives: Mapping[str, Mode | None] = dict(outputs)
        self.elapsed_attr = elapsed_attr
        self._fixed: dict[str, Any] = {name: entries[name]["upper"] for name in fidelities}
        if task_name is not None:
            self._fixed[task_name] = dataset
        for name in self._categories:
            if name not in encoding:
                raise DamagedBlackbox(str(path / codes), f"it has no codes of {name!r}")
        self._codes = {
            name: {str(value): int(code) for value, code in encoding[name].items()} for name in self._categories
        }
        self._session = _session(path / model, len(self._names), len(self._categories))

    def curve(self, config: Mapping[str, Any], seed: int = 0) -> Mapping[str, NDArray[Any]]:
        """Arrays over the levels."""
        return self.curves([config], [seed])[0]

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, NDArray[Any]]]:
        """All curves in one call of the network; the last digits may depend on how many are asked for at once."""
        del seeds
        n = len(self.levels)
        numbers = np.empty((len(configs), n, len(self._names)), np.float32)
        codes = np.empty((len(configs), n, len(self._categories)), np.int32)
        for i, config in enumerate(configs):
            for name in self._needed:
                if name not in config:
                    raise InvalidArgument(f"The configuration lacks hyperparameter {name!r}. {nearest(name, config)}")
            numbers[i] = [float(self._fixed.get(name, config.get(name, 0))) for name in self._names]
            codes[i] = [self._code(name, self._fixed.get(name, config.get(name, ABSENT))) for name in self._categories]
        if self.resource_attr in self._names:
            numbers[:, :, self._names.index(self.resource_attr)] = self._amounts
        else:
            place = self._categories.index(self.resource_attr)
            codes[:, :, place] = [self._code(self.resource_attr, int(amount)) for amount in self._amounts]
        queries = {"x_cat": codes.reshape(len(configs) * n, -1), "x_cont": numbers.reshape(len(configs) * n, -1)}
        (answers,) = self._session.run(None, {name: queries[name] for name in self._session.inputs})
        if answers.shape != (len(configs) * n, len(self.objectives)):
            raise InvalidArgument(
                f"The network answers {answers.shape[1:]} numbers for {len(self.objectives)} outputs."
            )
        found = answers.reshape(len(configs), n, -1).astype(np.float64)
        return [self._named(one) for one in found]

    def _code(self, name: str, value: Any) -> int:
        codes = self._codes[name]
        try:
            return codes[str(value)]
        except KeyError:
            raise InvalidArgument(f"{name}={value!r} has no code. {nearest(str(value), codes)}") from None

    def _named(self, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
        curve = {name: values[:, i] for i, name in enumerate(self.objectives)}
        if self.elapsed_attr is not None:
            seconds = np.maximum.accumulate(np.maximum(curve[self.elapsed_attr], 0.0))
            curve[self.elapsed_attr] = seconds + SLOPE * np.arange(1, len(seconds) + 1)
        return curve


def lcbench(folder: str | os.PathLike[str], dataset: str) -> OnnxBlackbox:
    """LCBench (Zimmer, Lindauer, Hutter 2021): networks on OpenML tasks, 52 epochs; accuracies in percent."""
    return OnnxBlackbox(folder, dataset, **asdict(SCENARIOS["lcbench"]))


def _levels(entry: Mapping[str, Any]) -> tuple[tuple[int, ...], NDArray[Any]]:
    """Resource levels, and the fidelity at each of them."""
    if entry["type"] == "uniform_int":
        levels = tuple(range(int(entry["lower"]), int(entry["upper"]) + 1))
        return levels, np.array(levels, float)
    levels = tuple(range(1, STEPS + 1))
    return levels, np.maximum(float(entry["upper"]) * np.array(levels) / STEPS, float(entry["lower"]))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedBlackbox(str(path), f"it is no JSON ({error})") from None


class _Network:
    """An ONNX session on one thread; `inputs` are the names of what it takes."""

    def __init__(self, session: Any, inputs: Sequence[str]) -> None:
        self.run, self.inputs = session.run, inputs


def _session(path: Path, numbers: int, codes: int) -> _Network:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("An ONNX surrogate", "blackbox") from None
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each kind of damage
        size = path.stat().st_size
        reason = f"it is no whole ONNX network: onnxruntime cannot load its {size} bytes ({type(error).__name__})"
        raise DamagedBlackbox(str(path), reason) from None
    shapes = {one.name: one.shape for one in session.get_inputs()}
    for name, wanted in (("x_cont", numbers), ("x_cat", codes)):
        width = shapes.get(name, [None, 0])[-1]
        if isinstance(width, int) and width != wanted:
            raise DamagedBlackbox(str(path), f"its input {name} has {width} columns, its description names {wanted}")
    return _Network(session, [name for name in ("x_cat", "x_cont") if name in shapes])
