"""One suggestion of Optuna's GPSampler after n observations: `python optuna_gp.py N CALLS`, one JSON line."""

import json
import math
import random
import sys
import time
import warnings

import optuna


def main() -> None:
    n, calls = int(sys.argv[1]), int(sys.argv[2])
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {
        "a": optuna.distributions.FloatDistribution(0, 1),
        "b": optuna.distributions.FloatDistribution(0, 1),
        "c": optuna.distributions.IntDistribution(8, 512),
        "d": optuna.distributions.CategoricalDistribution([0, 1, 2, 3]),
    }

    def value(p: dict) -> float:
        u = [p["a"], p["b"], (p["c"] - 8) / 504, p["d"] / 3]
        bowl = sum((1 - 0.7 * i / 3) * (one - 0.35) ** 2 for i, one in enumerate(u))
        return bowl + 0.15 * math.sin(6 * u[0]) * u[1] + 0.02 * random.gauss(0, 1)

    random.seed(0)
    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=0, n_startup_trials=1))
    for _ in range(n):
        params = {"a": random.random(), "b": random.random(), "c": random.randint(8, 512), "d": random.randrange(4)}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value(params)))
    seconds = []
    for _ in range(calls + 1):
        began = time.process_time()
        trial = study.ask(distributions)
        seconds.append(time.process_time() - began)
        study.tell(trial, value(trial.params))
    print(
        json.dumps(
            {
                "peer": f"optuna {optuna.__version__} GPSampler",
                "n": n,
                "median": round(sorted(seconds[1:])[calls // 2], 4),
            }
        )
    )


if __name__ == "__main__":
    main()
