"""Regularised evolution (Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search")."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from offbeat.arguments import require_count
from offbeat.decisions import Start
from offbeat.errors import InvalidArgument
from offbeat.events import Event, Suggested
from offbeat.protocols import LedgerView, Objective, ProposalRequest
from offbeat.space import Space
from offbeat_plugins.multiobjective.priorities import Priority, better, weights_of
from offbeat_plugins.searchers.observations import OBSERVES, Observations
from offbeat_plugins.searchers.random import RandomSearcher

if TYPE_CHECKING:
    from numpy.random import Generator

TRIES: Final = 1000
"""Mutations for one suggestion before it is random."""


class EvolutionSearcher:
    """A mutant of the best of a few trials drawn from the last ones that ended; random until enough have.

    The population are the `population_size` trials that were measured last: as a new one comes in, the oldest leaves, however
    good it is. `sample_size` of them are drawn with replacement, and the best of these (the earlier of equal ones) has one
    hyperparameter changed, which is drawn again from its own distribution until it differs. Where it decides which others
    are active, those that become so are drawn too. Failed trials never enter the population.

    Args:
        space: what to choose from, two configurations at least.
        objective: what counts; several metrics are ranked together, see `priority`.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again, as in the paper.
        population_size: see above; as long as fewer trials have been measured, draws are random.
        sample_size: see above.
        priority: how several metrics are ranked over the population, see `multiobjective.priorities`.

    Raises InvalidArgument.
    """

    observes = OBSERVES

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        population_size: int = 100,
        sample_size: int = 10,
        priority: Priority = "non-dominated",
    ) -> None:
        require_count("population_size", population_size)
        require_count("sample_size", sample_size)
        if space.size == 1:
            raise InvalidArgument("The space has a single configuration, which cannot be mutated; widen it.")
        self._space = space
        self._distinct = not allow_duplicates
        self._sample_size = sample_size
        self._weights = (1.0,) if len(objective.metrics) == 1 else weights_of(priority, objective.metrics)
        self._size = population_size
        self._trials = Observations(space, objective)
        #: Rows of measured trials in the order in which they ended.
        self._population: deque[int] = deque(maxlen=population_size)
        self._random = RandomSearcher(
            space, objective, points_to_evaluate=points_to_evaluate, allow_duplicates=allow_duplicates
        )
        self._initial = len(space.initial_configs(points_to_evaluate))
        self._mutable = tuple(name for name, domain in space.domains.items() if domain.size != 1)

    def observe(self, event: Event, ledger: LedgerView) -> None:
        """Takes in an event; a trial that has ended joins the population, and one that turns out to have failed leaves it."""
        self._trials.observe(event, ledger)
        if type(event) is Suggested:
            self._random.observe(event, ledger)
        elif (row := self._trials.row(getattr(event, "trial", None))) is not None:
            measured = self._trials.is_measured(row)
            if measured and row not in self._population:
                self._population.append(row)
            elif not measured and row in self._population:
                self._population.remove(row)

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> dict[str, Any] | None:
        """The next configuration; None once there is no new one."""
        start = self.suggest(request, ledger)
        return None if start is None else start.config

    def suggest(self, request: ProposalRequest, ledger: LedgerView) -> Start | None:
        """The same with the reason, and for a mutant the tag `parent`, a trial."""
        if self._trials.proposed < self._initial:
            return self._at_random(request, "initial point")
        found = len(self._population)
        if found < self._size:
            return self._at_random(request, f"random: {found} of {self._size} first results are in")
        rng = request.rng("evolution")
        drawn = sorted({self._population[i] for i in rng.integers(found, size=self._sample_size).tolist()})
        population = list(self._population)
        places = dict(zip(population, better(self._trials.values[population], self._weights).tolist(), strict=True))
        row = min(drawn, key=places.__getitem__)
        parent = self._trials.trials[row]
        for _ in range(TRIES):
            name = self._mutable[int(rng.integers(len(self._mutable)))]
            child = self._mutated(self._trials.configs[row], name, rng)
            if child is not None and not (self._distinct and child in self._trials.seen):
                why = f"evolution: another {name} for trial {parent}, the best of {self._sample_size} drawn"
                return Start(config=child, why=why, tags={"parent": parent})
        return self._at_random(request, f"random: every mutant of trial {parent} was tried before")

    def _at_random(self, request: ProposalRequest, why: str) -> Start | None:
        config = self._random.propose(request)
        return None if config is None else Start(config=config, why=why)

    def _mutated(self, parent: Mapping[str, Any], name: str, rng: Generator) -> dict[str, Any] | None:
        """The parent with another value of one hyperparameter; None if that is inactive, the same, or not allowed."""
        if name not in parent:
            return None
        space = self._space
        value = space.domains[name].from_unit(rng.random())
        if value == parent[name]:
            return None
        child = deepcopy(dict(parent)) | {name: value}
        if not space.conditions and not space.constraints:
            return child
        us = rng.random(space.width).tolist()
        every = {one: domain.from_unit(u) for (one, domain), u in zip(space.domains.items(), us, strict=True)} | child
        code = [c for one, domain in space.domains.items() for c in domain.encode(every[one])]
        (settled,) = space.decode([code])
        # Where a constraint was broken, the nearest configuration has other values too: that is no mutant.
        return settled if all(every[one] == settled[one] for one in settled) else None
