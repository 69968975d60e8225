"""How well held-out trials are predicted, by models that have not seen them: whole experiments, or some of the trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from offbeat.protocols import Mode
from offbeat.seeds import generator
from offbeat.text import shown
from offbeat_plugins.blackboxes.fitting.models import Models, refitted
from offbeat_plugins.blackboxes.fitting.observations import Observed, Past
from offbeat_plugins.blackboxes.fitting.scales import Scale

FOLDS: Final = 8
"""Parts into which the trials of one experiment are divided."""

FEW: Final = 5
"""Trials below which no error is told."""

WEAK: Final = 0.6
"""Share of pairs in the right order below which the ranking is hardly better than a guess."""

_INSIDE: Final = 1.2815515655446004
"""Standard deviations on each side that hold 80 % of a normal distribution."""


class ObjectiveFit(msgspec.Struct, frozen=True, kw_only=True):
    """How well one objective is predicted.

    Attributes:
        scale: on which it is modelled.
        error_full, error_cut: median absolute error at a trial's last level, of full and of cut curves; None with fewer
            than five of them. naive_full, naive_cut: of the median of the others at that level.
        ordered: share of pairs in the right order, each pair at the highest level that both have reached; 0.5: by chance.
        spearman: rank correlation of full curves at their end.
        inside: share of last values within the interval that should hold 80 %.
    """

    name: str
    mode: Mode
    scale: str
    error_full: float | None
    error_cut: float | None
    naive_full: float | None
    naive_cut: float | None
    ordered: float | None
    spearman: float | None
    inside: float


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """What was fitted, to what, and how well that predicts.

    Attributes:
        trials, full, cut, ended: curves; those that were cut early, and those that ended early by themselves.
        cut_at: levels, and how many curves were cut there; failed: trials without any result.
        held_out: "experiments", or "trials" where there is one experiment only.
        seconds_factor: median factor by which the time of a trial is missed; None where no time is known.
        start_seconds, start_factor: what the first level takes on top, or times as much.
    """

    experiments: tuple[str, ...]
    trials: int
    full: int
    cut: int
    ended: int
    failed: int
    levels: tuple[int, int]
    cut_at: tuple[tuple[int, int], ...]
    held_out: str
    objectives: tuple[ObjectiveFit, ...]
    seconds_factor: float | None
    start_seconds: float
    start_factor: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against believing a comparison on it."""
        found = []
        for one in self.objectives:
            for what, error, naive in (
                ("the end of full curves", one.error_full, one.naive_full),
                ("the last level of cut ones", one.error_cut, one.naive_cut),
            ):
                if error is not None and naive is not None and error >= naive:
                    found.append(
                        f"{one.name}: {what} is predicted no better ({shown(error)} off) than by the median of the others "
                        f"({shown(naive)} off), in {self.held_out} that were held out"
                    )
            if one.ordered is not None and one.ordered < WEAK:
                found.append(
                    f"{one.name}: {one.ordered:.0%} of the pairs of held-out trials are in the right order, hardly more than "
                    "by chance: comparisons on this fit say little"
                )
        if self.full < 2 * FEW:
            found.append(f"only {self.full} curves are full: the ends of all others are extrapolated")
        return tuple(found)

    def lines(self) -> list[str]:
        """For people."""
        ended = f", {self.ended} ended early by themselves" if self.ended else ""
        failed = f"; {self.failed} without a result left out" if self.failed else ""
        found = [
            f"fitted to {self.trials} trials of {', '.join(self.experiments)}: {self.full} full curves up to level "
            f"{self.levels[1]}, {self.cut} cut early (censored){ended}{failed}",
        ]
        if self.cut_at:
            found.append("cut at " + ", ".join(f"level {level}: {n}" for level, n in self.cut_at))
        found.append(f"errors of held-out {self.held_out} (in brackets: of the median of the others):")
        for one in self.objectives:
            parts = [
                f"{what} {shown(error)} ({shown(naive)})"
                for what, error, naive in (
                    ("end of full curves", one.error_full, one.naive_full),
                    ("last level of cut ones", one.error_cut, one.naive_cut),
                )
                if error is not None
            ]
            if one.ordered is not None:
                parts.append(f"{one.ordered:.0%} of pairs in the right order")
            if one.spearman is not None:
                parts.append(f"rank correlation at the end {one.spearman:.2f}")
            parts.append(f"{one.inside:.0%} within 80 % intervals")
            found.append(f"  {one.name} ({one.scale}): {'; '.join(parts)}")
        if self.seconds_factor is not None:
            found.append(f"  seconds of a trial: within a factor of {self.seconds_factor:.2f} (median)")
        return [*found, *(f"warning: {text}" for text in self.warnings)]


