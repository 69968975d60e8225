"""The table that comes with the package: the network of `offbeat demo`, 252 configurations, 27 epochs, 3 seeds.

Trained by `benchmarks/make_digits_table.py`; `data/README.md` says how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from offbeat.errors import InvalidArgument, nearest

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

DATASET: Final = "digits"


def config_space() -> dict[str, Any]:
    """The table's search space, with the constant `epochs` for schedulers."""
    from offbeat.config_space import logordinal, ordinal

    logarithmic = ("learning_rate", "batch_size", "hidden_1")
    domains = {name: (logordinal if name in logarithmic else ordinal)(list(values)) for name, values in VALUES.items()}
    return {**domains, "epochs": EPOCHS}


def digits(dataset: str | None = None) -> Any:
    """The blackbox: `val_error` (share of 540 images), `val_loss` (nats), `elapsed` (seconds on one core, cumulative).

    Raises InvalidArgument for another data set than "digits".
    """
    if dataset not in (None, DATASET):
        raise InvalidArgument(f"There is no data set {dataset!r} in this table. {nearest(str(dataset), [DATASET])}")
    return _table()


@cache
def _table() -> Any:
    import numpy as np

    from offbeat_plugins.blackboxes.tabular import TabularBlackbox, grid

    with np.load(Path(__file__).with_name("data") / "digits_mlp.npz", allow_pickle=False) as data:
        error = data["wrong"] / np.float64(data["n_validation"])
        values = np.stack([error, data["val_loss"], data["elapsed"]], axis=-1)
    return TabularBlackbox(
        config_space(),
        grid(VALUES),
        values,
        objectives={"val_error": "min", "val_loss": "min", "elapsed": None},
        levels=range(1, EPOCHS + 1),
        resource_attr="epoch",
        elapsed_attr="elapsed",
    )
