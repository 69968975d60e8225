"""Which GPUs a trial gets: within what the user allowed, free ones first, used in turn."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from offbeat.errors import InvalidArgument

VISIBLE = "CUDA_VISIBLE_DEVICES"


def allowed(requested: Sequence[int | str] | None, environment: Mapping[str, str]) -> list[str] | None:
    """GPUs named by argument, else by `CUDA_VISIBLE_DEVICES`; None: nobody said anything, so count them.

    As CUDA does, a list in the variable ends at its first invalid entry (-1). Raises InvalidArgument where the argument
    names a GPU that is not in the variable: its entries are those of the variable, not positions in it.
    """
    listed = environment.get(VISIBLE)
    named = None if requested is None else [str(gpu) for gpu in requested]
    if listed is None:
        return named
    visible = _entries(listed)
    if named is None:
        return visible
    for gpu in named:
        if gpu not in visible:
            allowance = f"only {', '.join(visible)} may be used" if visible else "no GPU may be used"
            raise InvalidArgument(f"gpus_to_use names GPU {gpu}, but {VISIBLE}={listed!r}: {allowance}.")
    return named


def check_requested(gpus: Any) -> list[int | str] | None:
    """The argument `gpus_to_use` as a list of its own. Raises InvalidArgument for anything but indices and ids."""
    if gpus is None:
        return None
    if isinstance(gpus, str) or not isinstance(gpus, Sequence):
        hint = f" {gpus.split(',')!r}" if isinstance(gpus, str) and gpus else " [0, 1]"
        raise InvalidArgument(f"gpus_to_use={gpus!r} is not valid: give a list, such as{hint}.")
    for gpu in gpus:
        whole = isinstance(gpu, int) and not isinstance(gpu, bool) and gpu >= 0
        if not whole and not (isinstance(gpu, str) and re.fullmatch(r"[^\s,\0-][^\s,\0]*", gpu)):
            raise InvalidArgument(f"gpus_to_use={gpus!r}: {gpu!r} is no GPU; give indices from 0 up, or ids as text.")
    if len({str(gpu) for gpu in gpus}) < len(gpus):
        raise InvalidArgument(f"gpus_to_use={gpus!r} names a GPU twice: name each once.")
    return list(gpus)


def _entries(listed: str) -> list[str]:
    gpus: list[str] = []
    for entry in map(str.strip, listed.split(",")):
        if not entry or entry.startswith("-") or entry in gpus:
            break
        gpus.append(entry)
    return gpus


def count() -> int:
    """NVIDIA GPUs of this machine, 0 without any. May run `nvidia-smi`: not for the event loop."""
    try:
        return len(list(Path("/proc/driver/nvidia/gpus").iterdir()))
    except OSError:
        pass
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        listing = subprocess.run([program, "-L"], capture_output=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith(b"GPU ") for line in listing.splitlines())


def choose(gpus: Sequence[str], users: Mapping[str, int], past: Mapping[str, int], number: int) -> list[str]:
    """`number` of the GPUs: those with the fewest trials on them now, among them those assigned least often so far.

    In the order of `gpus` where that leaves a choice. With more trials than GPUs, GPUs are shared evenly.
    """
    ranked = sorted(gpus, key=lambda gpu: (users.get(gpu, 0), past.get(gpu, 0)))[:number]
    return [gpu for gpu in gpus if gpu in ranked]


class GpuPool:
    """Assigns GPUs to attempts and takes them back.

    Args:
        gpus: their names as `CUDA_VISIBLE_DEVICES` has them; empty: the variable is left as it is.
        per_trial: how many each attempt gets.

    Raises InvalidArgument if there are fewer than `per_trial`.
    """

    def __init__(self, gpus: Sequence[str], per_trial: int = 1) -> None:
        if gpus and per_trial > len(gpus):
            raise InvalidArgument(
                f"num_gpus_per_trial={per_trial}, but only {len(gpus)} GPUs may be used ({', '.join(gpus)}): "
                f"use at most {len(gpus)}."
            )
        self._gpus = tuple(gpus)
        self._per_trial = per_trial
        self._users: dict[str, int] = {}
        self._past: dict[str, int] = {}

    def acquire(self) -> tuple[str, ...]:
        """GPUs for an attempt; empty where there are none to assign."""
        if not self._per_trial:
            return ()
        chosen = choose(self._gpus, self._users, self._past, self._per_trial)
        for gpu in chosen:
            self._users[gpu] = self._users.get(gpu, 0) + 1
            self._past[gpu] = self._past.get(gpu, 0) + 1
        return tuple(chosen)

    def release(self, gpus: Sequence[str]) -> None:
        """Takes back what `acquire` gave, once nothing of the attempt runs any more."""
        for gpu in gpus:
            self._users[gpu] -= 1


def pool(requested: Sequence[int | str] | None, per_trial: int, environment: Mapping[str, str]) -> GpuPool:
    """A pool over the GPUs that may be used here.

    Raises InvalidArgument for a GPU that may not be used, and if there are fewer than `per_trial`; one GPU for each
    trial, the default, needs none to be there.
    """
    named = allowed(requested, environment)
    gpus = named if named is not None else [str(index) for index in range(count())]
    if per_trial > 1 and not gpus:
        raise InvalidArgument(
            f"num_gpus_per_trial={per_trial}, but there is no GPU that may be used here: leave it out, or look at "
            f"{VISIBLE} and gpus_to_use."
        )
    return GpuPool(gpus, per_trial)


def environment_for(gpus: Sequence[str]) -> dict[str, str]:
    """What the attempt's environment says about its GPUs."""
    return {VISIBLE: ",".join(gpus)} if gpus else {}
