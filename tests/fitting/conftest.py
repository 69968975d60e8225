"""Experiments whose truth is known, written as journals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from offbeat.config_space import choice, uniform
from offbeat.importing.foreign import Foreign, ForeignResult, ForeignTrial, Outcome, Stretch
from offbeat.importing.writing import written
from offbeat.results import Experiment, load
from offbeat.seeds import generator
from offbeat.space import Space

SPACE = Space({"x": uniform(0, 1), "kind": choice(["a", "b"]), "epochs": 9})
TOP = 9


def loss(config: Mapping[str, Any], level: int) -> float:
    """Best at x = 0.3; kind b begins worse and ends better."""
    end = 0.05 + (config["x"] - 0.3) ** 2 + (0.0 if config["kind"] == "b" else 0.1)
    return float(end + (0.5 if config["kind"] == "b" else 0.3) / level)


def pace(config: Mapping[str, Any]) -> float:
    """Seconds of a level."""
    return float(1 + 3 * config["x"])


def configs(count: int, seed: int) -> list[dict[str, Any]]:
    rng = generator(seed, "test", 0)
    return [SPACE.from_units(rng.random(SPACE.width).tolist()) for _ in range(count)]


class Lab:
    """Writes experiments and loads them."""

    space, loss, pace, configs, top = SPACE, staticmethod(loss), staticmethod(pace), staticmethod(configs), TOP

    def __init__(self, home: Path) -> None:
        self.home = home

    def experiment(
        self,
        name: str,
        count: int = 40,
        *,
        seed: int = 0,
        cut: bool = True,
        start: float = 2.0,
        value: Callable[[Mapping[str, Any], int], float] = loss,
        **fields: Any,
    ) -> Experiment:
        """Trials one after the other; with `cut` those stop at levels 1 and 3 that are worse than the median before them."""
        trials, now = [], 0.0
        seen: dict[int, list[float]] = {1: [], 3: []}
        for number, config in enumerate(configs(count, seed)):
            began, now = now, now + start
            results, how = [], "finished"
            for level in range(1, TOP + 1):
                now += pace(config)
                y = value(config, level)
                results.append(ForeignResult(now, {"epoch": level, "loss": y}))
                if cut and level in seen:
                    before = sorted(seen[level])
                    seen[level].append(y)
                    if before and y > before[len(before) // 2]:
                        how = "stopped"
                        break
            outcome: Outcome = "stopped" if how == "stopped" else "finished"
            stretch = Stretch(started=began, ended=now, results=tuple(results), how=outcome, why="cut")
            trials.append(ForeignTrial(origin=number, config=config, stretches=(stretch,)))
        settings: dict[str, Any] = {
            "tool": "test", "version": "", "source": "", "digest": "", "name": name, "space": SPACE,
            "objectives": {"loss": "min"}, "resource_attr": "epoch", "max_t": TOP, "trials": tuple(trials),
        }  # fmt: skip
        return load(written(Foreign(**{**settings, **fields}), name, self.home))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """In a folder of its own."""
    return Lab(tmp_path)


@pytest.fixture
def truth() -> SimpleNamespace:
    """What the journals are made of."""
    return SimpleNamespace(loss=loss, pace=pace)
