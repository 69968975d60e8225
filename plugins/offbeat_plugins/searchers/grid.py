"""Every combination of a few values of each hyperparameter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import islice
from typing import Any, Final

from offbeat.arguments import require_count
from offbeat.errors import InvalidArgument, nearest
from offbeat.events import Event, Suggested
from offbeat.protocols import LedgerView, Objective, ProposalRequest
from offbeat.space import Choice, Domain, FiniteRange, ListChoice, Nullable, Ordinal, Seen, Space, values_of
from offbeat_plugins.searchers.shuffle import Shuffle

POINTS: Final = 5
"""Points of a numeric hyperparameter that `num_samples` does not name."""

LARGEST: Final = 200_000
"""Combinations of a space with conditions or constraints; they are listed, since only trying tells which are allowed."""


class GridSearcher:
    """Initial points first, then the points of a grid that were not suggested yet, each once.

    A number that varies continuously or in steps is represented by the mid-points of `num_samples` cells of equal width
    on its own scale, or by all its values if they are no more; choices, ordinals and `finrange` by all their values, an
    `optional` domain by None and the points of what it is of. Conditions are honoured: an inactive hyperparameter does
    not multiply anything. What breaks a constraint is left out.

    Without shuffling the order is that of `Space.grid`: names sorted, but parents before children, the last one varying
    fastest, each from its lowest or first value (None before all) to its last.

    Args:
        space: what to cover.
        objective: not looked at; every searcher is given it.
        num_samples: points by the name of a numeric hyperparameter (default 5 each), or one number for all of them.
        shuffle_config: take the points in a random order, which follows from the experiment's seed.
        points_to_evaluate: configurations to begin with, maybe partial; None: none.
        allow_duplicates: begin again at the end of the grid, for ever.

    Raises InvalidArgument for a name in `num_samples` that is no numeric hyperparameter or a number below 1, and for a
    space with conditions or constraints whose grid has more than 200,000 points.
    """

    observes = frozenset({Suggested})

    def __init__(
        self,
        space: Space,
        objective: Objective | None = None,
        *,
        num_samples: Mapping[str, int] | int | None = None,
        shuffle_config: bool = True,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
    ) -> None:
        self._grid = _Grid(space, _checked_samples(space, num_samples))
        self._initial = space.initial_configs([] if points_to_evaluate is None else points_to_evaluate)
        self._shuffled = shuffle_config
        self._cycles = allow_duplicates
        self._seen = Seen(space)
        self._suggested = 0
        # Caches, not state: the order follows from the request, and up to this place everything was suggested.
        self._order: tuple[int, Sequence[int] | Shuffle] | None = None
        self._place = 0

    def propose(self, request: ProposalRequest, ledger: LedgerView | None = None) -> dict[str, Any] | None:
        """The next configuration; None once the grid is used up."""
        if self._suggested < len(self._initial):
            return deepcopy(self._initial[self._suggested])
        n = self._grid.size
        if self._order is None or self._order[0] != request.seed:
            self._order = request.seed, Shuffle(n, request.seed, "grid-search") if self._shuffled else range(n)
            self._place = 0
        order = self._order[1]
        if self._cycles:
            return self._grid[order[(self._suggested - len(self._initial)) % n]]
        while self._place < n:
            config = self._grid[order[self._place]]
            if config not in self._seen:
                return config
            self._place += 1
        return None

    def observe(self, event: Event, ledger: LedgerView | None = None) -> None:
        """Remembers what was suggested; everything else passes."""
        if type(event) is Suggested and event.kind == "start":
            # What came from outside is none of the searcher's own.
            self._suggested += "enqueued" not in event.tags
            if event.config is not None:
                self._seen.add(event.config)


class _Grid:
    """The points by number. Where every combination is one, they are computed; else they are listed."""

    def __init__(self, space: Space, samples: Mapping[str, int]) -> None:
        self._values = {name: _points(domain, samples.get(name, POINTS)) for name, domain in space.domains.items()}
        self._listed: list[dict[str, Any]] | None = None
        self.size = math.prod(map(len, self._values.values()))
        if space.conditions or space.constraints:
            self._listed = list(islice(space.grid(self._values), LARGEST + 1))
            self.size = len(self._listed)
            if self.size > LARGEST:
                raise InvalidArgument(f"The grid has more than {LARGEST} points; give fewer in num_samples.")
            if not self.size:
                raise InvalidArgument(
                    "No point of the grid fulfils the constraints; give more points in num_samples, or loosen them."
                )

    def __getitem__(self, number: int) -> dict[str, Any]:
        if self._listed is not None:
            return deepcopy(self._listed[number])
        config: dict[str, Any] = {}
        for name, values in reversed(self._values.items()):
            number, place = divmod(number, len(values))
            config[name] = deepcopy(values[place])
        return dict(reversed(config.items()))


def _points(domain: Domain, count: int) -> list[Any]:
    if isinstance(domain, Nullable):
        return [None, *_points(domain.of, count)]
    if _is_listed(domain) or (domain.size is not None and domain.size <= count):
        return values_of(domain)
    # Cells may share a mid-point where values are few on a log scale.
    return list(dict.fromkeys(domain.from_unit((i + 0.5) / count) for i in range(count)))


def _is_listed(domain: Domain) -> bool:
    """Whether all values are in the grid, however many."""
    inner = domain.of if isinstance(domain, Nullable) else domain
    return isinstance(inner, Choice | ListChoice | Ordinal | FiniteRange)


def _checked_samples(space: Space, num_samples: Mapping[str, int] | int | None) -> dict[str, int]:
    numeric = [name for name, domain in space.domains.items() if not _is_listed(domain)]
    if num_samples is None:
        return {}
    if not isinstance(num_samples, Mapping):
        require_count("num_samples", num_samples)
        return dict.fromkeys(numeric, num_samples)
    for name, count in num_samples.items():
        if name not in space.domains:
            raise InvalidArgument(f"num_samples has {name!r}, which the space lacks. {nearest(str(name), numeric)}")
        if name not in numeric:
            raise InvalidArgument(
                f"num_samples has {name!r}, whose values are listed and are all in the grid: {space.domains[name]!r}."
            )
        require_count(f"num_samples[{name!r}]", count)
    return dict(num_samples)
