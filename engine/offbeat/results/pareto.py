"""What an experiment with several objectives has found: its Pareto set, and the volume that it dominated at any time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from offbeat.errors import InvalidArgument, nearest
from offbeat.events import MetricSpec
from offbeat.results.history import Result, history
from offbeat.trial import TrialId, TrialRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from offbeat.results.experiment import Experiment


class ParetoPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A result that no other one of its experiment beats in all objectives.

    Attributes:
        values: by objective, as reported.
        resource, at: where on its trial's curve, and when on the experiment's clock.
        checkpoints: the folder of the trial's checkpoints, None if there is none (any more).
    """

    trial: TrialRecord
    values: dict[str, float]
    resource: int
    at: float
    config: dict[str, Any]
    checkpoints: Path | None


class Hypervolume(msgspec.Struct, frozen=True, kw_only=True):
    """The volume between what was found up to a time and a reference point, in the units of the objectives.

    Attributes:
        reference: the point, by objective.
        curve: (time on the experiment's clock, volume) whenever it grew.
    """

    reference: dict[str, float]
    curve: list[tuple[float, float]]

    @property
    def value(self) -> float:
        """At the end; 0 where nothing is better than the reference in every objective."""
        return self.curve[-1][1] if self.curve else 0.0


class Measured(msgspec.Struct, frozen=True):
    """Counted results that have all metrics as finite numbers, in the order of time.

    Attributes:
        specs: the metrics; points: (n, k) as reported.
        trials, results: n each; feasible: (n,), in which all constraints of the experiment hold.
    """

    specs: list[MetricSpec]
    trials: list[TrialId]
    results: list[Result]
    points: NDArray[Any]
    feasible: NDArray[Any]

    @property
    def signed(self) -> NDArray[Any]:
        """The points with lower as better everywhere."""
        import numpy as np

        signed: NDArray[Any] = self.points * np.array([1.0 if spec.mode == "min" else -1.0 for spec in self.specs])
        return signed

    def front(self) -> list[int]:
        """Places of feasible results that no feasible one dominates; of a trial's equal ones the first."""
        import numpy as np

        from offbeat.pareto import non_dominated

        places = np.flatnonzero(self.feasible)
        kept = places[non_dominated(self.signed[places])] if len(places) else places
        first: dict[tuple[Any, ...], int] = {}
        for place in kept.tolist():
            first.setdefault((self.trials[place], *self.points[place].tolist()), place)
        return sorted(first.values(), key=lambda place: (self.signed[place].tolist(), place))


def objectives(experiment: Experiment) -> list[MetricSpec]:
    """The metrics that are optimised: no constraints, no costs."""
    return [spec for spec in experiment.spec.metrics if spec.role == "objective"]


def measured(experiment: Experiment, specs: Sequence[MetricSpec]) -> Measured:
    """See `Measured`. Raises JournalDamaged."""
    import numpy as np

    constraints = [spec for spec in experiment.spec.metrics if spec.role == "constraint"]
    found = sorted(_complete(experiment, specs), key=lambda one: (one[1].at, one[0]))
    return Measured(
        list(specs),
        [trial for trial, _, _ in found],
        [result for _, result, _ in found],
        np.array([row for _, _, row in found], dtype=float).reshape(len(found), len(specs)),
        np.array([all(one.holds(result.metrics) for one in constraints) for _, result, _ in found], dtype=bool),
    )


def _complete(experiment: Experiment, specs: Sequence[MetricSpec]) -> Iterator[tuple[TrialId, Result, list[float]]]:
    for trial, results in history(experiment).results.items():
        for result in results:
            row = [value for spec in specs if (value := result.value(spec.name)) is not None and isfinite(value)]
            if len(row) == len(specs):
                yield trial, result, row


def pareto_set(experiment: Experiment) -> list[ParetoPoint]:
    """See `Experiment.pareto`."""
    found = measured(experiment, objectives(experiment))
    points = []
    for place in found.front():
        trial, result = experiment.trials[found.trials[place]], found.results[place]
        values = dict(zip((spec.name for spec in found.specs), found.points[place].tolist(), strict=True))
        points.append(
            ParetoPoint(
                trial=trial.record, values=values, resource=result.resource, at=result.at, config=trial.config,
                checkpoints=trial.checkpoints,
            )
        )  # fmt: skip
    return points


def hypervolume_over_time(experiment: Experiment, reference: Mapping[str, float] | None) -> Hypervolume:
    """See `Experiment.hypervolume`."""
    import numpy as np

    from offbeat.pareto import hypervolume, non_dominated, reference_point

    found = measured(experiment, objectives(experiment))
    names = [spec.name for spec in found.specs]
    signs = np.array([1.0 if spec.mode == "min" else -1.0 for spec in found.specs])
    signed = found.signed
    if reference is not None:
        corner = signs * np.array(checked_reference(reference, names))
    elif front := found.front():
        corner = reference_point(signed[front])
    else:
        return Hypervolume(reference={}, curve=[])
    curve: list[tuple[float, float]] = []
    front_so_far = np.empty((0, len(names)))
    for place in np.flatnonzero(found.feasible & (signed < corner).all(axis=1)).tolist():
        point = signed[place]
        if (front_so_far <= point).all(axis=1).any():
            continue
        front_so_far = np.vstack([front_so_far, point])
        front_so_far = front_so_far[non_dominated(front_so_far)]
        curve.append((found.results[place].at, hypervolume(front_so_far, corner)))
    return Hypervolume(reference=dict(zip(names, (signs * corner).tolist(), strict=True)), curve=curve)


def checked_reference(reference: Mapping[str, float], names: Sequence[str]) -> list[float]:
    """The reference point in the order of the objectives. Raises InvalidArgument."""
    for name in reference:
        if name not in names:
            raise InvalidArgument(f"reference names {name!r}, which is no objective. {nearest(name, names)}")
    for name in names:
        value = reference.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise InvalidArgument(
                f"reference={dict(reference)!r} has no finite number for the objective {name!r}: give one for each, a value "
                "that is just not acceptable any more."
            )
    return [float(reference[name]) for name in names]
