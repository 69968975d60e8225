"""The calls of a space that every simulated trial makes, on four hyperparameters.  python benchmarks/space.py

Microseconds a call, best of many short repeats, beside the floor measured in turn with them: building a dict of the
same four names and values. Goals: from_units 2, validate 1, full 0.5, key 1.2.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable
from itertools import count

from measure import machine, pin, say

from offbeat import ProposalRequest, Space
from offbeat.config_space import choice, loguniform, randint, uniform
from offbeat.space import Seen
from offbeat_plugins.searchers.random import RandomSearcher

CALLS = 500
GOALS = {"from_units": 2.0, "validate": 1.0, "full": 0.5, "key": 1.2}


def calls(space: Space) -> dict[str, Callable[[], object]]:
    config = space.from_units([0.6] * space.width)
    seen, searcher, numbers = Seen(space, [config]), RandomSearcher(space, points_to_evaluate=[]), count()
    row, names, values = [0.6] * space.width, tuple(config), tuple(config.values())
    return {
        "floor": lambda: dict(zip(names, values, strict=False)),
        "from_units": lambda: space.from_units(row),
        "validate": lambda: space.validate(config),
        "full": lambda: space.full(config),
        "key": lambda: space.key(config),
        "in seen": lambda: config in seen,
        "seen.add": lambda: seen.add(config),
        "propose": lambda: searcher.propose(ProposalRequest(next(numbers), 0, 7)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    repeats = parser.parse_args().repeats
    pin()
    say(benchmark="space", machine=machine(), repeats=repeats)
    domains = {"lr": loguniform(1e-6, 1e-1), "momentum": uniform(0, 1), "layers": randint(1, 20)}
    space = Space({**domains, "optimizer": choice(["adam", "sgd", "rmsprop"]), "epochs": 100})
    timers = {name: timeit.Timer(call) for name, call in calls(space).items()}
    best = dict.fromkeys(timers, float("inf"))
    for _ in range(repeats):
        for name, timer in timers.items():
            best[name] = min(best[name], timer.timeit(CALLS) / CALLS * 1e6)
    for name, taken in best.items():
        say(what=name, us=taken, times_floor=taken / best["floor"], goal_us=GOALS.get(name))


if __name__ == "__main__":
    main()
