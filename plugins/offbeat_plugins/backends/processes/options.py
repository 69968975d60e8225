"""How trials are started, as a backend was told; checked and resolved."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from offbeat.errors import InvalidArgument
from offbeat.report import RANK_VARIABLES
from offbeat_plugins.backends.command import ConfigAs

_MODULE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Preload:
    """Modules that are imported once a run, before the first trial.

    Attributes:
        modules: their names, in the order in which they are imported.
        needed: those that every trial imports anyway, before them.
        path: `sys.path` of the trials; empty: the interpreter's own, with `folder` before it.
        folder: the script's.
    """

    modules: tuple[str, ...]
    needed: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    folder: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Everything about an attempt's process that is the same for all attempts.

    Attributes:
        base: argument list before the configuration.
        cwd: working directory.
        env: variables on top of the engine's own.
        max_trial_time, max_silence: seconds, None for no limit.
        rotate_gpus, gpus_per_trial, gpus_to_use: see `LocalBackend`.
        preload: None: each attempt is a fresh interpreter.
        no_report: why an attempt that was started anew and ended well without a report has failed; empty: it has not.
    """

    base: tuple[str, ...]
    cwd: str
    config_as: ConfigAs = "flags"
    env: Mapping[str, str] = field(default_factory=dict)
    num_threads: int | None = None
    max_trial_time: float | None = None
    max_silence: float | None = None
    rotate_gpus: bool = True
    gpus_per_trial: int = 1
    gpus_to_use: Sequence[int | str] | None = None
    preload: Preload | None = None
    no_report: str = ""

    def __post_init__(self) -> None:
        """Raises InvalidArgument, under the names that the backends' arguments have."""
        _check_whole("num_gpus_per_trial", self.gpus_per_trial, 0)
        _check_whole("num_threads", self.num_threads, 1)
        _check_seconds("max_trial_time", self.max_trial_time)
        _check_seconds("max_silence", self.max_silence)

    def with_variable(self, name: str, value: str) -> Options:
        """The same with one more environment variable."""
        return replace(self, env={**self.env, name: value})

    def unset(self) -> list[str]:
        """Variables of the engine that would mislead a trial.

        A trial is rank 0 of its own world, whatever rank the engine has in its; and if the engine runs in a trial of
        another experiment, that one's Reporter is not this one's.
        """
        ranks = [name for name in RANK_VARIABLES if os.environ.get(name, "0") != "0" and name not in self.env]
        return ["OFFBEAT_REPORTER", *ranks]


def check_system(backend: str) -> None:
    """Raises InvalidArgument where processes are not managed as here."""
    if os.name != "posix":
        raise InvalidArgument(f"{backend} needs Linux or macOS; on Windows use WSL, simulation or ask/tell.")


def checked_modules(preload: Any) -> tuple[str, ...] | None:
    """Names of modules to be kept loaded; None for None. Raises InvalidArgument."""
    if preload is None:
        return None
    if isinstance(preload, str) or not isinstance(preload, Sequence):
        hint = f" preload={[preload]!r}" if isinstance(preload, str) else ' preload=["torch"]'
        raise InvalidArgument(f"preload={preload!r} is not valid: give a list of modules, such as{hint}.")
    for name in preload:
        if not isinstance(name, str) or not _MODULE.fullmatch(name):
            raise InvalidArgument(f"preload={preload!r}: {name!r} is no module's name; write it as after `import`.")
    if sys.platform != "linux":
        raise InvalidArgument(
            "preload needs Linux: elsewhere a loaded interpreter cannot be forked safely; leave it out."
        )
    return tuple(preload)


def existing_folder(cwd: str | os.PathLike[str] | None) -> str:
    """The working directory in full, the current one for None. Raises InvalidArgument."""
    cwd = "." if cwd is None else cwd
    if not isinstance(cwd, str | os.PathLike):
        raise InvalidArgument(f"cwd={cwd!r} is not valid: give the path of a directory.")
    try:
        path = Path(cwd).expanduser().absolute()
    except FileNotFoundError:
        raise InvalidArgument("The current directory has been deleted: change to another one.") from None
    if not path.is_dir():
        raise InvalidArgument(f"cwd={str(cwd)!r} is not a directory.")
    return str(path)


def checked_environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of the additional variables. Raises InvalidArgument."""
    env = env or {}
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
