"""A small neural network that tells two classes apart, fitted by Adam in one compiled program (JAX, optax)."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import optax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

HIDDEN: Final = (32, 32)
STEPS: Final = 300
RATE: Final = 1e-2
DECAY: Final = 1e-3

ROWS: Final = (32, 128, 512, 2048)
"""Numbers of rows that there are programs for: a matrix is filled up to the next one, so that few are compiled."""


def probabilities(x: Array, positive: NDArray[np.bool_], candidates: Array, seed: int) -> Array:
    """Probability of the positive class at candidates, (m,), from points x (n, d)."""
    points, weights = filled(x)
    labels = np.zeros(len(points), np.float32)
    labels[: len(x)] = positive
    found = _program()(points, labels, weights, filled(candidates)[0], np.uint32(seed & 0xFFFFFFFF))
    return np.asarray(found, dtype=np.float64)[: len(candidates)]


def filled(x: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows up to the next number in `ROWS`, above the last to its next multiple, and 1 for those that are real, else 0."""
    rows = next((size for size in ROWS if size >= len(x)), -(-len(x) // ROWS[-1]) * ROWS[-1])
    out = np.zeros((rows, x.shape[1]), np.float32)
    out[: len(x)] = x
    return out, (np.arange(rows) < len(x)).astype(np.float32)


def _initial(key: Any, sizes: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """Glorot's uniform distribution and no bias, by layer."""
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        key, own = jax.random.split(key)
        limit = (6.0 / (fan_in + fan_out)) ** 0.5
        weights = jax.random.uniform(own, (fan_in, fan_out), jnp.float32, -limit, limit)
        layers.append((weights, jnp.zeros(fan_out, jnp.float32)))
    return layers


def _logits(layers: list[tuple[Any, Any]], x: Any) -> Any:
    for weights, bias in layers[:-1]:
        x = jax.nn.elu(x @ weights + bias)
    weights, bias = layers[-1]
    return (x @ weights + bias)[:, 0]


@cache
def _program() -> Any:
    optimiser = optax.adamw(RATE, weight_decay=DECAY)

    def loss(layers: Any, x: Any, labels: Any, weights: Any) -> Any:
        each = optax.sigmoid_binary_cross_entropy(_logits(layers, x), labels)
        return (each * weights).sum() / weights.sum()

    def fit_and_predict(x: Any, labels: Any, weights: Any, candidates: Any, seed: Any) -> Any:
        # Inputs lie in the unit cube; around zero the first layer learns faster.
        x, candidates = 2.0 * x - 1.0, 2.0 * candidates - 1.0
        layers = _initial(jax.random.key(seed), (x.shape[1], *HIDDEN, 1))

        def step(carried: Any, _: Any) -> Any:
            layers, state = carried
            updates, state = optimiser.update(jax.grad(loss)(layers, x, labels, weights), state, layers)
            return (optax.apply_updates(layers, updates), state), None

        (layers, _), _ = jax.lax.scan(step, (layers, optimiser.init(layers)), length=STEPS)
        return jax.nn.sigmoid(_logits(layers, candidates))

    return jax.jit(fit_and_predict)
