"""The backends that come with offbeat, under their class names; each is loaded when it is used.

They are found through their entry points like anybody's; `offbeat.registry.load("backends", name)` gives a stranger's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offbeat.faces import face

if TYPE_CHECKING:
    from offbeat_plugins.backends.blackbox_repository import BlackboxRepositoryBackend as BlackboxRepositoryBackend
    from offbeat_plugins.backends.coroutine import CoroutineBackend as CoroutineBackend
    from offbeat_plugins.backends.local import LocalBackend as LocalBackend
    from offbeat_plugins.backends.python import PythonBackend as PythonBackend
    from offbeat_plugins.backends.sagemaker import SageMakerBackend as SageMakerBackend
    from offbeat_plugins.backends.simulated import SimulatedBackend as SimulatedBackend

PLUGINS: Final = {
    "BlackboxRepositoryBackend": "blackbox-repository",
    "CoroutineBackend": "coroutine",
    "LocalBackend": "local",
    "PythonBackend": "python",
    "SageMakerBackend": "sagemaker",
    "SimulatedBackend": "simulated",
}
"""Class -> name of its entry point in `offbeat.backends`."""

__all__ = ["PLUGINS", *PLUGINS]  # noqa: PLE0604 - the table is literal, a test compares it with the block above

if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt name is a type error
    __getattr__, __dir__ = face(globals(), "offbeat.backends", PLUGINS)
