"""The fixture `local`; test modules are no package, so the file that defines it is loaded by its path."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location("local_runs", Path(__file__).parents[1] / "local_runs.py")
assert _spec is not None
assert _spec.loader is not None
_module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
local = _module.local
