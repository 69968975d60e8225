"""Your own past as a blackbox: curves and costs fitted to the journals of experiments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from offbeat.arguments import require_count
from offbeat.errors import InvalidArgument
from offbeat.home import ExperimentFolder
from offbeat.protocols import Mode
from offbeat.results import Experiment, load
from offbeat.seeds import generator
from offbeat_plugins.blackboxes.fitting.models import Models, fitted
from offbeat_plugins.blackboxes.fitting.observations import Past, observed
from offbeat_plugins.blackboxes.fitting.validation import Fit, judged

LEAST_TRIALS: Final = 12
"""Trials with a result below which nothing is fitted; and at least twice as many as there are hyperparameters."""

LEAST_FULL: Final = 3
"""Full curves below which nothing is fitted."""

DIGITS: Final = 9
"""Significant digits of what is answered: libraries of linear algebra differ beyond."""


class FittedBlackbox:
    """Answers what a model that was fitted to experiments expects of a configuration, anywhere in their space.

    Curves that early stopping has cut are used as far as they go (see `fitting.curve_model`); time is a rate for each
    configuration, and a start. A replicate adds deviations of its own: the trial's, which hold what the model has missed
    too, and the noise of reports, as large as they were found in the residuals. No value lies beyond those seen.

    Args:
        experiments: names or folders, or what `load_experiment` gives; of the same objectives, resource and
            hyperparameters, of which ranges may differ.
        max_t: where curves end; default: what the experiments aimed at, or the highest level seen.
        replicates: how many there are.
        home: folder of experiments instead of `$OFFBEAT_HOME` or `~/offbeat`.

    Raises InvalidArgument with fewer than 12 trials (or twice the number of hyperparameters), fewer than three full
    curves, no time, or experiments that differ; and what `load_experiment` raises.
    """

    def __init__(
        self,
        experiments: Sequence[str | os.PathLike[str] | ExperimentFolder | Experiment] | str,
        *,
        max_t: int | None = None,
        replicates: int = 10,
        home: str | os.PathLike[str] | None = None,
    ) -> None:
        require_count("replicates", replicates)
        named = [experiments] if isinstance(experiments, str | os.PathLike) else list(experiments)
        read = [one if isinstance(one, Experiment) else load(one, home) for one in named]
        self._past: Past = observed(read, max_t)
        _check(self._past)
        self.space = self._past.space
        self.levels = self._past.levels
        self.resource_attr = self._past.resource_attr
        self.seeds = replicates
        self._codes = self.space.encode([trial.config for trial in self._past.trials])
        self._models: Models = fitted(self._past, self._codes)
        if self._models.seconds is None:
            raise InvalidArgument(
                f"{', '.join(self._past.names)}: no time passed between reports, so that none can be fitted."
            )
        self._seconds = self._models.seconds
        self.elapsed_attr = "elapsed" if "elapsed" not in self._past.objectives else "elapsed_seconds"
        self.objectives: Mapping[str, Mode | None] = {**self._past.objectives, self.elapsed_attr: None}

    @cached_property
    def fit(self) -> Fit:
        """What was fitted, and how well held-out trials are predicted; it is computed when it is first asked for."""
        return judged(self._past, self._codes, self._models)

    def curve(self, config: Mapping[str, Any], seed: int) -> Mapping[str, NDArray[Any]]:
        """The whole curve of a configuration, for each replicate another one."""
        return self.curves([config], [seed])[0]

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, NDArray[Any]]]:
        """One curve for each pair."""
        own = [self.space.validate(self._named(config)) for config in configs]
        codes = self.space.encode(own)
        draws = [
            generator(0, f"fitted/{self.space.key(config)}", seed) for config, seed in zip(own, seeds, strict=True)
        ]
        levels = np.array(self.levels, dtype=float)
        found: list[dict[str, NDArray[Any]]] = [{} for _ in own]
        for name, (scale, model) in zip(self._past.objectives, self._models.objectives, strict=True):
            basis, coefficients = model.basis(levels), model.coefficients(codes)
            for i, draw in enumerate(draws):
                deviating = coefficients[i] + model.deviations * draw.standard_normal(model.terms)
                noisy = basis @ deviating + model.noise * draw.standard_normal(len(levels))
                found[i][name] = _rounded(scale.undo(noisy))
        pace = self._seconds.model
        basis, coefficients = pace.basis(levels), pace.coefficients(codes)
        for i, draw in enumerate(draws):
            deviating = coefficients[i] + pace.deviations * draw.standard_normal(pace.terms)
            noisy = basis @ deviating + pace.noise * draw.standard_normal(len(levels))
            found[i][self.elapsed_attr] = _rounded(self._seconds.elapsed(noisy, levels))
        return list(found)

    def _named(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in config.items() if name in self.space.domains}


def _check(past: Past) -> None:
    """Raises InvalidArgument where there is too little to fit."""
    least = max(LEAST_TRIALS, 2 * past.space.width)
    if len(past.trials) < least:
        raise InvalidArgument(
            f"{', '.join(past.names)}: {len(past.trials)} trials have a result; to fit curves over {past.space.width} "
            f"hyperparameters at least {least} are needed."
        )
    if past.full < LEAST_FULL:
        reached = [
            level for level in past.levels if sum(trial.levels[-1] >= level for trial in past.trials) >= LEAST_FULL
        ]
        hint = f"; or fit up to max_t={reached[-1]}, which {LEAST_FULL} have reached" if reached else ""
        raise InvalidArgument(
            f"{', '.join(past.names)}: {past.full} of {len(past.trials)} curves reach {past.resource_attr} "
            f"{past.levels[-1]}; at least {LEAST_FULL} are needed{hint}."
        )


def _rounded(values: NDArray[Any]) -> NDArray[Any]:
    return np.array([float(f"{value:.{DIGITS}g}") for value in values.tolist()])