def judged(past: Past, codes: NDArray[Any], models: Models) -> Fit:
    """Fits again without some of the trials, as often as each has been left out once."""
    n = len(past.trials)
    parts = folds(past)
    last = np.array([trial.levels[-1] for trial in past.trials], dtype=float)
    predicted = np.full((n, len(past.objectives), len(past.levels)), np.nan)
    spread = np.full((n, len(past.objectives)), np.nan)
    naive = np.full((n, len(past.objectives)), np.nan)
    factors: list[float] = []
    levels = np.array(past.levels, dtype=float)
    for part in parts:
        out = set(part)
        kept = [i for i in range(n) if i not in out]
        again = refitted(models, past, codes, kept)
        for place, (_, model, _) in enumerate(again.objectives):
            predicted[part, place] = model.curves(codes[part], levels)
            spread[part, place] = model.spread(codes[part], last[part])
        for i in part:
            naive[i] = _median(past, kept, int(last[i]))
        if again.seconds is not None:
            paces = again.seconds.model.curves(codes[part], levels)
            elapsed = again.seconds.elapsed(paces, levels)
            for i, told in zip(part, elapsed, strict=True):
                factors += _time_factor(past, past.trials[i], told)
    objectives = [
        _objective_fit(past, scale, place, (predicted[:, place], spread[:, place], naive[:, place]))
        for place, (scale, _, _) in enumerate(models.objectives)
    ]
    ends = [trial.end for trial in past.trials]
    cut_at = sorted(int(trial.levels[-1]) for trial in past.trials if trial.end == "cut")
    return Fit(
        experiments=past.names,
        trials=n,
        full=ends.count("full"),
        cut=ends.count("cut"),
        ended=ends.count("ended"),
        failed=past.failed,
        levels=(past.levels[0], past.levels[-1]),
        cut_at=tuple((level, cut_at.count(level)) for level in dict.fromkeys(cut_at)),
        held_out="experiments" if len(past.names) > 1 else "trials",
        objectives=tuple(objectives),
        seconds_factor=float(np.exp(np.median(factors))) if factors else None,
        start_seconds=models.seconds.start.seconds if models.seconds is not None else 0.0,
        start_factor=models.seconds.start.factor if models.seconds is not None else 1.0,
    )


def _time_factor(past: Past, trial: Observed, elapsed: NDArray[Any]) -> list[float]:
    """Absolute logarithm of predicted over true seconds, of a trial that was executed once from its beginning."""
    took = sum(gap.seconds for gap in trial.gaps)
    if [gap.first for gap in trial.gaps].count(True) != 1 or sum(gap.levels for gap in trial.gaps) != trial.levels[-1]:
        return []
    return [abs(float(np.log(elapsed[past.levels.index(int(trial.levels[-1]))] / took)))]


def folds(past: Past) -> list[list[int]]:
    """Trials that are left out together."""
    if len(past.names) > 1:
        found = [[i for i, one in enumerate(past.trials) if one.experiment == n] for n in range(len(past.names))]
    else:
        order = generator(0, "fitted-folds", 0).permutation(len(past.trials)).tolist()
        found = [sorted(order[i::FOLDS]) for i in range(FOLDS)]
    return [part for part in found if part]


def _median(past: Past, kept: Sequence[int], level: int) -> NDArray[Any]:
    """Of the values at a level, or at the nearest one that is there."""
    rows = []
    for i in kept:
        trial = past.trials[i]
        if trial.levels[-1] >= level:
            rows.append(trial.values[np.abs(trial.levels - level).argmin()])
    return np.median(rows, axis=0) if rows else np.full(len(past.objectives), np.nan)


def _objective_fit(past: Past, scale: Scale, place: int, held: tuple[NDArray[Any], ...]) -> ObjectiveFit:
    """How well an objective was predicted; `held`: curves, spread at the last level, and the median of the others there."""
    predicted, spread, naive = held
    positions = {level: i for i, level in enumerate(past.levels)}
    ends = [positions[int(trial.levels[-1])] for trial in past.trials]
    true = np.array([trial.values[-1, place] for trial in past.trials])
    told = scale.undo(np.array([predicted[i, end] for i, end in enumerate(ends)]))
    distance = np.abs(scale.apply(true) - np.array([predicted[i, end] for i, end in enumerate(ends)]))
    full = np.array([trial.end == "full" for trial in past.trials])
    errors = {True: np.abs(true - told)[full], False: np.abs(true - told)[~full]}
    naives = {True: np.abs(true - naive)[full], False: np.abs(true - naive)[~full]}
    name, mode = list(past.objectives.items())[place]
    rank: float | None = None
    if full.sum() >= FEW and np.ptp(true[full]) > 0 and np.ptp(told[full]) > 0:
        correlation: Any = spearmanr(true[full], told[full])
        rank = float(correlation.statistic)
    return ObjectiveFit(
        name=name,
        mode=mode,
        scale=scale.name,
        error_full=_middle(errors[True]),
        error_cut=_middle(errors[False]),
        naive_full=_middle(naives[True]),
        naive_cut=_middle(naives[False]),
        ordered=_ordered(past, place, predicted, positions, scale.sign),
        spearman=rank,
        inside=float(np.mean(distance <= _INSIDE * spread)),
    )


def _middle(errors: NDArray[Any]) -> float | None:
    there = errors[np.isfinite(errors)]
    return float(np.median(there)) if len(there) >= FEW else None


def _ordered(past: Past, place: int, predicted: NDArray[Any], positions: dict[int, int], rising: float) -> float | None:
    """Concordance of all pairs that differ, each at the highest level that both have reported."""
    n = len(past.trials)
    table = np.full((n, len(past.levels)), np.nan)
    for i, trial in enumerate(past.trials):
        table[i, [positions[int(level)] for level in trial.levels]] = trial.values[:, place]
    right = pairs = 0.0
    for i in range(n - 1):
        both = np.isfinite(table[i]) & np.isfinite(table[i + 1 :])
        there = both.any(axis=1)
        at = both.shape[1] - 1 - both[:, ::-1].argmax(axis=1)
        rows = np.arange(i + 1, n)[there]
        at = at[there]
        true = table[i, at] - table[rows, at]
        told = predicted[i, at] - predicted[rows, at]
        differ = true != 0
        right += float(np.sum(rising * true[differ] * told[differ] > 0))
        pairs += float(differ.sum())
    return right / pairs if pairs else None
