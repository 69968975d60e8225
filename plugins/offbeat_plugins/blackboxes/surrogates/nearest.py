"""The nearest recorded configuration answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.protocols import Blackbox
from offbeat.space import Space
from offbeat_plugins.blackboxes.surrogates.answering import Answering
from offbeat_plugins.blackboxes.surrogates.neighbours import Neighbours


class NearestBlackbox(Answering):
    """Answers with the nearest recorded configuration; see `add_surrogate`.

    Attributes:
        table: whose configurations answer; configs: those.
    """

    def __init__(
        self,
        blackbox: Blackbox,
        space: Space,
        codes: NDArray[Any],
        configs: Sequence[Mapping[str, Any]],
        *,
        separate_seeds: bool,
    ) -> None:
        super().__init__(blackbox, space, separate_seeds=separate_seeds)
        self.table = blackbox
        self.configs = configs
        self._neighbours = Neighbours(codes)
        self._merged = not separate_seeds

    def nearest(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The recorded configuration that answers."""
        return self.configs[self._neighbours.nearest(self.code([config])[0])]

    def curve(self, config: Mapping[str, Any], seed: int = 0) -> Mapping[str, Any]:
        """The nearest configuration's curve. Raises InvalidArgument, InvalidConfig."""
        self.check_seed(seed)
        return self._answer(self._neighbours.nearest(self.code([config])[0]), seed)

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, Any]]:
        """One curve for each pair; the neighbours are found at once."""
        for seed in seeds:
            self.check_seed(seed)
        rows = self._neighbours.nearest_of_each(self.code(configs)) if configs else []
        return [self._answer(row, seed) for row, seed in zip(rows, seeds, strict=True)]

    def _answer(self, row: int, seed: int) -> Mapping[str, Any]:
        if not self._merged:
            return self.table.curve(self.configs[row], seed)
        curves = [self.table.curve(self.configs[row], one) for one in range(self.table.seeds)]
        return {name: _mean(np.array([curve[name] for curve in curves], float)) for name in self.objectives}


def _mean(values: NDArray[Any]) -> NDArray[Any]:
    """The mean over the first axis of what is no NaN."""
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
