"""Seconds a trial of Syne Tune 0.13's local backend; run by local_trials.py with an interpreter that has it.

    python3.11 -m venv st13 && st13/bin/pip install "syne-tune[gpsearchers,sklearn]==0.13.0" "pandas==2.2.3" ujson
    python benchmarks/local_trials.py --peer st13/bin/python

`sleep_time` is 0.1 s: its default of 5 s would be all that is measured.
"""

import contextlib
import io
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

trials, workers = int(sys.argv[1]), int(sys.argv[2])
os.environ["SYNETUNE_FOLDER"] = tempfile.mkdtemp()
with contextlib.redirect_stdout(io.StringIO()):
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import loguniform
    from syne_tune.optimizer.baselines import RandomSearch

    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    script = Path(__file__).parents[1] / "trials" / "synetune.py"
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=str(script)),
        scheduler=RandomSearch({"lr": loguniform(1e-6, 1.0), "epochs": 5}, metric="loss", mode="min"),
        n_workers=workers,
        stop_criterion=StoppingCriterion(max_num_trials_finished=trials),
        sleep_time=0.1,
        results_update_interval=600,
        print_update_interval=600,
        tuner_name="bench",
        save_tuner=False,
    )
    began = time.perf_counter()
    tuner.run()
    seconds = (time.perf_counter() - began) / trials
shutil.rmtree(os.environ["SYNETUNE_FOLDER"], ignore_errors=True)
sys.stdout.write(f"{seconds}\n")
