"""Trials as processes of this machine. Entry point `local` of `offbeat.backends`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import BackendContext, BackendSession
from offbeat_plugins.backends.command import ConfigAs
from offbeat_plugins.backends.gpus import VISIBLE, GpuPool, check_requested, pool
from offbeat_plugins.backends.processes.options import Options


@described
@explained
class LocalBackend:
    """Runs a script once for each trial, as a process tree of this machine that never outlives the engine.

    The script gets its configuration as `--name value` flags (lists and booleans as JSON text; `--name=value` where the
    value begins with a dash), reports through `offbeat.Reporter` or by printing `[tune-metric]: {json}` lines, and
    finds its checkpoints by `offbeat.report.checkpoint_dir()`. To end it gets SIGTERM, after the grace SIGKILL.

    Args:
        entry_point: the script, or any executable file.
        binary: what runs it: `"torchrun"`, `["java", "-jar"]` ...; default this Python for `.py` files, else nothing.
        config_as: "flags"; "json": `--offbeat-config PATH` alone; "env": `OFFBEAT_HP_<name>` variables. The JSON file
            is always there, its path in `OFFBEAT_CONFIG`.
        rotate_gpus: assign GPUs through `CUDA_VISIBLE_DEVICES`; False, or no GPUs: the variable stays as it is.
        num_gpus_per_trial: how many each trial gets.
        gpus_to_use: their indices or ids, out of those in `CUDA_VISIBLE_DEVICES` where that is set; default all that
            may be used. `[]` hides all GPUs from the trials.
        num_threads: for OpenMP and BLAS in each trial, where the environment says nothing; default cores / workers.
        env, cwd: additional variables; working directory, kept on resume (default: the current one).
        max_trial_time: seconds an attempt may take; max_silence: seconds it may go without a report. It then fails.
        delete_checkpoints: delete the checkpoints of a trial once it was stopped or has failed for good.

    Raises InvalidArgument: the script is missing (with the nearest file), is a directory, is not executable ...
    """

    time: Literal["real"] = "real"
    api_version = 1

    def __init__(
        self,
        entry_point: str | os.PathLike[str],
        *,
        binary: str | os.PathLike[str] | Sequence[str] | None = None,
        config_as: ConfigAs = "flags",
        rotate_gpus: bool = True,
        num_gpus_per_trial: int = 1,
        gpus_to_use: Sequence[int | str] | None = None,
        num_threads: int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        max_trial_time: float | None = None,
        max_silence: float | None = None,
        delete_checkpoints: bool = False,
    ) -> None:
        if os.name != "posix":
            raise InvalidArgument("LocalBackend needs Linux or macOS; on Windows use WSL, simulation or ask/tell.")
        if config_as not in ("flags", "json", "env"):
            raise InvalidArgument(f"config_as={config_as!r} is not valid: use 'flags', 'json' or 'env'.")
        _check_whole("num_gpus_per_trial", num_gpus_per_trial, 0)
        _check_whole("num_threads", num_threads, 1)
        _check_seconds("max_trial_time", max_trial_time)
        _check_seconds("max_silence", max_silence)
        self.entry_point = _existing_file(entry_point)
        self.default_name = self.entry_point.stem
        self.delete_checkpoints = delete_checkpoints
        #: What a resumed session is built with, wherever it is started.
        self.recorded_arguments: dict[str, Any] = {"entry_point": str(self.entry_point)}
        self._rotate_gpus = rotate_gpus
        self._num_gpus = num_gpus_per_trial
        self._gpus_to_use = check_requested(gpus_to_use)
        folder = _existing_folder("." if cwd is None else cwd)
        self.recorded_arguments["cwd"] = folder
        runner = _runner(binary, self.entry_point)
        if binary is not None:
            self.recorded_arguments["binary"] = _recorded_binary(binary, runner)
        self._options = Options(
            base=(*runner, str(self.entry_point)),
            cwd=folder,
            config_as=config_as,
            env=_checked_environment(env or {}),
            num_threads=num_threads,
            max_trial_time=max_trial_time,
            max_silence=max_silence,
        )

    def open(self, context: BackendContext) -> AbstractAsyncContextManager[BackendSession]:
        """Starts the supervisor, after ending what a killed session of this experiment may have left behind.

        Raises InvalidArgument if there are fewer GPUs than one trial is to have, or others than `gpus_to_use` names.
        """
        return self._open(context)

    @asynccontextmanager
    async def _open(self, context: BackendContext) -> AsyncIterator[BackendSession]:
        from offbeat_plugins.backends.processes.session import LocalSession, end_strays

        options = self._options
        if (Path(context.folder.path) / "trials").is_dir():
            await anyio.to_thread.run_sync(end_strays, Path(context.folder.path))
        environment = {**os.environ, **options.env}
        gpus = GpuPool(())
        if self._rotate_gpus and (self._num_gpus or self._gpus_to_use is not None):
            gpus = await anyio.to_thread.run_sync(pool, self._gpus_to_use, self._num_gpus, environment)
        if self._rotate_gpus and self._gpus_to_use is not None and not self._gpus_to_use:
            options = options.with_variable(VISIBLE, "")
        session = LocalSession(options, context, gpus)
        try:
            yield session
        finally:
            await session.close()


def _existing_file(entry_point: str | os.PathLike[str]) -> Path:
    if not isinstance(entry_point, str | os.PathLike) or not os.fspath(entry_point):
        raise InvalidArgument(f"entry_point={entry_point!r} is not valid: give the path of the training script.")
    path = Path(entry_point).expanduser().absolute()
    if path.is_dir():
        raise InvalidArgument(f"entry_point={str(entry_point)!r} is a directory: name the script in it.")
    if not path.is_file():
        folder = path.parent
        known = [file.name for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
        where = f"In {folder}: {nearest(path.name, known)}" if known else f"There are no files in {folder}."
        raise InvalidArgument(f"entry_point={str(entry_point)!r}: there is no such file. {where}")
    return path


def _existing_folder(cwd: str | os.PathLike[str]) -> str:
    if not isinstance(cwd, str | os.PathLike):
        raise InvalidArgument(f"cwd={cwd!r} is not valid: give the path of a directory.")
    try:
        path = Path(cwd).expanduser().absolute()
    except FileNotFoundError:
        raise InvalidArgument("The current directory has been deleted: change to another one.") from None
    if not path.is_dir():
        raise InvalidArgument(f"cwd={str(cwd)!r} is not a directory.")
    return str(path)


def _runner(binary: str | os.PathLike[str] | Sequence[str] | None, script: Path) -> list[str]:
    """The argument list before the script."""
    if binary is None:
        if script.suffix == ".py":
            return [sys.executable]
        if not os.access(script, os.X_OK):
            raise InvalidArgument(
                f"entry_point={str(script)!r} is not executable: chmod +x it, or say what runs it (binary='bash')."
            )
        return []
    parts = [os.fspath(binary)] if isinstance(binary, str | os.PathLike) else list(binary)
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise InvalidArgument(
            f"binary={binary!r} is not valid: give a program, or a list of a program and its arguments."
        )
    program = shutil.which(os.path.expanduser(parts[0]))  # noqa: PTH111 - Path would turn "./x" into "x"
    if program is None:
        hint = f" Did you mean binary={parts[0].split()!r}?" if " " in parts[0] else ""
        raise InvalidArgument(f"binary={parts[0]!r} is not an executable file and not on PATH.{hint}")
    return [str(Path(program).absolute()), *parts[1:]]


def _recorded_binary(binary: str | os.PathLike[str] | Sequence[str], runner: Sequence[str]) -> str | list[str]:
    """As given, so that PATH decides anew on resume; but a path holds wherever the engine is started."""
    given = os.fspath(binary if isinstance(binary, str | os.PathLike) else binary[0])
    first = runner[0] if os.sep in given else given
    return first if isinstance(binary, str | os.PathLike) else [first, *runner[1:]]


def _checked_environment(env: Mapping[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidArgument(f"env[{name!r}]={value!r}: names and values have to be text.")
        if not name or "=" in name or "\0" in name + value:
            raise InvalidArgument(f"env[{name!r}] cannot be set: a name has no '=', and neither has a NUL character.")
    return dict(env)


def _check_whole(name: str, value: Any, least: int) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise InvalidArgument(f"{name}={value!r} is not valid: give a whole number from {least} up.")


def _check_seconds(name: str, value: Any) -> None:
    if value is not None and not (isinstance(value, int | float) and 0 < value < float("inf")):
        raise InvalidArgument(f"{name}={value!r} is not valid: give seconds above 0, or None for no limit.")
