"""Fixtures of several folders; test modules are no package, so the files that define them are loaded by their path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from offbeat.events import Event
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal


def _loaded(name: str) -> Any:
    spec = spec_from_file_location(name, Path(__file__).parents[1] / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


simulation = _loaded("simulated_runs").simulation
local = _loaded("local_runs").local


@pytest.fixture
def written() -> Callable[[Path, Sequence[Event]], ExperimentFolder]:
    """Writes events as a journal of their own, every hash in order: only their meaning can give them away."""

    def write(path: Path, events: Sequence[Event]) -> ExperimentFolder:
        folder = ExperimentFolder(path)
        with Journal.create(folder) as journal:
            journal.commit(list(events), sync=False)
        return folder

    return write
