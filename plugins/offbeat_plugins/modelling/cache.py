"""Where compiled models are kept between processes."""

from __future__ import annotations

import os
from pathlib import Path


def compile_cache() -> str | None:
    """The folder, `$XDG_CACHE_HOME/offbeat/compiled` or `~/.cache/offbeat/compiled`; None where none can be made."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(root) / "offbeat" / "compiled"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder)
