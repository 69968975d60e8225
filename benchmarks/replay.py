"""What does it cost to prove a journal, to look into it and to fork it?  python benchmarks/replay.py [--runs N]

100,000 results of simulated trainings of 27 epochs, random search and ASHA of both types, recorded by the
engine. Each figure stands beside reading the same journal in the same run: every line's hash checked, every event decoded,
nothing done with it. CPU seconds, on one core, in turn.
Goal: `verify` of 100,000 random or ASHA results under 3 s.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine, paired, pin, say, scratch

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SimulatedBackend
from offbeat.config_space import loguniform, randint, uniform
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.replay import counterfactual, fork, replay, verify
from offbeat_plugins.blackboxes.function import FunctionBlackbox

EPOCHS = 27
SPACE = {"lr": loguniform(1e-6, 1.0), "momentum": uniform(0, 1), "units": randint(8, 512)}
SHARED: dict[str, Any] = {"resource_attr": "epoch", "random_seed": 0}


def blackbox() -> FunctionBlackbox:
    levels = np.arange(1, EPOCHS + 1)
    powers = levels**-0.7

    def curve(config: Mapping[str, Any], _levels: Any, _seed: int) -> dict[str, Any]:
        base = 0.1 + 0.02 * (np.log10(config["lr"]) + 3) ** 2 + 0.1 * abs(config["momentum"] - 0.7)
        return {
            "loss": base + (0.5 + config["units"] / 1024) * powers,
            "elapsed": levels * (1.0 + config["units"] / 64),
        }

    return FunctionBlackbox(curve, SPACE, levels=EPOCHS, objectives={"loss": "min"}, whole_curve=True)


METHODS: dict[str, Callable[[], Any]] = {
    "random-search": lambda: RandomSearch(SPACE, "loss", **SHARED),
    "asha": lambda: ASHA(SPACE, "loss", max_t=EPOCHS, **SHARED),
    "asha-promotion": lambda: ASHA(SPACE, "loss", max_t=EPOCHS, type="promotion", **SHARED),
}


def cpu(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--results", type=int, default=100_000)
    args = parser.parse_args()
    pin()
    say(benchmark="replay", machine=machine(), runs=args.runs, results=args.results)
    for method, make in METHODS.items():
        with scratch() as home:
            stop = StoppingCriterion(max_num_evaluations=args.results)
            tuner = Tuner(
                SimulatedBackend(blackbox()), make(), stop, 8, name="run", home=home, observers=[], durability="end"
            )
            recording = cpu(lambda tuner=tuner: asyncio.run(tuner.arun()))  # type: ignore[misc]
            measure(method, ExperimentFolder(Path(home) / "run"), recording, args.runs)


def measure(method: str, folder: ExperimentFolder, recording: float, runs: int) -> None:
    events = 0

    def read() -> float:
        nonlocal events

        def count() -> None:
            nonlocal events
            events = sum(1 for _ in read_journal(folder))

        return cpu(count)

    def verified() -> float:
        def check() -> None:
            report = verify(folder)
            if not report.verified:
                raise SystemExit(report.sentence())

        return cpu(check)

    def looked_at() -> float:
        return cpu(lambda: replay(folder, events // 2))

    def forked() -> float:
        try:
            return cpu(lambda: fork(folder, events // 2, "half"))
        finally:
            shutil.rmtree(folder.path.with_name("half"))

    read()
    for what, ours in (("verify", verified), ("replay at the middle", looked_at), ("fork at the middle", forked)):
        seconds, floor, ratio = paired(ours, read, runs)
        say(method=method, events=events, what=what, seconds=seconds, reading=floor, ratio=ratio)
    say(method=method, what="recording it", seconds=recording)
    if method == "random-search":
        seconds = cpu(lambda: counterfactual(folder, "asha", options={"max_t": EPOCHS}))
        say(method=method, what="counterfactual: asha", seconds=seconds)


if __name__ == "__main__":
    main()
