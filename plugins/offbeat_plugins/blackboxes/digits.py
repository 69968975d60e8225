from __future__ import annotations
from collections.abc import Mapping, Sequence
from typing import Any, Final

EPOCHS: Final = 27
SEEDS: Final = 3
VALUES: Final[Mapping[str, Sequence[Any]]] = {
    "learning_rate": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "momentum": (0.0, 0.9, 0.98),
    "batch_size": (32, 128),
    "hidden_1": (16, 48, 144),
    "dropout": (0.0, 0.3),
}
"""Every combination was trained, the last hyperparameter varying fastest."""

FIXED: Final[Mapping[str, Any]] = {"hidden_2": 32, "weight_decay": 1e-4}
