"""Models of all that a blackbox answers: one for each objective and one of the seconds that a level takes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.protocols import Mode
from offbeat.seeds import generator
from offbeat_plugins.blackboxes.fitting.curve_model import CurveModel, Points
from offbeat_plugins.blackboxes.fitting.observations import Gap, Observed, Past
from offbeat_plugins.blackboxes.fitting.scales import Scale, scale_of

TERMS: Final = 4
"""Coefficients of a curve."""

PACE_TERMS: Final = 2
"""Coefficients of a curve of paces."""

MOST_TRIALS: Final = 500
"""Trials that are conditioned on: all full curves, and others drawn evenly."""

MOST_POINTS: Final = 1200
"""Points that are conditioned on; of longer curves fewer levels are taken, evenly in their logarithm."""

SECOND_DIFFERENCES: Final = 20
"""Fewer of them say nothing of noise."""

LEARNED_FROM: Final = 300
"""Points from which hyperparameters are found."""


class Objective(NamedTuple):
    """A model of an objective's curves, on its scale; `noise`: standard deviation of a report around its curve."""

    scale: Scale
    model: CurveModel
    noise: float


class Start(NamedTuple):
    """How the time up to an execution's first report differs: seconds on top, or another pace."""

    seconds: float = 0.0
    factor: float = 1.0

    def until(self, usual: Any) -> Any:
        """Seconds up to the first report, where as many levels later on take `usual`."""
        return self.seconds + self.factor * usual

    def without(self, gap: Gap) -> float:
        """The pace of a first gap as it would be later on; what was faster than most starts counts as a tenth at least."""
        return max(gap.seconds - self.seconds, 0.1 * gap.seconds) / self.factor / gap.levels


class Seconds(NamedTuple):
    """A model of time: curves of the pace, in seconds a level."""

    scale: Scale
    model: CurveModel
    start: Start

    def elapsed(self, paces: NDArray[Any], levels: NDArray[Any]) -> NDArray[Any]:
        """Seconds up to each level, from scaled paces at them."""
        steps = self.scale.undo(paces) * np.diff(levels, prepend=0.0)
        steps[..., 0] = self.start.until(steps[..., 0])
        return np.asarray(np.cumsum(steps, axis=-1))


class Models(NamedTuple):
    """By objective, and of time; None where no time is known."""

    objectives: tuple[Objective, ...]
    seconds: Seconds | None


def fitted(past: Past, codes: NDArray[Any]) -> Models:
    """Models of everything; `codes`: (trials, dimension)."""
    chosen = _chosen(past)
    trials, own = [past.trials[i] for i in chosen], codes[chosen]
    top = past.levels[-1]
    objectives = tuple(_objective(trials, own, top, i, mode) for i, mode in enumerate(past.objectives.values()))
    return Models(objectives, _seconds(trials, own, top))


def refitted(models: Models, past: Past, codes: NDArray[Any], kept: Sequence[int], steps: int = 8) -> Models:
    """The same models from some of the trials; hyperparameters go on from those of all, on the same scales."""
    chosen = [kept[i] for i in _chosen(past._replace(trials=tuple(past.trials[i] for i in kept)))]
    trials, own = [past.trials[i] for i in chosen], codes[chosen]
    top = past.levels[-1]
    objectives = []
    for place, (scale, model, noise) in enumerate(models.objectives):
        points = _points(trials, own, scale, place)
        objectives.append(Objective(scale, _learned(points, top, model.terms, model.theta, steps), noise))
    before = models.seconds
    return Models(tuple(objectives), None if before is None else _seconds(trials, own, top, before, steps))


def _objective(trials: Sequence[Observed], codes: NDArray[Any], top: int, place: int, mode: Mode) -> Objective:
    terms = min(TERMS, len({int(level) for trial in trials for level in trial.levels}))
    scale = scale_of(np.concatenate([trial.values[:, place] for trial in trials]), mode)
    model = _learned(_points(trials, codes, scale, place), top, terms)
    return Objective(scale, model, _noise(trials, scale, place, model.noise))


def _noise(trials: Sequence[Observed], scale: Scale, place: int, most: float) -> float:
    """From second differences of neighbouring reports, in which the curve itself hardly shows; at most the model's.

    The model's noise holds what so few coefficients cannot follow, too.
    """
    found = []
    for trial in trials:
        z = scale.apply(trial.values[:, place])
        even = np.diff(trial.levels, 2) == 0
        found.append(np.diff(z, 2)[even])
    differences = np.abs(np.concatenate(found))
    if len(differences) < SECOND_DIFFERENCES:
        return most
    # The median of a normal distribution's distances; the variance of a second difference is six times the noise's.
    return min(most, float(np.median(differences)) * 1.4826 / float(np.sqrt(6)))


