"""The best counted result so far, kept up with every event."""

from __future__ import annotations

from collections.abc import Sequence

from offbeat.events import Event, MetricSpec, TrialResult
from offbeat.home import ExperimentFolder
from offbeat.results import COUNTED, Best
from offbeat.trial import Ledger


class Incumbent:
    """Looks at the first metric alone, in results in which all constraints hold; of equal values the first one stays.

    Attributes:
        result: None before the first counted one.
    """

    def __init__(self, metrics: Sequence[MetricSpec]) -> None:
        self.result: TrialResult | None = None
        objective = metrics[0]
        self._constraints = [spec for spec in metrics if spec.role == "constraint"]
        self._name, self._minimise = objective.name, objective.mode == "min"

    def add(self, event: Event) -> None:
        """Takes in a result; all other events pass."""
        if type(event) is not TrialResult or event.verdict not in COUNTED:
            return
        if not all(spec.holds(event.metrics) for spec in self._constraints):
            return
        if self.result is not None:
            value, best = event.metrics[self._name], self.result.metrics[self._name]
            if not (value < best if self._minimise else value > best):
                return
        self.result = event

    def best(self, ledger: Ledger, folder: ExperimentFolder | None) -> Best | None:
        """It, as `Experiment.best` has it."""
        event = self.result
        if event is None:
            return None
        record = ledger[event.trial]
        checkpoints = folder.checkpoints(record.id) if folder is not None else None
        return Best(
            trial=record,
            metric=self._name,
            value=event.metrics[self._name],
            resource=event.resource,
            at=event.at,
            config=record.config,
            checkpoints=checkpoints if checkpoints is not None and checkpoints.is_dir() else None,
        )
