"""A regressor, or one for each replicate, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from offbeat.errors import InvalidArgument, MissingExtra
from offbeat.protocols import Blackbox
from offbeat.seeds import generator
from offbeat.space import Space
from offbeat_plugins.blackboxes.surrogates.answering import Answering

SAMPLE: Final = "surrogate"
"""Purpose of the random numbers that choose a sample."""


class RegressedBlackbox(Answering):
    """Answers with what regressors predict; see `add_surrogate`."""

    def __init__(
        self,
        blackbox: Blackbox,
        space: Space,
        codes: NDArray[Any],
        configs: Sequence[Mapping[str, Any]],
        model: Any,
        *,
        predict_curves: bool,
        separate_seeds: bool,
        differences: Sequence[str],
        most: int | None,
        seed: int,
    ) -> None:
        super().__init__(blackbox, space, separate_seeds=separate_seeds)
        self._whole = predict_curves
        self._summed = [i for i, name in enumerate(self.objectives) if name in differences]
        self._scale = np.asarray(blackbox.levels, float) / max(blackbox.levels)
        tables = [_table(blackbox, configs, one) for one in range(blackbox.seeds)]
        groups = [[table] for table in tables] if separate_seeds else [tables]
        rng = generator(seed, SAMPLE, 0)
        self._models = [self._fitted(_copy(model), codes, group, most, rng) for group in groups]

    def curve(self, config: Mapping[str, Any], seed: int = 0) -> Mapping[str, Any]:
        """The predicted curve. Raises InvalidArgument, InvalidConfig."""
        return self.curves([config], [seed])[0]

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, Any]]:
        """One curve for each pair, predicted at once for each replicate."""
        for seed in seeds:
            self.check_seed(seed)
        if not configs:
            return []
        codes = self.code(configs)
        found = np.empty((len(configs), len(self.levels), len(self.objectives)))
        for seed in dict.fromkeys(seeds):
            rows = [i for i, one in enumerate(seeds) if one == seed]
            found[rows] = self._predicted(seed, codes[rows])
        if self._summed:
            found[:, :, self._summed] = np.cumsum(found[:, :, self._summed], axis=1)
        return [dict(zip(self.objectives, one.T, strict=True)) for one in found]

    def _inputs(self, codes: NDArray[Any]) -> NDArray[Any]:
        """A row for each configuration, or for each level of each configuration."""
        if self._whole:
            return codes
        levels = np.tile(self._scale, len(codes))[:, None]
        return np.hstack([np.repeat(codes, len(self._scale), axis=0), levels])

    def _fitted(
        self, model: Any, codes: NDArray[Any], tables: Sequence[NDArray[Any]], most: int | None, rng: Any
    ) -> tuple[Any, NDArray[Any], NDArray[Any]]:
        """The model, mean and deviation of its outputs."""
        inputs, outputs = [], []
        for table in tables:
            there = ~np.isnan(table).any(axis=(1, 2))
            curves = table[there]
            if self._summed:
                curves = curves.copy()
                curves[:, :, self._summed] = np.diff(curves[:, :, self._summed], axis=1, prepend=0.0)
            inputs.append(self._inputs(codes[there]))
            width = len(self.objectives) * (len(self.levels) if self._whole else 1)
            outputs.append(curves.reshape(-1, width))
        x, y = np.concatenate(inputs), np.concatenate(outputs)
        if not len(x):
            raise InvalidArgument(
                "A replicate of the table has no whole curve to fit; separate_seeds=False merges them."
            )
        if most is not None and len(x) > most:
            rows = np.sort(rng.permutation(len(x))[:most])
            x, y = x[rows], y[rows]
        mean, deviation = y.mean(axis=0), y.std(axis=0)
        deviation[deviation == 0] = 1.0
        scaled = (y - mean) / deviation
        model.fit(x, scaled[:, 0] if scaled.shape[1] == 1 else scaled)
        return model, mean, deviation

    def _predicted(self, seed: int, codes: NDArray[Any]) -> NDArray[Any]:
        """(config, level, objective)."""
        model, mean, deviation = self._models[seed]
        found = np.asarray(model.predict(self._inputs(codes)), float).reshape(-1, len(mean)) * deviation + mean
        curves: NDArray[Any] = found.reshape(len(codes), len(self.levels), len(self.objectives))
        return curves


def _copy(model: Any) -> Any:
    """A regressor with the same settings that was not fitted."""
    from copy import deepcopy

    if hasattr(model, "get_params"):
        try:
            from sklearn.base import clone
        except ImportError:
            raise MissingExtra("A regressor", "trees") from None
        return clone(model)
    return deepcopy(model)


def _table(blackbox: Blackbox, configs: Sequence[Mapping[str, Any]], seed: int) -> NDArray[Any]:
    """(config, level, objective) of a replicate; missing levels filled, NaN where an objective is missing altogether."""
    curves = blackbox.curves(configs, [seed] * len(configs))
    table = np.array([[curve[name] for name in blackbox.objectives] for curve in curves], float).transpose(0, 2, 1)
    table[~np.isfinite(table)] = np.nan
    for level in range(1, table.shape[1]):
        empty = np.isnan(table[:, level])
        table[:, level][empty] = table[:, level - 1][empty]
    for level in range(table.shape[1] - 2, -1, -1):
        empty = np.isnan(table[:, level])
        table[:, level][empty] = table[:, level + 1][empty]
    return table
