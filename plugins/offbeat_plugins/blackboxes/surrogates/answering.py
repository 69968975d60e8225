"""What surrogates over tables have in common: a space of their own, in which the table's configurations have codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.errors import InvalidArgument, InvalidConfig, nearest
from offbeat.protocols import Blackbox, Mode
from offbeat.space import Space


def coded(space: Space, configs: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    """Codes of recorded configurations in a space, (n, dimension); numbers outside of it lie at its border.

    Raises InvalidArgument for a name that the table does not have, and for a value that cannot be a space's.
    """
    recorded = dict.fromkeys(name for config in configs for name in config)
    for name in space.domains:
        if name not in recorded:
            raise InvalidArgument(f"space: the table has no hyperparameter {name!r}. {nearest(name, recorded)}")
    for name in recorded:
        if name not in space.domains and name not in space.constants:
            raise InvalidArgument(
                f"space: it lacks the table's hyperparameter {name!r}. {nearest(name, space.domains)}"
            )
    codes = np.empty((len(configs), space.dimension))
    for name, domain in space.domains.items():
        known: dict[Any, tuple[float, ...]] = {}
        encode = domain.encoder()
        for i, config in enumerate(configs):
            value = config.get(name)
            if (code := known.get((type(value), value))) is None:
                try:
                    code = (0.5,) * domain.width if name not in config else tuple(encode(domain.cast(value)))
                except (InvalidConfig, ValueError):
                    raise InvalidArgument(f"space: the table's {name}={value!r} is not in {domain!r}.") from None
                known[type(value), value] = code
            codes[i, space.columns[name]] = code
    return np.clip(codes, 0.0, 1.0)


class Answering:
    """What both kinds have in common: everything of the table but its configurations.

    Attributes:
        space: configurations that are answered.
    """

    def __init__(self, blackbox: Blackbox, space: Space, *, separate_seeds: bool) -> None:
        self.space = space
        self.levels = blackbox.levels
        self.resource_attr = blackbox.resource_attr
        self.objectives: Mapping[str, Mode | None] = blackbox.objectives
        self.elapsed_attr = blackbox.elapsed_attr
        self.seeds = blackbox.seeds if separate_seeds else 1

    def code(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
        """Codes of configurations. Raises InvalidArgument for a name that is missing, InvalidConfig for a value."""
        try:
            return self.space.encode(configs)
        except KeyError as error:
            name = str(error.args[0])
            raise InvalidArgument(
                f"The configuration lacks hyperparameter {name!r}. {nearest(name, configs[0])}"
            ) from None

    def check_seed(self, seed: int) -> None:
        """Raises InvalidArgument for a replicate that there is not."""
        if not 0 <= seed < self.seeds:
            raise InvalidArgument(f"seed={seed!r}: there are seeds 0 to {self.seeds - 1}.")
