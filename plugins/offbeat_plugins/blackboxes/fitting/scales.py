"""Scales on which an objective is modelled: as it is, or the logarithm of its distance to the best that can be."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.protocols import Mode

_TOPS: Final = (1.0, 100.0)
"""Where shares and percentages end."""

_FLOOR: Final = 0.5
"""Of the smallest distance above 0 that was seen: what a value at the very end is taken for."""


class Scale(NamedTuple):
    """To numbers around 0 with a spread of 1, and back.

    Attributes:
        end: the value whose distance is taken, None for the plain scale; sign: 1 where values lie above it and
            scaled ones rise with them, else -1.
        floor: the smallest distance; center, spread: of the scaled values.
        lowest, highest: values that were seen, beyond which none is answered.
    """

    end: float | None
    sign: float
    floor: float
    center: float
    spread: float
    lowest: float
    highest: float

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Scaled values."""
        return (_bent(values, self.end, self.sign, self.floor) - self.center) / self.spread

    def undo(self, scaled: NDArray[Any]) -> NDArray[Any]:
        """Values again, within those seen."""
        plain = scaled * self.spread + self.center
        if self.end is not None:
            plain = self.end + self.sign * np.exp(np.minimum(plain, 700.0))
        return np.clip(plain, self.lowest, self.highest)

    @property
    def name(self) -> str:
        """For people."""
        if self.end is None:
            return "linear"
        return "log" if self.sign > 0 and self.end == 0 else f"log({self.end:g} - value)"


def scale_of(values: NDArray[Any], mode: Mode) -> Scale:
    """The logarithm of the distance to 0 of what is minimised, to 1 or 100 of shares that are maximised, else the plain one.

    Learning curves fall in ratios, and errors of good configurations differ by less than those of bad ones.
    """
    low, high = float(values.min()), float(values.max())
    if mode == "min":
        return _scale(values, 0.0 if low >= 0 < high else None, 1.0)
    top = next((top for top in _TOPS if low >= 0 and top / 4 < high <= top), None)
    return _scale(values, top, -1.0 if top is not None else 1.0)


def _scale(values: NDArray[Any], end: float | None, sign: float) -> Scale:
    floor = 0.0
    if end is not None:
        distances = sign * (values - end)
        floor = max(_FLOOR * float(distances[distances > 0].min(initial=1.0)), float(np.finfo(float).tiny))
    bent = _bent(values, end, sign, floor)
    spread = float(bent.std()) or 1.0
    return Scale(end, sign, floor, float(bent.mean()), spread, float(values.min()), float(values.max()))


def _bent(values: NDArray[Any], end: float | None, sign: float, floor: float) -> NDArray[Any]:
    return values if end is None else np.log(np.maximum(sign * (values - end), floor))
