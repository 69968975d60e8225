"""From a configuration to what a script is called with: argument list or environment. No shell reads any of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

ConfigAs: TypeAlias = Literal["flags", "json", "env"]

_FLAG = re.compile(r"[^-=\s\0][^=\0]*")
_VARIABLE = re.compile(r"[^=\0]+")


class Unpassable(ValueError):
    """A name or value cannot be handed over in the chosen way; the message says which and what to do."""


def as_text(value: Any) -> str:
    """A value as scripts read it: text as it is, everything else as JSON (true, 3, 0.1, [1, 2])."""
    return value if isinstance(value, str) else json.dumps(value)


def flags(config: Mapping[str, Any]) -> list[str]:
    """`--name`, `value` for each entry; `--name=value` where the value would be taken for a flag. Raises Unpassable."""
    arguments: list[str] = []
    for name, value in config.items():
        if not _FLAG.fullmatch(name):
            raise Unpassable(f"The name {name!r} cannot be a flag: use config_as='json', or another name in the space.")
        text = _checked(name, as_text(value))
        # Parsers take text with a leading dash for a flag, and argparse does so with numbers like -1e-05.
        if text.startswith("-"):
            arguments.append(f"--{name}={text}")
        else:
            arguments += (f"--{name}", text)
    return arguments


def variables(config: Mapping[str, Any]) -> dict[str, str]:
    """`OFFBEAT_HP_<name>` for each entry, the name unchanged. Raises Unpassable."""
    environment: dict[str, str] = {}
    for name, value in config.items():
        if not _VARIABLE.fullmatch(name):
            raise Unpassable(f"The name {name!r} cannot be in a variable's name: use config_as='json'.")
        environment[f"OFFBEAT_HP_{name}"] = _checked(name, as_text(value))
    return environment


def _checked(name: str, text: str) -> str:
    if "\0" in text:
        raise Unpassable(
            f"The value of {name!r} has a NUL character, which no argument or variable can hold: use config_as='json'."
        )
    return text


def command(
    base: Sequence[str], config: Mapping[str, Any], config_as: ConfigAs, config_path: str
) -> tuple[list[str], dict[str, str]]:
    """Argument list and additional environment of one attempt. Raises Unpassable."""
    match config_as:
        case "flags":
            return [*base, *flags(config)], {}
        case "json":
            return [*base, "--offbeat-config", config_path], {}
        case "env":
            return list(base), variables(config)


THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def thread_limits(limit: int | None, n_workers: int, present: Mapping[str, str]) -> dict[str, str]:
    """Variables that keep each trial to its share of the cores; those that the user set are left alone."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = limit if limit is not None else max(1, cores // max(1, n_workers))
    return {name: str(count) for name in THREAD_VARIABLES if name not in present}
