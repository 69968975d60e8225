"""Recorded and modelled trainings: by name with `load_blackbox`, or made from your own data with the classes here.

The classes that come with offbeat are loaded when they are used. They are found through their entry points like
anybody's; `offbeat.registry.load("blackbox_types", name)` gives a stranger's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offbeat.faces import face

if TYPE_CHECKING:
    from offbeat.protocols import Blackbox
    from offbeat_plugins.blackboxes.fitted import FittedBlackbox
    from offbeat_plugins.blackboxes.function import FunctionBlackbox
    from offbeat_plugins.blackboxes.onnx import OnnxBlackbox
    from offbeat_plugins.blackboxes.renamed import RenamedBlackbox
    from offbeat_plugins.blackboxes.tabular import TabularBlackbox

PLUGINS: Final = {
    "FittedBlackbox": "fitted",
    "FunctionBlackbox": "function",
    "OnnxBlackbox": "onnx",
    "RenamedBlackbox": "renamed",
    "TabularBlackbox": "tabular",
}
"""Class -> name of its entry point in `offbeat.blackbox_types`."""

__all__ = [
    "PLUGINS",
    "FittedBlackbox",
    "FunctionBlackbox",
    "OnnxBlackbox",
    "RenamedBlackbox",
    "TabularBlackbox",
    "load_blackbox",
]


def load_blackbox(name: str, dataset: str | None = None) -> Blackbox:
    """A blackbox that an installed distribution offers under a name, as `offbeat plugins blackboxes` lists it.

    Args:
        name: "digits"; `distribution:name` where two use the same name.
        dataset: which of its data sets; None where it has one.

    Raises:
        UnknownPlugin: with the nearest name, and what else `offbeat.registry.load` raises.
        InvalidArgument: it has no such data set; with the nearest name.
        BrokenPlugin: the plugin raises something else, or answers what is no blackbox.
    """
    from offbeat.errors import BrokenPlugin, InvalidArgument, OffbeatError
    from offbeat.protocols import Blackbox
    from offbeat.registry import load

    for argument, value in (("name", name), ("dataset", dataset)):
        if not isinstance(value, str) and (value is not None or argument == "name"):
            raise InvalidArgument(f"{argument}={value!r}: give a text.")
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
