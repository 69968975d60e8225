"""Trials as coroutines of the engine's own event loop. Entry point `coroutine` of `offbeat.backends`."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import anyio

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import BackendContext, BackendSession
from offbeat_plugins.backends.coroutines.trial import Trial

__all__ = ["CoroutineBackend", "Objective", "Trial"]

Objective: TypeAlias = Callable[[Trial], Coroutine[Any, Any, object]]


@described
@explained
class CoroutineBackend:
    """Awaits a coroutine once for each trial, beside whatever else the application does in its event loop.

        async def objective(trial):
            for epoch in range(1, trial.config["epochs"] + 1):
                ...
                await trial.report(epoch=epoch, loss=loss)

        await Tuner(CoroutineBackend(objective), scheduler, n_workers=8).arun()

    `await trial.report(...)` returns "continue" once the engine has decided so on this report. A trial that is to stop or
    pause is cancelled, when the reason is as safe as the session's durability says: `CancelledError` comes out of the
    report, or wherever the coroutine waits if another trial's report decided it or the session ends. It may clean up (and
    save what a paused trial goes on from) within the grace, and then has to let the cancellation out. One that still
    waits for something afterwards is closed by force, counts as failed where no decision had ended it, and is warned of
    in the log; its slot is given to the next trial. A coroutine that does not give the loop back holds up everything: put
    long computations into a thread or a process.

    What it raises fails the trial, with the end of the traceback; so do a cancellation that is not the engine's, and an
    end without a single report.

    Args:
        objective: an `async def` function (or method, partial, object with such a `__call__`) that takes the trial, or
            "module:function". One that can be imported is described in the journal, so that the experiment can be
            resumed by name; any other has to be passed again on resume.
        delete_checkpoints: see `LocalBackend`.

    Raises InvalidArgument.
    """

    time: Literal["real"] = "real"
    measures_checkpoints = True
    api_version = 1
    shares_loop = True

    def __init__(self, objective: Objective | str, *, delete_checkpoints: bool = False) -> None:
        found = _imported(objective) if isinstance(objective, str) else objective
        self.objective: Objective = _checked(found)
        self.delete_checkpoints = delete_checkpoints
        self.default_name = _name(found)
        place = objective if isinstance(objective, str) else _importable(found)
        self.recorded_arguments: dict[str, Any] = {"objective": place} if place else {}

    def open(self, context: BackendContext) -> AbstractAsyncContextManager[BackendSession]:
        """A session in the running event loop."""
        return self._open(context)

    @asynccontextmanager
    async def _open(self, context: BackendContext) -> AsyncIterator[BackendSession]:
        from offbeat_plugins.backends.coroutines.session import CoroutineSession

        trials = Path(context.folder.path) / "trials"
        stale = await anyio.to_thread.run_sync(_entries, trials) if trials.is_dir() else ()
        session = CoroutineSession(self.objective, context, stale)
        try:
            yield session
        finally:
            await session.close()


def _entries(folder: Path) -> frozenset[str]:
    return frozenset(os.listdir(folder))  # noqa: PTH208 - names alone are wanted, of maybe very many


def _checked(objective: Any) -> Objective:
    """The objective itself, if it is a coroutine function of one argument. Raises InvalidArgument."""
    name = _name(objective)
    if inspect.iscoroutine(objective):
        objective.close()
        raise InvalidArgument(f"objective={name}(...) was called already: pass the function itself, objective={name}.")
    if isinstance(objective, type) or not callable(objective):
        raise InvalidArgument(f"objective={objective!r} is no function: pass an `async def` function of one argument.")
    called = objective if inspect.isroutine(objective) or isinstance(objective, partial) else type(objective).__call__
    if inspect.isasyncgenfunction(called):
        raise InvalidArgument(f"objective={name} yields: report by `await trial.report(...)` instead.")
    if not inspect.iscoroutinefunction(called):
        raise InvalidArgument(
            f"objective={name} is no coroutine function: define it with `async def`, and move what blocks into "
            "`await asyncio.to_thread(...)`."
        )
    try:
        inspect.signature(objective).bind(None)
    except TypeError as error:
        raise InvalidArgument(f"objective={name} has to take one argument, the trial: {error}.") from None
    return cast(Objective, objective)


def _name(objective: Any) -> str:
    while isinstance(objective, partial):
        objective = objective.func
    return str(getattr(objective, "__name__", type(objective).__name__))


def _importable(objective: Any) -> str:
    """`module:function` where that is this very object in another process too; else nothing."""
    module, name = getattr(objective, "__module__", None), getattr(objective, "__qualname__", "")
    if not module or module == "__main__" or not name.isidentifier():
        return ""
    try:
        return f"{module}:{name}" if getattr(import_module(module), name, None) is objective else ""
    except ImportError:
        return ""


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    if not module or not name.isidentifier():
        raise InvalidArgument(f"objective={place!r} is not valid: give 'module:function', or the function itself.")
    try:
        found = import_module(module)
    except Exception as error:
        hint = " Its folder has to be on PYTHONPATH." if isinstance(error, ModuleNotFoundError) else ""
        raise InvalidArgument(
            f"objective={place!r} cannot be imported: {type(error).__name__}: {error}.{hint}"
        ) from error
    try:
        return getattr(found, name)
    except AttributeError:
        raise InvalidArgument(f"objective={place!r}: {module} has no {name!r}. {nearest(name, vars(found))}") from None
