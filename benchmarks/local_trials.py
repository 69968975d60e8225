"""What does the engine add to a real trial?  python benchmarks/local_trials.py [--trials 40]

A trial of five reports as a subprocess, two at a time, everything on one core: offbeat's whole engine (journal with an
fdatasync a group, supervisor, ASHA) beside a bare `subprocess.Popen` with a session of its own, in turn. Goal: 1.25.
"""

from __future__ import annotations

import argparse
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path

from measure import machine, paired, pin, say, scratch

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import LocalBackend
from offbeat.config_space import loguniform
from offbeat.optimizer.baselines import RandomSearch

TRIALS = Path(__file__).parent / "trials"


def bare(trials: int, workers: int) -> float:
    """Seconds a trial without any engine: woken by the children's pipes, never polling."""
    selector = selectors.DefaultSelector()
    left, running = trials, 0
    began = time.perf_counter()
    while left or running:
        while left and running < workers:
            command = [sys.executable, str(TRIALS / "bare.py"), "--epochs", "5", "--lr", "0.1"]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
            assert child.stdout is not None
            selector.register(child.stdout, selectors.EVENT_READ, child)
            left, running = left - 1, running + 1
        for key, _ in selector.select():
            if not os.read(key.fd, 65536):
                selector.unregister(key.fileobj)
                key.data.stdout.close()
                key.data.wait()
                running -= 1
    return (time.perf_counter() - began) / trials


def offbeat(trials: int, workers: int) -> float:
    """Seconds a trial from the first start to the last end, by the journal's clock, so without the engine's own start."""
    space = {"lr": loguniform(1e-6, 1.0), "epochs": 5}
    with scratch() as home:
        tuner = Tuner(
            LocalBackend(TRIALS / "reporting.py"),
            RandomSearch(space, metric="loss", resource_attr="epoch", random_seed=0),
            StoppingCriterion(max_num_trials_started=trials),
            n_workers=workers,
            observers=[],
            home=home,
        )
        tuner.run()
        from offbeat.journal import read_journal

        times = [r.event.at for r in read_journal(tuner.folder) if type(r.event).__name__.startswith("Trial")]
    return (times[-1] - times[0]) / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter with syne-tune 0.13, see peers/synetune_local.py")
    a = parser.parse_args()
    pin()
    ours, theirs, ratio = paired(lambda: offbeat(a.trials, a.workers), lambda: bare(a.trials, a.workers), a.runs)
    say(
        benchmark="local-trials", machine=machine(), trials=a.trials, workers=a.workers, runs=a.runs,
        ms_a_trial=1e3 * ours, bare_ms_a_trial=1e3 * theirs, ratio=ratio,
    )  # fmt: skip
    if a.peer:
        command = [a.peer, str(Path(__file__).parent / "peers" / "synetune_local.py"), str(a.trials), str(a.workers)]
        peer, ours, ratio = paired(
            lambda: float(subprocess.run(command, check=True, capture_output=True).stdout.split()[-1]),
            lambda: offbeat(a.trials, a.workers),
            min(3, a.runs),
        )
        say(peer="syne-tune 0.13", peer_ms_a_trial=1e3 * peer, ms_a_trial=1e3 * ours, times_slower=ratio)


if __name__ == "__main__":
    main()
