"""One proposal of the methods without a Gaussian process, in milliseconds.  python benchmarks/density.py [--optuna]

Four hyperparameters (log, linear, whole, choice), warm median on one core. `fold` is what it costs to take in one trial from
its start to its end. Goals: TPE 1 ms at 1,000 and 3 ms at 50,000 observations; BORE 20 ms and CQR 50 ms at 100. With
--optuna its TPESampler proposes for the same observations, in turn with ours.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from measure import machine, pin, say

pin()

import numpy as np  # noqa: E402 - after the number of threads was set

from offbeat import ProposalRequest  # noqa: E402
from offbeat.config_space import choice, loguniform, randint, uniform  # noqa: E402
from offbeat.events import Suggested, TrialFinished, TrialResult, TrialStarted  # noqa: E402
from offbeat.optimizer import load_scheduler  # noqa: E402
from offbeat.trial import Ledger, TrialId  # noqa: E402

SPACE = {
    "lr": loguniform(1e-6, 1e-1),
    "momentum": uniform(0, 1),
    "layers": randint(1, 20),
    "optimizer": choice(["adam", "sgd", "rmsprop"]),
}
GOALS = {("tpe", 1000): 1.0, ("tpe", 50_000): 3.0, ("bore", 100): 20.0, ("cqr", 100): 50.0}


def loss(config: dict[str, Any]) -> float:
    away = abs(np.log10(config["lr"]) + 3) + abs(config["momentum"] - 0.9) + abs(config["layers"] - 8) / 10
    return float(away + (config["optimizer"] != "sgd"))


def observed(name: str, n: int) -> tuple[Any, Ledger, list[dict[str, Any]], float]:
    """A scheduler that has seen n random trials, and the milliseconds that it took for one of them."""
    scheduler = load_scheduler(name)(SPACE, "loss", random_seed=1)
    rng, ledger, configs = np.random.default_rng(0), Ledger("loss"), []
    spent = 0.0
    for trial, us in enumerate(rng.random((n, scheduler.space.width)).tolist()):
        config, number = scheduler.space.from_units(us), TrialId(trial)
        configs.append(config)
        events = (
            Suggested(0.0, trial, "start", number, config),
            TrialStarted(0.0, number, 0, 0),
            TrialResult(0.0, number, 0, 0, 1, {"loss": loss(config)}),
            TrialFinished(0.0, number, 0),
        )
        for event in events:
            ledger.apply(event)
            if type(event) in scheduler.observes:
                began = time.perf_counter()
                scheduler.observe(event, ledger)
                spent += time.perf_counter() - began
    return scheduler, ledger, configs, spent / n * 1e3


def peer(configs: list[dict[str, Any]]) -> Callable[[int], object]:
    """Optuna's sampler on the same observations."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    domains: dict[str, Any] = {
        "lr": FloatDistribution(1e-6, 1e-1, log=True),
        "momentum": FloatDistribution(0, 1),
        "layers": IntDistribution(1, 20),
        "optimizer": CategoricalDistribution(["adam", "sgd", "rmsprop"]),
    }
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
    for config in configs:
        study.add_trial(optuna.trial.create_trial(params=config, distributions=domains, value=loss(config)))
    # Trials that were asked for and never told do not count, so that each call has as many observations.
    return lambda _number: study.ask(domains)


def alternating(calls: dict[str, Callable[[int], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each, called in turn after two warm-ups."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 2):
        for name, call in calls.items():
            began = time.perf_counter()
            call(number)
            taken[name].append((time.perf_counter() - began) * 1e3)
    return {name: statistics.median(times[2:]) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="tpe,rea,bore,cqr")
    parser.add_argument("--sizes", default="20,100,1000,10000,50000")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--optuna", action="store_true")
    options = parser.parse_args()
    say(benchmark="density", machine=machine(), repeats=options.repeats)
    for method in options.methods.split(","):
        for n in map(int, options.sizes.split(",")):
            scheduler, ledger, configs, fold = observed(method, n)

            def propose(number: int, scheduler: Any = scheduler, ledger: Ledger = ledger) -> object:
                return scheduler.propose(ProposalRequest(number, 0, 1), ledger)

            calls = {"offbeat": propose}
            if options.optuna and method == "tpe":
                calls["optuna"] = peer(configs)
            found = alternating(calls, options.repeats)
            ratio = found["optuna"] / found["offbeat"] if "optuna" in found else None
            goal = GOALS.get((method, n))
            say(
                method=method,
                n=n,
                ms=found["offbeat"],
                optuna_ms=found.get("optuna"),
                ratio=ratio,
                goal_ms=goal,
                fold_ms=fold,
            )


if __name__ == "__main__":
    main()
