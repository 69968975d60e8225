"""Trials as people look at them: by number, with their curve, their checkpoints and a table in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offbeat.errors import InvalidArgument
from offbeat.trial import Status, TrialId, TrialRecord

if TYPE_CHECKING:
    from offbeat.results.experiment import Experiment
    from offbeat.results.records import Point


class Trial:
    """One trial of a loaded experiment; shows what the experiment knew when it was last refreshed.

    Attributes:
        record: the trial as the engine keeps it.
    """

    def __init__(self, experiment: Experiment, record: TrialRecord) -> None:
        self._experiment = experiment
        self.record = record

    @property
    def id(self) -> TrialId:
        """Its number, from 0."""
        return self.record.id

    @property
    def config(self) -> dict[str, Any]:
        """The hyperparameters, in the order of the space."""
        return in_order(self._experiment.spec.space, self.record.config)

    @property
    def status(self) -> Status:
        """Where it stands."""
        return self.record.status

    @property
    def reason(self) -> str:
        """Why it ended or was paused, in one sentence."""
        return self.record.reason

    @property
    def attempts(self) -> int:
        """How often it was started."""
        return self.record.attempt + 1

    @property
    def resource(self) -> int:
        """The highest resource level that it has reported, 0 before the first."""
        return self.record.resource

    @property
    def reports(self) -> int:
        """How many counted results it has."""
        return self.record.reports

    @property
    def seconds(self) -> float:
        """Time in attempts that are over, on the experiment's clock."""
        return self.record.active

    @property
    def cost(self) -> float:
        """Dollars, all attempts together; 0 where no cost is reported."""
        return self.record.cost

    @property
    def best(self) -> Mapping[str, Any] | None:
        """Metrics of its best result by the first objective."""
        return self.record.best

    @property
    def last(self) -> Mapping[str, Any] | None:
        """Metrics of its last result."""
        return self.record.last

    @property
    def value(self) -> float | None:
        """Its best value of the first objective."""
        metrics = self._experiment.spec.metrics
        return self.record.best[metrics[0].name] if self.record.best is not None and metrics else None

    @property
    def folder(self) -> Path:
        """Its folder, with one for each attempt; there is none where trials are no processes."""
        return self._experiment.folder.trial(self.id)

    @property
    def checkpoints(self) -> Path | None:
        """The folder of its checkpoints, None if there is none (any more)."""
        path = self._experiment.folder.checkpoints(self.id)
        return path if path.is_dir() else None

    def curve(self, metric: str | None = None) -> list[Point]:
        """See `Experiment.curve`."""
        return self._experiment.curve(self.id, metric)

    def __repr__(self) -> str:
        value = self.value
        best = "" if value is None else f", best {self._experiment.spec.metrics[0].name} {value:.4g}"
        return f"<trial {self.id} of {self._experiment.name}: {self.status.value}{best}>"

    def _repr_html_(self) -> str:
        from offbeat.results.cards import trial_card

        return trial_card(self._experiment, self)


class Trials:
    """All trials of a loaded experiment, by number."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def __len__(self) -> int:
        return len(self._experiment.ledger)

    def __iter__(self) -> Iterator[Trial]:
        return (Trial(self._experiment, record) for record in self._experiment.ledger)

    def __getitem__(self, number: int) -> Trial:
        """The trial of this number. Raises InvalidArgument that says which there are."""
        record = self._experiment.ledger.trials.get(TrialId(number))
        if record is None:
            count = len(self)
            there = f"0 to {count - 1}" if count else "none yet"
            raise InvalidArgument(f"Experiment {self._experiment.name!r} has no trial {number}; there are {there}.")
        return Trial(self._experiment, record)

    def ranked(self) -> list[Trial]:
        """Best first by the first objective, those without a result last, by number."""
        best = (
            [self[one.trial.id] for one in self._experiment.best(n=len(self))] if self._experiment.spec.metrics else []
        )
        seen = {trial.id for trial in best}
        return best + [trial for trial in self if trial.id not in seen]

    def __repr__(self) -> str:
        return f"<{len(self)} trials of {self._experiment.name}>"

    def _repr_html_(self) -> str:
        from offbeat.results.cards import trials_card

        return trials_card(self._experiment)


def in_order(space: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in the order in which its space was written."""
    return {name: config[name] for name in (*space, *config) if name in config}
