"""A Keras callback that reports each epoch."""

from __future__ import annotations

from typing import Any

from offbeat.report import Reporter
from offbeat_plugins.integrations.picking import Wanted, checked, picked
from offbeat_plugins.integrations.requiring import missing

try:
    from keras.callbacks import (
        Callback,
    )
except ImportError as error:
    raise missing("KerasReporter", "keras", error) from None


class KerasReporter(Callback):  # type: ignore[misc]
    """Reports the logs of every epoch: `model.fit(..., callbacks=[KerasReporter()])`.

    Args:
        metrics: which logs, such as "val_loss" or {"error": "val_loss"}; all by default.
        resource: name under which the epoch is reported, counted from 1; after a resume `fit` is told its
            `initial_epoch`.
        reporter: the script's own Reporter, where it has one.

    Raises InvalidArgument, at the end of the first epoch, for a metric that Keras does not log.
    """

    def __init__(self, metrics: Wanted = None, *, resource: str = "epoch", reporter: Reporter | None = None) -> None:
        super().__init__()
        self._wanted = checked(metrics)
        self._resource = resource
        self._report = Reporter() if reporter is None else reporter

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._report(**{**picked(self._wanted, logs or {}), self._resource: epoch + 1})
