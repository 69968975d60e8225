"""One observer on the bus: checked against the hook page, called without being able to harm the run."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pluggy

from offbeat.contained import Worker, contained
from offbeat.errors import BrokenPlugin, nearest
from offbeat.hookspecs import ObserverHooks


class _Manager(pluggy.PluginManager):
    """pluggy with methods found by name alone: a plugin author needs no decorator."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        if not hasattr(ObserverHooks, name) or name.startswith("_"):
            return None
        return {
            "wrapper": False, "hookwrapper": False, "optionalhook": False, "tryfirst": False, "trylast": False,
            "specname": None,
        }  # fmt: skip


def validate_observer(observer: object, name: str) -> None:
    """Checks an observer against the hook page. Raises BrokenPlugin that names the method and the surplus arguments."""
    manager = _Manager("offbeat")
    manager.add_hookspecs(ObserverHooks)
    try:
        manager.register(observer, name)
    except pluggy.PluginValidationError as error:
        raise BrokenPlugin("offbeat.reporters", name, " ".join(str(error).split())) from None
    if not callable(getattr(observer, "handle", None)):
        public = [attribute for attribute in dir(observer) if not attribute.startswith("_")]
        raise BrokenPlugin("offbeat.reporters", name, f"it has no method `handle(events)`. {nearest('handle', public)}")


class Lane:
    """One observer and its cursor.

    Attributes:
        cursor: sequence number of the next event for it; skipped: how many it was spared (`latest_only`).
        off: it raised and gets nothing more.
    """

    def __init__(self, name: str, observer: Any, cursor: int = 0) -> None:
        validate_observer(observer, name)
        self.name = name
        self.observer = observer
        self.latest_only = bool(getattr(observer, "latest_only", False))
        self.cursor = cursor
        self.wake = asyncio.Event()
        self.off = False
        self.skipped = 0
        self._worker = Worker(f"offbeat-{name}")

    async def call(self, method: str, *arguments: Any) -> Any:
        """Calls a hook where the observer has it: coroutine methods on the loop, plain ones in the lane's thread.

        What it raises comes back as `Raised`.
        """
        function = getattr(self.observer, method, None)
        if function is None:
            return None
        arguments = arguments[: _taken(function)]
        if inspect.iscoroutinefunction(function):
            return await contained(function(*arguments))
        return await self._worker.call(function, *arguments)

    def close(self) -> None:
        """Ends the lane's thread."""
        self._worker.close()


def _taken(function: Any) -> int | None:
    """How many arguments a hook takes, where that is fewer than it is offered; None for all."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return None
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)
