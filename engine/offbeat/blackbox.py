"""Recorded and modelled trainings: by name with `load_blackbox`, or made from your own data with the classes here.

A name is that of a plugin ("digits"), of a folder in a blackbox repository on this machine, or of a folder on the hub
that is fetched once; `BlackboxRepository` says where they lie, lists them and writes new ones.

The classes that come with offbeat are loaded when they are used. They are found through their entry points like
anybody's; `offbeat.registry.load("blackbox_types", name)` gives a stranger's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offbeat.faces import face

if TYPE_CHECKING:
    import os

    from offbeat.protocols import Blackbox
    from offbeat_plugins.blackboxes.fitted import FittedBlackbox
    from offbeat_plugins.blackboxes.function import FunctionBlackbox
    from offbeat_plugins.blackboxes.onnx import OnnxBlackbox
    from offbeat_plugins.blackboxes.renamed import RenamedBlackbox
    from offbeat_plugins.blackboxes.repository.repository import BlackboxRepository
    from offbeat_plugins.blackboxes.surrogate import add_surrogate
    from offbeat_plugins.blackboxes.tabular import TabularBlackbox

PLUGINS: Final = {
    "BlackboxRepository": "repository",
    "FittedBlackbox": "fitted",
    "FunctionBlackbox": "function",
    "OnnxBlackbox": "onnx",
    "RenamedBlackbox": "renamed",
    "TabularBlackbox": "tabular",
    "add_surrogate": "surrogate",
}
"""Class or function -> name of its entry point in `offbeat.blackbox_types`."""

__all__ = [
    "PLUGINS",
    "BlackboxRepository",
    "FittedBlackbox",
    "FunctionBlackbox",
    "OnnxBlackbox",
    "RenamedBlackbox",
    "TabularBlackbox",
    "add_surrogate",
    "load_blackbox",
]


def load_blackbox(
    name: str,
    dataset: str | None = None,
    *,
    repository: str | os.PathLike[str] | None = None,
    custom_repo_id: str | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    resource_attr: str | None = None,
    seconds_per_level: float | None = None,
) -> Blackbox:
    """A blackbox by name: a plugin's as `offbeat plugins blackboxes` lists it, else a folder's as `offbeat blackboxes` does.

    A table of a space with infinitely many configurations answers with the nearest one that it holds; see `add_surrogate`.

    Args:
        name: "digits"; `distribution:name` where two distributions use the same; "lcbench", "nasbench201" ... A plugin
            comes before a folder of its name, a folder of the repository before one of the hub.
        dataset: which of its data sets; None where it has one.
        repository: folder of blackbox folders; None: `$OFFBEAT_BLACKBOXES`, else `~/.offbeat/blackboxes`.
        custom_repo_id: another data set repository of the Hugging Face hub than `synetune/blackbox-repository`.
        local_files_only: fetch nothing.
        force_download: fetch again what was fetched.
        resource_attr: which fidelity counts as the resource, where a folder has several; the others are at their highest.
        seconds_per_level: what a resource level costs in a table that has no times; a plugin's blackbox takes none of the
            last two.

    Raises:
        UnknownBlackbox: with the nearest name, and what else `offbeat.registry.load` raises.
        InvalidArgument: it has no such data set; with the nearest name.
        DamagedBlackbox: a file is cut off or contradicts another, named.
        HubUnavailable: the hub was asked and did not answer.
        BrokenPlugin: the plugin raises something else, or answers what is no blackbox.
    """
    from offbeat.errors import BrokenPlugin, InvalidArgument, OffbeatError
    from offbeat.protocols import Blackbox
    from offbeat.registry import available, load

    for argument, value in (("name", name), ("dataset", dataset)):
        if not isinstance(value, str) and (value is not None or argument == "name"):
            raise InvalidArgument(f"{argument}={value!r}: give a text.")
    if ":" not in name and name not in {info.name for info in available("offbeat.blackboxes")}:
        opened = load("offbeat.blackbox_types", "offbeat:repository")(
            repository, custom_repo_id=custom_repo_id, local_files_only=local_files_only, force_download=force_download
        )
        read: Blackbox = opened.load(name, dataset, resource_attr=resource_attr, seconds_per_level=seconds_per_level)
        return read
    if resource_attr is not None or seconds_per_level is not None:
        raise InvalidArgument(
            f"{name!r} is a plugin; resource_attr= and seconds_per_level= are for folders of a repository."
        )
    make = load("offbeat.blackboxes", name)
    try:
        found: object = make() if dataset is None else make(dataset)
    except OffbeatError:
        raise
    except Exception as error:
        raise BrokenPlugin("offbeat.blackboxes", name, f"{type(error).__name__}: {error}") from error
    if not isinstance(found, Blackbox):
        raise BrokenPlugin("offbeat.blackboxes", name, f"it answers a {type(found).__name__}, which is no blackbox")
    return found


if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt name is a type error
    __getattr__, __dir__ = face(globals(), "offbeat.blackbox_types", PLUGINS)
