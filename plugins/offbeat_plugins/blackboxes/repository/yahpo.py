"""Layout D, "yahpo": a network that models the curves of a scenario of YAHPO Gym, with the codes of its categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from offbeat.errors import DamagedBlackbox, InvalidArgument, InvalidSpace
from offbeat_plugins.blackboxes.onnx import MODELS, STEPS, OnnxBlackbox
from offbeat_plugins.blackboxes.repository.assembly import Options
from offbeat_plugins.blackboxes.repository.files import read_json
from offbeat_plugins.blackboxes.repository.layout import Extent
from offbeat_plugins.blackboxes.repository.metadata import FILE, OWN
from offbeat_plugins.blackboxes.repository.scenarios import SCENARIOS, Scenario, recognised

SPACE: Final = "config_space.json"


class Yahpo:
    """See `offbeat_plugins.blackboxes.repository.layout.Layout`.

    Which scenario a folder holds is seen from the names in its `config_space.json`. A network of one's own is described in
    `metadata.json`: {"offbeat": {"onnx": {"inputs": [...], "outputs": {name: mode}, "task_name": ..., "categories": [...],
    "fidelities": [...], "elapsed_attr": ...}}}; see `OnnxBlackbox`.
    """

    name = "yahpo"

    def fits(self, folder: Path) -> bool:
        """Whether a network is there, or its space."""
        return any((folder / model).is_file() for model, _ in MODELS) or (folder / SPACE).is_file()

    def tasks(self, folder: Path) -> list[str]:
        """Choices of the task; the folder's own name where it has one."""
        scenario = _scenario(folder)
        if scenario.task_name is None:
            return [folder.name]
        choices = _entry(folder, scenario.task_name).get("choices")
        if not isinstance(choices, list):
            raise DamagedBlackbox(str(folder / SPACE), f"an entry lacks 'choices', {scenario.task_name!r}")
        return [str(task) for task in choices]

    def extent(self, folder: Path, task: str) -> Extent:
        """From the description; the network is not loaded."""
        del task
        scenario = _scenario(folder)
        resource = _entry(folder, (scenario.fidelities or scenario.inputs)[0])
        whole = resource.get("type") == "uniform_int"
        levels = int(resource["upper"]) - int(resource["lower"]) + 1 if whole else STEPS
        return Extent(None, 1, levels, scenario.outputs, scenario.elapsed_attr)

    def load(self, folder: Path, task: str, options: Options) -> OnnxBlackbox:
        """One task."""
        if options.seconds_per_level is not None:
            raise InvalidArgument("seconds_per_level= is for tables without times; a network has its own.")
        scenario = _scenario(folder)
        try:
            return OnnxBlackbox(
                folder,
                task,
                task_name=scenario.task_name,
                inputs=scenario.inputs,
                outputs=scenario.outputs,
                elapsed_attr=scenario.elapsed_attr,
                categories=scenario.categories or None,
                resource_attr=options.resource_attr,
                fidelities=scenario.fidelities,
            )
        except FileNotFoundError as error:
            raise DamagedBlackbox(str(folder), str(error).rstrip(".")) from None
        except KeyError as error:
            raise DamagedBlackbox(str(folder / SPACE), f"an entry lacks {error}") from None
        except InvalidSpace as error:
            raise DamagedBlackbox(str(folder / SPACE), str(error).rstrip(".")) from None


def _hyperparameters(folder: Path) -> list[dict[str, Any]]:
    found = read_json(folder / SPACE).get("hyperparameters")
    if not isinstance(found, list) or not all(isinstance(one, dict) and "name" in one for one in found):
        raise DamagedBlackbox(str(folder / SPACE), "it has no list of hyperparameters with names")
    return found


def _entry(folder: Path, name: str) -> dict[str, Any]:
    """The description of a name, which a recognised scenario has."""
    return next(entry for entry in _hyperparameters(folder) if entry["name"] == name)


def _scenario(folder: Path) -> Scenario:
    own = None
    if (folder / FILE).is_file():
        described = read_json(folder / FILE).get(OWN)
        own = described.get("onnx") if isinstance(described, dict) else None
    names = {str(entry["name"]) for entry in _hyperparameters(folder)}
    try:
        found = recognised(names, own)
    except msgspec.ValidationError as error:
        raise DamagedBlackbox(str(folder / FILE), f"it does not describe a network ({error})") from None
    if found is None:
        raise DamagedBlackbox(
            str(folder / SPACE),
            f"its names are those of no scenario that is known ({', '.join(SCENARIOS)})",
            "Describe the network's inputs and outputs in metadata.json; see Yahpo in offbeat_plugins.",
        )
    missing = sorted({*found.inputs, *found.categories} - names)
    if missing:
        raise DamagedBlackbox(str(folder / SPACE), f"it lacks {missing[0]!r}, which metadata.json names")
    return found