def _learned(points: Points, top: int, terms: int, theta: NDArray[Any] | None = None, steps: int = 60) -> CurveModel:
    """Hyperparameters from some of the points, if there are many, and then all of them taken in."""
    few = points
    if len(points.z) > LEARNED_FROM:
        order = generator(0, "fitted-subset", 0).permutation(len(points.codes))
        counts = np.bincount(points.trial, minlength=len(order))[order]
        taken = np.sort(order[: int(np.searchsorted(np.cumsum(counts), LEARNED_FROM))])
        inside = np.isin(points.trial, taken)
        few = Points(
            points.codes[taken], np.searchsorted(taken, points.trial[inside]), points.levels[inside], points.z[inside]
        )
    learned = CurveModel(few, top, terms, theta).fit(steps)
    return learned if few is points else CurveModel(points, top, terms, learned.theta).condition()


def _chosen(past: Past) -> list[int]:
    """Trials that are conditioned on."""
    everything = range(len(past.trials))
    if len(past.trials) <= MOST_TRIALS:
        return list(everything)
    order = generator(0, "fitted-trials", 0).permutation(len(past.trials)).tolist()
    full_first = sorted(order, key=lambda i: past.trials[i].end != "full")
    return sorted(full_first[:MOST_TRIALS])


def _each(trials: Sequence[Observed]) -> int:
    """Levels that are taken of each curve at most."""
    lengths = [len(trial.levels) for trial in trials]
    return next((n for n in range(8, 1, -1) if sum(min(n, length) for length in lengths) <= MOST_POINTS), 2)


def _thin(trial: Observed, most: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Levels and values, the first and the last among them, the others evenly in the logarithm."""
    levels = trial.levels
    places = _spaced(levels, most)
    return levels[places], trial.values[places]


def _spaced(levels: NDArray[Any], most: int) -> NDArray[Any]:
    """Places of at most so many of increasing levels, evenly in the logarithm."""
    if len(levels) <= most:
        return np.arange(len(levels))
    wanted = np.linspace(np.log(levels[0]), np.log(levels[-1]), most)
    return np.unique(np.abs(np.log(levels)[:, None] - wanted[None]).argmin(axis=0))


def _points(trials: Sequence[Observed], codes: NDArray[Any], scale: Scale, place: int) -> Points:
    most = _each(trials)
    thin = [_thin(trial, most) for trial in trials]
    return Points(
        codes,
        np.repeat(np.arange(len(trials)), [len(levels) for levels, _ in thin]),
        np.concatenate([levels for levels, _ in thin]).astype(float),
        scale.apply(np.concatenate([values[:, place] for _, values in thin])),
    )


# --- time


def _start(trials: Sequence[Observed]) -> Start:
    """Of both kinds the one that tells better how first reports differ from the second ones."""
    known = [
        (first.levels * second.pace, first.seconds)
        for trial in trials
        for first, second in pairwise(trial.gaps)
        if first.first and not second.first
    ]
    if not known:
        return Start()
    usual, seconds = np.array(known).T
    kinds = (
        Start(seconds=max(0.0, float(np.median(seconds - usual)))),
        Start(factor=float(np.median(seconds / usual))),
    )
    return min(kinds, key=lambda kind: float(np.median(np.abs(np.log(seconds / kind.until(usual))))))


def _paces(trials: Sequence[Observed], start: Start) -> tuple[list[int], list[int], list[float]]:
    """Trial, level and pace of each gap; of trials with many, as many as of levels are taken."""
    most = _each(trials)
    which: list[int] = []
    levels: list[int] = []
    paces: list[float] = []
    for i, trial in enumerate(trials):
        own = [gap for gap in trial.gaps if not gap.first] or list(trial.gaps)
        for place in _spaced(np.array([gap.until for gap in own]), most):
            gap = own[place]
            which.append(i)
            levels.append(gap.until)
            paces.append(start.without(gap) if gap.first else gap.pace)
    return which, levels, paces


def _seconds(
    trials: Sequence[Observed], codes: NDArray[Any], top: int, before: Seconds | None = None, steps: int = 60
) -> Seconds | None:
    """The model; `before`: on the scale of another one, from its hyperparameters on."""
    start = _start(trials)
    which, levels, paces = _paces(trials, start)
    if not paces:
        return None
    scale = scale_of(np.array(paces), "min") if before is None else before.scale
    timed, rows = np.unique(which, return_inverse=True)
    points = Points(codes[timed], rows, np.array(levels, dtype=float), scale.apply(np.array(paces)))
    terms = min(PACE_TERMS, len(set(levels)))
    theta = before.model.theta if before is not None and before.model.terms == terms else None
    return Seconds(scale, _learned(points, top, terms, theta, steps), start)
