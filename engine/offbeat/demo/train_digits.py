"""Trains a small neural network on the UCI handwritten digits: the script that `offbeat demo` tunes.

It is an ordinary training script. Lines (1) and (2) make it tunable; (3) and (4) let a paused or killed trial go on
from its last epoch. Without an engine it prints its reports: `python -m offbeat.demo.train_digits --epochs 5`.

Network: 64 pixels -> hidden_1 -> hidden_2 -> 10 classes, ReLU, dropout, softmax; SGD with Nesterov momentum and
decoupled weight decay, learning rate falling along half a cosine over `schedule` epochs. 1,257 images train, 540
validate, the same ones in every trial; an epoch shows each training image five times, in place and moved by one pixel
in each direction.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from offbeat.report import Reporter, checkpoint_dir, seed

Array: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.uint8]

N_VALIDATION = 540


def digits() -> tuple[Array, Labels, Array, Labels]:
    """Training images (n, 64) in [0, 1] and labels (n,), validation images and labels; n includes the moved copies."""
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as data:
        images, labels = data["images"].astype(np.float32) / 16, data["labels"]
    order = np.random.default_rng(0).permutation(len(images))  # the split is part of the task, not of a trial's seed
    images, labels = images[order], labels[order]
    train, train_labels = images[N_VALIDATION:], labels[N_VALIDATION:]
    padded = np.pad(train, ((0, 0), (1, 1), (1, 1)))
    moved = [padded[:, 1 + y : 9 + y, 1 + x : 9 + x] for y, x in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))]
    return (
        np.concatenate(moved).reshape(-1, 64),
        np.tile(train_labels, len(moved)),
        images[:N_VALIDATION].reshape(-1, 64),
        labels[:N_VALIDATION],
    )


class Network:
    """Weights `w[i]` (n_in, n_out), biases `b[i]` (n_out,), and the velocity of each."""

    def __init__(self, sizes: list[int], rng: np.random.Generator) -> None:
        # He et al. 2015: variance 2 / n_in keeps the scale of activations through ReLU layers.
        self.parameters: list[Array] = []
        for n_in, n_out in pairwise(sizes):
            self.parameters += [
                (rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)).astype(np.float32),
                np.zeros(n_out, np.float32),
            ]
        self.velocities: list[Array] = [np.zeros_like(p) for p in self.parameters]

    def logits(self, images: Array) -> Array:
        """(n, 64) -> (n, 10), without dropout."""
        hidden = images
        for weight, bias in zip(self.parameters[:-2:2], self.parameters[1:-2:2], strict=True):
            hidden = np.maximum(hidden @ weight + bias, 0)
        return hidden @ self.parameters[-2] + self.parameters[-1]

    def gradients(self, images: Array, labels: Labels, dropout: float, rng: np.random.Generator) -> list[Array]:
        """Gradient of the mean cross-entropy, in the order of `parameters`."""
        layers: list[Array] = [images]
        for weight, bias in zip(self.parameters[:-2:2], self.parameters[1:-2:2], strict=True):
            hidden = np.maximum(layers[-1] @ weight + bias, 0)
            if dropout > 0:
                # Scaled when kept, so that validation needs no correction.
                hidden *= (rng.random(hidden.shape, np.float32) >= dropout) / np.float32(1 - dropout)
            layers.append(hidden)
        error = softmax(layers[-1] @ self.parameters[-2] + self.parameters[-1])
        error[np.arange(len(labels)), labels] -= 1
        error /= np.float32(len(labels))
        gradients: list[Array] = []
        for index in reversed(range(len(layers))):
            gradients[:0] = [layers[index].T @ error, error.sum(axis=0)]
            if index > 0:
                # A unit that ReLU or dropout set to zero passes nothing back; a kept one passes back its dropout scale.
                error = (error @ self.parameters[2 * index].T) * (layers[index] > 0) / np.float32(1 - dropout)
        return gradients

    def step(self, gradients: list[Array], learning_rate: float, momentum: float, weight_decay: float) -> None:
        """One step of SGD with Nesterov momentum (Sutskever et al. 2013); weight decay apart from the gradient."""
        rate, beta, keep = np.float32(learning_rate), np.float32(momentum), np.float32(1 - learning_rate * weight_decay)
        for parameter, velocity, gradient in zip(self.parameters, self.velocities, gradients, strict=True):
            velocity[...] = beta * velocity - rate * gradient
            parameter[...] = keep * parameter + beta * velocity - rate * gradient


def softmax(logits: Array) -> Array:
    """Row-wise, shifted by the largest logit, which keeps exp from overflowing."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return normalised


