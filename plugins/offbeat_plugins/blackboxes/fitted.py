"""Your own past as a blackbox: curves and costs fitted to the journals of experiments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final, NamedTuple

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

REPLICATE: Final = 0.5
"""Share of the variance of a trial's own deviation that another training of the same configuration draws anew. The rest is
the configuration's. Past trials do not tell the two apart, since hardly any configuration is tried twice."""

KEPT: Final = 4096
"""Configurations whose means are kept at most."""

VERSION: Final = 1
"""Counts up when the same observations give another model."""

DIGITS: Final = 9
"""Significant digits of what is answered: libraries of linear algebra differ beyond."""


class FittedBlackbox:
    """Answers what a model that was fitted to experiments expects of a configuration, anywhere in their space.

    Curves that early stopping has cut are used as far as they go (see `fitting.curve_model`); time is a curve of the pace,
    and a start. To the mean come deviations as large as the residuals: half of a trial's own belongs to its configuration,
    half to the replicate, as does the noise of reports. No value lies beyond those seen.

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
        self._drawn_from = [(one.model, one.noise) for one in self._models.objectives]
        self._drawn_from.append((self._seconds.model, self._seconds.model.noise))
        self._levels = np.array(self.levels, dtype=float)
        self._bases = [model.basis(self._levels) for model, _ in self._drawn_from]
        self._centers: dict[str, _Center] = {}
        self.elapsed_attr = "elapsed" if "elapsed" not in self._past.objectives else "elapsed_seconds"
        self.objectives: Mapping[str, Mode | None] = {**self._past.objectives, self.elapsed_attr: None}

    @cached_property
    def fit(self) -> Fit:
        """What was fitted, and how well held-out trials are predicted; it is computed when it is first asked for."""
        return judged(self._past, self._codes, self._models)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits, equal for a model of the same observations."""
        told = blake2b(f"{VERSION}/{self.seeds}/{self.levels}/{dict(self._past.objectives)}".encode(), digest_size=16)
        for trial in self._past.trials:
            told.update(f"{self.space.key(trial.config)}/{trial.levels.tolist()}/{trial.values.tolist()}".encode())
            told.update(f"{trial.end}/{[tuple(gap) for gap in trial.gaps]}".encode())
        return told.hexdigest()

    def curve(self, config: Mapping[str, Any], seed: int) -> Mapping[str, NDArray[Any]]:
        """The whole curve of a configuration, for each replicate another one."""
        return self.curves([config], [seed])[0]

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, NDArray[Any]]]:
        """One curve for each pair."""
        return [self._replicate(self._center(config), seed) for config, seed in zip(configs, seeds, strict=True)]

    def _center(self, config: Mapping[str, Any]) -> _Center:
        """What all replicates of a configuration have in common; the last ones are kept."""
        own = self.space.validate({name: value for name, value in config.items() if name in self.space.domains})
        key = self.space.key(own)
        found = self._centers.get(key)
        if found is None:
            # One by one: the last bits of a product depend on how many rows it has.
            code, draw = self.space.encode([own]), generator(0, f"fitted/{key}", 0)
            share = float(np.sqrt(1.0 - REPLICATE))
            found = _Center(
                key,
                [
                    model.coefficients(code)[0] + share * model.deviations * draw.standard_normal(model.terms)
                    for model, _ in self._drawn_from
                ],
            )
            if len(self._centers) >= KEPT:
                self._centers.clear()
            self._centers[key] = found
        return found

    def _replicate(self, center: _Center, seed: int) -> dict[str, NDArray[Any]]:
        draw = generator(0, f"fitted/{center.key}", 1 + seed)
        share = float(np.sqrt(REPLICATE))
        drawn = []
        for coefficients, basis, (model, noise) in zip(center.coefficients, self._bases, self._drawn_from, strict=True):
            own = coefficients + share * model.deviations * draw.standard_normal(model.terms)
            drawn.append(basis @ own + noise * draw.standard_normal(len(basis)))
        *curves, paces = drawn
        found = {
            name: _rounded(one.scale.undo(z))
            for name, one, z in zip(self._past.objectives, self._models.objectives, curves, strict=True)
        }
        found[self.elapsed_attr] = _rounded(self._seconds.elapsed(paces, self._levels))
        return found


class _Center(NamedTuple):
    """A configuration: its key, and for each model the coefficients of its curve."""

    key: str
    coefficients: list[NDArray[Any]]


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
