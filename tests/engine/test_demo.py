"""The demo's training script: its gradient, its checkpoints, and a real tuning run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from offbeat import demo


@pytest.fixture(scope="module")
def training() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_digits_under_test", demo.SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train(tmp_path: Path, name: str, *flags: str, seed: int = 3) -> list[str]:
    """Reports of one training, as they are printed without an engine, without their times."""
    environment = {"OFFBEAT_SEED": str(seed), "OFFBEAT_CHECKPOINT_DIR": str(tmp_path / name), "PATH": ""}
    done = subprocess.run(
        [sys.executable, str(demo.SCRIPT), "--hidden_1", "8", "--hidden_2", "8", "--batch_size", "256", *flags],
        env=environment, capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    return [re.sub(r" \(.*", "", line) for line in done.stdout.splitlines()]


def test_data_are_the_1797_digits(training: ModuleType) -> None:
    images, labels, validation, validation_labels = training.digits()
    assert images.shape == (5 * 1257, 64)
    assert validation.shape == (540, 64)
    assert 1257 + len(validation_labels) == 1797
    assert images.min() == 0
    assert images.max() == 1
    assert set(labels) == set(range(10))
    # Ink moves with the image: each moved copy has at most the ink of the one in place.
    ink = images.reshape(5, 1257, 64).sum(axis=(1, 2))
    assert (ink[1:] <= ink[0]).all()
    assert (ink[1:] > 0.8 * ink[0]).all()


def test_gradient_agrees_with_differences(training: ModuleType) -> None:
    rng = np.random.default_rng(0)
    network = training.Network([5, 4, 3, 10], rng)
    network.parameters = [p.astype(np.float64) + 0.01 for p in network.parameters]
    images, labels = rng.random((7, 5)), rng.integers(0, 10, 7)

    def loss() -> float:
        probability = training.softmax(network.logits(images))[np.arange(7), labels]
        return float(-np.log(probability).mean())

    for parameter, gradient in zip(network.parameters, network.gradients(images, labels, 0.0, rng), strict=True):
        for index in np.ndindex(parameter.shape):
            here = parameter[index]
            parameter[index] = here + 1e-6
            above = loss()
            parameter[index] = here - 1e-6
            below = loss()
            parameter[index] = here
            assert gradient[index] == pytest.approx((above - below) / 2e-6, rel=1e-3, abs=1e-6)


def test_paused_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = train(tmp_path, "whole", "--epochs", "4", "--dropout", "0.2")
    first = train(tmp_path, "parts", "--epochs", "2", "--dropout", "0.2")
    second = train(tmp_path, "parts", "--epochs", "4", "--dropout", "0.2")
    assert first + second == whole
    assert len(whole) == 4
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["checkpoint.npz"]


def test_a_torn_new_checkpoint_harms_nobody(tmp_path: Path) -> None:
    first = train(tmp_path, "torn", "--epochs", "2")
    (tmp_path / "torn" / "new.npz").write_bytes(b"PK\x03\x04 cut off")
    assert first + train(tmp_path, "torn", "--epochs", "3") == train(tmp_path, "whole", "--epochs", "3")


def test_seed_and_hyperparameters_matter(tmp_path: Path) -> None:
    assert train(tmp_path, "a", "--epochs", "1", seed=1) != train(tmp_path, "b", "--epochs", "1", seed=2)
    good = train(tmp_path, "c", "--epochs", "3", "--learning_rate", "0.3")
    bad = train(tmp_path, "d", "--epochs", "3", "--learning_rate", "0.0001")
    error = [float(re.search(r"val_error=(\S+)", lines[-1])[1]) for lines in (good, bad)]  # type: ignore[index]
    assert error[0] < 0.5 < error[1]


def test_diverged_training_still_reports(tmp_path: Path) -> None:
    lines = train(tmp_path, "diverged", "--epochs", "2", "--learning_rate", "1000", "--momentum", "0.99")
    assert len(lines) == 2
    assert float(re.search(r"val_error=(\S+)", lines[-1])[1]) > 0.8  # type: ignore[index]


def test_demo_finds_a_network_that_reads(tmp_path: Path) -> None:
    outcome = demo.tuner(seconds=6, workers=4, name="digits", home=tmp_path, observers=()).run()
    assert outcome.outcome == "done"
    from offbeat.results import load

    experiment = load("digits", tmp_path)
    best = experiment.best()
    assert best is not None
    assert best.value < 0.5
    assert experiment.counts().get("stopped", 0) > 0
