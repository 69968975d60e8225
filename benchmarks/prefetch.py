"""How long workers wait for proposals of a model, with proposals asked for ahead of a free worker and without.

    python benchmarks/prefetch.py [--trials 60] [--seconds 0.3] [--workers 4] [--backend jax]

Trials sleep, so that the model has a core for itself; every proposal after the first five is one of a Gaussian process in its
own process. Idle is the share of worker time between the first start and the last end in which no trial ran.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from measure import say

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.backend import CoroutineBackend
from offbeat.config_space import choice, loguniform, randint, uniform
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.optimizer.baselines import BayesianOptimization, RandomSearch

SPACE = {"lr": loguniform(1e-5, 1.0), "units": randint(4, 512), "drop": uniform(0, 1), "kind": choice(["a", "b", "c"])}


def idle(events: list[ev.Event], workers: int) -> float:
    """The share of worker time in which nothing ran."""
    began: dict[Any, float] = {}
    ran, first, last = 0.0, None, 0.0
    for event in events:
        if isinstance(event, ev.TrialStarted):
            began[event.trial] = event.at
            first = event.at if first is None else first
        elif isinstance(event, ev.TrialFinished | ev.TrialStopped):
            ran += event.at - began.pop(event.trial)
            last = event.at
    return 1.0 - ran / (workers * (last - (first or 0.0)))


def run(scheduler: Any, args: argparse.Namespace, prefetch: int) -> dict[str, Any]:
    """One experiment."""

    async def objective(trial: Any) -> None:
        await asyncio.sleep(args.seconds * (0.5 + trial.config["drop"]))
        await trial.report(epoch=1, loss=(trial.config["drop"] - 0.3) ** 2 + abs(trial.config["units"] - 99) / 512)

    with tempfile.TemporaryDirectory() as home:
        tuner = Tuner(
            CoroutineBackend(objective), scheduler, StoppingCriterion(max_num_trials_finished=args.trials),
            n_workers=args.workers, prefetch=prefetch, home=home, name="run", observers=[],
        )  # fmt: skip
        tuner.run()
        events = [one.event for one in read_journal(ExperimentFolder(Path(home) / "run"))]
    suggested = [event for event in events if isinstance(event, ev.Suggested)]
    return {
        "idle": idle(events, args.workers),
        "model": sum(event.why.startswith("model") for event in suggested),
        "fallback": sum(event.why.startswith("fallback") for event in suggested),
    }


def main() -> None:
    """Prints one line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--backend", default="auto")
    args = parser.parse_args()
    for name, prefetch in (("random search", 0), ("GP, prefetch 0", 0), ("GP, prefetch 1", 1), ("GP, prefetch 2", 2)):
        scheduler: Any = RandomSearch(SPACE, "loss", random_seed=1)
        if name.startswith("GP"):
            scheduler = BayesianOptimization(SPACE, "loss", random_seed=1, backend=args.backend)
        say(question="worker time without a trial", method=name, workers=args.workers, **run(scheduler, args, prefetch))


if __name__ == "__main__":
    main()
