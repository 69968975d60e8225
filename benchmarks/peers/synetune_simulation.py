"""Results per CPU second of Syne Tune 0.13 in simulated time; run by simulation.py with an interpreter that has it.

    python3.11 -m venv st13 && st13/bin/pip install "syne-tune[gpsearchers,sklearn]==0.13.0" "pandas==2.2.3" ujson
    python benchmarks/simulation.py --peer st13/bin/python
    st13/bin/python benchmarks/peers/synetune_simulation.py asha 4 3000        # alone: method, workers, results

The workload is simulation.py's: 100 epochs of about 30 simulated seconds, four hyperparameters, the same curve. Every
delay of the simulator and the tuner's real sleep are 0, nothing is logged and the tuner is not pickled; its polling in
steps of 5 simulated seconds stays as it is (with 0 its clock would only move by the seconds that it computes).
"""

import contextlib
import io
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

EPOCHS, EPOCH_SECONDS = 100, 30.0

os.environ["SYNETUNE_FOLDER"] = tempfile.mkdtemp()
with contextlib.redirect_stdout(io.StringIO()):
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_backend import SimulatorConfig
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository.blackbox import Blackbox
    from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
    from syne_tune.config_space import choice, loguniform, randint, uniform
    from syne_tune.optimizer.baselines import ASHA, RandomSearch

SPACE = {
    "lr": loguniform(1e-6, 1.0), "momentum": uniform(0, 1), "units": randint(8, 512), "act": choice(["a", "b", "c", "d"]),
}  # fmt: skip


class Curve(Blackbox):
    """The curve of simulation.py as this library wants it: a row of loss and elapsed seconds for each epoch."""

    def __init__(self) -> None:
        super().__init__(
            configuration_space=SPACE,
            fidelity_space={"epoch": randint(1, EPOCHS)},
            objectives_names=["loss", "elapsed"],
        )
        self._levels = np.arange(1, EPOCHS + 1)
        self._powers = self._levels**-0.7

    @property
    def fidelity_values(self) -> Any:
        return self._levels

    def _objective_function(self, configuration: Mapping[str, Any], fidelity: Any = None, seed: Any = None) -> Any:
        base = 0.1 + 0.02 * (np.log10(configuration["lr"]) + 3) ** 2 + 0.1 * abs(configuration["momentum"] - 0.7)
        loss = base + (0.5 + configuration["units"] / 1024) * self._powers
        elapsed = self._levels * EPOCH_SECONDS * (0.5 + configuration["units"] / 512)
        if fidelity is None:
            return np.stack([loss, elapsed], axis=1)
        row = int(fidelity["epoch"]) - 1
        return {"loss": loss[row], "elapsed": elapsed[row]}


class Counted(SimulatorCallback):
    """What a simulation needs, and the number of results that arrived."""

    number = 0

    def on_trial_result(self, *args: Any, **kwargs: Any) -> None:
        self.number += 1
        super().on_trial_result(*args, **kwargs)


def run(method: str, workers: int, results: int) -> dict[str, Any]:
    """One whole run, from the tuner's making to its return, in seconds of CPU."""
    options: dict[str, Any] = {"metric": "loss", "mode": "min", "random_seed": 0}
    options["search_options"] = {"debug_log": False}
    began = time.process_time()
    if method == "random":
        scheduler = RandomSearch(SPACE, **options)
    else:
        scheduler = ASHA(SPACE, resource_attr="epoch", max_t=EPOCHS, type="stopping", **options)
    counted = Counted()
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(
            blackbox=Curve(), elapsed_time_attr="elapsed", simulator_config=SimulatorConfig(0, 0, 0, 0, 0)
        ),
        scheduler=scheduler,
        n_workers=workers,
        stop_criterion=StoppingCriterion(max_num_evaluations=results),
        sleep_time=0,
        callbacks=[counted],
        results_update_interval=600,
        print_update_interval=600,
        tuner_name="bench",
        save_tuner=False,
    )
    tuner.run()
    seconds = time.process_time() - began
    return {
        "method": method, "workers": workers, "results": counted.number, "seconds": seconds,
        "results_per_s": counted.number / seconds,
    }  # fmt: skip


if __name__ == "__main__":
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("syne_tune")]:
        logging.getLogger(name).setLevel(logging.ERROR)
    random.seed(0)
    np.random.seed(0)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            said = run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    finally:
        shutil.rmtree(os.environ["SYNETUNE_FOLDER"], ignore_errors=True)
    sys.stdout.write(json.dumps(said) + "\n")
