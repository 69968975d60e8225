"""Trains the network of `offbeat demo` on every configuration of the shipped table, and writes the table.

    python benchmarks/make_digits_table.py [OUT.npz]

One process, one BLAS thread, about ten minutes. `elapsed` is the processor time of the training process, validation
included, so that whatever else the machine does meanwhile does not enter the table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from offbeat.demo.train_digits import N_VALIDATION, Network, digits, validate
from offbeat_plugins.blackboxes.digits import EPOCHS, FIXED, SEEDS, VALUES

DEFAULT_OUT = Path(__file__).parents[1] / "plugins" / "offbeat_plugins" / "blackboxes" / "data" / "digits_mlp.npz"


def train(config: Mapping[str, Any], seed: int, data: tuple[Any, ...]) -> tuple[list[int], list[float], list[float]]:
    """Wrong answers on the validation images, their mean cross-entropy, seconds so far: after each epoch."""
    images, labels, validation_images, validation_labels = data
    network = Network([64, config["hidden_1"], config["hidden_2"], 10], np.random.default_rng([seed, 0]))
    wrong, losses, seconds = [], [], []
    began = time.process_time()
    for epoch in range(1, EPOCHS + 1):
        rng = np.random.default_rng([seed, epoch])
        rate = config["learning_rate"] * 0.5 * (1 + np.cos(np.pi * (epoch - 1) / EPOCHS))
        order = rng.permutation(len(images))
        for start in range(0, len(images), config["batch_size"]):
            batch = order[start : start + config["batch_size"]]
            gradients = network.gradients(images[batch], labels[batch], config["dropout"], rng)
            network.step(gradients, rate, config["momentum"], config["weight_decay"])
        error, loss = validate(network, validation_images, validation_labels)
        wrong.append(round(error * N_VALIDATION))
        losses.append(loss)
        seconds.append(time.process_time() - began)
    return wrong, losses, seconds


ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    if not ONE_THREAD.items() <= os.environ.items():  # read when NumPy is loaded, so that a new process is needed
        sys.exit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, **ONE_THREAD}, check=False).returncode)
    parser = argparse.ArgumentParser(description="Train the shipped table and write it.")
    parser.add_argument("out", nargs="?", type=Path, default=DEFAULT_OUT)
    out: Path = parser.parse_args().out
    data = digits()
    configs = list(product(*VALUES.values()))
    shape = (len(configs), SEEDS, EPOCHS)
    wrong, losses, seconds = np.zeros(shape, np.uint16), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # diverging trainings belong to the table
        train({**FIXED, **dict(zip(VALUES, configs[0], strict=True))}, 0, data)  # warms the caches up, is not kept
        for i, values in enumerate(configs):
            config = {**FIXED, **dict(zip(VALUES, values, strict=True))}
            for seed in range(SEEDS):
                wrong[i, seed], losses[i, seed], seconds[i, seed] = train(config, seed, data)
            print(i + 1, "of", len(configs), config, wrong[i, :, -1] / N_VALIDATION, seconds[i, :, -1], flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out, allow_pickle=False, wrong=wrong, n_validation=np.uint16(N_VALIDATION), val_loss=losses, elapsed=seconds
    )
    print(out, out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
