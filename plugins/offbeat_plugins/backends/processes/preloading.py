"""The engine's side of keeping modules loaded: what is ordered, and what is said if it cannot be done."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from offbeat_plugins.backends.processes import folders
from offbeat_plugins.backends.processes.options import Options, Preload

LIMIT: Final = 300.0
"""Seconds that all imports together may take."""
_PROGRAM: Final = Path(__file__).with_name("forkserver.py")


def log_path(folder: Path) -> Path:
    """Where the modules' own output goes."""
    return folder / "trials" / "preload.log"


def order(wish: Preload, options: Options, folder: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """What the supervisor is told; `variables` is what all trials have in their environment."""
    return {
        "op": "preload",
        "argv": [sys.executable, str(_PROGRAM)],
        "cwd": options.cwd,
        "env": dict(variables),
        "unset": options.unset(),
        "log": str(log_path(folder)),
        "wish": {"modules": [*wish.needed, *wish.modules], "path": wish.path, "folder": wish.folder},
    }


def complaint(answer: Mapping[str, Any], wish: Preload, folder: Path) -> str:
    """One sentence, and what the modules printed where they took the process along."""
    text = f"preload={list(wish.modules)!r}: {answer['preloaded']}."
    printed = folders.tail(str(log_path(folder)), 2000).strip() if answer.get("died") else ""
    return f"{text} Its last words:\n{printed}" if printed else text
