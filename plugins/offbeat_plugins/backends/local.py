"""Trials as processes of this machine. Entry point `local` of `offbeat.backends`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Literal

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import BackendContext, BackendSession
from offbeat_plugins.backends.command import ConfigAs
from offbeat_plugins.backends.gpus import check_requested
from offbeat_plugins.backends.processes.options import (
    Options,
    Preload,
    check_system,
    checked_environment,
    checked_modules,
    existing_folder,
)

_NEEDED: Final = ("argparse", "fcntl", "offbeat.report")


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
        delete_checkpoints: delete the checkpoints of a trial once it was stopped, has failed for good, or will not be
            resumed as far as the scheduler can say; never the best trial's. See also `checkpoint_budget` of `Tuner`.
        preload: modules that all trials import, such as `["torch"]`: they are imported once, and each trial begins as a fork
            of that process in milliseconds, with everything else its own. For `.py` files run by this Python, on Linux.
            `[]` saves the start of the interpreter. Refused where importing one starts threads or opens a GPU, which no fork
            survives. What a module computes, opens or seeds when it is imported, all trials share; `random` and
            `numpy.random` are seeded anew in each.

    Raises InvalidArgument: the script is missing (with the nearest file), is a directory, is not executable ...
    """

    time: Literal["real"] = "real"
    measures_checkpoints = True
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
        preload: Sequence[str] | None = None,
    ) -> None:
        check_system("LocalBackend")
        if config_as not in ("flags", "json", "env"):
            raise InvalidArgument(f"config_as={config_as!r} is not valid: use 'flags', 'json' or 'env'.")
        self.entry_point = _existing_file(entry_point)
        self.default_name = self.entry_point.stem
        self.delete_checkpoints = delete_checkpoints
        #: What a resumed session is built with, wherever it is started.
        self.recorded_arguments: dict[str, Any] = {"entry_point": str(self.entry_point)}
        folder = existing_folder(cwd)
        self.recorded_arguments["cwd"] = folder
        runner = _runner(binary, self.entry_point)
        if binary is not None:
            self.recorded_arguments["binary"] = _recorded_binary(binary, runner)
        self._options = Options(
            base=(*runner, str(self.entry_point)),
            cwd=folder,
            config_as=config_as,
            env=checked_environment(env),
            num_threads=num_threads,
            max_trial_time=max_trial_time,
            max_silence=max_silence,
            rotate_gpus=rotate_gpus,
            gpus_per_trial=num_gpus_per_trial,
            gpus_to_use=check_requested(gpus_to_use),
            preload=_preload(preload, binary, self.entry_point),
        )

    def open(self, context: BackendContext) -> AbstractAsyncContextManager[BackendSession]:
        """Starts the supervisor, after ending what a killed session of this experiment may have left behind.

        Raises InvalidArgument if there are fewer GPUs than one trial is to have, or others than `gpus_to_use` names, and if
        a module cannot be preloaded.
        """
        from offbeat_plugins.backends.processes.opening import opened

        return opened(self._options, context)


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


def _preload(
    preload: Sequence[str] | None, binary: str | os.PathLike[str] | Sequence[str] | None, script: Path
) -> Preload | None:
    modules = checked_modules(preload)
    if modules is None:
        return None
    if binary is not None or script.suffix != ".py":
        raise InvalidArgument(
            f"preload={list(modules)!r} is for Python scripts (.py) that this Python runs: leave out preload, or binary."
        )
    return Preload(modules=modules, needed=_NEEDED, folder=str(script.parent))
