"""One suggestion of syne-tune 0.13's BayesianOptimization after n observations: `python synetune_gp.py N CALLS`, one JSON line."""

import datetime
import json
import logging
import math
import random
import sys
import time
import warnings

warnings.filterwarnings("ignore")

from syne_tune.backend.trial_status import Trial  # noqa: E402
from syne_tune.config_space import choice, randint, uniform  # noqa: E402
from syne_tune.optimizer.baselines import BayesianOptimization  # noqa: E402


def main() -> None:
    n, calls = int(sys.argv[1]), int(sys.argv[2])
    space = {"a": uniform(0, 1), "b": uniform(0, 1), "c": randint(8, 512), "d": choice(["0", "1", "2", "3"])}
    options = {"debug_log": False, "num_init_random": n, "max_size_data_for_model": 10**6}
    scheduler = BayesianOptimization(space, metric="loss", mode="min", random_seed=0, search_options=options)
    logging.disable(logging.CRITICAL)
    random.seed(0)

    def value(p: dict) -> float:
        u = [p["a"], p["b"], (p["c"] - 8) / 504, int(p["d"]) / 3]
        bowl = sum((1 - 0.7 * i / 3) * (one - 0.35) ** 2 for i, one in enumerate(u))
        return bowl + 0.15 * math.sin(6 * u[0]) * u[1] + 0.02 * random.gauss(0, 1)

    seconds = []
    for number in range(n + calls + 1):
        began = time.process_time()
        suggestion = scheduler.suggest(number)
        seconds.append(time.process_time() - began)
        trial = Trial(number, suggestion.config, datetime.datetime.now())
        scheduler.on_trial_add(trial)
        scheduler.on_trial_complete(trial, {"loss": value(suggestion.config)})
    median = sorted(seconds[-calls:])[calls // 2]
    print(json.dumps({"peer": "syne-tune 0.13 BayesianOptimization", "n": n, "median": round(median, 4)}))


if __name__ == "__main__":
    main()
