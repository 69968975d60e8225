"""Trainings whose hyperparameters may change on the way, in simulated time: what populations are for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from offbeat import Tuner
from offbeat.testing.scripted import Report, ScriptedBackend

Step = Callable[[Any, dict[str, Any], int, int], Any]


def training(start: Any, step: Step, value: Callable[[Any], float], epochs: int) -> Any:
    """A script that keeps its state behind each report, as a real one does in its checkpoint.

    Args:
        start: state of a trial that begins from nothing.
        step: the state behind one epoch, from the state before it, the configuration, the trial's seed and the epoch.
        value: what is reported of a state, as "q".
    """
    saved: dict[int, tuple[int, Any]] = {}

    def script(order: Any) -> Iterator[Any]:
        origin = order.trial if order.resume else order.donor
        done, state = saved.get(origin, (0, start))
        for epoch in range(done + 1, epochs + 1):
            state = step(state, order.config, order.seed, epoch)
            yield Report({"epoch": epoch, "q": value(state)})
            # Only now has the report been taken: a copy that is made of this trial begins here.
            saved[order.trial] = (epoch, state)

    return script


def run(home: Path, scheduler: Any, script: Any, n_workers: int) -> list[Any]:
    """Runs to the end; the events."""
    from offbeat.home import ExperimentFolder
    from offbeat.journal import read_journal

    tuner = Tuner(ScriptedBackend(script), scheduler, n_workers=n_workers, name="run", home=home, observers=[])
    asyncio.run(tuner.arun())
    return [recorded.event for recorded in read_journal(ExperimentFolder(home / "run"))]


def quadratic(epochs: int = 120, rate: float = 0.02) -> Any:
    """The toy problem of the paper of population based training, section 4.1.

    Q(theta) = 1.2 - theta_0^2 - theta_1^2 is to be maximised, by steps along the gradient of a surrogate whose two terms are
    weighted by the hyperparameters; theta begins at (0.9, 0.9).
    """

    def step(theta: tuple[float, float], config: dict[str, Any], seed: int, epoch: int) -> tuple[float, float]:
        return tuple(t * (1.0 - 2.0 * rate * config[h]) for t, h in zip(theta, ("h0", "h1"), strict=True))  # type: ignore[return-value]

    return training((0.9, 0.9), step, lambda theta: 1.2 - theta[0] ** 2 - theta[1] ** 2, epochs)
