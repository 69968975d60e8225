"""DEHB (Awad et al. 2021, "DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter Optimization").

Hyperband whose brackets are filled by differential evolution: arXiv:2105.09821, algorithm 1 and section 3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from offbeat.arguments import explained
from offbeat.decisions import Proposal, Start
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.events import Suggested
from offbeat.protocols import LedgerView, Mode, NonFinite, ProposalRequest, Searcher
from offbeat.seeds import Rows
from offbeat.space import Seen, Space
from offbeat.trial import TrialId
from offbeat_plugins.schedulers.brackets import Rung
from offbeat_plugins.schedulers.differential_evolution import Member, Population, crossed, mask, mutant, parents
from offbeat_plugins.schedulers.sync_hyperband import Slot, SyncHyperband
from offbeat_plugins.searchers.random import REDRAWS


@described
@explained
class DEHB(SyncHyperband):
    """Synchronous Hyperband in which the trials of all brackets but the first are children of earlier ones.

    The first bracket is Hyperband's: configurations are drawn at random, and the best go on. From then on nobody goes on:
    every slot of every rung is for a new trial, which runs to the rung's level at once. For each level there is a
    population, as large as the largest rung there, whose members are challenged in turns. A child is its target, the member
    whose turn it is, in which some hyperparameters are those of a mutant, x0 + mutation_factor * (x1 - x2) in the unit cube;
    where that leaves the cube, they are drawn at random. At the lowest level of a bracket x0, x1 and x2 are drawn from the
    level's population, above it from the best of the population below, as many as the rung has slots; without the target.
    A population that is too small is completed from the others. A child that is not worse than its target takes its place.
    Where a place is empty, the target is a random point, and the child takes the place.

    A trial that fails, or ends before its level, challenges nobody and holds up nothing. A child that was tried before is
    drawn again; where that does not help, and where there are not three parents yet, the configuration is a random one.
    Codes are those of configurations, after rounding to the domain's values.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        grace_period, reduction_factor, brackets: see `SyncHyperband`.
        mutation_factor: F, above 0, 1 at most. crossover_probability: that a hyperparameter is the mutant's, above 0, below 1.
        searcher: for the random configurations; name of a plugin in `offbeat.searchers`, or an object with its two methods.
        points_to_evaluate, allow_duplicates: for a searcher given by name, see RandomSearcher; children may come twice, too.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore".

    Raises InvalidArgument, InvalidSpace, UnknownPlugin.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
        grace_period: int = 1,
        reduction_factor: float = 3,
        brackets: int | None = None,
        mutation_factor: float = 0.5,
        crossover_probability: float = 0.5,
        searcher: str | Searcher = "random",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        super().__init__(
            config_space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            brackets=brackets,
            searcher=searcher,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            random_seed=random_seed,
            nonfinite=nonfinite,
        )
        if not _is_number(mutation_factor) or not 0 < mutation_factor <= 1:
            raise InvalidArgument(
                f"mutation_factor={mutation_factor!r}: give a number above 0, 1 at most; 0.5 is usual."
            )
        if not _is_number(crossover_probability) or not 0 < crossover_probability < 1:
            raise InvalidArgument(
                f"crossover_probability={crossover_probability!r}: give a number above 0 and below 1; 0.5 is usual."
            )
        self._factor, self._probability = mutation_factor, crossover_probability
        sizes: dict[int, int] = {}
        for plan in self._plans:
            for slots, level in plan:
                sizes[level] = max(slots, sizes.get(level, 0))
        self._populations = {level: Population(sizes[level]) for level in sorted(sizes)}
        self._configs: dict[TrialId, Mapping[str, Any]] = {}
        #: Child -> the place that it challenges in the population of its level.
        self._challenges: dict[TrialId, int] = {}
        self._distinct = not allow_duplicates
        self._seen = Seen(self.space)
        self._blocks = tuple(self.space.columns.values())
        # Not state: it follows from the request.
        self._rows: tuple[int, Rows] | None = None

    # --- observe: the fold

    def _suggested(self, event: Suggested) -> None:
        super()._suggested(event)
        if event.kind == "start" and event.config is not None:
            trial = event.trial
            self._configs[trial] = event.config
            self._seen.add(event.config)
            if not self._bracket[trial].promotes:
                self._challenges[trial] = self._populations[self.due[trial]].challenged()

    def _promotes(self, number: int) -> bool:
        return number == 0

    def _valued(self, trial: TrialId, rung: Rung, value: float) -> str:
        code = tuple(self.space.encode([self._configs[trial]])[0].tolist())
        place = self._challenges.get(trial)
        loser = self._populations[rung.level].offer(
            rung.trials.index(trial) if place is None else place, Member(trial, code, value)
        )
        if place is None:
            return super()._valued(trial, rung, value)
        if loser is None:
            return f"level {rung.level}: takes an empty place in the population"
        if loser.trial == trial:
            return f"level {rung.level}: worse than its target"
        return f"level {rung.level}: not worse than its target, whose place in the population it takes"

    # --- propose: reads the fold

    def _new(
        self, slot: Slot, request: ProposalRequest, ledger: LedgerView
    ) -> Proposal | Awaitable[Proposal | None] | None:
        child = None if slot.promotes else self._child(slot, request)
        return super()._new(slot, request, ledger) if child is None else child

    def _child(self, slot: Slot, request: ProposalRequest) -> Start | None:
        """A child for a slot that was not tried before; None if there are no three parents, or no such child is found."""
        population = self._populations[slot.level]
        target = population.places[population.turn]
        pool = population.members if slot.below is None else self._populations[slot.below].best(slot.slots)
        dimension, width = self.space.dimension, self.space.width
        if self._rows is None or self._rows[0] != request.seed:
            self._rows = (request.seed, Rows(request.seed, "dehb", 4 + width + 2 * dimension))
        for retry in range(REDRAWS + 1):
            row = self._rows[1].row(request.number, retry)
            everyone = (member for one in self._populations.values() for member in one.members)
            three = parents(pool, everyone, target, row[:3])
            if three is None:
                return None
            forced, us, rest = int(row[3] * width), row[4 : 4 + width], row[4 + width :]
            base, one, other = three
            mutated = mutant(base.code, one.code, other.code, self._factor, rest[:dimension])
            origin = rest[dimension:] if target is None else target.code
            child = crossed(mutated, origin, mask(us, self._probability, forced), self._blocks)
            (config,) = self.space.decode([child])
            if not self._distinct or config not in self._seen:
                of = "a random point" if target is None else f"trial {target.trial}"
                shift = f"{base.trial} + {self._factor:g} ({one.trial} - {other.trial})"
                why = f"evolution at level {slot.level}: {of} crossed with {shift}"
                tags = {"bracket": slot.kind, **({} if target is None else {"parent": target.trial})}
                return Start(config=config, until=slot.level, why=why, tags=tags)
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
