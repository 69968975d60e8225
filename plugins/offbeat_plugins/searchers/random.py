"""Independent random configurations (Bergstra & Bengio 2012), each at most once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from offbeat.events import Event, Suggested
from offbeat.protocols import LedgerView, Objective, ProposalRequest
from offbeat.seeds import Rows
from offbeat.space import Seen, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

REDRAWS: Final = 50
"""Draws for one suggestion before the space counts as nearly exhausted."""

ENUMERABLE: Final = 10_000
"""Spaces up to this size are listed when redrawing does not help, so that really every configuration is used."""


class _Ahead(NamedTuple):
    """Configurations that are drawn together, for requests from a number on, and their keys."""

    first: int
    configs: list[dict[str, Any]]
    keys: list[str]

    @staticmethod
    def of(space: Space, first: int, rows: NDArray[Any]) -> _Ahead:
        configs = space.from_rows(rows)
        return _Ahead(first, configs, list(map(space.key, configs)))


class RandomSearcher:
    """Initial points first, then one draw from each domain's own distribution per suggestion.

    Args:
        space: what to draw from.
        objective: not looked at; every searcher is given it.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again. Otherwise whatever was suggested once, failed trials included,
            is not suggested again, and an exhausted space answers None.
    """

    observes = frozenset({Suggested})

    def __init__(
        self,
        space: Space,
        objective: Objective | None = None,
        *,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
    ) -> None:
        self._space = space
        self._initial = space.initial_configs(points_to_evaluate)
        self._distinct = not allow_duplicates
        self._seen = Seen(space)
        self._suggested = 0
        # Caches, not state: both follow from the request and from what was seen.
        self._rows: tuple[int, Rows] | None = None
        self._ahead = _Ahead(0, [], [])
        self._rest: list[dict[str, Any]] | None = None

    def propose(self, request: ProposalRequest, ledger: LedgerView | None = None) -> dict[str, Any] | None:
        """The next configuration; None once there is no new one."""
        if self._suggested < len(self._initial):
            return dict(self._initial[self._suggested])
        rows, space, seen = self._rows_of(request.seed), self._space, self._seen
        if space.flat:
            ahead, place = self._drawn(request)
            config = ahead.configs[place]
            if not self._distinct or ahead.keys[place] not in seen.keys:
                return config.copy()
        else:
            config = space.from_units(rows.row(request.number))
            if not self._distinct or config not in seen:
                return config
        if seen.exhausted:
            return None
        for retry in range(1, REDRAWS + 1):
            config = space.from_units(rows.row(request.number, retry))
            if config not in seen:
                return config
        if space.size is None or space.size > ENUMERABLE:
            return None
        left = [config for config in self._unseen() if config not in seen]
        # The redraws used up their rows; this one picks among all that are left with equal chances.
        picked = rows.row(request.number, REDRAWS + 1)[0]
        return dict(left[int(picked * len(left))]) if left else None

    def _rows_of(self, seed: int) -> Rows:
        if self._rows is None or self._rows[0] != seed:
            self._rows = (seed, Rows(seed, "random-search", self._space.width))
            self._ahead = _Ahead(0, [], [])
        return self._rows[1]

    def _drawn(self, request: ProposalRequest) -> tuple[_Ahead, int]:
        """The draw for a request in a flat space: the block that it lies in, and its place there."""
        rows, ahead = self._rows_of(request.seed), self._ahead
        place = request.number - ahead.first
        if not 0 <= place < len(ahead.configs):
            ahead = self._ahead = _Ahead.of(self._space, *rows.block(request.number))
            place = request.number - ahead.first
        return ahead, place

    def foresee(self, request: ProposalRequest, ledger: LedgerView | None = None) -> list[dict[str, Any]]:
        """What `propose` will answer to this request and to those after it, as far as they were drawn together."""
        if self._suggested < len(self._initial) or not self._space.flat:
            return []
        ahead, place = self._drawn(request)
        if not self._distinct:
            return [config.copy() for config in ahead.configs[place:]]
        found, seen, fresh = [], self._seen.keys, set[str]()
        for config, key in zip(ahead.configs[place:], ahead.keys[place:], strict=True):
            if key in seen or key in fresh:
                break
            fresh.add(key)
            found.append(config.copy())
        return found

    def observe(self, event: Event, ledger: LedgerView | None = None) -> None:
        """Remembers what was suggested; everything else passes."""
        if type(event) is Suggested and event.kind == "start":
            # What came from outside is none of the searcher's own.
            self._suggested += "enqueued" not in event.tags
            config = event.config
            if config is not None:
                ahead, place = self._ahead, event.number - self._ahead.first
                if 0 <= place < len(ahead.configs) and config == ahead.configs[place]:
                    self._seen.keys.add(ahead.keys[place])
                else:
                    self._seen.add(config)

    def _unseen(self) -> list[dict[str, Any]]:
        """Configurations that had not been seen when this was first called, in the order of the space."""
        if self._rest is None:
            self._rest = [config for config in self._space.grid() if config not in self._seen]
        return self._rest
