"""A tuning run on real data that needs nothing beyond this package: what `offbeat demo` starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offbeat.tuner import Tuner

SCRIPT = Path(__file__).with_name("train_digits.py")

EPOCHS = 27


def space() -> dict[str, Any]:
    """The search space: from networks that learn nothing to ones that read 99 of 100 digits."""
    from offbeat.config_space import choice, lograndint, loguniform, uniform

    return {
        "learning_rate": loguniform(1e-4, 1.0),
        "momentum": uniform(0.0, 0.99),
        "batch_size": choice([16, 32, 64, 128, 256]),
        "hidden_1": lograndint(8, 256),
        "hidden_2": lograndint(8, 128),
        "dropout": uniform(0.0, 0.6),
        "weight_decay": loguniform(1e-6, 1e-1),
        "epochs": EPOCHS,
    }


def tuner(
    *,
    seconds: float = 30.0,
    workers: int = 4,
    name: str | None = None,
    seed: int = 0,
    home: str | os.PathLike[str] | None = None,
    observers: Sequence[Any] = ("console", "csv"),
) -> Tuner:
    """The demo's experiment, ready to run: ASHA over `train_digits.py` on this machine."""
    from offbeat.backend import LocalBackend
    from offbeat.optimizer.baselines import ASHA
    from offbeat.stopping import StoppingCriterion
    from offbeat.tuner import Tuner

    scheduler = ASHA(
        space(),
        metric="val_error",
        mode="min",
        resource_attr="epoch",
        max_resource_attr="epochs",
        grace_period=1,
        reduction_factor=3,
        random_seed=seed,
    )
    return Tuner(
        trial_backend=LocalBackend(entry_point=SCRIPT, num_threads=1),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_wallclock_time=seconds),
        n_workers=workers,
        name=name,
        observers=observers,
        metadata={"demo": "UCI handwritten digits"},
        home=home,
    )
