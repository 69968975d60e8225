"""Configurations as points of the unit cube: which coordinates belong to whom, there and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from offbeat.errors import InvalidArgument
from offbeat.space.domain import Domain

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@final
class Coder:
    """Codes of a space.

    Args:
        domains: in the order of their coordinates.

    Attributes:
        columns: which coordinates belong to a name.
        dimension: how many there are.
    """

    __slots__ = ("_absent", "_decoders", "_encoders", "columns", "dimension")

    def __init__(self, domains: Mapping[str, Domain]) -> None:
        columns, start = {}, 0
        for name, domain in domains.items():
            columns[name] = slice(start, start + domain.width)
            start += domain.width
        self.columns = MappingProxyType(columns)
        self.dimension = start
        self._encoders = tuple((name, domain.encoder()) for name, domain in domains.items())
        self._decoders = tuple((name, domain.decoder(), columns[name]) for name, domain in domains.items())
        # In the middle, so that an inactive hyperparameter is as far from one value as from any other.
        self._absent = {name: (0.5,) * domain.width for name, domain in domains.items()}

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
        """Codes of complete, valid configurations, (len(configs), dimension) float64."""
        import numpy as np

        codes = np.empty((len(configs), self.dimension))
        if configs:
            for name, encode in self._encoders:
                absent = self._absent[name]
                codes[:, self.columns[name]] = [
                    encode(config[name]) if name in config else absent for config in configs
                ]
        return codes

    def code(self, values: Mapping[str, Any]) -> list[float]:
        """The code of a value for every hyperparameter."""
        return [coordinate for name, encode in self._encoders for coordinate in encode(values[name])]

    def values(self, code: Sequence[float]) -> dict[str, Any]:
        """A value for every hyperparameter, active or not: the nearest one."""
        return {name: decode(code[columns]) for name, decode, columns in self._decoders}

    def rows(self, codes: ArrayLike) -> list[list[float]]:
        """Codes (n, dimension) as lists. Raises InvalidArgument for another shape or a number that is not finite."""
        import numpy as np

        array = np.asarray(codes, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != self.dimension:
            raise InvalidArgument(f"Codes have shape {array.shape}; this space needs (n, {self.dimension}).")
        if not np.isfinite(array).all():
            raise InvalidArgument("Codes hold a number that is not finite; clean them first.")
        rows: list[list[float]] = array.tolist()
        return rows
