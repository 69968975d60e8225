"""NSGA-II without generations (Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from offbeat.arguments import require_count
from offbeat.decisions import Start
from offbeat.errors import InvalidArgument
from offbeat.events import Event, Suggested
from offbeat.pareto import crowding, fronts
from offbeat.protocols import LedgerView, Objective, ProposalRequest
from offbeat.space import Space
from offbeat_plugins.multiobjective.variation import child
from offbeat_plugins.searchers.observations import OBSERVES, Observations
from offbeat_plugins.searchers.random import RandomSearcher

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

TRIES: Final = 100
"""Children for one suggestion before it is random."""


class Survivors(NamedTuple):
    """The population, best first: rows of trials, their fronts (from 0), and crowding distances within these."""

    rows: NDArray[np.intp]
    fronts: NDArray[np.intp]
    crowding: NDArray[np.float64]


class NSGA2Searcher:
    """A child of two good configurations, each the better of two drawn from the population; random until there is one.

    The population are the `population_size` best of all trials that were measured: by front, within a front by crowding
    distance. It is formed anew for each proposal from what is known then (steady state), so that no worker waits for the
    end of a generation. Where the objective has constraints, what fulfils them all comes before what does not, and the
    rest goes by the sum of the violations, each in units of the largest one (Deb's constrained domination). A child that
    was tried before is made again. Failed trials never count.

    Args:
        space: what to choose from, two configurations at least.
        objective: two metrics to optimise at least.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again.
        population_size: see above, two at least; as long as fewer trials have been measured, draws are random.
        crossover_probability: of a child to have parts of both parents.
        mutation_probability: of each hyperparameter to be changed; None: one of them on average.

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
        population_size: int = 20,
        crossover_probability: float = 0.9,
        mutation_probability: float | None = None,
    ) -> None:
        require_count("population_size", population_size)
        if population_size < 2:
            raise InvalidArgument(f"population_size={population_size}: a child has two parents; give 2 at least.")
        if len(objective.optimised) < 2:
            names = [spec.name for spec in objective.optimised]
            raise InvalidArgument(f"metric={names!r}: NSGA-II needs two objectives at least. For one there is REA.")
        for name, value in (
            ("crossover_probability", crossover_probability), ("mutation_probability", mutation_probability),
        ):  # fmt: skip
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1
            ):
                raise InvalidArgument(f"{name}={value!r}: give a number from 0 to 1.")
        if space.size == 1:
            raise InvalidArgument("The space has a single configuration, which has no children; widen it.")
        self._space = space
        self._distinct = not allow_duplicates
        self._random = RandomSearcher(
            space, objective, points_to_evaluate=points_to_evaluate, allow_duplicates=allow_duplicates
        )
        self._initial = len(space.initial_configs(points_to_evaluate))
        self._population_size = population_size
        self._crosses = float(crossover_probability)
        self._mutates = 1.0 / len(space.domains) if mutation_probability is None else float(mutation_probability)
        self._trials = Observations(space, objective)
        roles = [spec.role for spec in objective.metrics]
        self._optimised = [place for place, role in enumerate(roles) if role == "objective"]
        self._constrained = [place for place, role in enumerate(roles) if role == "constraint"]
        self._bounds = np.array([spec.bound if spec.mode == "min" else -spec.bound for spec in objective.constraints])

    def observe(self, event: Event, ledger: LedgerView) -> None:
        """Takes in an event."""
        self._trials.observe(event, ledger)
        if type(event) is Suggested:
            self._random.observe(event, ledger)

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> dict[str, Any] | None:
        """The next configuration; None once there is no new one."""
        start = self.suggest(request, ledger)
        return None if start is None else start.config

    def suggest(self, request: ProposalRequest, ledger: LedgerView) -> Start | None:
        """The same with the reason, and for a child the tag `parents`, two trials."""
        if self._trials.proposed < self._initial:
            return self._at_random(request, "initial point")
        found = len(self._trials.measured)
        if found < self._population_size:
            return self._at_random(request, f"random: {found} of {self._population_size} first results are in")
        survivors = self.survivors()
        rng = request.rng("nsga2")
        for _ in range(TRIES):
            first, second = (int(survivors.rows[self._tournament(survivors, rng)]) for _ in range(2))
            config = child(
                self._space, self._trials.configs[first], self._trials.configs[second], rng,
                crossover_probability=self._crosses, mutation_probability=self._mutates,
            )  # fmt: skip
            if not self._distinct or config not in self._trials.seen:
                parents = [int(self._trials.trials[first]), int(self._trials.trials[second])]
                why = f"evolution: a child of trials {parents[0]} and {parents[1]}"
                return Start(config=config, why=why, tags={"parents": parents})
        return self._at_random(request, "random: every child was tried before")

    def survivors(self) -> Survivors:
        """The population as it is now: all measured trials while these are fewer than its size."""
        rows = self._trials.measured
        known = self._trials.values[rows]
        rank = self._ranks(known)
        lonely = np.zeros(len(rows))
        kept: list[NDArray[np.intp]] = []
        count = 0
        for front in np.unique(rank):
            members = np.flatnonzero(rank == front)
            lonely[members] = crowding(known[members][:, self._optimised])
            # Of equal distances the trial that was suggested first.
            members = members[np.argsort(-lonely[members], kind="stable")][: self._population_size - count]
            kept.append(members)
            count += len(members)
            if count == self._population_size:
                break
        chosen = np.concatenate(kept) if kept else np.empty(0, dtype=np.intp)
        return Survivors(rows[chosen], rank[chosen], lonely[chosen])

    def _ranks(self, known: NDArray[np.float64]) -> NDArray[np.intp]:
        """(n,): fronts of what is feasible, then all others by their violation."""
        violation = np.maximum(known[:, self._constrained] - self._bounds, 0.0)
        largest = violation.max(axis=0, initial=0.0)
        total = (violation / np.where(largest > 0.0, largest, 1.0)).sum(axis=1)
        feasible = total == 0.0
        rank = np.empty(len(known), dtype=np.intp)
        rank[feasible] = fronts(known[feasible][:, self._optimised])
        after = rank[feasible].max(initial=-1) + 1
        rank[~feasible] = after + np.unique(total[~feasible], return_inverse=True)[1].reshape(-1)
        return rank

    @staticmethod
    def _tournament(survivors: Survivors, rng: Generator) -> int:
        """Place of the better of two that are drawn: lower front, then larger crowding distance, then the first drawn."""
        a, b = rng.integers(len(survivors.rows), size=2).tolist()
        key_a = (survivors.fronts[a], -survivors.crowding[a])
        key_b = (survivors.fronts[b], -survivors.crowding[b])
        return int(b if key_b < key_a else a)

    def _at_random(self, request: ProposalRequest, why: str) -> Start | None:
        config = self._random.propose(request)
        return None if config is None else Start(config=config, why=why)
