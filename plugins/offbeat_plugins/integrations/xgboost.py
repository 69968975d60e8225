"""An XGBoost callback that reports each boosting round."""

from __future__ import annotations

from typing import Any

from offbeat.report import Reporter
from offbeat_plugins.integrations.picking import Wanted, checked, picked
from offbeat_plugins.integrations.requiring import missing

try:
    from xgboost.callback import (
        TrainingCallback,
    )
except ImportError as error:
    raise missing("XGBoostReporter", "xgboost", error) from None


class XGBoostReporter(TrainingCallback):  # type: ignore[misc]
    """Reports the evaluations of every round: `xgboost.train(..., evals=[...], callbacks=[XGBoostReporter()])`.

    Names are those that XGBoost prints: `<name of the set>-<metric>`, `validation_0-rmse` of an estimator; of `xgboost.cv`
    the mean over the folds, and `<name>-std`.

    Args:
        metrics: which of them, such as "valid-rmse" or {"error": "valid-rmse"}; all by default.
        resource: name under which the number of rounds is reported, those of a model that is trained further included.
        reporter: the script's own Reporter, where it has one.

    Raises InvalidArgument, at the end of the first round, for a metric that is not evaluated.
    """

    def __init__(
        self, metrics: Wanted = None, *, resource: str = "iteration", reporter: Reporter | None = None
    ) -> None:
        super().__init__()
        self._wanted = checked(metrics)
        self._resource = resource
        self._report = Reporter() if reporter is None else reporter

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, dict[str, list[Any]]]) -> bool:
        """Called by XGBoost."""
        values: dict[str, Any] = {}
        for name, metrics in evals_log.items():
            for metric, history in metrics.items():
                last = history[-1]
                values[f"{name}-{metric}"] = last[0] if isinstance(last, tuple) else last
                if isinstance(last, tuple):
                    values[f"{name}-{metric}-std"] = last[1]
        rounds = model.num_boosted_rounds() if hasattr(model, "num_boosted_rounds") else epoch + 1
        self._report(**{**picked(self._wanted, values), self._resource: rounds})
        return False
