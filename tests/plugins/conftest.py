"""Fixtures of several folders; test modules are no package, so the files that define them are loaded by their path."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest


def _loaded(name: str) -> Any:
    spec = spec_from_file_location(name, Path(__file__).parents[1] / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


local = _loaded("local_runs").local
engine = _loaded("engine_processes").engine
populations = pytest.fixture(lambda: _loaded("populations"), name="populations")
simulation = _loaded("simulated_runs").simulation
lines = pytest.fixture(lambda: _loaded("lines"), name="lines")
game = pytest.fixture(lambda: _loaded("model_games").Game, name="game")
bracket_game = pytest.fixture(lambda: _loaded("bracket_games").Game, name="bracket_game", scope="session")
