"""Trials that call a Python function, each in a process of its own. Entry point `python` of `offbeat.backends`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import BackendContext, BackendSession
from offbeat_plugins.backends.fingerprints import fingerprint
from offbeat_plugins.backends.functions import check_defaults, check_kind, check_parameters, name_of, pack
from offbeat_plugins.backends.gpus import check_requested
from offbeat_plugins.backends.processes import folders
from offbeat_plugins.backends.processes.options import (
    Options,
    Preload,
    check_system,
    checked_environment,
    checked_modules,
    existing_folder,
)

if TYPE_CHECKING:
    from offbeat.space import Space

_PROGRAM: Final = Path(__file__).parent / "processes" / "function_main.py"
_NEEDED: Final = ("cloudpickle", "fcntl", "offbeat_plugins.backends.processes.function_child")
FILE: Final = "function.pickle"


@described
@explained
class PythonBackend:
    """Calls a function once for each trial, in a process tree of this machine that never outlives the engine.

    The function is called as `tune_function(**config)`; in it, `report = offbeat.Reporter()` and everything else of
    `offbeat.report` works as in a script. Closures, lambdas and functions of notebooks will do: what a trial can import
    by name it imports, all else is sent by value, once for each experiment, as it was when this object was made. The
    trial checks the file's digest before it unpickles it; the engine never does.

    A function that has reported may return what it likes. One that never reports has to return a table of metrics
    (`{"loss": 0.3}`), which counts as its only report; without either the trial has failed, even if it went well.

    On resume the same function has to be passed again; if its code differs from the recorded one, that is said.

    Args:
        tune_function: what is called. It takes every name of the space, or `**kwargs`.
        config_space: the space of the scheduler, by which the function's parameters are checked.
        rotate_gpus, num_gpus_per_trial, gpus_to_use: see `LocalBackend`.
        delete_checkpoints, num_threads, env, cwd, max_trial_time, max_silence: see `LocalBackend`.
        preload: modules that are imported once instead of in each trial, see `LocalBackend`; the function's own module is,
            if it has one that can be imported. None: each trial is a fresh interpreter.

    Raises:
        InvalidArgument: it is no function, a coroutine function, does not fit the space, cannot be pickled ...
        MissingExtra: cloudpickle is not installed.
    """

    time: Literal["real"] = "real"
    measures_checkpoints = True
    api_version = 1

    def __init__(
        self,
        tune_function: Callable[..., Any],
        config_space: Mapping[str, Any] | Space,
        rotate_gpus: bool = True,
        delete_checkpoints: bool = False,
        *,
        num_gpus_per_trial: int = 1,
        gpus_to_use: Sequence[int | str] | None = None,
        num_threads: int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        max_trial_time: float | None = None,
        max_silence: float | None = None,
        preload: Sequence[str] | None = None,
    ) -> None:
        from offbeat.space import Space

        check_system("PythonBackend")
        check_kind(tune_function)
        space = Space.of(config_space)
        check_parameters(tune_function, (*space.domains, *space.constants))
        check_defaults(tune_function, space.conditions)
        self.delete_checkpoints = delete_checkpoints
        self.default_name = name_of(tune_function)
        modules = checked_modules(preload)
        self._options = Options(
            base=(sys.executable, str(_PROGRAM)),
            cwd=existing_folder(cwd),
            config_as="json",
            env=checked_environment(env),
            num_threads=num_threads,
            max_trial_time=max_trial_time,
            max_silence=max_silence,
            rotate_gpus=rotate_gpus,
            gpus_per_trial=num_gpus_per_trial,
            gpus_to_use=check_requested(gpus_to_use),
            no_report=(
                f"{self.default_name} returned without a report: call report = offbeat.Reporter() and report(loss=...) in "
                "it, or return its metrics as a dict"
            ),
        )
        self._packed = packed = pack(tune_function)
        if modules is not None:
            own = () if not packed.module or packed.module in modules else (packed.module,)
            preloaded = Preload(modules=(*modules, *own), needed=_NEEDED, path=packed.path)
            self._options = replace(self._options, preload=preloaded)
        #: What the function does, by which it is compared with the recorded one on resume.
        self.fingerprint = fingerprint(tune_function)

    def open(self, context: BackendContext) -> AbstractAsyncContextManager[BackendSession]:
        """Starts the supervisor, after ending what a killed session of this experiment may have left behind.

        Raises InvalidArgument if there are fewer GPUs than one trial is to have, or others than `gpus_to_use` names, and if
        a module cannot be preloaded.
        """
        return self._open(context)

    @asynccontextmanager
    async def _open(self, context: BackendContext) -> AsyncIterator[BackendSession]:
        from offbeat_plugins.backends.processes.opening import opened

        file = await anyio.to_thread.run_sync(_write, context.folder.path, self._packed.content)
        base = (*self._options.base, str(file), self._packed.digest)
        async with opened(replace(self._options, base=base), context) as session:
            yield session


def _write(folder: Path, content: bytes) -> Path:
    """Complete or not at all; once for each experiment, unless the function is another one now."""
    file = folder.absolute() / "trials" / FILE
    with contextlib.suppress(OSError):
        if file.read_bytes() == content:
            return file
    folders.make(str(file.parent))
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as opened:  # noqa: PTH123 - a descriptor
        opened.write(content)
    fresh.replace(file)
    return file