def validate(network: Network, images: Array, labels: Labels) -> tuple[float, float]:
    """Share of wrong answers and mean cross-entropy in nats."""
    logits = network.logits(images)
    probability = softmax(logits)[np.arange(len(labels)), labels]
    loss = -np.log(np.maximum(probability, 1e-12)).mean()
    return float((logits.argmax(axis=1) != labels).mean()), float(loss)


def save(network: Network, epoch: int, folder: Path) -> None:
    """Writes beside the old checkpoint, then replaces it: whoever kills this process finds one of the two, whole."""
    names = [f"parameter_{i}" for i in range(len(network.parameters))]
    names += [f"velocity_{i}" for i in range(len(network.velocities))]
    arrays = dict(zip(names, network.parameters + network.velocities, strict=True))
    with (folder / "new.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, epoch=np.int64(epoch), **arrays)
    (folder / "new.npz").replace(folder / "checkpoint.npz")


def load(network: Network, folder: Path) -> int:
    """The epoch after which the checkpoint was written; 0 where there is none."""
    try:
        with np.load(folder / "checkpoint.npz", allow_pickle=False) as arrays:
            network.parameters = [arrays[f"parameter_{i}"] for i in range(len(network.parameters))]
            network.velocities = [arrays[f"velocity_{i}"] for i in range(len(network.velocities))]
            return int(arrays["epoch"])
    except FileNotFoundError:
        return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a network on the UCI handwritten digits.")
    parser.add_argument("--learning_rate", type=float, default=0.05)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--hidden_1", type=int, default=64)
    parser.add_argument("--hidden_2", type=int, default=32)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--weight_decay", type=float, default=1e-4)
    parser.add_argument("--epochs", type=int, default=27, help="train up to this epoch")
    parser.add_argument("--schedule", type=int, default=27, help="epochs over which the learning rate falls")
    return parser.parse_args()


def main() -> None:
    """Trains from the last checkpoint, or from the start, up to `--epochs`."""
    args = arguments()
    report = Reporter()  # (1)
    key = seed()
    checkpoints = checkpoint_dir()

    images, labels, validation_images, validation_labels = digits()
    network = Network([64, args.hidden_1, args.hidden_2, 10], np.random.default_rng([key, 0]))
    done = load(network, Path(checkpoints)) if checkpoints else 0  # (3)

    for epoch in range(done + 1, args.epochs + 1):
        # Keyed by the epoch, so that a resumed training continues exactly as if it had never been interrupted.
        rng = np.random.default_rng([key, epoch])
        rate = args.learning_rate * 0.5 * (1 + np.cos(np.pi * (epoch - 1) / args.schedule))
        order = rng.permutation(len(images))
        with np.errstate(over="ignore", invalid="ignore"):  # too high a learning rate diverges; the error tells
            for start in range(0, len(images), args.batch_size):
                batch = order[start : start + args.batch_size]
                network.step(
                    network.gradients(images[batch], labels[batch], args.dropout, rng),
                    rate,
                    args.momentum,
                    args.weight_decay,
                )
            val_error, val_loss = validate(network, validation_images, validation_labels)
        if checkpoints:
            save(network, epoch, Path(checkpoints))  # (4)
        report(epoch=epoch, val_error=val_error, val_loss=val_loss)  # (2)


if __name__ == "__main__":
    main()
