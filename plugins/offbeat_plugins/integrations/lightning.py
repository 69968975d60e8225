"""A Lightning callback that reports each epoch."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from offbeat.errors import MissingPackage
from offbeat.report import Reporter
from offbeat_plugins.integrations.picking import Wanted, checked, picked

_PACKAGES: Final = ("lightning.pytorch", "pytorch_lightning")


def _base() -> Any:
    """The class of callbacks; of the package that the script has imported, since a Trainer takes only those of its own."""
    for name in sorted(_PACKAGES, key=lambda name: name not in sys.modules):
        try:
            return import_module(name).Callback
        except ImportError as error:
            if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
                raise
    raise MissingPackage("LightningReporter", "lightning")


if TYPE_CHECKING:
    Callback = object
else:
    Callback = _base()


class LightningReporter(Callback):
    """Reports what was logged, after every training epoch: `Trainer(..., callbacks=[LightningReporter()])`.

    With a validation loop, epochs that were not validated (`check_val_every_n_epoch`) are left out: what was logged last
    is not theirs.

    Args:
        metrics: which of `trainer.callback_metrics`, such as "val_loss" or {"error": "val_loss"}; all by default.
        resource: name under which the epoch is reported, counted from 1, going on after `fit(ckpt_path=...)`.
        reporter: the script's own Reporter, where it has one.

    Raises InvalidArgument, at the end of the first epoch, for a metric that is not logged.
    """

    def __init__(self, metrics: Wanted = None, *, resource: str = "epoch", reporter: Reporter | None = None) -> None:
        super().__init__()
        self._wanted = checked(metrics)
        self._resource = resource
        self._report = Reporter() if reporter is None else reporter
        self._validated = False

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        validates = bool(trainer.enable_validation) and sum(map(float, trainer.num_val_batches)) > 0
        if validates and not self._validated:
            return
        self._validated = False
        self._report(**{**picked(self._wanted, trainer.callback_metrics), self._resource: trainer.current_epoch + 1})
