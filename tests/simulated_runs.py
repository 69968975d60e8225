"""Blackboxes and whole runs in simulated time for tests; the fixture `simulation` of the folders that need it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from offbeat import Tuner
from offbeat.backend import SimulatedBackend
from offbeat.blackbox import FunctionBlackbox
from offbeat.config_space import randint, uniform
from offbeat.events import Event, TrialResult
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.optimizer.baselines import ASHA, RandomSearch

LEVELS = 9

LONG = 48
"""Levels of a curve of which only the beginning is read at first."""

SPACE = {"rate": uniform(0, 1), "pace": randint(1, 3)}

RESOURCE: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs"}

SPOT = {"preemptions_per_hour": 600.0, "crashes_per_hour": 200.0, "hangs_per_hour": 100.0, "max_silence": 7.0}
"""Faults on the scale of trainings of some ten seconds."""

Times = Callable[[Mapping[str, Any], Any], Any]


def _whole_seconds(config: Mapping[str, Any], levels: Any) -> Any:
    return levels * config["pace"]


def _own_pace(config: Mapping[str, Any], levels: Any) -> Any:
    return levels * (0.5 + config["rate"])


def _three_at_once(config: Mapping[str, Any], levels: Any) -> Any:
    return (levels + 2) // 3 * (0.5 + config["rate"])


TIMES: dict[str, Times] = {"tied": _whole_seconds, "apart": _own_pace, "bursts": _three_at_once}
"""Whole seconds, so that almost every signal has others at its time; no two signals together; groups of three of one trial."""


def loss(config: Mapping[str, Any], level: int, seed: int = 0) -> float:
    """What a trial reports, so that a test can tell whether a value is the one of its level."""
    return float(config["rate"] / level + seed)


def blackbox(
    times: str | Times = "tied", *, levels: int = LEVELS, nan: bool = False, seeds: int = 1
) -> FunctionBlackbox:
    """Curves of `loss`; with `nan` some have one NaN."""
    clock = TIMES[times] if isinstance(times, str) else times

    def whole(config: Mapping[str, Any], levels: Any, seed: int) -> dict[str, Any]:
        values = [loss(config, n, seed) for n in levels.tolist()]
        if nan and config["rate"] > 0.9:
            values[4] = float("nan")
        return {"loss": values, "elapsed": clock(config, levels)}

    return FunctionBlackbox(whole, SPACE, levels=levels, objectives=["loss"], whole_curve=True, seeds=seeds)


def backend(times: str | Times = "tied", **options: Any) -> SimulatedBackend:
    box = {name: options.pop(name) for name in ("levels", "nan", "seeds") if name in options}
    return SimulatedBackend(blackbox(times, **box), **{"max_resource_attr": "epochs", **options})


def scheduler(kind: str, seed: int = 3, *, levels: int = LEVELS, **options: Any) -> Any:
    """Random search ("random") or a kind of ASHA ("stopping", "promotion") over that many levels."""
    space = {**SPACE, "epochs": levels}
    if kind == "random":
        return RandomSearch(space, "loss", **{"random_seed": seed, **RESOURCE, **options})
    return ASHA(space, "loss", **{"random_seed": seed, "type": kind, **RESOURCE, **options})


KINDS = ("random", "stopping", "promotion")


def counted(events: Sequence[Event]) -> list[TrialResult]:
    """Results that count: neither late nor repeated."""
    return [e for e in events if isinstance(e, TrialResult) and e.verdict not in ("late", "repeat")]


def resumed(lab: Any, home: Path, events: Sequence[Event], **options: Any) -> None:
    """The run that goes on behind these events, as if the engine had died there."""
    with Journal.create(ExperimentFolder(home / "run")) as journal:
        journal.commit(events, sync=False)
    lab.run(Tuner.resume("run", home=home, observers=[], **options))


class Simulation:
    """The helpers above.

    Attributes:
        home: a folder in memory where the machine has one: what is tested here does not depend on a disk's pace.
    """

    SPACE, SPOT, KINDS, LEVELS, LONG, TIMES = SPACE, SPOT, KINDS, LEVELS, LONG, TIMES
    loss = staticmethod(loss)
    blackbox = staticmethod(blackbox)
    backend = staticmethod(backend)
    scheduler = staticmethod(scheduler)
    counted = staticmethod(counted)
    resumed = staticmethod(resumed)

    def __init__(self, home: Path) -> None:
        self.home = home
        self._number = 0

    def fresh(self) -> Path:
        """An empty folder; the one before it is removed."""
        shutil.rmtree(self.home / str(self._number), ignore_errors=True)
        self._number += 1
        return self.home / str(self._number)


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    """Built once a test."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="offbeat-test-", dir=memory if memory.is_dir() else None) as home:
        yield Simulation(Path(home))
